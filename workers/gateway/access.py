"""What a client's request does, and which permissions it needs: by its path and by the members of its body.

Only what HappyFox documents is known. An unknown path, parameter or member is denied whatever the client may do,
because nobody can say what it would do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from workers.errors import suggest
from workers.happyfox.messages import BULK, Request
from workers.happyfox.tickets import TICKET_FIELDS
from workers.settings import GatewayClient


class Denied(Exception):
    """A client may not make a call; nothing was sent. ``missing`` are the permissions that it lacks."""

    def __init__(self, why: str, missing: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.missing = tuple(missing)


@dataclass(frozen=True, slots=True)
class GatewayPath:
    """A method and path of HappyFox, and what it needs."""

    method: str
    pattern: tuple[str, ...]
    """The parts of the path; ``<n>`` is a number, ``<who>`` a number or an email address."""
    permission: str
    """What it needs whatever its body contains; empty if only the body decides."""
    title: str
    """What it does, in the imperative; ``{}`` stands for the number or address in the path."""
    query: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()
    """The members of its body, or of each object in a list; those that begin like a custom field are in ``fields``."""
    fields: tuple[str, ...] = ()
    """The prefixes of custom fields that its body may have."""

    @property
    def name(self) -> str:
        """The part of the path that says what is done, such as ``staff_update``."""
        return next(part for part in reversed(self.pattern) if not part.startswith("<"))

    @property
    def writes_to_ticket(self) -> bool:
        """Whether it changes one ticket."""
        return self.method != "GET" and self.pattern[:2] == ("ticket", "<n>")


@dataclass(frozen=True, slots=True)
class Operation:
    """A request whose meaning is known."""

    endpoint: GatewayPath
    ticket: int | None
    """The ticket in its path."""
    title: str
    """What it does, for people: ``read ticket 12``."""
    needs: tuple[str, ...]
    """The permissions that it needs, all of them."""
    items: tuple[Mapping[str, Any], ...] = ()
    """The objects in its body: one, or those of a list."""
    is_list: bool = False
    """Whether the body is a list."""

    @property
    def about(self) -> str:
        """What it is about, as the audit log names it."""
        return f"ticket {self.ticket}" if self.ticket is not None else ""

    @property
    def what(self) -> str:
        """What it does, without what it is about."""
        return self.title.removesuffix(self.about).strip()

    @property
    def is_read(self) -> bool:
        return self.endpoint.method == "GET"

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of a body with one object."""
        return self.items[0] if self.items else {}

    @property
    def emails(self) -> bool:
        """Whether HappyFox may send emails to people outside because of it."""
        name = self.endpoint.name
        if name == "staff_update":
            asked = any(is_true(self.members.get(name)) for name in ("update_customer", "send_survey"))
            return writes_message(self.members) and (asked or self._copies)
        if name == "user_reply":
            return self._copies
        return name == "forward" or (name == "tickets" and not self.is_read)

    @property
    def _copies(self) -> bool:
        return any(self.members.get(name) for name in ("cc", "bcc"))


#: The past tense of what calls do.
_PAST: Final = {
    **{word: f"{word}ed" for word in ("list", "upload", "edit", "forward", "add")},
    **{word: f"{word}d" for word in ("create", "update", "move", "subscribe", "unsubscribe", "delete", "remove")},
    "change": "changed",
    "reply": "replied",
    "tag": "tagged",
    "write": "wrote",
}


def in_past_tense(what: str) -> str:
    """Return what a call does as something that has happened."""
    verb, space, rest = what.partition(" ")
    return f"{_PAST.get(verb, verb)}{space}{rest}"


_PAGE = "size page"
_VIEW = f"{_PAGE} period_type period_date_range_type period_start period_end sort_key sort_dir"
_LIST = (
    f"{_PAGE} status category q sort minify_response fields show_updates include_updates unresponded breached "
    "has_attachments tag duedate priority assignee group contact id"
)

_MESSAGE: Final = frozenset({"text", "plaintext", "html", "attachments"})
_REPLY: Final = frozenset(
    {"cc", "bcc", "update_customer", "send_survey", "subject", "parent_update", "last_staff_message"}
)
_PROPERTIES: Final = frozenset({"status", "priority", "assignee", "due_date"})
#: What a message may have besides, and what alone is a change of properties.
_BESIDES: Final = frozenset({"time_spent"})

_CONTACT = "name email phones is_login_enabled"
_TICKET = (
    "name email phone client subject text html category priority assignee tags cc bcc created_at due_date "
    "visible_only_staff attachments"
)
_FORWARD = (
    "staff_id to subject message text html cc bcc to_include_ticket_contact cc_include_ticket_contact "
    "send_all_messages include_pvt_notes ticket_attachments attachments convert_replies_as_new_ticket"
)
_ASSET = "name display_id contact_ids contact_group_ids contacts custom_fields"
_OF_CONTACT: Final = ("c-cf-", "ccf-")

#: Method, path, permission, title, parameters, members. A permission in brackets depends on the members.
_TABLE: Final = f"""\
GET | tickets | tickets:read | list tickets | {_LIST} |
GET | ticket/<n> | tickets:read | read ticket {{}} | show_cf_changes |
POST | tickets | tickets:create | create a ticket | | {_TICKET}
POST | ticket-inline-attachment | tickets:create | upload an image | | file
POST | ticket/<n>/staff_update | | update ticket {{}} | | \
staff tags {" ".join(_MESSAGE | _REPLY | _PROPERTIES | _BESIDES)}
POST | ticket/<n>/staff_pvtnote | tickets:note | write a note on ticket {{}} | | \
staff tags alert {" ".join(_MESSAGE | _PROPERTIES | _BESIDES)}
POST | ticket/<n>/user_reply | tickets:reply-as-contact | reply as the contact on ticket {{}} | | \
user text html plaintext cc bcc attachments
POST | ticket/<n>/update_custom_fields | tickets:update | set custom fields of ticket {{}} | | staff
POST | ticket/<n>/update_tags | tickets:tag | tag ticket {{}} | | staff_id add remove
POST | ticket/<n>/move | tickets:move | move ticket {{}} | | staff_id target_category_id move_note assign_to
POST | ticket/<n>/forward | tickets:forward | forward ticket {{}} | | {_FORWARD}
POST | ticket/<n>/subscribe | tickets:subscribe | subscribe to ticket {{}} | | staff_id data
POST | ticket/<n>/unsubscribe | tickets:subscribe | unsubscribe from ticket {{}} | | staff_id
POST | ticket/<n>/delete | tickets:delete | delete ticket {{}} | | staff_id
GET | users | contacts:read | list contacts | {_PAGE} q |
GET | user/<who> | contacts:read | read a contact | |
POST | users | contacts:write | create or edit a contact | | {_CONTACT}
POST | user/<who> | contacts:write | edit a contact | | {_CONTACT}
GET | contact_groups | groups:read | list contact groups | {_PAGE} |
GET | contact_group/<n> | groups:read | read contact group {{}} | |
POST | contact_groups | groups:write | create a contact group | | name description tagged_domains
POST | contact_group/<n> | groups:write | edit contact group {{}} | | name description tagged_domains
POST | contact_group/<n>/update_contacts | groups:write | add contacts to group {{}} | | contact access_tickets
POST | contact_group/<n>/delete_contacts | groups:write | remove contacts from group {{}} | | contacts
GET | categories | reference:read | list categories | {_PAGE} |
GET | staff | reference:read | list staff | {_PAGE} |
GET | statuses | reference:read | list statuses | {_PAGE} |
GET | priorities | reference:read | list priorities | {_PAGE} |
GET | ticket_custom_fields | reference:read | list custom fields of tickets | {_PAGE} |
GET | user_custom_fields | reference:read | list custom fields of contacts | {_PAGE} |
PUT | ticket_custom_field/<n> | * | change the choices of custom field {{}} | | choices
GET | assets | assets:read | list assets | {_PAGE} asset_type |
GET | asset/<n> | assets:read | read asset {{}} | |
POST | assets | assets:write | create an asset | asset_type | created_by {_ASSET}
PUT | asset/<n> | assets:write | edit asset {{}} | | updated_by {_ASSET}
DELETE | asset/<n> | assets:write | delete asset {{}} | deleted_by |
GET | asset_custom_fields | assets:read | list custom fields of assets | {_PAGE} asset_type |
GET | asset_custom_fields/<n> | assets:read | read custom field {{}} of assets | |
GET | asset_custom_field/<n> | assets:read | read custom field {{}} of assets | |
GET | asset_types | assets:read | list types of assets | {_PAGE} |
GET | asset_type/<n> | assets:read | read type {{}} of assets | |
GET | kb/articles | kb:read | list articles | {_PAGE} |
GET | kb/internal-articles | kb:read | list internal articles | {_PAGE} |
GET | kb/sections | kb:read | list sections | {_PAGE} |
GET | kb/article/<n> | kb:read | read article {{}} | |
GET | kb/section/<n> | kb:read | read section {{}} | |
GET | reports | reports:read | list reports | {_PAGE} |
GET | report/<n> | reports:read | read report {{}} | |
GET | report/<n>/tabulardata | reports:read | read the tickets of report {{}} | {_VIEW} |
GET | report/<n>/responsestats | reports:read | read the responses of report {{}} | {_VIEW} |
GET | report/<n>/staffperformance | reports:read | read the staff performance of report {{}} | {_VIEW} |
GET | report/<n>/staffactivity | reports:read | read the staff activity of report {{}} | {_VIEW} |
GET | report/<n>/customeractivity | reports:read | read the contact activity of report {{}} | {_VIEW} |
GET | report/<n>/slaentries | reports:read | read the SLA entries of report {{}} | {_VIEW} |"""  # noqa: S608 - not SQL

#: Which custom fields the body of a call may have, by the part of the path that names it.
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("tickets", "staff_update", "staff_pvtnote", "update_custom_fields"), TICKET_FIELDS),
    **dict.fromkeys(("users", "user"), _OF_CONTACT),
}

#: The calls whose body may be a list of objects.
_LISTS: Final = ("tickets", "users", "update_contacts")


def _endpoint(row: str) -> GatewayPath:
    method, path, permission, title, query, members = (cell.strip() for cell in row.split("|"))
    parts = tuple(path.split("/"))
    found = GatewayPath(method, parts, permission, title, frozenset(query.split()), frozenset(members.split()))
    fields = _FIELDS.get(found.name, ()) if method == "POST" else ()
    return GatewayPath(method, parts, permission, title, found.query, found.members, fields)


ENDPOINTS: Final = tuple(map(_endpoint, _TABLE.splitlines()))

_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_ADDRESS: Final = re.compile(r"[^\s/\\@%\x00-\x1f\x7f]+@[^\s/\\@%\x00-\x1f\x7f]+")
_FIELD_ID: Final = re.compile(r"[0-9]{1,15}")


def find_operation(request: Request) -> Operation:
    """Return what a request does; raise ``Denied`` for a path, parameter or member that is not known."""
    parts = tuple(request.path.removeprefix("/").removesuffix("/").split("/"))
    at_path = [(each, found) for each in ENDPOINTS if (found := _match(each.pattern, parts)) is not None]
    if not at_path:
        raise Denied("HappyFox has no such path that is documented")
    endpoint, found = next((each for each in at_path if each[0].method == request.method), (None, ""))
    if endpoint is None:
        known = ", ".join(sorted(each.method for each, _ in at_path))
        raise Denied(f"this path is documented with {known} only")
    _check_names(request.query, endpoint.query, (), f"parameter of {endpoint.name}")
    items = tuple(_items(endpoint, request.body))
    for each in items:
        _check_names(each, endpoint.members, endpoint.fields, f"member of {endpoint.name}")
    _check_names([each.member for each in request.files], endpoint.members & _UPLOADS, (), f"file of {endpoint.name}")
    members = {**(items[0] if items else {}), **{each.member: each for each in request.files}}
    title, needs = _meaning(endpoint, items, members)
    ticket = int(found) if endpoint.pattern[:2] == ("ticket", "<n>") else None
    is_list = isinstance(request.body, list)
    if not is_list:
        items = (members,) if members else ()
    return Operation(endpoint, ticket, title.format("" if "@" in found else found), needs, items, is_list)


#: The members that files can be.
_UPLOADS: Final = frozenset({"attachments", "file"})


def _match(pattern: Sequence[str], parts: Sequence[str]) -> str | None:
    """Return the number or address in a path, "" if there is none, or None if the path is another one."""
    if len(pattern) != len(parts):
        return None
    found = ""
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted in ("<n>", "<who>"):
            found = unquote(part) if wanted == "<who>" else part
            if not _NUMBER.fullmatch(found) and not (wanted == "<who>" and _ADDRESS.fullmatch(found)):
                return None
        elif part != wanted:
            return None
    return found


def _check_names(given: Iterable[str], known: frozenset[str], fields: Sequence[str], what: str) -> None:
    for name in given:
        field = next((prefix for prefix in fields if name.startswith(prefix)), None)
        if name in known or (field and _FIELD_ID.fullmatch(name.removeprefix(field))):
            continue
        shown = name if re.fullmatch(r"[\w-]{1,40}", name, re.ASCII) else "with other characters"
        raise Denied(f"HappyFox documents no {what} {shown}: {suggest(name, known, 'remove it')}")


def _items(endpoint: GatewayPath, body: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a body."""
    if body is None:
        return
    if isinstance(body, dict):
        yield body
        return
    if endpoint.name not in _LISTS or not isinstance(body, list):
        raise Denied(f"the body of {endpoint.name} is not a JSON object")
    if len(body) > BULK:
        raise Denied(f"HappyFox accepts at most {BULK} items in one call, not {len(body)}")
    for each in body:
        if not isinstance(each, dict):
            raise Denied(f"the list in the body of {endpoint.name} contains something other than objects")
        yield each


def _meaning(
    endpoint: GatewayPath, items: Sequence[Mapping[str, Any]], members: Mapping[str, Any]
) -> tuple[str, tuple[str, ...]]:
    """Return the title of a request and the permissions that it needs."""
    title, needs = endpoint.title, [endpoint.permission] if endpoint.permission else []
    if endpoint.name in ("staff_update", "staff_pvtnote"):
        if endpoint.name == "staff_update" and writes_message(members):
            title, needs = "reply on ticket {}", ["tickets:reply"]
        if any(name in _PROPERTIES or name.startswith(TICKET_FIELDS) for name in members):
            needs.append("tickets:update")
        if "tags" in members:
            needs.append("tickets:tag")
    if endpoint.name in ("assets", "asset") and any(each.get("contacts") for each in items):
        needs.append("contacts:write")
    if endpoint.method == "POST" and endpoint.name in ("tickets", "users") and len(items) > 1:
        title = (
            f"create {len(items)} tickets" if endpoint.name == "tickets" else f"create or edit {len(items)} contacts"
        )
    return title, tuple(needs or ["tickets:update"])


def writes_message(members: Mapping[str, Any]) -> bool:
    """Return whether the members of a staff update make it a reply."""
    return any(name in _MESSAGE | _REPLY and value not in ("", None, False) for name, value in members.items())


def is_true(value: object) -> bool:
    """Return whether HappyFox may read a value as true; anything but a clear no may be."""
    return str(value).strip().lower() not in ("", "false", "0", "none", "no", "off", "f", "n")


def check(client: GatewayClient, operation: Operation) -> None:
    """Raise ``Denied`` if a client lacks a permission for an operation."""
    missing = [each for each in operation.needs if not client.may(each)]
    if missing:
        raise Denied(f"{client.name} may not {operation.title}; set {client.adding(*missing)}", missing)
