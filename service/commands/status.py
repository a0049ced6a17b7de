"""`foxhooks status`: deliveries, call budget and backlog of each account; with `--worker` a health check."""

import socket
import time
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from service.address import AT
from service.commands.format import AsJson, ago, ahead, blocked, clock, details, line, plural, print_json, silent
from service.commands.running import running_system
from service.commands.webhooks import describe, describe_misdirected
from service.context import settings_of, store_of
from service.errors import CommandError
from service.reading.accounts import AccountStatus, MemoryStatus, ScheduleStatus
from service.reading.source import SystemStatus
from service.reading.storms import describe_storm
from service.reading.sweeps import describe_completeness, describe_sweep
from service.words import span
from workers.logs import plain
from workers.store.client import store_time
from workers.store.client_figures import ClientFigures
from workers.store.fleet import Fleet
from workers.store.keys import WORKER_LIFE
from workers.store.permits import Forecast
from workers.store.records import UNANSWERED, read_workers
from workers.store.usage import FIX, describe_usage

#: Seconds between two looks with `--watch`.
WATCH = 2.0

#: How long (s) a backlog must take before the order of its tickets matters.
LONG = 60

#: How long (ms) before a dead letter expires `status` says so.
EXPIRES_SOON = 14 * 86_400_000

#: How late a search must be (ms) to be reported.
OVERDUE = 120_000

#: How many dead letters that hold emails are listed; `--json` has them all.
MOST_HELD = 5


def status(
    worker: Annotated[bool, typer.Option("--worker", help="Exit with 0 if a worker is alive, else with 1.")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="With --worker: only look at this machine; needs no store and no settings.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every 2 s, until Ctrl-C.")] = False,
    json: AsJson = False,
) -> None:
    """Show deliveries, call budget and backlog of each account."""
    if local and not worker:
        raise typer.BadParameter("use it together with --worker", param_hint="--local")
    if worker:
        if AT.get():
            raise CommandError(
                "--worker looks at the store or at this machine; with --at, `foxhooks status` counts workers"
            )
        (_probe_local if local else _probe)()
        return
    with running_system() as system:
        while True:
            found = system.status()
            if watch and not json:
                Console().clear()
            _show(found, json)
            if not watch:
                return
            time.sleep(WATCH)


def _show(found: SystemStatus, json: bool) -> None:
    if json:
        print_json(found.as_json())
        return
    for each in found.accounts:
        line((each.account, "bold"))
        details(_describe(each, found.at))
    for text in describe_misdirected(found.misdirected, [each.account for each in found.accounts], found.at):
        line(text)
    fix = f". {FIX[:1].upper()}{FIX[1:]}." if found.store.is_scarce else "."
    line("Store: ", (describe_usage(found.store), "red" if found.store.is_scarce else ""), fix)
    start = "No worker alive. Start `foxhooks worker` or `foxhooks up`."
    line(f"{plural(len(found.workers), 'worker')} alive." if found.workers else start)
    for text in describe_fleet(found.fleet, found.at):
        line(text)


def describe_fleet(fleet: Fleet, now: int) -> Iterator[str]:
    """Describe which processes run since when, and where they differ."""
    for process in fleet.alive:
        what = f"{process.part} {process.host}-{process.pid}"
        yield f"  {what}: version {process.version}, started {ago(process.since, now)}"
    for difference in fleet.differences():
        yield f"! {str(difference)[:1].upper()}{str(difference)[1:]}. Restart those with the old values."


def _probe_local() -> None:
    """Check that no worker process of this machine is stuck, and that there is one."""
    from workers.store.leases import STUCK_AFTER, local_workers  # lanes and events, which nothing else here needs

    found = local_workers()
    stuck = [str(pid) for pid, seconds in found.items() if seconds > STUCK_AFTER]
    if not found or stuck:
        raise CommandError(f"stuck: process {', '.join(stuck)}" if stuck else "no worker process runs on this machine")
    print(f"alive: process {', '.join(map(str, found))}")


def _probe() -> None:
    """Check whether a worker is alive; on a worker's machine, only that worker counts."""
    here = f"{socket.gethostname()}-"
    with store_of(settings_of("store")) as client:
        workers = read_workers(client, store_time(client))
    alive = workers.alive
    if any(name.startswith(here) for name in (*alive, *workers.silent)):
        alive = [name for name in alive if name.startswith(here)]
    if not alive:
        raise CommandError(f"no worker heartbeat in the last {WORKER_LIFE // 1000} s")
    line(f"alive: {', '.join(alive)}")


#: The troubles that no other line of `status` shows.
WITHOUT_LINE = ("deliveries-refused", "unannounced", "handlers-fail", "backlog")


def _describe(status: AccountStatus, now: int) -> Iterator[tuple[str, object]]:
    yield from _describe_troubles(status)
    if not status.deliveries:
        yield "deliveries", "none for this account yet. Try `foxhooks send --sample created --ticket N`."
    for name, count in status.deliveries.items():
        yield name.replace("refused:", "refused, "), f"{count.count}, last {ago(count.last, now)}"
    yield from describe(status.webhooks, now)
    yield from describe_budget(status.budget, now)
    oldest = f", oldest received {ago(status.oldest, now)}" if status.oldest is not None else ""
    about = "about " if status.events_estimated else ""
    since = f" for {span(now - status.due_since)}" if status.due_since is not None else ""
    events = f"{about}{plural(status.events, 'event')} in {plural(status.lanes, 'ticket')}"
    waiting = f"{events}, {status.due} due{since}{oldest}"
    yield "waiting", waiting if status.events or status.lanes else "no events"
    yield from _forecast(status)
    yield from describe_storm(status.storm, status.drained, now)
    if status.calls_saved:
        yield "API calls saved", status.calls_saved
    if status.timers.next is not None:
        first = ahead(status.timers.next, now)
        yield "timers", f"{plural(status.timers.tickets, 'ticket')} waiting for a timer only, first due {first}"
    for name, schedule in status.schedules.items():
        yield "schedule", Text(f"{plain(name)}: ").append_text(_describe_schedule(schedule, now))
    yield from describe_sweep(status.sweep, now)
    yield from describe_completeness(status.completeness, now)
    if status.names is not None and status.names.error:
        yield "names", f"not checked: {status.names.error}. Next attempt {ahead(status.names.next, now)}."
    elif status.names is not None:
        yield from (("names", Text(plain(finding), "red")) for finding in status.names.findings)
    if status.dry_run:
        dry = ", ".join(status.dry_run) if isinstance(status.dry_run, tuple) else "all routers"
        yield "dry run", f"{dry}. Plans are stored and shown; nothing is sent."
    for pause in status.pauses:
        what = f"{pause.scope} {pause.name or status.account}"
        events, why = "skipped" if pause.skip else "queued", f" ({pause.why})" if pause.why else ""
        yield "paused", f"{what}, {ago(pause.since, now)} by {pause.by}{why}. New events are {events}."
    if status.paused_tickets:
        yield "paused tickets", f"{plural(status.paused_tickets, 'ticket')} waiting for the end of a pause"
    for client in status.clients:
        yield "client", describe_client(client, now)
    yield from _describe_memory(status.memory)
    left = status.dead_letters_left
    soon = f" The first expires {ahead(now + left, now)}." if left is not None and left < EXPIRES_SOON else ""
    dead = Text(str(status.dead_letters), "red").append(f".{soon} See `foxhooks dead list`.", "default")
    yield "dead letters", dead if status.dead_letters else "none"
    yield from _describe_held_emails(status.held_emails)


def _describe_troubles(status: AccountStatus) -> Iterator[tuple[str, object]]:
    for trouble in (each for each in status.troubles if each.kind in WITHOUT_LINE):
        text = plain(trouble.text.removeprefix(f"{status.account}: "))
        yield "problem", Text(text, "red").append(f". {trouble.fix[:1].upper()}{trouble.fix[1:]}.", "default")


def describe_client(client: ClientFigures, now: int) -> Text:
    """Describe how much a client of the gateway calls, and what it was denied last."""
    text = Text(f"{client.name}: {plural(sum(client.calls.values()), 'call')}, {client.per_minute:g} a minute, last ")
    text.append(f"{ago(client.last_at, now)} ({client.last_call})")
    if client.denied_at:
        text.append(f". Denied {client.calls.get('denied', 0):,}, last {ago(client.denied_at, now)}: ")
        text.append(client.last_denial, "red")
    return text


def _describe_held_emails(held: Mapping[str, int]) -> Iterator[tuple[str, object]]:
    for dead_letter, emails in list(held.items())[:MOST_HELD]:
        ticket = dead_letter.removeprefix(UNANSWERED)
        where = f"from ticket {ticket}" if ticket != dead_letter else "to one address"
        what = Text(f"{plural(emails, 'email')} {where}", "red")
        act = f". See `foxhooks dead show {dead_letter}`; send with `foxhooks dead replay {dead_letter}`."
        yield "held back", what.append(act, "default")
    if len(held) > MOST_HELD:
        more = sum(list(held.values())[MOST_HELD:])
        yield "held back", f"{more:,} more in {plural(len(held) - MOST_HELD, 'dead letter')}. See `foxhooks dead list`."


def _forecast(status: AccountStatus) -> Iterator[tuple[str, object]]:
    """Say when the backlog is processed, and what that means for the newest contact."""
    if status.drained and status.lanes:
        planned = f"{plural(status.planned, 'write')} planned, " if status.planned else ""
        about = f"done in about {status.drained:.0f} s at the current limits, if each other ticket gets one write"
        yield "forecast", f"{planned}{about}"
        if not status.newest_first and status.drained >= LONG:
            yield "", "A new message of a contact waits almost as long; FOXHOOKS_NEWEST_FIRST=1 takes the newest first."


def _describe_memory(memory: MemoryStatus | None) -> Iterator[tuple[str, object]]:
    if memory is not None:
        text = f"in doubt since {clock(memory.since)}: {memory.cause}. It knew nothing later than {clock(memory.ends)}."
        yield "memory", f"{text} The next turn of each ticket first looks for what foxhooks has done since."


def describe_budget(budget: Forecast | None, now: int) -> Iterator[tuple[str, object]]:
    """Describe what is left of the call budget at the time ``now`` (ms), and why no call can be made."""
    if budget is None:
        yield "budget", "not known here: the worker's settings are not set"
        return
    share = "" if budget.share == 1 else f" (lowered to {budget.share:.0%} for an hour after a lockout)"
    left = f"{budget.gets_free} of {budget.gets} reads, {budget.posts_free} of {budget.posts} writes left"
    yield "budget", f"{left}{share}; {plural(budget.in_flight, 'call')} in flight"
    if budget.locked_out:
        until = clock(now + int(budget.reopens * 1000), "%H:%M")
        yield "calls", Text(f"locked out until {until}. {blocked(budget.why, budget.reopens)}", "red")
    elif budget.silent_since:
        yield "calls", Text(blocked(silent(budget.silent_since, now), budget.reopens), "red")
    elif budget.gate != "open":
        fix = " Run `foxhooks doctor`." if budget.why == "denied" else ""
        yield "calls", Text(blocked(budget.why, budget.reopens) + fix, "red")


def _describe_schedule(schedule: ScheduleStatus, now: int) -> Text:
    if schedule.error:
        return Text(plain(schedule.error), "red").append(f". Next attempt {ahead(schedule.next, now)}.", "default")
    matches = plural(schedule.matches, "matching ticket")
    if schedule.running:
        return Text(f"searching since {ago(schedule.started, now)}, {matches} so far")
    more = ", more than one search takes" if schedule.truncated else ""
    due = f"next search {ahead(schedule.next, now)}"
    if now - schedule.next > OVERDUE:  # only the workers' settings say whether its router still runs
        due = f"next search was due {ago(schedule.next, now)}: no worker runs, or none has this schedule"
    return Text(f"{matches} {ago(schedule.ended, now)}{more}; {due}")
