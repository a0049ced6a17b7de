"""The account a simulator starts with: made-up people on .example domains, no tickets."""

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any

from workers.simulator.options import Options
from workers.simulator.world import company
from workers.simulator.world.things import Contact, Json, Table
from workers.simulator.world.world import World

EVERYTHING = ("move_tickets", "manage_assets", "manage_contacts")
"""The permissions asked for here; only `move_tickets` is a name HappyFox has been seen to use."""


def _table(rows: Iterable[Json]) -> Table:
    return MappingProxyType({row["id"]: row for row in rows})


def _category(number: int, name: str) -> Json:
    return {
        "id": number,
        "name": name,
        "description": f"{name}, please edit this.",
        "public": True,
        "prepopulate_cc": "AR",
        "time_spent_mandatory": False,
    }


def _status(number: int, name: str, color: str, behavior: str = "pending") -> Json:
    return {
        "id": number,
        "name": name,
        "color": color,
        "order": number,
        "default": number == 1,
        "behavior": behavior,
    }


def _priority(number: int, name: str, order: int) -> Json:
    return {"id": number, "name": name, "order": order, "default": number == 1}


def _staff(number: int, name: str, role: str, permissions: tuple[str, ...] = EVERYTHING) -> Json:
    admin = role == "Administrator"
    return {
        "id": number,
        "name": name,
        "email": f"{name.split()[0].lower()}@support.example",
        "active": True,
        "is_account_admin": admin,
        "role": {"id": 1 if admin else 2, "name": role},
        "categories": [1, 2, 3],
        "permissions": [*permissions, "relate_tickets"],
    }


def _field(number: int, name: str, kind: str, choices: tuple[str, ...] = (), **more: Any) -> Json:
    options = [{"id": i, "text": text, "dependant_fields": []} for i, text in enumerate(choices, start=1)]
    return {
        "id": number,
        "name": name,
        "type": kind,
        "required": False,
        "depends_on_choice": None,
        "choices": options or None,
        "visible_to_staff_only": False,
        **more,
    }


def _ticket_field(
    number: int,
    name: str,
    kind: str,
    choices: tuple[str, ...] = (),
    categories: tuple[int, ...] = (1, 2, 3),
    **more: Any,
) -> Json:
    where = [{"category": category, "order": number} for category in categories]
    flags = {"compulsory_on_completed": False, "compulsory_on_move": False, "categories": where}
    return _field(number, name, kind, choices, **flags, **more)


CATEGORIES = _table([_category(1, "Default Category"), _category(2, "Billing"), _category(3, "Orders")])
PREFIXES = MappingProxyType({1: "DC", 2: "BI", 3: "OR"})
STATUSES = _table(
    [
        _status(1, "New", "FF9900"),
        _status(2, "In Progress", "0066CC"),
        _status(3, "On Hold", "999999"),
        _status(4, "Closed", "99CC00", "completed"),
    ]
)
PRIORITIES = _table(
    [_priority(1, "Medium", 2), _priority(2, "Critical", 4), _priority(3, "High", 3), _priority(4, "Low", 1)]
)
STAFF = _table(
    [
        _staff(1, "Ada King", "Administrator"),
        _staff(2, "Lin Wu", "Agent"),
        _staff(3, "Omar Haddad", "Agent"),
        _staff(4, "Grace Park", "Agent", permissions=()),  # may not move tickets nor manage assets
        _staff(7, "Foxhooks Bot", "Agent"),
    ]
)
GROUPS = _table([{"id": 1, "name": "Big Corp", "description": "", "tagged_domains": "bigcorp.example"}])
TICKET_FIELDS = _table(
    [
        _ticket_field(1, "Refund reason", "text"),
        _ticket_field(2, "Amount", "number"),
        _ticket_field(3, "Product", "choice", ("Printer", "Scanner", "Café machine ☕")),
        _ticket_field(4, "Regions", "multiple_choice", ("North", "South", "East", "West")),
        _ticket_field(5, "Delivery date", "date"),
        _ticket_field(6, "Order number", "text", categories=(3,)) | {"required": True},
        _ticket_field(7, "Resolution", "text", categories=(3,)) | {"compulsory_on_completed": True},
    ]
)
CONTACT_FIELDS = _table(
    [
        _field(1, "Company", "text", order=1),
        _field(2, "Seats", "number", order=2),
        _field(3, "Plan", "choice", ("Free", "Standard", "Gold"), order=3),
        _field(4, "Languages", "multiple_choice", ("English", "German", "Spanish"), order=4),
        _field(5, "Customer since", "date", order=5),
    ]
)


def new_world(options: Options, clock: Callable[[], float]) -> World:
    """The seeded account, as of now."""
    world = World(
        options=options,
        clock=clock,
        categories=CATEGORIES,
        prefixes=PREFIXES,
        priorities=PRIORITIES,
        statuses=STATUSES,
        staff=STAFF,
        groups=GROUPS,
        ticket_fields=TICKET_FIELDS,
        contact_fields=CONTACT_FIELDS,
        asset_types=company.ASSET_TYPES,
        asset_fields=company.ASSET_FIELDS,
        reports=company.REPORTS,
        agreements=company.AGREEMENTS,
        sections=company.SECTIONS,
        articles=company.ARTICLES,
        assets=company.assets(clock()),
        last_phone=1,
        last_group=len(GROUPS),
        last_asset=2,
        last_choice=max(choice["id"] for field in TICKET_FIELDS.values() for choice in field["choices"] or ()),
    )
    phone: Json = {"id": 1, "type": "o", "number": "555 0100"}
    now = clock()
    sam = Contact(
        1, "Sam Reed", "sam@bigcorp.example", now, None, (phone,), {1: False}, {1: "Big Corp", 3: 3}, primary=1
    )
    world.put_contact(sam)
    world.put_contact(Contact(2, "Mia Novak", "mia@smallshop.example", now))
    world.put_contact(Contact(3, "José Ñandú", "jose@cafe.example", now, fields={1: "Café ☕"}))
    return world
