"""Running handlers on one event: no store, no network, no clock."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, NoReturn

from workers.events.change import Actor, Change, event_for
from workers.events.kinds import check
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Request
from workers.models.row import Message, Row
from workers.models.ticket import TicketRead
from workers.testing.result import Result, folded
from workers.testing.sample import NOON
from workers.turns.deciding.foreign import check as check_effect
from workers.turns.plugin.context import Context
from workers.turns.plugin.decide import decide, refusal
from workers.turns.plugin.intents import AnyIntent
from workers.turns.plugin.loading import settings_of
from workers.turns.plugin.permissions import denied
from workers.turns.plugin.router import Router
from workers.turns.steps import Wanted

ActorKind = Literal["contact", "staff", "rule", "us", "unknown"]


def run(
    router: Router,
    ticket: TicketRead,
    kind: str,
    *,
    by: ActorKind | Actor = "contact",
    text: str = "",
    name: str = "",
    changes: Sequence[Change] | None = None,
    settings: Any = None,
    now: datetime | None = None,
    allow: Iterable[str] = (),
) -> Result:
    """Runs the handlers of a router on one turn and gives what they wanted.

    The turn holds one change of `kind`, made `by` someone, with `text` as its message; or the `changes` given, which
    are then all there is. Of the kind `later` it is the timer of this `name`, of the kind `scheduled` the schedules of
    all handlers have found the ticket. `settings` is an instance, or a table as in the settings file; `allow` holds
    permissions, as `"reply"`.
    """
    now = now or NOON
    if changes is None:
        changes = _changes(router, ticket, kind, by, text, name, now)
        ticket = _with_message(ticket, changes[0])
    effects: dict[str, Any] = {}

    def act(wanted: Wanted) -> Any:
        check_effect(wanted)
        effects.setdefault(wanted.name, wanted.dry)
        return effects[wanted.name]

    context = Context(
        ticket=ticket.id,
        now=now,
        settings=_settings(router, settings),
        log=logging.getLogger(f"handlers.{router.name}"),
        happyfox=Client(_no_call, reads_only=True),
        act=act,
    )
    grants = frozenset((router.name, permission) for permission in allow)
    intents: list[AnyIntent] = []
    refused: dict[str, list[str]] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, Exception] = {}
    for handler in router.handlers:
        event = event_for("test", handler.kinds, tuple(changes))
        if event is None:
            continue
        try:
            if reason := refusal(handler, ticket, event, now, context.settings):
                skipped[handler.name] = reason
                continue
            wanted = decide(handler, ticket, event, context)
        except Exception as error:
            failed[handler.name] = error
            continue
        for intent in wanted:
            if line := denied(intent, router.name, grants):
                refused.setdefault(handler.name, []).append(line)
            else:
                intents.append(intent)
    return replace(folded(intents, ticket.tags), denied=refused, skipped=skipped, failed=failed, effects=effects)


def _changes(
    router: Router, ticket: TicketRead, kind: str, by: ActorKind | Actor, text: str, name: str, now: datetime
) -> tuple[Change, ...]:
    if kind == "later":
        if not any(name in handler.receives for handler in router.handlers):
            raise ValueError(f"no handler of router {router.name!r} receives the timer {name!r}; write name=...")
        return (Change(kind=kind, at=now, name=name, to=router.name),)
    if kind == "scheduled":
        found = [handler.name for handler in router.handlers if handler.every]
        if not found:
            raise ValueError(f"no handler of router {router.name!r} has a schedule: put @router.every above one")
        return tuple(Change(kind=kind, at=now, to=handler) for handler in found)
    return (_change(ticket, check(kind), by, text, now),)


def _change(ticket: TicketRead, kind: str, by: ActorKind | Actor, text: str, now: datetime) -> Change:
    actor = by if isinstance(by, Actor) else Actor(by)
    said = text or (ticket.first_message if kind == "ticket-created" else "")
    newest = max((row.id for row in ticket.history), default=0)
    return Change(kind=kind, at=now, update_id=newest + 1, actor=actor, text=said)


def _with_message(ticket: TicketRead, change: Change) -> TicketRead:
    """The engine reads a ticket after what happened to it, so a message of the change is in its history."""
    if change.kind not in ("contact-replied", "staff-replied", "note-added") or change.update_id is None:
        return ticket
    actor = change.actor
    row = Row(
        id=change.update_id,
        at=change.at,
        author="staff" if actor.kind == "us" else actor.kind,
        author_id=actor.id,
        author_name=actor.name,
        message=Message(change.text, "", private=change.kind == "note-added", forwarded=False, attachments=()),
        changes={},
        raw={},
    )
    return replace(ticket, history=(*ticket.history, row))


def _settings(router: Router, given: Any) -> Any:
    if router.settings is not None and isinstance(given, router.settings):
        return given
    if given is not None and not isinstance(given, Mapping):
        wanted = router.settings.__name__ if router.settings else "none"
        raise TypeError(f"settings are a {type(given).__name__}; router {router.name!r} wants {wanted}, or a table")
    return settings_of(router, given or {})


def _no_call(request: Request) -> NoReturn:
    raise RuntimeError(
        f"ctx.happyfox asked for {request.path}: the test kit has no network; pass what the handler needs by the ticket"
    )
