"""Reads the body of a delivery: which ticket it is about, and what HappyFox says happened to it.

HappyFox documents no body. One receiver that ran in production saw flat bodies; a guide to the API reads as
if the ticket came as the REST API shows it; a third source wraps the ticket. All three are read, nothing but
a ticket number is required, and all else is a hint: the ticket itself, read later, is the truth.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from workers.events.labels import Actor, Kind, read_actor, read_kind, read_label
from workers.events.payload import Unreadable, decode

__all__ = ["LARGEST", "Actor", "Delivery", "Form", "Kind", "Unreadable", "parse"]

Form = Literal["flat", "rest", "wrapped"]
LARGEST: Final = 2**53 - 1  # the largest whole number every reader of JSON agrees on

_NUMBER_KEYS: Final = ("ticket_id", "id", "ticket_number", "ticketId")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a delivery told us.

    ``ticket`` is the ticket number, 1 to ``LARGEST``. ``update`` says that the body carried an update,
    ``update_id`` is the id of the newest row it names. ``label`` is "contact-reply", "staff-reply",
    "private-note", "forward", another message label in the same spelling, or "". ``rule`` is the smart rule's
    name or "".
    """

    ticket: int
    kind: Kind
    update: bool
    update_id: int | None
    form: Form
    actor: Actor
    label: str
    rule: str


def parse(body: bytes, content_type: str = "", url_kind: Literal["created", "updated", ""] = "") -> Delivery:
    """Reads a delivery in any of its forms; ``url_kind`` decides only where the body tells no event type.

    Raises Unreadable, and nothing else, whatever the bytes are.
    """
    outer = decode(body, content_type)
    ticket = outer
    for key in ("ticket", "data"):
        inner = outer.get(key)
        if inner and isinstance(inner, dict):
            ticket = inner
            break
    number = _ticket_number(ticket)
    told = ticket.get("update") or outer.get("update")
    rows = ticket.get("updates")
    row = told if told else _newest(rows) if isinstance(rows, list) else None
    kind, by_rule = read_kind(outer, ticket)
    if kind is None:
        kind = url_kind or ("updated" if told or (isinstance(rows, list) and len(rows) > 1) else "created")
    update = bool(told) or (row is not None and kind != "created")
    form: Form = "wrapped" if ticket is not outer else "flat"
    if form == "flat" and "ticket_id" not in ticket and "id" in ticket:
        form = "rest"
    if not isinstance(row, dict):
        return Delivery(number, kind, update, None, form, "rule" if by_rule else "unknown", "", "")
    actor, name = read_actor(row.get("by"))
    if by_rule and actor == "unknown":
        actor = "rule"
    return Delivery(
        ticket=number,
        kind=kind,
        update=update,
        update_id=_row_id(row),
        form=form,
        actor=actor,
        label=read_label(row, actor) if update else "",
        rule=name if actor == "rule" else "",
    )


def _ticket_number(ticket: dict[str, Any]) -> int:
    """Finds the ticket's number: said outright, else at the end of its link, else of its display id.

    The digits of a display id are the ticket number (KB 1039), yet one sample seen in production paired it
    with a link to another number, so the link goes first.
    """
    for key in _NUMBER_KEYS:
        value = ticket.get(key)
        if value is not None and value != "":
            return _checked(_whole(value))
    link = ticket.get("agent_ticket_url")
    if isinstance(link, str):
        digits = _last_digits(link.partition("?")[0].partition("#")[0].rstrip("/ "))
        if digits:
            return _checked(_whole(digits))
    for key in ("display_id", "ticket_display_id"):
        value = ticket.get(key)
        if isinstance(value, str) and (digits := _last_digits(value.rstrip())):
            return _checked(_whole(digits))
    raise Unreadable("no-ticket-number")


def _checked(number: int | None) -> int:
    if number is None:
        raise Unreadable("bad-ticket-number")
    return number


def _whole(value: object) -> int | None:
    """Reads an id: a whole number or its decimal digits, 1 to 2**53 - 1."""
    if isinstance(value, str):
        digits = value.strip().lstrip("0")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
            return None
        value = int(digits)
    return value if type(value) is int and 0 < value <= LARGEST else None


def _last_digits(text: str) -> str:
    return text[len(text.rstrip("0123456789")) :]


def _newest(rows: list[Any]) -> dict[str, Any] | None:
    """Picks the newest of REST rows: the highest id, else the latest time stamp, else the last."""
    newest: dict[str, Any] | None = None
    highest: tuple[int, str] = (0, "")
    for row in rows:
        if isinstance(row, dict):
            stamp = row.get("timestamp")
            rank = (_row_id(row) or 0, stamp if isinstance(stamp, str) else "")
            if newest is None or rank >= highest:
                newest, highest = row, rank
    return newest


def _row_id(row: dict[str, Any]) -> int | None:
    value = row.get("update_id")
    return _whole(value if value is not None else row.get("id"))
