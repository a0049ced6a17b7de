"""The table of API calls: the endpoint for each path and method."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import Final

from workers.simulator import asset_endpoints as assets
from workers.simulator import contact_endpoints as contacts
from workers.simulator import reference_endpoints as reference
from workers.simulator import report_endpoints as reports
from workers.simulator import ticket_endpoints as tickets
from workers.simulator.forms import Endpoint
from workers.simulator.reference_endpoints import entry, listing

Methods = Mapping[str, Endpoint]

BASES: Final = ("api/1.1/json/", "api/json/1.1/json/", "api/json/1.1/", "api/json/", "api/1.1/")
"""The base path, then variants that HappyFox's own articles use by mistake."""

ENDPOINTS: Final[Mapping[str, Methods]] = {
    "tickets": {"GET": tickets.list_tickets, "POST": tickets.create},
    "new_ticket": {"POST": tickets.create},
    "ticket/*": {"GET": tickets.read_ticket},
    "ticket/*/staff_update": {"POST": tickets.staff_update},
    "ticket/*/staff_pvtnote": {"POST": tickets.staff_pvtnote},
    "ticket/*/user_reply": {"POST": tickets.user_reply},
    "ticket/*/update_tags": {"POST": tickets.update_tags},
    "ticket/*/update_custom_fields": {"POST": tickets.update_custom_fields},
    "ticket/*/move": {"POST": tickets.move},
    "ticket/*/forward": {"POST": tickets.forward},
    "ticket/*/subscribe": {"POST": tickets.subscribe},
    "ticket/*/unsubscribe": {"POST": tickets.unsubscribe},
    "ticket/*/delete": {"POST": tickets.delete},
    "ticket-inline-attachment": {"POST": tickets.upload_image},
    "users": {"GET": contacts.list_contacts, "POST": contacts.put_contacts},
    "user/*": {"GET": contacts.read_contact, "POST": contacts.edit_contact},
    "contact_groups": {"GET": listing("groups"), "POST": contacts.create_group},
    "contact_group/*": {"GET": contacts.read_group, "POST": contacts.edit_group},
    "contact_group/*/update_contacts": {"POST": contacts.add_to_group},
    "contact_group/*/delete_contacts": {"POST": contacts.remove_from_group},
    "assets": {"GET": assets.list_assets, "POST": assets.create},
    "asset/*": {"GET": assets.read_asset, "PUT": assets.update, "DELETE": assets.delete},
    "asset_types": {"GET": assets.list_types},
    "asset_type/*": {"GET": entry("asset_types")},
    "asset_custom_fields": {"GET": assets.list_fields},
    "asset_custom_fields/*": {"GET": assets.read_field("plural")},
    "asset_custom_field/*": {"GET": assets.read_field("singular")},
    "reports": {"GET": reports.list_reports},
    "report/*": {"GET": reports.summary},
    "report/*/tabulardata": {"GET": reports.tabular},
    "report/*/tabularview": {"GET": reports.tabular},
    "report/*/responsestats": {"GET": reports.response_stats},
    "report/*/staffperformance": {"GET": reports.staff_performance},
    "report/*/staffactivity": {"GET": reports.staff_activity},
    "report/*/customeractivity": {"GET": reports.contact_activity},
    "report/*/slaentries": {"GET": reports.sla_entries},
    "kb/articles": {"GET": reference.list_articles(internal=False)},
    "kb/internal-articles": {"GET": reference.list_articles(internal=True)},
    "kb/sections": {"GET": reference.list_sections},
    "kb/article/*": {"GET": reference.read_article},
    "kb/section/*": {"GET": reference.read_section},
    "staff": {"GET": listing("staff")},
    "staff/*": {"GET": reference.read_staff},
    "statuses": {"GET": listing("statuses")},
    "status/*": {"GET": entry("statuses")},
    "priorities": {"GET": listing("priorities")},
    "priority/*": {"GET": entry("priorities")},
    "categories": {"GET": listing("categories")},
    "category/*": {"GET": entry("categories")},
    "ticket_custom_fields": {"GET": listing("ticket_fields")},
    "ticket_custom_field/*": {"GET": entry("ticket_fields"), "PUT": reference.replace_choices},
    "user_custom_fields": {"GET": listing("contact_fields")},
    "user_custom_field/*": {"GET": entry("contact_fields")},
}
"""Paths below the base, which need credentials.

`tabularview` is an old name; `new_ticket` and the singular forms of the reference data are from the legacy developer
page.
"""

PAGE: Final = ("size", "page")
PERIOD: Final = ("period_type", "period_date_range_type", "period_start", "period_end")
VIEW: Final = (*PAGE, *PERIOD, "sort_key", "sort_dir")
PARAMETERS: Final[Mapping[str, Sequence[str]]] = {
    "tickets": (*PAGE, *tickets.LIST_PARAMETERS, *tickets.FILTERS),
    "ticket/*": ("show_cf_changes",),
    "users": (*PAGE, "q"),
    "assets": (*PAGE, "asset_type"),
    "asset/*": ("deleted_by",),
    "asset_custom_fields": (*PAGE, "asset_type"),
    "asset_types": PAGE,
    "reports": PAGE,
    **{path: VIEW for path in ENDPOINTS if path.startswith("report/*/")},
    **dict.fromkeys(("kb/articles", "kb/internal-articles", "kb/sections"), PAGE),
    # Lists without pages: an account that sends pages after all would need these.
    **dict.fromkeys(("staff", "statuses", "priorities", "categories", "contact_groups"), PAGE),
    **dict.fromkeys(("ticket_custom_fields", "user_custom_fields"), PAGE),
}
"""The query parameters of paths that have any, in any edition of the articles."""
NUMBERS: Final = (*PAGE, "asset_type", "deleted_by")
"""Parameters that are whole numbers."""
FLAGS: Final = ("minify_response", "show_updates", "include_updates", "show_cf_changes")
"""Parameters that are `true` or `false`, `1` or `0`."""
CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "period_type": ("cr", "as", "str", "cur", "prs", "srp", "cl"),
    "period_date_range_type": ("sr", "tod", "l7d", "mtd", "ytd", "pm"),
    "sort_dir": ("a", "d"),
}
"""Parameters that are one of these (section 9 of KB 1088)."""

OPEN_ENDPOINTS: Final[Mapping[str, Methods]] = {
    "attachments/*/*": {"GET": tickets.download},
    f"{tickets.IMAGE_PATH}/*": {"GET": tickets.read_image},
}
"""Paths at the root, which need no credentials."""


@dataclass(frozen=True, slots=True)
class Route:
    """The endpoints of a path, and the id in it."""

    path: str
    methods: Methods
    """Endpoints by method; empty for an unknown path."""
    _: KW_ONLY
    parameters: Sequence[str] = ()
    """The query parameters of the path."""
    number: int = 0
    """The id in the path, 0 without one."""
    word: str = ""
    """The e-mail address in the path, empty without one."""
    is_open: bool = False

    @property
    def is_signed(self) -> bool:
        """Return whether the signature in the link grants access."""
        return self.is_open and self.path.startswith("attachments/")

    @property
    def ticket(self) -> int | None:
        """Return the ticket in the path."""
        return self.number if self.number and self.path.startswith("ticket/") else None


@lru_cache(maxsize=4096)
def find_route(path: str) -> Route | None:
    """Return the route of a path; None if it is neither in the API nor a file."""
    path = path.strip("/")
    for base in BASES:
        if path.startswith(base):
            return _route(path.removeprefix(base), ENDPOINTS)
    route = _route(path, OPEN_ENDPOINTS, is_open=True)
    return route if route.methods else None


def _route(path: str, table: Mapping[str, Methods], *, is_open: bool = False) -> Route:
    if path in table:
        return Route(path, table[path], parameters=PARAMETERS.get(path, ()), is_open=is_open)
    parts = path.split("/", 2 if is_open else -1)  # a file's name may contain slashes
    number, word = 0, ""
    for index, part in enumerate(parts[1:], start=1):
        if part.isdecimal() or "@" in part:
            parts[index] = "*"
            if part.isdecimal() and len(part) < 16:
                number = int(part)
            else:
                word = part
            break
    if is_open and len(parts) == 3:
        parts[2] = "*"  # the file's name
    pattern = "/".join(parts)
    return Route(
        path,
        table.get(pattern, {}),
        parameters=PARAMETERS.get(pattern, ()),
        number=number,
        word=word,
        is_open=is_open,
    )
