"""The table of calls: which path and method is which endpoint. All else is answered 404 or 405."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from workers.simulator.api import (
    articles,
    asset_meta,
    assets,
    choices,
    contacts,
    creation,
    files,
    groups,
    reads,
    reference,
    replies,
    reports,
    writes,
)
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import World

Endpoint = Callable[[World, Arguments], Outcome]
Methods = Mapping[str, Endpoint]

BASES: Final = ("api/1.1/json/", "api/json/1.1/json/", "api/json/1.1/", "api/json/", "api/1.1/")
"""The base, then slips for it that stand in HappyFox's own articles."""

ENDPOINTS: Final[Mapping[str, Methods]] = {
    "tickets": {"GET": reads.tickets, "POST": creation.create},
    "new_ticket": {"POST": creation.create},
    "ticket/*": {"GET": reads.ticket},
    "ticket/*/staff_update": {"POST": replies.staff_update},
    "ticket/*/staff_pvtnote": {"POST": replies.staff_pvtnote},
    "ticket/*/user_reply": {"POST": replies.user_reply},
    "ticket/*/update_tags": {"POST": writes.update_tags},
    "ticket/*/update_custom_fields": {"POST": writes.update_custom_fields},
    "ticket/*/move": {"POST": writes.move},
    "ticket/*/forward": {"POST": writes.forward},
    "ticket/*/subscribe": {"POST": writes.subscribe},
    "ticket/*/unsubscribe": {"POST": writes.unsubscribe},
    "ticket/*/delete": {"POST": writes.delete},
    "ticket-inline-attachment": {"POST": files.upload_image},
    "users": {"GET": contacts.contacts, "POST": contacts.put},
    "user/*": {"GET": contacts.contact, "POST": contacts.edit},
    "contact_groups": {"GET": groups.groups, "POST": groups.create},
    "contact_group/*": {"GET": groups.group, "POST": groups.edit},
    "contact_group/*/update_contacts": {"POST": groups.update_contacts},
    "contact_group/*/delete_contacts": {"POST": groups.delete_contacts},
    "assets": {"GET": assets.assets, "POST": assets.create},
    "asset/*": {"GET": assets.asset, "PUT": assets.update, "DELETE": assets.delete},
    "asset_types": {"GET": asset_meta.asset_types},
    "asset_type/*": {"GET": asset_meta.asset_type},
    "asset_custom_fields": {"GET": asset_meta.asset_fields},
    "asset_custom_fields/*": {"GET": asset_meta.asset_field_plural},
    "asset_custom_field/*": {"GET": asset_meta.asset_field_singular},
    "reports": {"GET": reports.reports},
    "report/*": {"GET": reports.summary},
    "report/*/tabulardata": {"GET": reports.tabular},
    "report/*/tabularview": {"GET": reports.tabular},
    "report/*/responsestats": {"GET": reports.response_stats},
    "report/*/staffperformance": {"GET": reports.staff_performance},
    "report/*/staffactivity": {"GET": reports.staff_activity},
    "report/*/customeractivity": {"GET": reports.contact_activity},
    "report/*/slaentries": {"GET": reports.sla_entries},
    "kb/articles": {"GET": articles.articles},
    "kb/internal-articles": {"GET": articles.internal_articles},
    "kb/sections": {"GET": articles.sections},
    "kb/article/*": {"GET": articles.article},
    "kb/section/*": {"GET": articles.section},
    "staff": {"GET": reference.staff},
    "staff/*": {"GET": reference.one_of_staff},
    "statuses": {"GET": reference.statuses},
    "status/*": {"GET": reference.status},
    "priorities": {"GET": reference.priorities},
    "priority/*": {"GET": reference.priority},
    "categories": {"GET": reference.categories},
    "category/*": {"GET": reference.category},
    "ticket_custom_fields": {"GET": reference.ticket_custom_fields},
    "ticket_custom_field/*": {"GET": reference.ticket_custom_field, "PUT": choices.replace_choices},
    "user_custom_fields": {"GET": reference.user_custom_fields},
    "user_custom_field/*": {"GET": reference.user_custom_field},
}
"""Below the base and with credentials. `tabularview` is an old name; the singular forms of the reference data and
`new_ticket` are of the legacy developer page."""

OPEN: Final[Mapping[str, Methods]] = {
    "attachments/*/*": {"GET": files.download},
    f"{files.IMAGE_PATH}/*": {"GET": files.image},
}
"""Served to anybody, at the root."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a path leads to: its endpoints by method (none: nothing is there), and the number or word in it."""

    path: str
    methods: Methods
    number: int = 0
    word: str = ""
    open: bool = False

    @property
    def signed(self) -> bool:
        """Whether what gives access is a signature in the link."""
        return self.open and self.path.startswith("attachments/")

    @property
    def ticket(self) -> int | None:
        """The ticket the path names."""
        return self.number if self.number and self.path.startswith("ticket/") else None


@lru_cache(maxsize=4096)
def find(path: str) -> Place | None:
    """The place of a path; None for one that is neither the API's nor open to anybody."""
    bare = path.strip("/")
    for base in BASES:
        if bare.startswith(base):
            return _place(bare.removeprefix(base), ENDPOINTS)
    place = _place(bare, OPEN, open_=True)
    return place if place.methods else None


def _place(path: str, table: Mapping[str, Methods], *, open_: bool = False) -> Place:
    if path in table:
        return Place(path, table[path], open=open_)
    parts = path.split("/", 2 if open_ else -1)  # a file's name may hold slashes
    number, word = 0, ""
    for index, part in enumerate(parts):
        if index and not (number or word) and (part.isdecimal() or "@" in part):
            number, word = (int(part), "") if part.isdecimal() and len(part) < 16 else (0, part)
            parts[index] = "*"
    if open_ and len(parts) == 3:
        parts[2] = "*"  # the file's name
    return Place(path, table.get("/".join(parts), {}), number, word, open_)
