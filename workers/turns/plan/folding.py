"""Folding: from the intents of all handlers to the fewest effects, in the order they will be performed. Pure.

Messages are never merged or dropped, except equal notes of one turn. Order: tags, then messages as recorded, forwards
and subscriptions, moves, deletion last. Properties ride on the last message, or make one staff update of their own.
What the ticket already shows is left out: it would cost a call and change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from workers.errors import GiveUp
from workers.events.last_seen import properties
from workers.happyfox.directory import Directory
from workers.models.ticket import TicketRead
from workers.turns.plan.effects import Effect
from workers.turns.plan.naming import resolved, shown
from workers.turns.plan.wishes import Wish, calls
from workers.turns.plugin.intents import (
    AnyIntent,
    Create,
    Delete,
    Forward,
    Move,
    Note,
    Reply,
    Set,
    Subscribe,
    Tags,
)


@dataclass(slots=True)
class Folded:
    """The effects of a turn, by its key each wish whose names HappyFox does not know, and remarks for the trail.

    ``saved`` counts the calls that folding saved: those of all wishes, had each been sent by itself, less the effects.
    """

    effects: list[Effect] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    saved: int = 0


def fold(wishes: Sequence[Wish], ticket: TicketRead, directory: Directory | None) -> Folded:
    """Folds the wishes, given in the order of the routers; a handler that names something unknown is left out whole."""
    folded = Folded()
    known: list[Wish] = []
    for wish in wishes:
        try:
            known.append(Wish(wish.handler, tuple(resolved(each, directory) for each in wish.intents)))
        except GiveUp as error:
            folded.failed[wish.key] = str(error)
    flat = [(wish.handler, each) for wish in known for each in wish.intents]
    messages = _messages(flat, ticket)
    folded.effects += _tags(flat, ticket, folded.remarks)
    folded.effects += _with_properties(messages, _properties(flat, ticket, folded.remarks))
    folded.effects += _others(flat, ticket)
    if directory is not None:
        folded.effects = [shown(effect, directory) for effect in folded.effects]
    folded.saved = sum(map(calls, known)) - len(folded.effects)
    return folded


def _tags(flat: Sequence[tuple[str, AnyIntent]], ticket: TicketRead, remarks: list[str]) -> list[Effect]:
    wanted: dict[str, tuple[str, str]] = {}
    for handler, intent in flat:
        if isinstance(intent, Tags):
            wanted |= dict.fromkeys(intent.add, ("+", handler))
            wanted |= dict.fromkeys(intent.remove, ("-", handler))
    news = {tag: sign for tag, sign in wanted.items() if (sign[0] == "+") != (tag in ticket.tags)}
    remarks += [f"tag {sign}{tag}: already so" for tag, (sign, _) in wanted.items() if tag not in news]
    if not news:
        return []
    return [
        Effect(
            sort="tags",
            add=tuple(tag for tag, (sign, _) in news.items() if sign == "+"),
            remove=tuple(tag for tag, (sign, _) in news.items() if sign == "-"),
            owners={f"{sign}{tag}": handler for tag, (sign, handler) in news.items()},
        )
    ]


def _messages(flat: Sequence[tuple[str, AnyIntent]], ticket: TicketRead) -> list[Effect]:
    found: list[Effect] = []
    notes: set[str] = set()
    for handler, intent in flat:
        if isinstance(intent, Note):
            if intent.html in notes:
                continue
            notes.add(intent.html)
            found.append(Effect(sort="note", handler=handler, html=intent.html, alert=intent.alert))
        elif isinstance(intent, Reply):
            found.append(
                Effect(
                    sort="reply",
                    handler=handler,
                    html=intent.html,
                    notify=intent.notify,
                    cc=intent.cc,
                    bcc=intent.bcc,
                    last_staff_message=_last_staff_message(ticket),
                )
            )
    return found


def _last_staff_message(ticket: TicketRead) -> int | None:
    """Gives the newest message of a staff member, by which HappyFox may tell a collision (KB 1039).

    Its id is that of its row where the message has none of its own (assumed).
    """
    for row in reversed(ticket.history):
        if row.author == "staff" and row.message is not None and not row.message.private:
            own = row.raw.get("message", {}).get("id") if isinstance(row.raw.get("message"), dict) else None
            return own if isinstance(own, int) else row.id
    return None


@dataclass(frozen=True, slots=True)
class _Properties:
    set: dict[str, int | str | None]
    fields: dict[str, Any]
    owners: dict[str, str]


def _properties(flat: Sequence[tuple[str, AnyIntent]], ticket: TicketRead, remarks: list[str]) -> _Properties:
    """Collects properties and fields; of two values for one the later handler's wins, and the loser is named."""
    wanted: dict[str, tuple[Any, str]] = {}
    for handler, intent in flat:
        if not isinstance(intent, Set):
            continue
        values = {**intent.properties, **{f"#{name}": value for name, value in intent.fields.items()}}
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


def _others(flat: Sequence[tuple[str, AnyIntent]], ticket: TicketRead) -> list[Effect]:
    forwards: list[Effect] = []
    moves: list[Effect] = []
    last: list[Effect] = []
    for handler, intent in flat:
        if isinstance(intent, Forward):
            forwards.append(
                Effect(sort="forward", handler=handler, to=intent.to, subject=intent.subject, html=intent.message)
            )
        elif isinstance(intent, Subscribe):
            forwards.append(Effect(sort="subscribe", handler=handler, staff=tuple(int(each) for each in intent.staff)))
        elif isinstance(intent, Create):
            forwards.append(_creation(handler, intent.members))
        elif isinstance(intent, Move) and intent.category != ticket.category.id:
            moves = [Effect(sort="move", handler=handler, category=int(intent.category), html=intent.note)]
        elif isinstance(intent, Delete):
            last = [Effect(sort="delete", handler=handler)]
    return [*forwards, *moves, *last]


def _creation(handler: str, members: Mapping[str, Any]) -> Effect:
    draft = dict(members)
    subject, html, category = draft.pop("subject"), draft.pop("html"), draft.pop("category")
    return Effect(sort="create", handler=handler, subject=subject, html=html, category=category, draft=draft)
