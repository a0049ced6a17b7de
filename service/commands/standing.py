"""How an account stands, read from the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import redis

from service.access import Accounts
from workers.governor.governor import Forecast, Governor
from workers.governor.outlook import outlook
from workers.lanes.keys import prefix
from workers.lanes.pauses import listed
from workers.lanes.rounds import State, decode
from workers.lanes.store import Store
from workers.settings import Account

#: Lanes looked at for the oldest event and the number that wait.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Count:
    """How many deliveries, and when the last of them came (ms)."""

    count: int
    last: int


@dataclass(frozen=True, slots=True)
class Timers:
    """How many tickets wait for a timer alone, and when the first of them is due (ms)."""

    tickets: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Paused:
    """A pause: of an account, router or ticket, by its name, since when (ms), by whom, and whether it skips."""

    scope: str
    name: str
    since: int
    by: str
    skip: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How one account stands. Times are ms of the store's clock."""

    account: str
    deliveries: Mapping[str, Count]
    """By what became of them: accepted, duplicate, quarantined, refused:REASON."""
    budget: Forecast | None
    """None where the budget is not known, because only a web process's settings are set here."""
    saved: int
    """Writes that folding saved: what handlers wanted, had each wish been a call of its own, less what was planned."""
    planned: int
    """Writes that turns have decided on and not ended."""
    drained: float | None
    """Seconds until the backlog will be worked off at the limits of now."""
    lanes: int
    """Lanes in which something waits; those that wait for a timer alone are in ``timers``."""
    due: int
    events: int
    oldest: int | None
    timers: Timers
    rounds: Mapping[str, State]
    """By the name of the handler that has the schedule; ``:names`` is the look at the account's names."""
    dead: int
    dry_run: bool | tuple[str, ...]
    """Whether the account runs dry, or the routers of it that do."""

    paused: tuple[Paused, ...]
    """What is paused by `foxhooks pause`; a ticket that its tag pauses shows it itself."""
    pausing: int
    """Tickets that wait for the end of a pause, that of a tag included; they are no part of ``lanes``."""


def standing_of(client: redis.Redis, account: Account, accounts: Accounts, now: int) -> Standing:
    """Reads how an account stands at the time ``now`` (ms)."""
    keys = prefix(account.name)
    lanes = cast(list[bytes], client.zrange(keys + "sched", 0, MOST - 1))
    with client.pipeline(transaction=False) as asked:
        for lane in lanes:
            asked.llen(f"{keys}lane:{lane.decode()}")
            asked.lindex(f"{keys}lane:{lane.decode()}", 0)
        answers = asked.execute()
        for first in answers[1::2]:
            asked.hget(f"{keys}event:{(first or b'').decode()}", "at")
        times = [int(at) for at in asked.execute() if at]
    timers, pausing = _timers(client, keys, now), client.scard(keys + "waiting")
    with Store(client) as store:
        seen = outlook(store, Governor(account.name, account.budget)) if accounts.budgets else None
    return Standing(
        account=account.name,
        deliveries=_counts(cast(dict[bytes, bytes], client.hgetall(keys + "counts"))),
        budget=seen.forecast if seen else None,
        saved=_number(cast(bytes | None, client.get(keys + "saved"))),
        planned=seen.planned if seen else 0,
        drained=seen.drained if seen else None,
        lanes=client.zcard(keys + "sched") - timers.tickets - pausing,
        due=client.zcount(keys + "sched", "-inf", now),
        events=sum(answers[0::2]),
        oldest=min(times, default=None),
        timers=timers,
        rounds=_rounds(client, keys),
        dead=client.zcard(keys + "dead"),
        dry_run=account.dry_run or tuple(sorted(account.dry_routers)),
        paused=tuple(
            Paused(scope, name, pause.since, pause.by, pause.skip)
            for (scope, name), pause in listed(cast(dict[bytes, bytes], client.hgetall(keys + "paused"))).items()
        ),
        pausing=pausing,
    )


def _number(stored: bytes | None) -> int:
    return int(stored) if stored else 0


def _timers(client: redis.Redis, keys: str, now: int) -> Timers:
    key = keys + "sched:timer"
    first = cast(list[tuple[bytes, float]], client.zrangebyscore(key, f"({now}", "+inf", 0, 1, withscores=True))
    return Timers(client.zcount(key, f"({now}", "+inf"), int(first[0][1]) if first else None)


def _rounds(client: redis.Redis, keys: str) -> dict[str, State]:
    stored = cast(Mapping[bytes, bytes], client.hgetall(keys + "rounds"))
    return {name.decode(): decode(state) for name, state in sorted(stored.items())}


def _counts(stored: Mapping[bytes, bytes]) -> dict[str, Count]:
    values = {name.decode(): int(value) for name, value in stored.items()}
    return {
        name: Count(value, values.get(f"{name}:at", 0))
        for name, value in sorted(values.items())
        if not name.endswith(":at")
    }
