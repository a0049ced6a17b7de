"""Sweeps and completeness: what an account has looked for, and what no delivery announced."""

from collections.abc import Iterator
from dataclasses import dataclass

import redis
from rich.text import Text

from service.words import ago, ahead, clock, plural, span
from workers.logs import plain
from workers.settings import Account
from workers.store.client import store_time
from workers.store.completeness import LearnedChanges, MissedChanges, read_completeness
from workers.store.periodic import SWEEP, decode_memo
from workers.store.records import AccountRecords

#: How long (ms) it is shown that changes before the store began are unknown.
DAY = 86_400_000

#: How many changes that no delivery announced are listed; `--json` has them all.
MOST_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """The sweeps of an account. Times are ms of the store's clock, 0 for never."""

    minutes: float
    """Minutes between two sweeps, 0 for none."""
    running: bool = False
    started: int = 0
    """When the current or last sweep was due."""
    tickets: int = 0
    """Tickets that it has compared so far."""
    total: int = 0
    """Tickets in its list, 0 if unknown."""
    found: int = 0
    """Tickets that it has had read."""
    covered: int = 0
    """All changes before this time have been looked for."""
    ended: int = 0
    next: int = 0
    error: str = ""
    """Why it does not continue."""
    unknown: int = 0
    """Tickets changed within a day before ``born``: nobody knows who handled those changes."""
    born: int = 0
    """Where the first sweep of this store began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletenessStatus:
    """How many changes a delivery announced first."""

    ratio: float | None
    """Of today (UTC) or, if nothing has changed today, of all days; None without changes."""
    days: dict[str, LearnedChanges]
    """By UTC day, newest first."""
    total: LearnedChanges
    missed: tuple[MissedChanges, ...]
    """The last turns with changes that only a sweep found."""


def read_sweep(client: redis.Redis, account: Account) -> SweepStatus:
    """Read the state of an account's sweeps."""
    state = AccountRecords(client, account.name).schedules().get(SWEEP)
    if state is None:
        return SweepStatus(minutes=account.sweep_minutes)
    memo, running = decode_memo(state.memo), state.phase != "done"
    return SweepStatus(
        minutes=account.sweep_minutes,
        running=running,
        started=state.scheduled_at,
        tickets=state.found,
        total=memo.total,
        found=state.enqueued,
        covered=memo.covered,
        ended=state.ended,
        next=state.locked_until if running else state.next,
        error=state.why,
        unknown=memo.unknown,
        born=memo.born,
    )


def read_completeness_status(client: redis.Redis, account: Account) -> CompletenessStatus:
    """Read how many changes of an account a delivery announced first."""
    found = read_completeness(client, account.name)
    today = found.of_day(store_time(client))
    return CompletenessStatus(
        ratio=today.ratio if today.ratio is not None else found.total.ratio,
        days={day.isoformat(): learned for day, learned in found.days.items()},
        total=found.total,
        missed=found.missed,
    )


def describe_progress(sweep: SweepStatus) -> str:
    of = f" of at most {sweep.total}" if sweep.total else ""
    return f"{plural(sweep.tickets, 'ticket')}{of} compared, {sweep.found} to be read"


def describe_sweep(sweep: SweepStatus, now: int) -> Iterator[tuple[str, object]]:
    """Describe the state of the sweeps at the time ``now`` (ms)."""
    if not sweep.minutes:
        yield "sweep", "off: changes whose delivery is lost are found with the ticket's next one"
    elif sweep.error:
        error = Text(plain(sweep.error), "red").append(f". Next attempt {ahead(sweep.next, now)}.", "default")
        yield "sweep", error
    elif sweep.running:
        yield "sweep", f"running since {ago(sweep.started, now)}: {describe_progress(sweep)}"
    elif sweep.ended:
        found = f"{plural(sweep.tickets, 'ticket')} compared, {sweep.found} had to be read"
        yield "sweep", f"{found}, {ago(sweep.ended, now)}; next {ahead(sweep.next, now)}"
    else:
        yield "sweep", f"none yet; the first one is {sweep.minutes:g} minutes after the store's first use"
    if sweep.unknown and now - sweep.born < DAY:
        tickets = plural(sweep.unknown, "ticket")
        yield "unknown", f"{tickets} changed within a day before {clock(sweep.born)}, when this store began"


def describe_completeness(
    found: CompletenessStatus, now: int, *, all_missed: bool = False
) -> Iterator[tuple[str, object]]:
    """Describe how many changes a delivery announced first, and which ones none did."""
    for day, learned in list(found.days.items())[: 7 if all_missed else 1]:
        of = f"{learned.delivery} of {plural(learned.delivery + learned.sweep, 'change')}"
        yield "completeness", f"{_percent(learned)} on {day}: {of} announced by a delivery first"
    shown = found.missed[:MOST_SHOWN] if all_missed else ()
    for missed in shown:
        late = f", {span(missed.at - missed.happened)} late" if missed.happened else ""
        yield "no delivery", f"ticket {missed.ticket}: {', '.join(missed.kinds)}, {ago(missed.at, now)}{late}"
    if len(found.missed) > len(shown):
        more = f"{len(found.missed) - len(shown)} more" if shown else plural(len(found.missed), "turn")
        where = "`foxhooks sweep --show --json`" if all_missed else "`foxhooks sweep --show`"
        yield "no delivery", f"{more} with changes that only a sweep has found: {where}"


def _percent(learned: LearnedChanges) -> str:
    ratio = learned.ratio or 0.0
    return f"{ratio:.1%}" if ratio in (0.0, 1.0) else f"{min(max(ratio, 0.001), 0.999):.1%}"
