"""Replays: a refused effect is performed again by itself; its handler does not run.

The actions of another ticket's handler are treated the same way. Both pass the checks that all actions pass:
permissions, names, what a person did meanwhile. The handler's other actions are not repeated.
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

#: How the reasons of verdicts begin that do not come from a run of a handler on this ticket.
AGAIN, HANDED = PREFIXES = "replay:", "from ticket"


def requested_actions(work: Pending) -> HandlerActions:
    """Return the actions that perform a dead letter's effect again, or those of another ticket's handler."""
    return HandlerActions(work.handler, work.actions if work.effect is None else _actions(work.effect), work)


def summary(work: Pending) -> str:
    """Describe what is to be done and why."""
    if work.effect is not None:
        return f"{AGAIN} {work.effect.summary}"
    return f"{HANDED} {work.origin}: {', '.join(dict.fromkeys(action.word for action in work.actions))}"


def refusal(context: TurnContext, requested: HandlerActions, stopped: str) -> str:
    """Return why the actions must not be performed now, or nothing."""
    router, allow = router_of(requested.handler), context.config.allow
    missing = [line for action in requested.actions if (line := denied(action, router, allow))]
    if missing:
        return f"no longer allowed; add {' and '.join(missing)}"
    return f"{stopped}; replay this then" if stopped else ""


def find_update(reading: Reading, work: Pending) -> int | None:
    """Return the update that shows that an effect in doubt has happened after all."""
    if work.effect is None or work.doubt is None:
        return None
    staff, effect, doubt = work.doubt.staff, work.effect, work.doubt
    updates = [
        update for update in reading.ticket.history if update.id > doubt.floor and update.id not in doubt.other_updates
    ]
    if effect.kind == "forward":
        return next((update.id for update in updates if is_forward(effect, update, staff)), None)
    return attribute([fingerprint(effect, staff)], updates).get(0)


def rename_unknown(requested: HandlerActions, names: Directory | None) -> HandlerActions:
    """Replace ids that HappyFox no longer knows with the names they had, so that the names are resolved again."""
    if requested.work is None or requested.work.effect is None or names is None:
        return requested
    return HandlerActions(requested.handler, _actions(requested.work.effect, names), requested.work)


def _actions(effect: Effect, names: Directory | None = None) -> tuple[AnyAction, ...]:
    """Return the actions that the effect was merged from."""

    def current(key: str, id: int, find: Callable[[Directory, int], object]) -> NameOrId:
        if names is None or key not in effect.names:
            return id
        try:
            find(names, id)
        except UnknownName:
            return effect.names[key]
        return id

    actions: list[AnyAction] = []
    match effect.kind:
        case "tags":
            actions.append(Tags(effect.add, effect.remove))
        case "note":
            actions.append(Note(effect.html, effect.alert))
        case "reply":
            actions.append(Reply(effect.html, effect.notify, effect.cc, effect.bcc))
        case "forward":
            actions.append(Forward(effect.to, effect.subject, effect.html))
        case "subscribe":
            actions.append(Subscribe(tuple(current(f"@{one}", one, Directory.staff_member) for one in effect.staff)))
        case "move":
            actions.append(Move(current("category", effect.category, Directory.category), effect.html))
        case "create":
            members = {**effect.draft, "subject": effect.subject, "html": effect.html}
            members["category"] = current("category", effect.category, Directory.category)
            members["fields"] = {int(id): value for id, value in effect.draft.get("fields", {}).items()}
            actions.append(Create(members))
        case "delete":
            actions.append(Delete())
    properties = {
        name: current(name, value, RESOLVE[name]) if isinstance(value, int) and name in RESOLVE else value
        for name, value in effect.set.items()
    }
    fields: dict[Any, Any] = {current(f"#{id}", int(id), Directory.field): value for id, value in effect.fields.items()}
    if properties or fields:
        actions.append(Set(properties, fields))
    return tuple(actions)
