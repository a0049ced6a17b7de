"""Merge the actions of all handlers into the fewest effects, in the order in which they will be performed.

Messages are never merged or dropped, except equal notes of one turn. Order: tags, messages as recorded, forwards,
subscriptions and new tickets, moves, deletion last. What a reply sets goes with this reply, so that neither happens
alone. Other properties go with the last message, or into one staff update of their own. Actions that would change
nothing are left out to save the call.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from workers.engine.effect import Effect
from workers.engine.plan import Pending
from workers.errors import GiveUp
from workers.happyfox.directory import Directory, NameKind
from workers.plugins.actions import (
    AnyAction,
    ContactReply,
    Create,
    Delete,
    Forward,
    Move,
    Note,
    Reply,
    Set,
    SetContact,
    Subscribe,
    Tags,
    TicketAction,
    Unsubscribe,
    tag_changes,
)
from workers.plugins.state import StateRead
from workers.tickets.model import TicketRead, contact_values, mapping
from workers.tickets.snapshot import properties
from workers.tickets.text import same_value


@dataclass(frozen=True, slots=True)
class HandlerActions:
    """The actions of one handler, in the order in which it recorded them."""

    handler: str
    actions: tuple[AnyAction, ...]
    work: Pending | None = None
    """The pending work they come from, if the handler did not run for them."""
    by_person: bool = False
    """Whether a person asked for them by a replay."""
    seen: tuple[StateRead, ...] = ()
    """What the handler has read of its router's state."""

    @property
    def key(self) -> str:
        """Different for each replayed dead letter of a handler."""
        return self.work.dead_letter if self.work else self.handler


@dataclass(slots=True)
class Folded:
    """The effects of a turn."""

    effects: list[Effect] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Why actions were left out, by their key: they use a name that HappyFox does not know."""
    remarks: list[str] = field(default_factory=list)
    """Lines for the ticket's history."""
    calls_saved: int = 0
    """How many calls fewer than if each action had been sent separately."""


class Asked(NamedTuple):
    """An action with its handler."""

    handler: str
    action: AnyAction
    by_person: bool
    reply: int
    """Which reply of the turn it is a part of, or ``ALONE``."""


#: For actions that are no part of a reply.
ALONE = -1


class Value(NamedTuple):
    """What a property or field is set to, and who asked for it."""

    value: Any
    handler: str
    by_person: bool
    reply: int
    """Which reply of the turn it is a part of, or ``ALONE``."""


def fold(
    requested: Sequence[HandlerActions], ticket: TicketRead, directory: Directory | None, default_time: int = 0
) -> Folded:
    """Merge actions, given in the order of the routers; leave out handlers that use an unknown name.

    ``default_time`` are the minutes for calls without any, if the category of the ticket requires them.
    """
    folded = Folded()
    known: list[HandlerActions] = []
    for each in requested:
        try:
            actions = tuple(_with_ids(action, directory) for action in each.actions) if directory else each.actions
            known.append(HandlerActions(each.handler, actions, by_person=each.by_person))
        except GiveUp as error:
            folded.failed[each.key] = str(error)
    asked = _asked(known)
    tags, properties = _tags(asked, ticket, folded.remarks), _properties(asked, ticket, folded.remarks)
    folded.effects = [effect for effect in [tags, *_in_order(asked, ticket, properties)] if effect]
    if directory:
        timed = default_time if directory.requires_time(ticket.category.id) else 0
        folded.effects = [_with_names(_with_time(effect, timed), directory) for effect in folded.effects]
    folded.calls_saved = sum(map(_count_calls, known)) - len(folded.effects)
    return folded


def _asked(known: Sequence[HandlerActions]) -> list[Asked]:
    """List all actions; what a reply sets follows it."""
    asked: list[Asked] = []
    for handler in known:
        reply = ALONE
        for action in handler.actions:
            reply = len(asked) if isinstance(action, Reply) else reply
            is_part = isinstance(action, Reply) or (isinstance(action, Set) and action.with_reply)
            asked.append(Asked(handler.handler, action, handler.by_person, reply if is_part else ALONE))
    return asked


def _count_calls(requested: HandlerActions) -> int:
    """Count the calls that a handler's actions need without merging; only a reply carries its properties."""
    sent = [action for action in requested.actions if isinstance(action, TicketAction | Create)]
    unsubscribed = sum(len(action.staff) - 1 for action in sent if isinstance(action, Unsubscribe))
    return (
        len(sent) + unsubscribed - sum(isinstance(one, Reply) and isinstance(two, Set) for one, two in pairwise(sent))
    )


def _tags(asked: Sequence[Asked], ticket: TicketRead, remarks: list[str]) -> Effect | None:
    given = ((each.handler, each.action, each.by_person) for each in asked if isinstance(each.action, Tags))
    changes = tag_changes(given, ticket.tags)
    remarks += [f"tag {each.signed}: already up to date" for each in changes if not each.needed]
    needed = [each for each in changes if each.needed]
    if not needed:
        return None
    return Effect(
        kind="tags",
        add=tuple(each.tag for each in needed if each.added),
        remove=tuple(each.tag for each in needed if not each.added),
        owners={each.signed: each.handler for each in needed},
        by_person=all(each.by_person for each in needed),
        replayed=tuple(each.signed for each in needed if each.by_person),
    )


def _properties(asked: Sequence[Asked], ticket: TicketRead, remarks: list[str]) -> dict[int, Effect]:
    """Merge properties and fields, by the reply that they are a part of.

    The later handler overrides the earlier one, with a line in the history. A value that is also set without a reply
    does not need one.
    """
    values: dict[str, Value] = {}
    minutes: Counter[int] = Counter()
    for handler, action, by_person, reply in asked:
        if not isinstance(action, Set):
            continue
        minutes[reply] += action.time_spent
        fields = {f"#{field_id}": value for field_id, value in action.fields.items()}
        for name, value in {**action.properties, **fields}.items():
            before = values.get(name)
            if before is not None and before.value != value and before.handler != handler:
                remarks.append(f"{handler} overrides {before.handler}: {name.replace('#', 'field ')}")
            if reply == ALONE or before is None or before.value != value or before.reply != ALONE:
                values[name] = Value(value, handler, by_person, reply)
    now = properties(ticket)
    carried: dict[int, dict[str, Value]] = {}
    for name, each in values.items():
        if now.get(name) == ("" if each.value is None else str(each.value)):
            remarks.append(f"{name}: already up to date")
        else:
            carried.setdefault(each.reply, {})[name] = each
    if left_out := sum(minutes[reply] for reply in minutes.keys() - carried.keys()):
        remarks.append(f"{left_out} min spent: not sent, because nothing had to be set")
    return {reply: _set(own, minutes[reply]) for reply, own in carried.items()}


def _set(values: Mapping[str, Value], minutes: int) -> Effect:
    return Effect(
        kind="properties",
        time_spent=minutes,
        set={name: each.value for name, each in values.items() if not name.startswith("#")},
        fields={name[1:]: each.value for name, each in values.items() if name.startswith("#")},
        owners={name: each.handler for name, each in values.items()},
        by_person=all(each.by_person for each in values.values()),
        replayed=tuple(name for name, each in values.items() if each.by_person),
    )


def _carry(message: Effect, properties: Effect) -> Effect:
    """Return the message with properties added."""
    return replace(
        message,
        set={**message.set, **properties.set},
        fields={**message.fields, **properties.fields},
        owners={**message.owners, **properties.owners},
        replayed=(*message.replayed, *properties.replayed),
        time_spent=message.time_spent + properties.time_spent,
    )


def _in_order(asked: Sequence[Asked], ticket: TicketRead, properties: dict[int, Effect]) -> list[Effect]:
    """Return the effects of all other actions, with the properties where they belong."""
    messages: list[Effect] = []
    last: dict[str, Effect] = {}
    others: list[Effect] = []
    for handler, action, by_person, part_of in asked:
        if isinstance(action, Note):
            same = (at for at, effect in enumerate(messages) if _is_same_note(effect, action))
            if (at := next(same, None)) is None:
                note = Effect(kind="note", handler=handler, html=action.html, alert=action.alert)
                messages.append(replace(note, by_person=by_person, time_spent=action.time_spent, files=action.files))
            else:
                messages[at] = replace(messages[at], by_person=messages[at].by_person and by_person)
        elif isinstance(action, Reply):
            reply = {**msgspec.structs.asdict(action), "last_staff_message": _last_staff_message(ticket)}
            effect = Effect(kind="reply", handler=handler, by_person=by_person, **reply)
            if own := properties.get(part_of):
                effect = replace(_carry(effect, own), parts=tuple(own.owners))
            messages.append(effect)
        own_effects = [replace(each, handler=handler, by_person=by_person) for each in _separate(action, ticket)]
        others += [each for each in own_effects if each.kind not in ("move", "delete")]
        last |= {each.kind: each for each in own_effects if each.kind in ("move", "delete")}
    if alone := properties.get(ALONE):
        carries = messages and not (messages[-1].files and None in alone.set.values())  # a form cannot clear values
        messages[len(messages) - bool(carries) :] = [_carry(messages[-1], alone) if carries else alone]
    return [*messages, *others, *(last[kind] for kind in ("move", "delete") if kind in last)]


def _separate(action: AnyAction, ticket: TicketRead) -> Iterator[Effect]:
    """Yield the effects of an action that is merged with no other."""
    match action:
        case Forward():
            yield Effect(kind="forward", to=action.to, subject=action.subject, html=action.message)
        case Subscribe():
            yield Effect(kind="subscribe", staff=tuple(map(int, action.staff)))
        case Unsubscribe():
            subscribed = {one.id for one in ticket.subscribers}
            for member in dict.fromkeys(int(each) for each in action.staff if int(each) in subscribed):
                yield Effect(kind="unsubscribe", staff=(member,))
        case ContactReply():
            contact, html = action.contact or ticket.contact.id or 0, _as_markup(action.html)
            reply = Effect(kind="contact reply", contact=contact, html=html, files=action.files)
            yield replace(reply, cc=action.cc, bcc=action.bcc)
        case SetContact():
            if draft := _contact_changes(action, ticket):
                yield Effect(kind="contact", contact=ticket.contact.id or 0, draft=draft)
        case Create():
            draft = dict(action.members)
            told = {name: draft.pop(name) for name in ("subject", "html", "category")}
            yield Effect(kind="create", draft=draft, files=action.files, **told)
        case Move() if action.category != ticket.category.id:
            yield Effect(kind="move", category=int(action.category), html=action.note)
        case Delete():
            yield Effect(kind="delete")


def _is_same_note(effect: Effect, note: Note) -> bool:
    return effect.kind == "note" and (effect.html, effect.files) == (note.html, note.files)


def _as_markup(html: str) -> str:
    """Return a message so that HappyFox cannot take it for plain text; one that is so already stays as it is."""
    return html if html.startswith("<div>") and html.endswith("</div>") else f"<div>{html}</div>"


def _contact_changes(action: SetContact, ticket: TicketRead) -> dict[str, Any]:
    """Return what an action changes of the ticket's contact."""
    contact, known = ticket.contact, contact_values(ticket)
    changed: dict[str, Any] = {name: value for name, value in action.members.items() if value != getattr(contact, name)}
    fields = {
        field_id: value
        for field_id, value in action.fields.items()
        if field_id not in known or not same_value(value, known[field_id].raw)
    }
    return {**changed, **({"fields": fields} if fields else {})}


def _with_time(effect: Effect, minutes: int) -> Effect:
    """Add the minutes that a category requires, if the effect is of a kind that reports time."""
    timed = minutes and effect.kind in ("note", "reply", "properties")
    return replace(effect, default_time=minutes) if timed else effect


def _last_staff_message(ticket: TicketRead) -> int | None:
    """Return the id of the newest staff message, with which HappyFox may detect a collision (KB 1039).

    A message without an id is assumed to have that of its update.
    """
    for update in reversed(ticket.history):
        if update.author == "staff" and update.message is not None and not update.message.private:
            own = mapping(update.raw.get("message")).get("id")
            return own if isinstance(own, int) else update.id
    return None


#: How to find the id for the name of each property.
RESOLVE: dict[str, Callable[[Directory, int | str], int]] = {
    "status": Directory.status,
    "priority": Directory.priority,
    "assignee": Directory.staff_member,
}

#: The actions that use names.
USING_NAMES = Set | Move | Subscribe | Unsubscribe | Create

#: The kind of name that each property has.
NAME_KINDS: dict[str, NameKind] = {"status": "status", "priority": "priority", "assignee": "staff"}


def needed_lists(requested: Sequence[HandlerActions], default_time: int = 0) -> tuple[str, ...]:
    """Return the lists with the names that actions use, and with the categories that require a time."""
    actions = [action for each in requested for action in each.actions]
    uses_names = any(isinstance(action, USING_NAMES) or _alerts_staff(action) for action in actions)
    timed = default_time and any(isinstance(action, Note | Reply) for action in actions)
    if any(isinstance(action, SetContact) and action.fields for action in actions):
        return (*Directory.LISTS, *Directory.CONTACT_FIELDS)
    return tuple(Directory.LISTS) if uses_names or timed else ()


def _alerts_staff(action: AnyAction) -> bool:
    return isinstance(action, Note) and isinstance(action.alert, str) and action.alert not in ("s", "c")


def _with_ids(action: AnyAction, directory: Directory) -> AnyAction:
    """Replace the names in an action by ids."""
    if isinstance(action, Set):
        properties, fields = _property_ids(action.properties, directory), _field_ids(action.fields, directory)
        return msgspec.structs.replace(action, properties=properties, fields=fields)
    if isinstance(action, Create):
        members = _property_ids(action.members, directory)
        members["category"] = directory.category(members["category"])
        if "fields" in members:
            members["fields"] = _field_ids(members["fields"], directory)
        return Create(members, action.files)
    if isinstance(action, SetContact):
        return SetContact(action.members, _contact_field_ids(action.fields, directory))
    if isinstance(action, Move):
        return Move(directory.category(action.category), action.note)
    if isinstance(action, Subscribe):
        return Subscribe(tuple(directory.staff_member(name) for name in action.staff))
    if isinstance(action, Unsubscribe):
        return Unsubscribe(tuple(directory.staff_member(name) for name in action.staff))
    if isinstance(action, Note) and action.alert is not None and _alerts_staff(action):
        return replace(action, alert=directory.staff_member(action.alert))
    return action


def _property_ids(values: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    return {
        name: value if value is None or name not in RESOLVE else RESOLVE[name](directory, value)
        for name, value in values.items()
    }


def _field_ids(fields: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    return {str(directory.field(name).id): directory.field_value(name, value) for name, value in fields.items()}


def _contact_field_ids(fields: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    return {
        str(directory.contact_field(name).id): directory.contact_field_value(name, value)
        for name, value in fields.items()
    }


def _with_names(effect: Effect, directory: Directory) -> Effect:
    """Add the names of the ids, for people who read the plan."""
    ids = {name: value for name, value in effect.set.items() if name in NAME_KINDS and isinstance(value, int)}
    names = {name: directory.name(NAME_KINDS[name], value) for name, value in ids.items()}
    names |= {f"#{field_id}": directory.name("field", int(field_id)) for field_id in effect.fields}
    names |= {f"@{member}": directory.name("staff", member) for member in effect.staff}
    if effect.kind == "contact":
        fields = effect.draft.get("fields", {})
        names |= {f"contact#{field_id}": directory.contact_field(int(field_id)).name for field_id in fields}
    if effect.kind in ("move", "create"):
        names["category"] = directory.name("category", effect.category)
    return replace(effect, names=names) if names else effect
