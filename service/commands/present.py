"""How a ticket stands at present: what waits, for what, until when, and why its handlers do not run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import redis

from service.commands.stops import stops
from service.commands.times import ahead
from service.commands.words import many
from workers.events.last_seen import decode
from workers.events.timers import Timer
from workers.lanes.keys import prefix
from workers.lanes.pauses import listed
from workers.settings import Account
from workers.turns.plan.owed import TICKET, whom
from workers.turns.plan.stored import decode_owed


@dataclass(frozen=True, slots=True)
class Waits:
    """What a handler, or several, are still to be shown: so many changes, at ``due`` (ms) or when a pause ends."""

    handler: str
    changes: int
    due: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Present:
    """How many events wait, when the lane is due (ms), if a worker holds it, what is owed, its timers.

    ``stopped`` says why handlers do not run, ``halted`` that the account takes no turn before it is resumed.
    """

    waiting: int
    due: int | None
    held: bool
    owed: tuple[Waits, ...]
    timers: tuple[Timer, ...]
    stopped: tuple[str, ...]
    halted: bool


def present_of(client: redis.Redis, account: Account, ticket: int) -> Present:
    """Reads how a ticket stands."""
    keys = prefix(account.name)
    due = client.zscore(keys + "sched", str(ticket))
    seen = decode(cast(bytes | None, client.get(f"{keys}ticket:{ticket}")))
    stored = decode_owed(cast(bytes | None, client.hget(f"{keys}turn:{ticket}", "owed")))
    paused = listed(cast(dict[bytes, bytes], client.hgetall(keys + "paused"))).get(("account", ""))
    return Present(
        waiting=client.llen(f"{keys}lane:{ticket}"),
        due=None if due is None else int(due),
        held=bool(client.hexists(keys + "own", str(ticket))),
        owed=tuple(
            Waits(each.handler, len(each.changes), each.due, each.paused) for each in stored if each.handler != TICKET
        ),
        timers=tuple(sorted(seen.timers, key=lambda timer: timer.due)) if seen else (),
        stopped=tuple(stops(client, account, ticket, seen)),
        halted=paused is not None and not paused.skip,
    )


def sentences(state: Present, now: int) -> Iterator[str]:
    """Says it in plain words; ``now`` in ms."""
    for stop in state.stopped:
        yield f"Handlers do not run: {stop}."
    if state.held:
        yield "A worker is at it."
        return
    if state.waiting and state.due is not None:
        when = "when the account is resumed" if state.halted else ahead(state.due, now)
        yield f"{many(state.waiting, 'event', 'wait')}; its next turn is due {when}."
    for each in state.owed:
        shown = f"{many(each.changes, 'change')} for {whom(each.handler)}" if each.changes else whom(each.handler)
        yield f"{shown}: waits for the end of the pause." if each.paused else f"{shown}: due {ahead(each.due, now)}."
    if state.waiting or state.owed:
        yield from (f"A {_timer(timer, now)}." for timer in state.timers)
    elif state.timers:
        yield "Nothing waits but " + "; ".join(_timer(timer, now) for timer in state.timers) + "."
    else:
        yield "Nothing waits."


def _timer(timer: Timer, now: int) -> str:
    unless = f", unless {' or '.join(timer.unless)} comes before" if timer.unless else ""
    return f"{timer.words}, due {ahead(timer.due, now)}{unless}"
