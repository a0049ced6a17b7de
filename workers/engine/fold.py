"""Folding: from the intents of all handlers to the fewest effects, in the order they will be performed. Pure.

Messages are never merged or dropped, except equal notes of one turn. Order: tags, then messages as recorded, forwards
and subscriptions, moves, deletion last. Properties ride on the last message, or make one staff update of their own.
What the ticket already shows is left out: it would cost a call and change nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import msgspec

from workers.engine.plan import Effect, Pending
from workers.errors import GiveUp
from workers.happyfox import tickets
from workers.happyfox.directory import Directory, NameKind
from workers.happyfox.messages import UNSET, Request
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
)
from workers.tickets.model import TicketRead
from workers.tickets.snapshot import properties

# Naming: what handlers name goes to HappyFox by its id, and what a person reads in a plan has its name beside it.


#: How the names of each property become ids.
RESOLVE: dict[str, Callable[[Directory, int | str], int]] = {
    "status": Directory.status,
    "priority": Directory.priority,
    "assignee": Directory.staff_member,
}

#: In which list each property's id has its name.
SORTS: dict[str, NameKind] = {"status": "status", "priority": "priority", "assignee": "staff"}


def named(action: AnyAction) -> bool:
    """Tells whether an intent names a thing that HappyFox knows by an id."""
    return isinstance(action, Set | Move | Subscribe | Create) or _alerts(action)


def resolved(action: AnyAction, directory: Directory | None) -> AnyAction:
    """Turns names into ids; without a directory there is nothing to turn."""
    if directory is None:
        return action
    if isinstance(action, Set):
        values = {
            name: value if value is None or name not in RESOLVE else RESOLVE[name](directory, value)
            for name, value in action.properties.items()
        }
        return Set(values, _fields(action.fields, directory))
    if isinstance(action, Create):
        return Create(_members(action.members, directory))
    if isinstance(action, Move):
        return Move(directory.category(action.category), action.note)
    if isinstance(action, Subscribe):
        return Subscribe(tuple(directory.staff_member(each) for each in action.staff))
    if isinstance(action, Note) and action.alert is not None and _alerts(action):
        return msgspec.structs.replace(action, alert=directory.staff_member(action.alert))
    return action


def _fields(fields: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    return {str(directory.field(name).id): directory.field_value(name, value) for name, value in fields.items()}


def _members(members: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    """Turns the names among the members of a ticket to be created into ids."""
    found = dict(members)
    found["category"] = directory.category(members["category"])
    found |= {name: RESOLVE[name](directory, found[name]) for name in ("priority", "assignee") if name in found}
    if "fields" in found:
        found["fields"] = _fields(found["fields"], directory)
    return found


def _alerts(action: AnyAction) -> bool:
    return isinstance(action, Note) and isinstance(action.alert, str) and action.alert not in ("s", "c")


def shown(effect: Effect, directory: Directory) -> Effect:
    """Adds the names behind its ids, so that a person who reads the plan needs no list beside it."""
    names = {
        name: directory.name(sort, value)
        for name, sort in SORTS.items()
        if isinstance(value := effect.set.get(name), int)
    }
    names |= {f"#{identity}": directory.name("field", int(identity)) for identity in effect.fields}
    names |= {f"@{one}": directory.name("staff", one) for one in effect.staff}
    if effect.sort in ("move", "create"):
        names["category"] = directory.name("category", effect.category)
    return msgspec.structs.replace(effect, names=names) if names else effect


# Wishes: what handlers want, before it is folded. Pure.


@dataclass(frozen=True, slots=True)
class HandlerActions:
    """What one handler wants, in the order it recorded it; of an effect wanted again ``debt`` tells which."""

    handler: str
    actions: tuple[AnyAction, ...]
    work: Pending | None = None

    @property
    def key(self) -> str:
        """What it is called where several of a handler's must be told apart."""
        return self.work.dead_letter if self.work else self.handler


def needs_directory(requested: Sequence[HandlerActions]) -> bool:
    """Tells whether any intent names a thing that HappyFox knows by an id."""
    return any(named(each) for asked in requested for each in asked.actions)


def calls(asked: HandlerActions) -> int:
    """Counts the calls of a wish sent by itself: one for each intent, but the properties of a reply go with it."""
    sent = [each for each in asked.actions if isinstance(each, TicketAction | Create)]
    return len(sent) - sum(isinstance(one, Reply) and isinstance(two, Set) for one, two in pairwise(sent))


@dataclass(slots=True)
class Folded:
    """The effects of a turn, by its key each wish whose names HappyFox does not know, and remarks for the trail.

    ``saved`` counts the calls that folding saved: those of all wishes, had each been sent by itself, less the effects.
    """

    effects: list[Effect] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    saved: int = 0


def fold(requested: Sequence[HandlerActions], ticket: TicketRead, directory: Directory | None) -> Folded:
    """Folds the wishes, given in the order of the routers; a handler that names something unknown is left out whole."""
    folded = Folded()
    known: list[HandlerActions] = []
    for asked in requested:
        try:
            known.append(HandlerActions(asked.handler, tuple(resolved(each, directory) for each in asked.actions)))
        except GiveUp as error:
            folded.failed[asked.key] = str(error)
    flat = [(asked.handler, each) for asked in known for each in asked.actions]
    messages = _messages(flat, ticket)
    folded.effects += _tags(flat, ticket, folded.remarks)
    folded.effects += _with_properties(messages, _properties(flat, ticket, folded.remarks))
    folded.effects += _others(flat, ticket)
    if directory is not None:
        folded.effects = [shown(effect, directory) for effect in folded.effects]
    folded.saved = sum(map(calls, known)) - len(folded.effects)
    return folded


def _tags(flat: Sequence[tuple[str, AnyAction]], ticket: TicketRead, remarks: list[str]) -> list[Effect]:
    wanted: dict[str, tuple[str, str]] = {}
    for handler, action in flat:
        if isinstance(action, Tags):
            wanted |= dict.fromkeys(action.add, ("+", handler))
            wanted |= dict.fromkeys(action.remove, ("-", handler))
    diff = {tag: sign for tag, sign in wanted.items() if (sign[0] == "+") != (tag in ticket.tags)}
    remarks += [f"tag {sign}{tag}: already so" for tag, (sign, _) in wanted.items() if tag not in diff]
    if not diff:
        return []
    return [
        Effect(
            sort="tags",
            add=tuple(tag for tag, (sign, _) in diff.items() if sign == "+"),
            remove=tuple(tag for tag, (sign, _) in diff.items() if sign == "-"),
            owners={f"{sign}{tag}": handler for tag, (sign, handler) in diff.items()},
        )
    ]


def _messages(flat: Sequence[tuple[str, AnyAction]], ticket: TicketRead) -> list[Effect]:
    found: list[Effect] = []
    notes: set[str] = set()
    for handler, action in flat:
        if isinstance(action, Note):
            if action.html in notes:
                continue
            notes.add(action.html)
            found.append(Effect(sort="note", handler=handler, html=action.html, alert=action.alert))
        elif isinstance(action, Reply):
            found.append(
                Effect(
                    sort="reply",
                    handler=handler,
                    html=action.html,
                    notify=action.notify,
                    cc=action.cc,
                    bcc=action.bcc,
                    last_staff_message=_last_staff_message(ticket),
                )
            )
    return found


def _last_staff_message(ticket: TicketRead) -> int | None:
    """Gives the newest message of a staff member, by which HappyFox may tell a collision (KB 1039).

    Its id is that of its row where the message has none of its own (assumed).
    """
    for update in reversed(ticket.history):
        if update.author == "staff" and update.message is not None and not update.message.private:
            own = update.raw.get("message", {}).get("id") if isinstance(update.raw.get("message"), dict) else None
            return own if isinstance(own, int) else update.id
    return None


@dataclass(frozen=True, slots=True)
class _Properties:
    set: dict[str, int | str | None]
    fields: dict[str, Any]
    owners: dict[str, str]


def _properties(flat: Sequence[tuple[str, AnyAction]], ticket: TicketRead, remarks: list[str]) -> _Properties:
    """Collects properties and fields; of two values for one the later handler's wins, and the loser is named."""
    wanted: dict[str, tuple[Any, str]] = {}
    for handler, action in flat:
        if not isinstance(action, Set):
            continue
        values = {**action.properties, **{f"#{name}": value for name, value in action.fields.items()}}
        for name, value in values.items():
            before = wanted.get(name)
            if before is not None and before[0] != value and before[1] != handler:
                remarks.append(f"{handler} overrides {before[1]}: {name.replace('#', 'field ')}")
            wanted[name] = (value, handler)
    now = properties(ticket)
    same = {name for name, each in wanted.items() if now.get(name) == _comparable(each[0])}
    remarks += [f"{name}: already so" for name in wanted if name in same]
    wanted = {name: each for name, each in wanted.items() if name not in same}
    return _Properties(
        {name: value for name, (value, _) in wanted.items() if not name.startswith("#")},
        {name[1:]: value for name, (value, _) in wanted.items() if name.startswith("#")},
        {name: handler for name, (_, handler) in wanted.items()},
    )


def _comparable(value: object) -> str:
    return "" if value is None else str(value)


def _with_properties(messages: list[Effect], wanted: _Properties) -> list[Effect]:
    if not wanted.owners:
        return messages
    last = messages[-1] if messages else Effect(sort="properties")
    carrier = msgspec.structs.replace(
        last, set=wanted.set, fields=wanted.fields, owners={**last.owners, **wanted.owners}
    )
    return [*messages[:-1], carrier]


def _others(flat: Sequence[tuple[str, AnyAction]], ticket: TicketRead) -> list[Effect]:
    forwards: list[Effect] = []
    moves: list[Effect] = []
    last: list[Effect] = []
    for handler, action in flat:
        if isinstance(action, Forward):
            forwards.append(
                Effect(sort="forward", handler=handler, to=action.to, subject=action.subject, html=action.message)
            )
        elif isinstance(action, Subscribe):
            forwards.append(Effect(sort="subscribe", handler=handler, staff=tuple(int(each) for each in action.staff)))
        elif isinstance(action, Create):
            forwards.append(_creation(handler, action.members))
        elif isinstance(action, Move) and action.category != ticket.category.id:
            moves = [Effect(sort="move", handler=handler, category=int(action.category), html=action.note)]
        elif isinstance(action, Delete):
            last = [Effect(sort="delete", handler=handler)]
    return [*forwards, *moves, *last]


def _creation(handler: str, members: Mapping[str, Any]) -> Effect:
    draft = dict(members)
    subject, html, category = draft.pop("subject"), draft.pop("html"), draft.pop("category")
    return Effect(sort="create", handler=handler, subject=subject, html=html, category=category, draft=draft)


# Effects as calls: the one place that knows which endpoint carries which effect.


def request(effect: Effect, ticket: int, staff: int) -> Request:
    """Gives the call that performs an effect on a ticket, written as a staff member."""
    if effect.sort == "tags":
        return tickets.update_tags(ticket, effect.add, effect.remove, staff)
    if effect.sort == "note":
        return tickets.private_note(
            ticket, staff=staff, html=effect.html, alert=_alert(effect.alert), **_property_members(effect)
        )
    if effect.sort == "reply":
        return tickets.staff_update(
            ticket,
            staff=staff,
            html=effect.html,
            update_customer=effect.notify,
            cc=effect.cc,
            bcc=effect.bcc,
            last_staff_message=effect.last_staff_message,
            **_property_members(effect),
        )
    if effect.sort == "properties":
        return tickets.staff_update(ticket, staff=staff, **_property_members(effect))
    if effect.sort == "forward":
        return tickets.forward(ticket, staff_id=staff, to=effect.to, subject=effect.subject, message=effect.html)
    if effect.sort == "subscribe":
        return tickets.subscribe(ticket, staff_id=staff, others=effect.staff)
    if effect.sort == "create":
        return tickets.create_ticket(_draft(effect))
    if effect.sort == "move":
        return tickets.move(ticket, staff_id=staff, target_category_id=effect.category, note=effect.html)
    return tickets.delete(ticket, staff_id=staff)


def _draft(effect: Effect) -> dict[str, Any]:
    draft = {**effect.draft, "subject": effect.subject, "html": effect.html, "category": effect.category}
    values = draft.pop("fields", {})
    return {**draft, "fields": {tickets.ticket_field(int(identity)): value for identity, value in values.items()}}


def _property_members(effect: Effect) -> dict[str, Any]:
    due = effect.set.get("due_date", UNSET)
    return {
        "status": effect.set.get("status"),
        "priority": effect.set.get("priority"),
        "assignee": effect.set.get("assignee", UNSET),
        "due_date": date.fromisoformat(due) if isinstance(due, str) else due,
        "fields": {tickets.ticket_field(int(identity)): value for identity, value in effect.fields.items()},
    }


def _alert(alert: int | str | None) -> Any:
    """Passes on ``s``, ``c`` or a staff id, which is all that is left after folding."""
    return alert
