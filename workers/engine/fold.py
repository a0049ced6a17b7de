"""Merge the actions of all handlers into the fewest effects, in the order in which they will be performed.

Messages are never merged or dropped, except equal notes of one turn. Order: tags, messages as recorded, forwards,
subscriptions and new tickets, moves, deletion last. What a reply sets goes with this reply, so that neither happens
alone. Other properties go with the last message, or into one staff update of their own. Actions that would change
nothing are left out to save the call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from workers.engine.plan import Effect, Pending
from workers.errors import GiveUp
from workers.happyfox import tickets
from workers.happyfox.directory import Directory, NameKind
from workers.happyfox.messages import Request
from workers.plugins.actions import (
    AnyAction,
    Create,
    Delete,
    Forward,
    Move,
    Note,
    Reply,
    Set,
    Subscribe,
    Tags,
    TicketAction,
    tag_changes,
)
from workers.plugins.state import StateRead
from workers.tickets.model import TicketRead, mapping
from workers.tickets.snapshot import properties


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


def fold(requested: Sequence[HandlerActions], ticket: TicketRead, directory: Directory | None) -> Folded:
    """Merge actions, given in the order of the routers; leave out handlers that use an unknown name."""
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
        folded.effects = [_with_names(effect, directory) for effect in folded.effects]
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
    return len(sent) - sum(isinstance(one, Reply) and isinstance(two, Set) for one, two in pairwise(sent))


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
    for handler, action, by_person, reply in asked:
        if not isinstance(action, Set):
            continue
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
    return {reply: _set(own) for reply, own in carried.items()}


def _set(values: Mapping[str, Value]) -> Effect:
    return Effect(
        kind="properties",
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
    )


def _in_order(asked: Sequence[Asked], ticket: TicketRead, properties: dict[int, Effect]) -> list[Effect]:
    """Return the effects of all other actions, with the properties where they belong."""
    messages: list[Effect] = []
    others: list[Effect] = []
    moves: list[Effect] = []
    deletion: list[Effect] = []
    for handler, action, by_person, part_of in asked:
        if isinstance(action, Note):
            same = (at for at, effect in enumerate(messages) if effect.kind == "note" and effect.html == action.html)
            if (at := next(same, None)) is None:
                note = Effect(kind="note", handler=handler, html=action.html, alert=action.alert)
                messages.append(replace(note, by_person=by_person, time_spent=action.time_spent))
            else:
                messages[at] = replace(messages[at], by_person=messages[at].by_person and by_person)
        elif isinstance(action, Reply):
            reply = {**msgspec.structs.asdict(action), "last_staff_message": _last_staff_message(ticket)}
            effect = Effect(kind="reply", handler=handler, by_person=by_person, **reply)
            if own := properties.get(part_of):
                effect = replace(_carry(effect, own), parts=tuple(own.owners))
            messages.append(effect)
        elif isinstance(action, Forward):
            effect = Effect(kind="forward", handler=handler, to=action.to, subject=action.subject, html=action.message)
            others.append(replace(effect, by_person=by_person))
        elif isinstance(action, Subscribe):
            staff = tuple(map(int, action.staff))
            others.append(Effect(kind="subscribe", handler=handler, staff=staff, by_person=by_person))
        elif isinstance(action, Create):
            draft = dict(action.members)
            told = {name: draft.pop(name) for name in ("subject", "html", "category")}
            others.append(Effect(kind="create", handler=handler, draft=draft, by_person=by_person, **told))
        elif isinstance(action, Move) and action.category != ticket.category.id:
            move = Effect(kind="move", handler=handler, category=int(action.category), html=action.note)
            moves = [replace(move, by_person=by_person)]
        elif isinstance(action, Delete):
            deletion = [Effect(kind="delete", handler=handler, by_person=by_person)]
    if alone := properties.get(ALONE):
        messages[-1:] = [_carry(messages[-1], alone) if messages else alone]
    return [*messages, *others, *moves, *deletion]


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

#: The kind of name that each property has.
NAME_KINDS: dict[str, NameKind] = {"status": "status", "priority": "priority", "assignee": "staff"}


def needs_directory(requested: Sequence[HandlerActions]) -> bool:
    """Return whether any action uses a name that must be replaced by an id."""
    actions = [action for each in requested for action in each.actions]
    return any(isinstance(action, Set | Move | Subscribe | Create) or _alerts_staff(action) for action in actions)


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
        return Create(members)
    if isinstance(action, Move):
        return Move(directory.category(action.category), action.note)
    if isinstance(action, Subscribe):
        return Subscribe(tuple(directory.staff_member(name) for name in action.staff))
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


def _with_names(effect: Effect, directory: Directory) -> Effect:
    """Add the names of the ids, for people who read the plan."""
    ids = {name: value for name, value in effect.set.items() if name in NAME_KINDS and isinstance(value, int)}
    names = {name: directory.name(NAME_KINDS[name], value) for name, value in ids.items()}
    names |= {f"#{field_id}": directory.name("field", int(field_id)) for field_id in effect.fields}
    names |= {f"@{member}": directory.name("staff", member) for member in effect.staff}
    if effect.kind in ("move", "create"):
        names["category"] = directory.name("category", effect.category)
    return replace(effect, names=names) if names else effect


def request(effect: Effect, ticket: int, staff: int) -> Request:
    """Return the call that performs an effect on a ticket, written as a staff member."""
    if effect.kind == "tags":
        return tickets.update_tags(ticket, effect.add, effect.remove, staff)
    if effect.kind == "note":
        alert: Any = effect.alert  # "s", "c" or a staff id: names were replaced
        return tickets.private_note(ticket, staff=staff, html=effect.html, alert=alert, **_members(effect))
    if effect.kind in ("reply", "properties"):
        reply: dict[str, Any] = {}
        if effect.kind == "reply":
            reply = {"html": effect.html, "update_customer": effect.notify, "cc": effect.cc, "bcc": effect.bcc}
            reply["last_staff_message"] = effect.last_staff_message
        return tickets.staff_update(ticket, staff=staff, **reply, **_members(effect))
    if effect.kind == "forward":
        return tickets.forward(ticket, staff_id=staff, to=effect.to, subject=effect.subject, message=effect.html)
    if effect.kind == "subscribe":
        return tickets.subscribe(ticket, staff_id=staff, others=effect.staff)
    if effect.kind == "create":
        own = {"subject": effect.subject, "html": effect.html, "category": effect.category}
        return tickets.create_ticket({**effect.draft, **own, "fields": _fields(effect.draft.get("fields", {}))})
    if effect.kind == "move":
        return tickets.move(ticket, staff_id=staff, target_category_id=effect.category, note=effect.html)
    return tickets.delete(ticket, staff_id=staff)


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    return {tickets.ticket_field(int(field_id)): value for field_id, value in values.items()}


def _members(effect: Effect) -> dict[str, Any]:
    """Return the properties and the time of a staff update or a note."""
    return {**effect.set, "fields": _fields(effect.fields), "time_spent": effect.time_spent or None}
