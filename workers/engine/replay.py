"""Replaying: a refused effect is brought about again by itself; its handler, which has had its say, is not asked.

So is what a handler wants from another ticket's turn. Both go the way of every intent: permissions, names, what a
person did meanwhile. What else the handler wanted then, and what of it has happened, stays as it is.
"""

from collections.abc import Callable
from typing import Any

from workers.engine.context import TurnContext
from workers.engine.fold import RESOLVE, HandlerActions
from workers.engine.plan import Effect, Pending, fingerprint
from workers.engine.read import Reading
from workers.engine.reconcile import is_forward
from workers.errors import UnknownName
from workers.happyfox.directory import Directory
from workers.plugins.actions import AnyAction, Create, Delete, Forward, Move, Note, Reply, Set, Subscribe, Tags, denied
from workers.plugins.arguments import NameOrId
from workers.plugins.router import router_of
from workers.tickets.snapshot import attribute

#: How the verdicts begin that no run of a handler on this ticket has led to.
AGAIN, HANDED = "replay:", "from ticket"


def requested_actions(work: Pending) -> HandlerActions:
    """Gives what brings the effect about again; what a handler of another ticket wants stands there as it is."""
    return HandlerActions(work.handler, work.actions if work.effect is None else _actions(work.effect), work)


def words(work: Pending) -> str:
    """Says what is wanted and why."""
    if work.effect is not None:
        return f"{AGAIN} {work.effect.summary}"
    return f"{HANDED} {work.origin}: {', '.join(dict.fromkeys(each.word for each in work.actions))}"


def refusal(context: TurnContext, wanted: HandlerActions, tripped: str) -> str:
    """Says why it cannot be brought about now, or nothing."""
    router = router_of(wanted.handler)
    lines = [line for each in wanted.actions if (line := denied(each, router, context.config.allow))]
    if lines:
        return f"not allowed any more; add {' and '.join(lines)}"
    return f"{tripped}; replay this then" if tripped else ""


def landed(reading: Reading, work: Pending) -> int | None:
    """Gives the row by which an effect that may have happened shows by now that it has."""
    if work.effect is None or work.doubt is None:
        return None
    staff, effect = work.doubt.staff, work.effect
    updates = [
        update
        for update in reading.ticket.history
        if update.id > work.doubt.floor and update.id not in work.doubt.other_updates
    ]
    if effect.kind == "forward":
        return next((update.id for update in updates if is_forward(effect, update, staff)), None)
    return attribute([fingerprint(effect, staff)], updates).get(0)


def renew(wanted: HandlerActions, names: Directory | None) -> HandlerActions:
    """Puts the ids that HappyFox does not know any more back into the names they had, so that these are looked up."""
    if wanted.work is None or wanted.work.effect is None or names is None:
        return wanted
    return HandlerActions(wanted.handler, _actions(wanted.work.effect, names), wanted.work)


def _actions(effect: Effect, names: Directory | None = None) -> tuple[AnyAction, ...]:
    """Gives the intents that an effect was folded from, as far as it is their handler's own."""

    def now(key: str, id: int, find: Callable[[Directory, int], object]) -> NameOrId:
        if names is None or key not in effect.names:
            return id
        try:
            find(names, id)
        except UnknownName:
            return effect.names[key]
        return id

    found: list[AnyAction] = []
    if effect.kind == "tags":
        found.append(Tags(effect.add, effect.remove))
    elif effect.kind == "note":
        found.append(Note(effect.html, effect.alert))
    elif effect.kind == "reply":
        found.append(Reply(effect.html, effect.notify, effect.cc, effect.bcc))
    elif effect.kind == "forward":
        found.append(Forward(effect.to, effect.subject, effect.html))
    elif effect.kind == "subscribe":
        found.append(Subscribe(tuple(now(f"@{one}", one, Directory.staff_member) for one in effect.staff)))
    elif effect.kind == "move":
        found.append(Move(now("category", effect.category, Directory.category), effect.html))
    elif effect.kind == "create":
        members = {**effect.draft, "subject": effect.subject, "html": effect.html}
        members["category"] = now("category", effect.category, Directory.category)
        members["fields"] = {int(id): value for id, value in effect.draft.get("fields", {}).items()}
        found.append(Create(members))
    elif effect.kind == "delete":
        found.append(Delete())
    properties = {
        name: now(name, value, RESOLVE[name]) if isinstance(value, int) and name in RESOLVE else value
        for name, value in effect.set.items()
    }
    fields: dict[Any, Any] = {now(f"#{id}", int(id), Directory.field): value for id, value in effect.fields.items()}
    if properties or fields:
        found.append(Set(properties, fields))
    return tuple(found)
