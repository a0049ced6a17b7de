"""`foxhooks status`: what came in, what is left of the budget, what waits; for a person, a program or a probe."""

import json
import socket
from dataclasses import asdict
from typing import cast

import msgspec
import redis
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.access import accounts_of, settings_of, store_of
from service.commands.standing import Standing, standing_of
from service.commands.times import ago, ahead, now_of
from service.commands.words import many
from service.failures import CommandError
from workers.lanes.keys import WORKERS
from workers.lanes.rounds import State
from workers.turns.rounds import NAMES

#: Milliseconds after which a worker that gave no sign of life is dead.
SILENT = 30_000
#: Milliseconds after which a search that was due and is not made is told as such.
OVERDUE = 120_000
#: What closed a gate, in words that tell what to do.
CLOSED_BY = {
    "limited": "HappyFox answered 429: too many calls",
    "throttled": "HappyFox asked to wait",
    "denied": "HappyFox refuses the API key; run `foxhooks doctor`",
    "clock": "the store's clock or server changed",
}


def run(worker: bool, as_json: bool) -> int:
    """Prints how every account stands; with ``worker`` only tells whether a worker is alive."""
    if worker:
        return _probe()
    accounts = accounts_of()
    with store_of(accounts.settings) as client:
        now = now_of(client)
        standings = [standing_of(client, account, accounts, now) for account in accounts.settings.accounts.values()]
        workers = alive(client, now)
    if as_json:
        print(
            json.dumps(
                {"at": now, "workers": workers, "accounts": [asdict(each) for each in standings]},
                indent=2,
                default=msgspec.to_builtins,
            )
        )
    else:
        _show(standings, workers, now)
    return 0


def alive(client: redis.Redis, now: int) -> list[str]:
    """Names the worker processes that gave a sign of life lately."""
    seen = cast(dict[bytes, bytes], client.hgetall(WORKERS))
    return sorted(name.decode() for name, at in seen.items() if now - int(at) < SILENT)


def _probe() -> int:
    here = f"{socket.gethostname()}-"
    with store_of(settings_of("store")) as client:
        known = [name.decode() for name in cast(list[bytes], client.hkeys(WORKERS))]
        workers = alive(client, now_of(client))
    # A probe on a worker's machine asks for that worker; its neighbours do not make up for it.
    if any(name.startswith(here) for name in known):
        workers = [name for name in workers if name.startswith(here)]
    if not workers:
        raise CommandError(f"no worker has given a sign of life for {SILENT // 1000} s")
    print(f"alive: {', '.join(workers)}")
    return 0


def _show(standings: list[Standing], workers: list[str], now: int) -> None:
    console = Console(highlight=False)
    for standing in standings:
        console.print(f"[bold]{standing.account}[/bold]")
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        for label, text in _rows(standing, now):
            table.add_row(f"  {label}", text)
        console.print(table)
    console.print(f"workers alive: {len(workers) or '[red]none[/red]; start `foxhooks worker` or `foxhooks up`'}")


def _rows(standing: Standing, now: int) -> list[tuple[str, str]]:
    rows = [
        (name.replace("refused:", "refused, "), f"{count.count}, the last one {ago(count.last, now)}")
        for name, count in standing.deliveries.items()
    ] or [("deliveries", "none yet; `foxhooks send --sample created --ticket N` tries it")]
    budget = standing.budget
    if budget is None:
        rows.append(("budget", "not known here: the worker's settings are not set"))
    else:
        share = "" if budget.share == 1 else f" (lowered to {budget.share:.0%} for an hour after a lockout)"
        left = f"{budget.gets_free} of {budget.gets} reads, {budget.posts_free} of {budget.posts} writes left"
        rows.append(("budget", f"{left}{share}; {budget.in_flight} under way"))
        closed = (
            f"[red]{budget.gate}[/red], tries again in {budget.reopens:.0f} s: {CLOSED_BY.get(budget.why, budget.why)}"
        )
        rows.append(("gate", "open" if budget.gate == "open" else closed))
    oldest = f"; the oldest came {ago(standing.oldest, now)}" if standing.oldest is not None else ""
    rows.append(
        (
            "backlog",
            f"{many(standing.events, 'event', 'wait')} in {many(standing.lanes, 'lane')}, {standing.due} due{oldest}",
        )
    )
    if standing.drained is not None and standing.lanes:
        planned = f"{standing.planned} writes planned; " if standing.planned else ""
        rows.append(("forecast", f"{planned}worked off in about {standing.drained:.0f} s at the present share"))
    if standing.saved:
        rows.append(
            ("folding", f"writes saved: {standing.saved}, by several wishes in one call, and none for what is so")
        )
    if standing.timers.next is not None:
        first = ahead(standing.timers.next, now)
        rows.append(
            ("timers", f"{many(standing.timers.tickets, 'ticket', 'wait')} for a timer alone, the first is due {first}")
        )
    for name, state in standing.rounds.items():
        rows += _names(state, now) if name == NAMES else [("schedule", f"{name}: {_round(state, now)}")]
    dead = f"[red]{standing.dead}[/red]; `foxhooks dead list` shows them" if standing.dead else "none"
    if standing.dry_run:
        dry = ", ".join(standing.dry_run) if isinstance(standing.dry_run, tuple) else "everything"
        rows.append(("dry run", f"{dry}: plans are made and shown, and not sent"))
    for pause in standing.paused:
        becomes = "is skipped" if pause.skip else "waits"
        what = f"the {pause.scope} {pause.name}".strip()
        rows.append(("paused", f"{what}, {ago(pause.since, now)}, by {pause.by}; what comes {becomes}"))
    if standing.pausing:
        rows.append(("pause", f"{many(standing.pausing, 'ticket', 'wait')} for the end of one"))
    return [*rows, ("dead letters", dead)]


def _round(state: State, now: int) -> str:
    if state.why:
        return f"[red]{escape(state.why)}[/red]; tries again {ahead(_again(state), now)}"
    if state.phase != "done":
        return f"searches since {ago(state.slot, now)}, {many(state.found, 'ticket')} so far"
    more = ", and there are more than it takes at once" if state.cut else ""
    due = f"next {ahead(state.next, now)}"
    if now - state.next > OVERDUE:  # its router may have been taken out, which only the workers' settings tell
        due = f"next was due {ago(state.next, now)}: no worker runs, or none has this schedule"
    return f"found {many(state.found, 'ticket')} {ago(state.ended, now)}{more}; {due}"


def _names(state: State, now: int) -> list[tuple[str, str]]:
    if state.why:
        return [("names", f"not looked at: {escape(state.why)}; tries again {ahead(_again(state), now)}")]
    return [("names", f"[red]{escape(told)}[/red]") for told in state.findings]


def _again(state: State) -> int:
    return state.next if state.phase == "done" else state.till
