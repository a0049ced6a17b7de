"""The account that a simulator starts with: fictional people, no tickets."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from workers.simulator.account import Json, SimulatedAccount, StoredAsset, StoredContact, Table
from workers.simulator.options import Options

EVERYTHING = ("move_tickets", "manage_assets", "manage_contacts")
"""The permissions that the simulator checks. Only the name `move_tickets` has been seen in HappyFox."""


def _table(*entries: Json) -> Table:
    return MappingProxyType({entry["id"]: entry for entry in entries})


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
        "email": f"{name.partition(' ')[0].lower()}@support.example",
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


def _asset_type(number: int, name: str, *, contacts: bool = True) -> Json:
    settings = {
        "enable_ticket_association": True,
        "enable_contact_association": contacts,
        "enable_asset_quantity_for_ticket": False,
        "enable_asset_type_visibility_to_contact": contacts,
    }
    return {"id": number, "name": name, "description": None, "settings": settings}


def _asset_field(number: int, asset_type: int, name: str, kind: str, choices: tuple[str, ...] = ()) -> Json:
    options = [{"id": i, "text": text} for i, text in enumerate(choices, start=1)] or None
    return {"id": number, "type": kind, "asset_type": asset_type, "name": name, "choices": options}


def _report(number: int, name: str, **only: Any) -> Json:
    """Return a saved report on the tickets with these values."""
    return {"id": number, "name": name, "description": "", "only": only}


def _article(number: int, section: int, title: str, contents: str, *, internal: bool = False) -> Json:
    return {"id": number, "section": section, "title": title, "contents": contents, "internal": internal}


CATEGORIES = _table(_category(1, "Default Category"), _category(2, "Billing"), _category(3, "Orders"))
PREFIXES = MappingProxyType({1: "DC", 2: "BI", 3: "OR"})
STATUSES = _table(
    _status(1, "New", "FF9900"),
    _status(2, "In Progress", "0066CC"),
    _status(3, "On Hold", "999999"),
    _status(4, "Closed", "99CC00", "completed"),
)
PRIORITIES = _table(
    _priority(1, "Medium", 2), _priority(2, "Critical", 4), _priority(3, "High", 3), _priority(4, "Low", 1)
)
STAFF = _table(
    _staff(1, "Ada King", "Administrator"),
    _staff(2, "Lin Wu", "Agent"),
    _staff(3, "Omar Haddad", "Agent"),
    _staff(4, "Grace Park", "Agent", permissions=()),  # may not move tickets, manage assets or add contacts
    _staff(7, "Foxhooks Bot", "Agent"),
)
GROUPS = _table({"id": 1, "name": "Big Corp", "description": "", "tagged_domains": "bigcorp.example"})
TICKET_FIELDS = _table(
    _ticket_field(1, "Refund reason", "text"),
    _ticket_field(2, "Amount", "number"),
    _ticket_field(3, "Product", "choice", ("Printer", "Scanner", "Café machine ☕")),
    _ticket_field(4, "Regions", "multiple_choice", ("North", "South", "East", "West")),
    _ticket_field(5, "Delivery date", "date"),
    _ticket_field(6, "Order number", "text", categories=(3,)) | {"required": True},
    _ticket_field(7, "Resolution", "text", categories=(3,)) | {"compulsory_on_completed": True},
)
CONTACT_FIELDS = _table(
    _field(1, "Company", "text", order=1),
    _field(2, "Seats", "number", order=2),
    _field(3, "Plan", "choice", ("Free", "Standard", "Gold"), order=3),
    _field(4, "Languages", "multiple_choice", ("English", "German", "Spanish"), order=4),
    _field(5, "Customer since", "date", order=5),
)
ASSET_TYPES = _table(_asset_type(1, "General"), _asset_type(2, "Device", contacts=False))
ASSET_FIELDS = _table(
    _asset_field(1, 1, "Asset category", "dropdown", ("Laptop", "Desktop", "Phone", "Printer")),
    _asset_field(2, 1, "Description", "textarea"),
    _asset_field(3, 1, "Serial number", "text"),
    _asset_field(4, 1, "Units", "number"),
    _asset_field(5, 1, "Accessories", "multiple_choice", ("Dock", "Mouse", "Bag")),
    _asset_field(6, 1, "Warranty date", "date"),
    _asset_field(7, 2, "Firmware", "text"),
)
REPORTS = _table(
    _report(1, "All tickets"), _report(2, "Billing", category=2), _report(3, "Critical tickets", priority=2)
)
AGREEMENTS = _table({"id": 1, "name": "First reply", "target": 90})
SECTIONS = _table(
    {"id": 1, "name": "Getting started", "description": "First steps"},
    {"id": 2, "name": "Printers", "description": ""},
)
ARTICLES = _table(
    _article(1, 1, "Welcome", "<p>Hello, and welcome.</p>"),
    _article(2, 2, "Paper jams", "<p>Open the tray. Pull gently.</p>"),
    _article(3, 2, "Who repairs printers", "<p>Call the third floor.</p>", internal=True),
)


def new_account(options: Options, clock: Callable[[], float]) -> SimulatedAccount:
    """Return a new account with the seed data."""
    now = clock()
    laptop = StoredAsset(
        id=1,
        display_id="LT-1",
        name="Sam's laptop",
        asset_type=1,
        created_by=1,
        created_at=now,
        updated_at=now,
        contacts=(1,),
        groups=(1,),
        fields={1: 1, 3: "C034"},
    )
    router = StoredAsset(
        id=2,
        display_id="RT-1",
        name="Router on the third floor",
        asset_type=2,
        created_by=1,
        created_at=now,
        updated_at=now,
        fields={7: "1.2"},
    )
    account = SimulatedAccount(
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
        asset_types=ASSET_TYPES,
        asset_fields=ASSET_FIELDS,
        reports=REPORTS,
        agreements=AGREEMENTS,
        sections=SECTIONS,
        articles=ARTICLES,
        assets={asset.id: asset for asset in (laptop, router)},
        last_phone=1,
        last_group=len(GROUPS),
        last_asset=2,
        last_choice=max(choice["id"] for field in TICKET_FIELDS.values() for choice in field["choices"] or ()),
    )
    account.put_contact(
        StoredContact(
            id=1,
            name="Sam Reed",
            email="sam@bigcorp.example",
            created_at=now,
            phones=({"id": 1, "type": "o", "number": "555 0100"},),
            groups={1: False},
            fields={1: "Big Corp", 3: 3},
            primary=1,
        )
    )
    account.put_contact(StoredContact(id=2, name="Mia Novak", email="mia@smallshop.example", created_at=now))
    account.put_contact(
        StoredContact(id=3, name="José Ñandú", email="jose@cafe.example", created_at=now, fields={1: "Café ☕"})
    )
    return account
