"""What a client's write will change, in the terms of the engine: to recognize its update and to look it up."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from workers.engine.effect import Effect, EffectKind, fingerprint
from workers.gateway.access import Operation, is_true, writes_message
from workers.happyfox.tickets import TICKET_FIELDS
from workers.tickets.model import comma_list, number, text
from workers.tickets.snapshot import Fingerprint
from workers.tickets.text import words

_PROPERTIES: Final = ("status", "priority", "assignee", "due_date")
_REVERSED_DAY: Final = re.compile(r"(\d\d)/(\d\d)/(\d{4})", re.ASCII)

#: The members that may let HappyFox email the ticket's contact, by the last part of the path.
_TO_CONTACT: Final[Mapping[str, tuple[str, ...]]] = {
    "staff_update": ("update_customer", "send_survey"),
    "forward": ("to_include_ticket_contact", "cc_include_ticket_contact"),
}

#: The kinds of effects by the last part of their path; that of a staff update depends on its members.
_KINDS: Final[Mapping[str, EffectKind]] = {
    "staff_pvtnote": "note",
    "user_reply": "reply",
    "update_tags": "tags",
    "update_custom_fields": "properties",
    "move": "move",
    "forward": "forward",
    "subscribe": "subscribe",
    "delete": "delete",
    "tickets": "create",
}


def effects_of(operation: Operation) -> list[Effect]:
    """Return what a write to tickets does: one effect, or one for each ticket that it creates."""
    if operation.endpoint.name == "tickets":
        return [_created(each) for each in operation.items]
    effect = _effect(operation) if operation.ticket is not None else None
    return [effect] if effect else []


def _effect(operation: Operation) -> Effect | None:
    name, members = operation.endpoint.name, operation.members
    if name == "staff_update":
        kind: EffectKind | None = "reply" if writes_message(members) else "properties"
    else:
        kind = _KINDS.get(name)
    if kind is None:
        return None
    own = number(members.get("staff_id"))
    staff = [number(each) for each in _listed(members.get("data"))]
    return Effect(
        kind=kind,
        add=tuple(comma_list(members.get("add"))),
        remove=tuple(comma_list(members.get("remove"))),
        set={each: _value(each, members[each]) for each in _PROPERTIES if each in members},
        fields=_fields(members),
        html=_html(members, "html", "text", "plaintext", "message", "move_note"),
        notify=any(is_true(members.get(each, False)) for each in _TO_CONTACT.get(name, ())),
        cc=tuple(comma_list(members.get("cc"))),
        bcc=tuple(comma_list(members.get("bcc"))),
        to=tuple(_recipients(members)) if name == "forward" else (),
        category=number(members.get("target_category_id")) or 0,
        staff=tuple(each for each in (own, *staff) if each) if name == "subscribe" else (),
    )


def _created(members: Mapping[str, Any]) -> Effect:
    draft: dict[str, Any] = {name: members[name] for name in ("name", "email") if members.get(name)}
    if (client := number(members.get("client"))) is not None:
        draft["client"] = client
    draft |= {name: comma_list(members.get(name)) for name in ("cc", "bcc")}
    return Effect(
        kind="create",
        draft=draft,
        subject=text(members.get("subject")),
        html=_html(members, "html", "text"),
        category=number(members.get("category")) or 0,
    )


def _recipients(members: Mapping[str, Any]) -> Iterable[str]:
    for name in ("to", "cc", "bcc"):
        yield from comma_list(members.get(name))


def _html(members: Mapping[str, Any], *names: str) -> str:
    """Return the message as markup; HappyFox prefers ``html``."""
    found = next(((name, members[name]) for name in names if members.get(name)), ("", ""))
    return text(found[1]) if found[0] in ("html", "message") else escape(text(found[1]))


def _fields(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the custom fields of the ticket by id; those of its contact show in no ticket."""
    return {name.removeprefix("t-cf-"): members[name] for name in members if name.startswith(TICKET_FIELDS[0])}


def _value(name: str, value: Any) -> int | str | None:
    if value is None or value == "":
        return None
    if name == "due_date":
        found = _REVERSED_DAY.fullmatch(text(value))
        return f"{found[3]}-{found[2]}-{found[1]}" if found else text(value)
    return number(value) if number(value) is not None else text(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def fingerprint_of(operation: Operation, effect: Effect, staff: int) -> Fingerprint | None:
    """Return what the update of a write looks like; None if it makes none."""
    if operation.endpoint.name == "user_reply":
        contact = number(operation.members.get("user")) or 0
        return Fingerprint("contact", contact, message="reply", words=words(effect.html)).shortened()
    author = number(operation.members.get("staff", operation.members.get("staff_id"))) or staff
    if effect.kind == "forward":
        return Fingerprint("staff", author, message="forward")
    found = fingerprint(effect, author)
    return found.shortened() if found else None
