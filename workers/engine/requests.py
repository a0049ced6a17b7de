"""The call of HappyFox that performs each kind of effect."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from workers.engine.effect import Effect, EffectKind
from workers.happyfox import tickets
from workers.happyfox.contacts import contact_field, edit_contact
from workers.happyfox.messages import File, Request


class Target(NamedTuple):
    """Where and as whom an effect is performed."""

    ticket: int
    staff: int
    files: Sequence[File]
    """The files of the effect."""


def request(effect: Effect, ticket: int, staff: int, files: Sequence[File] = ()) -> Request:
    """Return the call that performs an effect on a ticket, written as a staff member, with its ``files``."""
    return _REQUESTS[effect.kind](effect, Target(ticket, staff, files))


def _tags(effect: Effect, target: Target) -> Request:
    return tickets.update_tags(target.ticket, effect.add, effect.remove, target.staff)


def _note(effect: Effect, target: Target) -> Request:
    note: dict[str, Any] = {"html": effect.html, "alert": effect.alert, "files": target.files, **_members(effect)}
    return tickets.private_note(target.ticket, staff=target.staff, **note)


def _properties(effect: Effect, target: Target) -> Request:
    return tickets.staff_update(target.ticket, staff=target.staff, **_members(effect))


def _reply(effect: Effect, target: Target) -> Request:
    reply: dict[str, Any] = {
        "html": effect.html,
        "update_customer": effect.notify,
        "cc": effect.cc,
        "bcc": effect.bcc,
        "subject": effect.subject or None,
        "send_survey": effect.survey or None,
        "last_staff_message": effect.last_staff_message,
        "files": target.files,
    }
    return tickets.staff_update(target.ticket, staff=target.staff, **reply, **_members(effect))


def _contact_reply(effect: Effect, target: Target) -> Request:
    reply = {"contact": effect.contact, "text": effect.html, "cc": effect.cc, "bcc": effect.bcc}
    return tickets.contact_reply(target.ticket, files=target.files, **reply)  # type: ignore[arg-type]


def _contact(effect: Effect, _: Target) -> Request:
    members = {name: value for name, value in effect.draft.items() if name != "fields"}
    fields = {contact_field(int(field_id)): value for field_id, value in effect.draft.get("fields", {}).items()}
    return edit_contact(effect.contact, {**members, **({"fields": fields} if fields else {})})


def _forward(effect: Effect, target: Target) -> Request:
    sent = {"to": effect.to, "subject": effect.subject, "message": effect.html}
    return tickets.forward(target.ticket, staff_id=target.staff, **sent)  # type: ignore[arg-type]


def _subscribe(effect: Effect, target: Target) -> Request:
    return tickets.subscribe(target.ticket, staff_id=target.staff, others=effect.staff)


def _unsubscribe(effect: Effect, target: Target) -> Request:
    return tickets.unsubscribe(target.ticket, staff_id=effect.staff[0])


def _create(effect: Effect, target: Target) -> Request:
    own = {"subject": effect.subject, "html": effect.html, "category": effect.category}
    return tickets.create_ticket(
        {**effect.draft, **own, "fields": _fields(effect.draft.get("fields", {}))}, target.files
    )


def _move(effect: Effect, target: Target) -> Request:
    where = {"target_category_id": effect.category, "note": effect.html}
    return tickets.move(target.ticket, staff_id=target.staff, **where)  # type: ignore[arg-type]


def _delete(_: Effect, target: Target) -> Request:
    return tickets.delete(target.ticket, staff_id=target.staff)


_REQUESTS: Mapping[EffectKind, Callable[[Effect, Target], Request]] = {
    "tags": _tags,
    "note": _note,
    "reply": _reply,
    "properties": _properties,
    "contact reply": _contact_reply,
    "contact": _contact,
    "forward": _forward,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "create": _create,
    "move": _move,
    "delete": _delete,
}


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    return {tickets.ticket_field(int(field_id)): value for field_id, value in values.items()}


def _members(effect: Effect) -> dict[str, Any]:
    """Return the properties and the time of a staff update or a note."""
    spent = effect.time_spent or effect.default_time
    return {**effect.set, "fields": _fields(effect.fields), "time_spent": spent or None}
