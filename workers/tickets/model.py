"""The ticket as HappyFox returns it (KB 1039), and lenient readers for it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar

from workers.tickets.fields import MULTIPLE, FieldValue, FieldValues

T = TypeVar("T")

Raw = Mapping[str, Any]


def text(value: object) -> str:
    """Return text, or "" if there is none; a number becomes its digits."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def number(value: object) -> int | None:
    """Return an integer, also from a numeric string, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    return None


def mapping(value: object) -> Raw:
    """Return the object, or an empty one."""
    if value is None or isinstance(value, dict):  # as nearly always; asking an abstract class takes much longer
        return value or {}
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """Return the list, or an empty one."""
    return value if isinstance(value, list) else []


def numbers(value: object) -> tuple[int, ...]:
    """Return the integers of a list, also from numeric strings."""
    return tuple(each for each in map(number, items(value)) if each is not None)


def time(value: object) -> datetime | None:
    """Read a time in UTC, or None; HappyFox sends no zone (KB 1039, KB 1201)."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found and (found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def millis(at: datetime | None) -> int:
    """Return an aware time in ms since 1970, or 0 for None."""
    return int(at.timestamp() * 1000) if at else 0


def day(value: object) -> date | None:
    """Read a date ``YYYY-MM-DD``, also at the start of a time stamp, or None."""
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def real(value: object) -> float | None:
    """Return a number, also from a text such as ``90%``, or None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value.strip().rstrip("%")) if isinstance(value, str) else None
    except ValueError:
        return None


def comma_list(value: object) -> list[str]:
    """Split a comma-separated string, such as tags, or a list of such strings into distinct trimmed parts."""
    if not value:
        return []
    parts = (part for each in (value if isinstance(value, list) else [value]) for part in text(each).split(","))
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def readable(value: object) -> str:
    """Return a field's value as text, so that two reads of the same value are equal."""
    if isinstance(value, list):
        return ", ".join(readable(part) for part in value)
    if isinstance(value, dict):
        return readable(value.get("text", value.get("name", value.get("value"))))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text(value).strip()


#: What stands before a name.
_TITLES = (
    "mr mrs ms miss mx dr prof professor sir dame herr frau hr fr ing dipl dipl-ing mag m mme mlle monsieur madame"
    " sr sra srta don doña senhor senhora sig sig.ra dott dott.ssa dhr mevr mw pan pani"
)


def first_name(name: str) -> str:
    """Return the first name of a person; empty if only a family name, initials or an address is known."""
    last, _, first = name.partition(",")
    words = (first if first.strip() else last).split()
    titled = False
    while words and words[0].rstrip(".").casefold() in _TITLES.split():
        titled = True
        words = words[1:]
    known = words and "@" not in name and not words[0].endswith(".") and (len(words) > 1 or not titled)
    return words[0] if known else ""


@dataclass(frozen=True, slots=True)
class Staff:
    """A staff member (KB 360)."""

    id: int | None
    name: str
    email: str

    @property
    def first_name(self) -> str:
        """The first name; empty if it is not known."""
        return first_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The person who opened the ticket (KB 1092)."""

    id: int | None
    name: str
    email: str
    phones: tuple[str, ...]
    groups: tuple[str, ...]
    fields: FieldValues

    @property
    def first_name(self) -> str:
        """The first name; empty if it is not known."""
        return first_name(self.name)

    @property
    def domain(self) -> str:
        """The part of the e-mail address after the @, in lower case."""
        return self.email.rpartition("@")[2].lower() if "@" in self.email else ""


@dataclass(frozen=True, slots=True)
class Named:
    """Anything with an id and a name."""

    id: int | None
    """None if HappyFox sends only the name."""
    name: str


def id_or_name(thing: Named | None) -> str:
    """Return the id as text, else the name, to compare values; "" for None."""
    if thing is None:
        return ""
    return thing.name if thing.id is None else str(thing.id)


def named(raw: object) -> Named:
    """Read ``{id, name}``, or a bare name."""
    if isinstance(raw, str):
        return Named(None, raw)
    members = mapping(raw)
    return Named(number(members.get("id")), text(members.get("name")))


@dataclass(frozen=True, slots=True)
class Status(Named):
    """A ticket's status."""

    closed: bool
    """Whether its behaviour is "completed"."""


#: Who made an update. ``smartrule`` is a rule of HappyFox (seen in deliveries); anything else is unknown.
Author = Literal["contact", "staff", "rule", "unknown"]
AUTHORS: dict[str, Author] = {"user": "contact", "staff": "staff", "smartrule": "rule"}

#: Members of an update that describe the change of a property, and the property's name here.
PROPERTIES = {
    "status_change": "status",
    "priority_change": "priority",
    "assignee_change": "assignee",
    "category_change": "category",
    "due_date_change": "due_date",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file on a message."""

    id: int | None
    filename: str
    url: str = field(repr=False)
    """A signed link that expires in minutes (KB 1039: five)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The message of an update."""

    text: str = ""
    html: str = ""
    subject: str = ""
    """The subject of the email."""
    cc_list: tuple[str, ...] = ()
    bcc_list: tuple[str, ...] = ()
    forward_list: tuple[str, ...] = ()
    customer_updated: bool = False
    """Whether the contact got it by mail."""
    private: bool = False
    """Whether it is a note."""
    forwarded: bool = False
    """Whether it went to a third party."""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """The change of a property from ``old`` to ``new``; None means empty."""

    old: Named | None
    new: Named | None


@dataclass(frozen=True, slots=True)
class Survey:
    """A contact's answer to a satisfaction survey. No article shows its members, so the usual names are tried."""

    rating: str
    """As HappyFox sends it; empty if it is not found."""
    comment: str = ""


def _read_survey(raw: Mapping[str, Any] | None) -> Survey | None:
    if not raw:
        return None
    rating, comment = (
        next((text(raw[name]) for name in names if raw.get(name) not in (None, "")), "") for names in SURVEY_MEMBERS
    )
    return Survey(rating, comment)


#: The members of a survey that may be its rating, and its comment.
SURVEY_MEMBERS = (("rating", "score", "response", "answer", "value"), ("comment", "comments", "feedback", "text"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """An entry in the history of a ticket (KB 1039)."""

    id: int
    """The update's number; ids increase within the account."""
    at: datetime | None
    author: Author
    author_id: int | None
    author_name: str
    message: Message | None
    changes: dict[str, PropertyChange]
    time_spent: int | None = None
    """Minutes."""
    satisfaction_survey: Raw | None = field(default=None, repr=False)
    """The answer to a survey as HappyFox sends it, because no article shows its members."""
    raw: Raw = field(repr=False)
    client: str = ""
    """The program that made it through the gateway, as any author."""

    @property
    def survey(self) -> Survey | None:
        """The contact's answer to a survey, if it is one."""
        return _read_survey(self.satisfaction_survey)


def by_staff(update: Update, staff_id: int) -> bool:
    """Return whether this staff member made an update, and no program in that name."""
    return update.author == "staff" and update.author_id == staff_id and not update.client


@dataclass(frozen=True, kw_only=True)
class TicketRead:
    """A ticket; texts are empty and objects None without a value, times in UTC."""

    id: int
    display_id: str
    subject: str
    first_message: str
    status: Status
    priority: Named
    category: Named
    assignee: Staff | None
    contact: Contact
    tags: frozenset[str]
    field_values: tuple[FieldValue, ...] = field(repr=False)
    due_date: date | None
    created_at: datetime | None
    modified_at: datetime | None
    source: str
    unresponded: bool
    url: str
    last_user_reply_at: datetime | None = None
    """When the contact last replied."""
    last_staff_reply_at: datetime | None = None
    last_updated_at: datetime | None = None
    """When somebody last replied."""
    sla_breaches: int = 0
    """How often a service level agreement was broken."""
    visible_only_staff: bool = False
    """Whether it is a private ticket."""
    subscribers: tuple[Staff, ...] = ()
    time_spent: int = 0
    """Minutes."""
    messages_count: int = 0
    attachments_count: int = 0
    merged: tuple[int, ...] = ()
    """The numbers of the tickets that were merged into this one."""
    merged_to: int | None = None
    """The number of the ticket that this one was merged into; 0 if HappyFox does not say."""
    history: tuple[Update, ...] = field(repr=False)
    """The updates, in order of their ids."""
    raw: Raw = field(repr=False)
    """The response itself."""

    @property
    def survey(self) -> Survey | None:
        """The last answer of the contact to a satisfaction survey."""
        return next((update.survey for update in reversed(self.history) if update.survey), None)

    @property
    def fields(self) -> FieldValues:
        """The values of custom fields by the field's name."""
        return FieldValues(self.field_values, self.category.name)

    @property
    def message(self) -> str:
        """The text of the latest message that the contact can see."""
        visible = (each.message.text for each in reversed(self.history) if each.message and not each.message.private)
        return next(visible, self.first_message)


# Reading objects

#: How a member is read, by the type of its field.
READ_AS: dict[Any, Callable[[Any], Any]] = {
    str: text,
    int: number,
    int | None: number,
    bool: lambda value: value is True,
    float | None: real,
    date | None: day,
    datetime | None: time,
    Mapping[str, Any]: mapping,
    tuple[int, ...]: numbers,
    Named: named,
    Named | None: lambda value: named(value) if value else None,
    tuple[Named, ...]: lambda value: tuple(map(named, items(value))),
}


def reader(model: Callable[..., T], **members: str | Callable[[Raw], Any]) -> Callable[[object], T | None]:
    """Return a function that reads a dataclass, or returns None if the id is missing.

    ``members`` names the fields that HappyFox calls otherwise, or how they are read from the whole object. ``raw`` is
    by default the object itself.
    """
    types = {each.name: each.type for each in fields(model)}  # type: ignore[arg-type]
    needs_id = types.get("id") is int

    sources: dict[str, str | Callable[[Raw], Any]] = {name: name for name in types}
    sources |= {"raw": lambda raw: raw} if "raw" in types else {}
    sources |= members
    # A ticket has hundreds of members, so those that are only converted are read without a function of their own.
    keys = [(name, key, READ_AS[types[name]]) for name, key in sources.items() if isinstance(key, str)]
    functions = [(name, function) for name, function in sources.items() if not isinstance(function, str)]

    def read(raw: object) -> T | None:
        whole = mapping(raw)
        values = {name: convert(whole.get(key)) for name, key, convert in keys}
        values |= {name: function(whole) for name, function in functions}
        return None if needs_id and values["id"] is None else model(**values)

    return read


def read_all(read: Callable[[Any], T | None], raw: object) -> tuple[T, ...]:
    """Return the objects of a list; leave out those that ``read`` cannot read."""
    return tuple(each for each in map(read, items(raw)) if each is not None)


def _choices(raw: Raw) -> tuple[str, ...]:
    """Return the names of several choices, which HappyFox may send as a list or as one text."""
    value, ids = raw.get("value"), raw.get("value_id")
    if isinstance(value, list):
        return tuple(map(readable, value))
    if text(raw.get("type")).lower() in MULTIPLE or isinstance(ids, list):
        return tuple(comma_list(value))
    return ()


def _choice_ids(raw: Raw) -> tuple[int, ...]:
    ids = raw.get("value_id")
    return numbers(ids if isinstance(ids, list) else [ids]) if ids else ()


_read_field_value = reader(
    FieldValue,
    value=lambda raw: readable(raw.get("value")),
    raw=lambda raw: raw.get("value_id") or raw.get("value"),
    kind=lambda raw: text(raw.get("type")).lower(),
    choices=_choices,
    choice_ids=_choice_ids,
)


def field_values(raw: object) -> tuple[FieldValue, ...]:
    """Read the custom fields of a ticket or contact; skip those without an id."""
    return read_all(_read_field_value, raw)


def contact_values(ticket: "TicketRead") -> dict[str, FieldValue]:
    """Return the custom fields of a ticket's contact by their ids, as text."""
    values = field_values(mapping(ticket.raw.get("user")).get("custom_fields"))
    return {str(field.id): field for field in values}


READ_AS[tuple[FieldValue, ...]] = field_values

_read_staff = reader(
    Staff,
    name=lambda raw: text(raw.get("name")) or f"{text(raw.get('first_name'))} {text(raw.get('last_name'))}".strip(),
)
_read_contact = reader(
    Contact,
    phones=lambda raw: tuple(text(mapping(phone).get("number")) for phone in items(raw.get("phones"))),
    groups=lambda raw: tuple(text(mapping(group).get("name")) for group in items(raw.get("contact_groups"))),
    fields=lambda raw: FieldValues(field_values(raw.get("custom_fields"))),
)
_read_attachment = reader(Attachment)
_read_message = reader(
    Message,
    cc_list=lambda raw: tuple(comma_list(raw.get("cc_list"))),
    bcc_list=lambda raw: tuple(comma_list(raw.get("bcc_list"))),
    forward_list=lambda raw: tuple(comma_list(raw.get("forward_list"))),
    private=lambda raw: text(raw.get("message_type")).lower() == "p",
    forwarded=lambda raw: bool(comma_list(raw.get("forward_list"))),
    attachments=lambda raw: read_all(_read_attachment, raw.get("attachments")),
)
_read_update = reader(
    Update,
    id="update_id",
    at="timestamp",
    author=lambda raw: AUTHORS.get(text(mapping(raw.get("by")).get("type")).lower(), "unknown"),
    author_id=lambda raw: number(mapping(raw.get("by")).get("id")),
    author_name=lambda raw: text(mapping(raw.get("by")).get("name")),
    message=lambda raw: _message(raw.get("message")),
    satisfaction_survey=lambda raw: mapping(raw.get("satisfaction_survey")) or None,
    client=lambda _: "",
    changes=lambda raw: {name: change for key, name in PROPERTIES.items() if (change := _property(raw.get(key)))},
)
_read_ticket = reader(
    TicketRead,
    status=lambda raw: _status(raw.get("status")),
    assignee=lambda raw: _read_staff(raw["assigned_to"]) if mapping(raw.get("assigned_to")) else None,
    contact=lambda raw: _read_contact(raw.get("user")),
    tags=lambda raw: frozenset(comma_list(raw.get("tags"))),
    field_values="custom_fields",
    modified_at="last_modified",
    subscribers=lambda raw: read_all(_read_staff, raw.get("subscribers")),
    sla_breaches=lambda raw: number(raw.get("sla_breaches")) or 0,
    time_spent=lambda raw: number(raw.get("time_spent")) or 0,
    messages_count=lambda raw: number(raw.get("messages_count")) or 0,
    attachments_count=lambda raw: number(raw.get("attachments_count")) or 0,
    unresponded=lambda raw: bool(raw.get("unresponded")),
    merged=lambda raw: tuple(each for each in map(_merged, items(raw.get("merged_tickets"))) if each),
    merged_to=lambda raw: _merged(raw["merged_to"]) if raw.get("merged_to") else None,
    history=lambda raw: read_updates(raw.get("updates")),
)


def read_ticket(raw: Raw, site: str = "") -> TicketRead:
    """Read the response of ``GET /ticket/<n>/``; ``site`` is for the staff link."""
    ticket = _read_ticket(raw)
    if ticket is None:
        raise ValueError("the response is not a ticket: it has no id")
    return replace(ticket, url=f"{site}/staff/ticket/{ticket.id}")


def read_updates(raw: object) -> tuple[Update, ...]:
    """Read updates in order of their ids, each id once; skip those without an id."""
    updates = {update.id: update for update in read_all(_read_update, raw)}
    return tuple(updates[identity] for identity in sorted(updates))


def _status(raw: object) -> Status:
    """Read a status; without a behaviour it counts as open."""
    thing = named(raw)
    return Status(thing.id, thing.name, text(mapping(raw).get("behavior")) == "completed")


def _message(raw: object) -> Message | None:
    members = {"text": raw} if isinstance(raw, str) else mapping(raw)
    return _read_message(members) if members else None


def _property(raw: object) -> PropertyChange | None:
    """Read ``{new, new_name, old, old_name}``; integers are ids, text is a name."""
    members = mapping(raw)
    if not members or members.get("new") == members.get("old"):
        return None
    return PropertyChange(_side(members, "old"), _side(members, "new"))


def _side(members: Raw, side: str) -> Named | None:
    value: Any = members.get(side)
    if value is None or value == "":
        return None
    identity = None if isinstance(value, str) and not value.isdigit() else number(value)
    return Named(identity, text(members.get(f"{side}_name")) or (text(value) if identity is None else ""))


def _merged(raw: object) -> int:
    """Read a merged ticket's number, object or display id; 0 if unknown (assumed)."""
    members = mapping(raw)
    value = members.get("id") or members.get("display_id") if members else raw
    digits = re.search(r"[0-9]{1,18}$", text(value).strip())
    return int(digits[0]) if digits else 0
