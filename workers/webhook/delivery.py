"""Read the ticket number and the event of a delivery.

HappyFox documents no body. One receiver that ran in production saw flat bodies; a guide to the API suggests the ticket
as in the REST API; a third source wraps the ticket. All three are accepted. Only a ticket number is required. The rest
is a hint, because the turn reads the ticket itself. What the body says counts more than the URL, an outer object more
than an inner one, and a specific name more than a general one. A body that contradicts itself is unreadable: nobody
can know which ticket to act on.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from workers.webhook.bodies import Object, UnreadableBody, decode, decode_leniently
from workers.webhook.hosts import host_in

Kind = Literal["created", "updated", "unknown"]
DeliveryActor = Literal["contact", "staff", "rule", "unknown"]
Form = Literal["flat", "rest", "wrapped"]
LARGEST: Final = 2**53 - 1  # the largest integer that all JSON parsers agree on

_LINK: Final = "agent_ticket_url"
_SPECIFIC_KEYS: Final = ("ticket_id", "ticket_number", "ticketId")
_GENERAL_KEYS: Final = ("id", "number")
_DISPLAY_KEYS: Final = ("display_id", "ticket_display_id")
_WRAPPERS: Final = ("data", "payload", "tickets")
_WRAPPING: Final = frozenset({"ticket", *_WRAPPERS})

#: A number as text: plain, with a zero fraction, or as a display id such as #DC00000014.
_NUMBER: Final = re.compile(r"\s*(?:(?:#?[A-Za-z]{1,32}[-_]?|#)?0*([1-9][0-9]{0,15})|0*([1-9][0-9]{0,15})\.0+)\s*")
_IN_LINK: Final = re.compile(r"[^?#]*?/tickets?/0*([1-9][0-9]{0,15})(?![0-9])")


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """The content of a delivery."""

    ticket: int
    """The ticket number, 1 to ``LARGEST``."""
    kind: Kind
    update: bool
    """Whether the body contained an update."""
    update_id: int | None
    """The id of the newest update in the body."""
    form: Form
    actor: DeliveryActor
    label: str
    """contact-reply, staff-reply, private-note, forward, another message type in this style, or empty."""
    rule: str
    """The smart rule's name, or empty."""
    host: str = ""
    """The host of the link to the ticket, or empty."""


class Learned(msgspec.Struct, frozen=True):
    """What earlier deliveries of an account have taught, see learning.py; it counts where nothing known is found."""

    number: str = ""
    """The path of the ticket number, such as ``case.no``."""
    event: str = ""
    """The path of the event type."""
    contact: str = ""
    """What ``by.type`` is if a contact acted."""


NOTHING: Final = Learned()


def parse(
    body: bytes,
    content_type: str = "",
    url_kind: Literal["created", "updated", ""] = "",
    learned: Learned = NOTHING,
) -> Delivery:
    """Read a delivery; ``url_kind`` counts if the body has neither an event type that is known nor an update.

    Raise UnreadableBody, and nothing else, whatever the bytes are.
    """
    try:
        outer = decode(body, content_type)
    except UnreadableBody as unreadable:
        problem, lenient = unreadable, decode_leniently(body)
    else:
        return read(outer, url_kind, learned)
    if lenient is None or not any(map(_numbers, _ranks(_Layers(lenient), learned))):
        raise problem from None
    return read(lenient, url_kind, learned)


class _Layers:
    """The objects of a body that may describe the ticket."""

    __slots__ = ("all", "inside", "outer", "ticket", "wrapped")

    def __init__(self, outer: Object) -> None:
        self.outer = self.all = [outer]
        self.ticket: list[Object] = []
        self.wrapped: list[Object] = []
        self.inside: list[Object] = []
        if not _WRAPPING.isdisjoint(outer):
            self.ticket = _objects(self.outer, ("ticket",))
            self.wrapped = _objects(self.outer, _WRAPPERS)
            self.inside = _objects(self.wrapped, ("ticket",))
            self.all = [outer, *self.ticket, *self.wrapped, *self.inside]  # from the outside in


def _objects(sources: list[Object], keys: tuple[str, ...]) -> list[Object]:
    """Return the members that are objects with content; of a list, its first element."""
    found = []
    for value in _members(sources, keys):
        each = value[0] if isinstance(value, list) and value else value
        if isinstance(each, dict) and each:
            found.append(each)
    return found


def _members(sources: list[Object], keys: tuple[str, ...]) -> list[Any]:
    """Return the members that are not empty."""
    return [value for source in sources for key in keys if (value := source.get(key)) not in (None, "")]


def read(outer: Object, url_kind: Literal["created", "updated", ""] = "", learned: Learned = NOTHING) -> Delivery:
    """Read a decoded body. Raise UnreadableBody if it names no ticket, or two."""
    layers = _Layers(outer)
    number = _usual_number(outer) or _ticket_number(layers, learned)
    single: Any = None
    updates: list[Any] = []
    host = ""
    for each in layers.all:
        single = single or each.get("update")
        if not updates and isinstance(found := each.get("updates"), list):
            updates = found
        host = host or host_in(each.get(_LINK))
    update = single or _newest(updates)
    kind, by_rule = _read_kind(layers.all)
    if kind is None and learned.event:
        kind, by_rule = kind_of(member_at(outer, learned.event))
    if kind == "unknown":
        kind = url_kind or kind
    if kind is None:
        kind = "updated" if single or len(updates) > 1 else url_kind or "created"
    is_update = bool(single) or (update is not None and kind != "created")
    members = update if isinstance(update, dict) else {}
    by = members.get("by")
    actor = _read_actor(by, learned.contact)
    if by_rule and actor == "unknown":
        actor = "rule"
    return Delivery(
        ticket=number,
        kind=kind,
        update=is_update,
        update_id=_update_id(members),
        form=_read_form(layers),
        actor=actor,
        label=_read_label(members, actor) if is_update else "",
        rule=_rule_name(by) if actor == "rule" else "",
        host=host,
    )


def _read_form(layers: _Layers) -> Form:
    if len(layers.all) > 1:
        return "wrapped"
    (outer,) = layers.outer
    return "rest" if "ticket_id" not in outer and "id" in outer else "flat"


def _usual_number(outer: Object) -> int | None:
    """Return what `_ticket_number` would find in the usual flat body, in a fraction of its time; None for any other."""
    number = outer.get("ticket_id")
    if type(number) is not int or not 0 < number <= LARGEST or "ticket_number" in outer or "ticketId" in outer:
        return None
    return number if _number_in_link(outer.get(_LINK)) in (number, "") else None


def member_at(outer: Object, path: str) -> object:
    """Return the member at a path such as ``case.no``, None if there is none."""
    value: object = outer
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _ticket_number(layers: _Layers, learned: Learned) -> int:
    """Return the number of the highest rank that has one. Two numbers within that rank are a contradiction."""
    given = False
    for values in _ranks(layers, learned):
        numbers = _numbers(values)
        if len(numbers) > 1:
            raise UnreadableBody("two-ticket-numbers")
        if numbers:
            return numbers.pop()
        given = given or any(value != "" for value in values)
    raise UnreadableBody("bad-ticket-number" if given else "no-ticket-number")


def _ranks(layers: _Layers, learned: Learned) -> Iterator[list[object]]:
    """Yield the values that may be the ticket number, the most trustworthy first.

    A bare ``id`` beside a ``ticket`` belongs to the delivery. The digits of a display id are the ticket number
    (KB 1039), yet one sample seen in production paired it with a link to another number, so they count last.
    """
    yield _specific(layers.outer)
    yield _specific(layers.ticket)
    yield _members(layers.ticket, _GENERAL_KEYS)
    for objects in (layers.wrapped, layers.inside):
        yield _specific(objects)
    for objects in (layers.inside, layers.wrapped):
        yield _members(objects, _GENERAL_KEYS)
    yield [] if layers.ticket else _members(layers.outer, ("id",))
    yield [_last_digits(text.rstrip()) for text in _members(layers.all, _DISPLAY_KEYS) if isinstance(text, str)]
    if learned.number:
        yield [member_at(layers.outer[0], learned.number)]


def _specific(objects: list[Object]) -> list[object]:
    values = _members(objects, _SPECIFIC_KEYS)
    values += [_number_in_link(link) for link in _members(objects, (_LINK,))]
    return values


def _numbers(values: list[object]) -> set[int]:
    return {number for value in values if (number := ticket_number(value))}


def ticket_number(value: object) -> int | None:
    """Return a ticket number given as an integer, as a float without fraction, or as text; None for anything else."""
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value[:200])
        value = int(found[1] or found[2]) if found else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value <= LARGEST else None


def _number_in_link(link: object) -> object:
    """Return the ticket number in a link, or nothing."""
    if not isinstance(link, str):
        return ""
    if found := _IN_LINK.match(link):
        return int(found[1])
    place = link.partition("?")[0].partition("#")[0].rstrip("/ ")
    return _last_digits(place.partition("://")[2].partition("/")[2])


def _parse_id(value: object) -> int | None:
    """Return an id given as an integer or its digits, or None if out of range."""
    if isinstance(value, str):
        digits = value.strip().lstrip("0")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
            return None
        value = int(digits)
    return value if type(value) is int and 0 < value <= LARGEST else None


def _last_digits(text: str) -> str:
    return text[len(text.rstrip("0123456789")) :]


def _newest(updates: list[Any]) -> Object | None:
    """Return the newest update by id, else by time stamp, else the last."""

    def rank(update: Object) -> tuple[int, str]:
        stamp = update.get("timestamp")
        return _update_id(update) or 0, stamp if isinstance(stamp, str) else ""

    if not updates:
        return None
    return max((update for update in reversed(updates) if isinstance(update, dict)), key=rank, default=None)


def _update_id(update: Object) -> int | None:
    value = update.get("update_id")
    return _parse_id(value if value is not None else update.get("id"))


# HappyFox's words, mapped to ours. A receiver that ran in production saw "smartrule" and "Client Reply"; "staff",
# "user" and "p" are from the REST API. HappyFox documents no list, so all other spellings are assumptions.
_EVENT_KEYS: Final = ("event_type", "event", "type", "webhook_event", "event_name", "action", "trigger")

_CREATED: Final = "ticket_created ticket_create created create new_ticket ticket_new ticket_creation"
_UPDATED: Final = (
    "ticket_updated ticket_update updated update ticket_edited ticket_modified ticket_closed ticket_assigned"
    " ticket_status_changed ticket_priority_changed ticket_reply"
)
_BY_RULE: Final = frozenset({"smart_rule", "smartrule", "ticket_smart_rule", "smart_rule_fired"})
_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_CREATED.split(), "created"),
    **dict.fromkeys(_UPDATED.split(), "updated"),
    **dict.fromkeys(_BY_RULE, "updated"),
}
_UNDERSCORED: Final = str.maketrans("-. :", "____")

_ACTORS: Final[Mapping[str, DeliveryActor]] = {
    **dict.fromkeys(("user", "contact", "customer", "client"), "contact"),
    **dict.fromkeys(("staff", "agent"), "staff"),
    "smartrule": "rule",
}
_LABELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("clientreply", "contactreply", "customerreply", "userreply"), "contact-reply"),
    **dict.fromkeys(("staffreply", "agentreply", "staffupdate"), "staff-reply"),
    **dict.fromkeys(("privatenote", "staffprivatenote", "pvtnote", "p"), "private-note"),
    "forward": "forward",
}
_REPLIES: Final[Mapping[DeliveryActor, str]] = {"contact": "contact-reply", "staff": "staff-reply"}


def _read_kind(layers: Iterable[Object]) -> tuple[Kind | None, bool]:
    """Return the kind in the body, and whether a smart rule is named as the cause.

    The kind is None if the body has none, and "unknown" if it is one we do not know.
    """
    unknown_kind = False
    for source in layers:
        for key in _EVENT_KEYS:
            value = source.get(key)
            if not value or not isinstance(value, str):
                continue
            kind, by_rule = kind_of(value)
            if kind:
                return kind, by_rule
            unknown_kind = unknown_kind or key != "type"  # `type` may describe the ticket instead
    return ("unknown" if unknown_kind else None), False


def names_event(outer: Object) -> bool:
    """Return whether a body has an event type where one is expected, known or not."""
    return _read_kind(_Layers(outer).all)[0] is not None


def kind_of(value: object) -> tuple[Kind | None, bool]:
    """Return the kind that a word means, None if it is none, and whether it names a smart rule as the cause."""
    word = value[:64].strip().lower().translate(_UNDERSCORED) if isinstance(value, str) else ""
    return _KINDS.get(word), word in _BY_RULE


def _read_actor(by: object, contact: str = "") -> DeliveryActor:
    """Return who acted, from an object, a type, a name or nothing; ``contact`` is a learned type of contacts."""
    word = by.get("type") if isinstance(by, dict) else by
    if not isinstance(word, str):
        return "unknown"
    return _ACTORS.get(_normalized(word)) or ("contact" if contact and word == contact else "unknown")


def _rule_name(by: object) -> str:
    """Return the name of the rule that acted; a text that is no type is a name."""
    name = by.get("name") if isinstance(by, dict) else by if _read_actor(by) == "unknown" else ""
    return _clean(name) if isinstance(name, str) else ""


def _read_label(update: Object, actor: DeliveryActor) -> str:
    """Return the message type of a flat or REST update, or infer it from the author."""
    message = update.get("message")
    label = update.get("message_type")
    if label is None and isinstance(message, dict):
        label = message.get("message_type")
    if label and isinstance(label, str):
        known = _LABELS.get(_normalized(label))
        return known or _clean("-".join(label[:100].lower().replace("_", " ").replace("-", " ").split()))
    return _REPLIES.get(actor, "") if message else ""


def _normalized(word: str) -> str:
    return word[:64].strip().lower().replace(" ", "").replace("_", "").replace("-", "")


def _clean(text: str) -> str:
    """Make a text storable: one line, 200 characters, no half surrogate pairs."""
    return " ".join(text[:200].split()).encode("utf-8", "replace").decode()
