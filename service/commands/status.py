"""`foxhooks status`: deliveries, call budget and backlog of each account; with `--worker` a health check."""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import redis
import typer
from rich.text import Text

from service.commands.format import AsJson, ago, ahead, blocked, clock, details, line, plural, print_json, silent
from service.commands.webhooks import WebhookStatus, describe, describe_misdirected, read_webhooks
from service.context import Accounts, accounts_of, settings_of, store_of
from service.errors import CommandError
from workers.engine.schedules import NAMES
from workers.logs import plain
from workers.settings import Account
from workers.store.client import Store, store_time
from workers.store.keys import WORKER_LIFE
from workers.store.leases import STUCK_AFTER, local_workers
from workers.store.periodic import TaskState
from workers.store.permits import Forecast, Governor, outlook
from workers.store.records import UNANSWERED, AccountRecords, DeliveryCount, WaitingTimers, read_workers
from workers.store.refusals import read_misdirected
from workers.store.usage import FIX, describe_usage, read_usage

#: How long (s) a backlog must take before the order of its tickets matters.
LONG = 60

#: How long (ms) before a dead letter expires `status` says so.
EXPIRES_SOON = 14 * 86_400_000

#: How late a search must be (ms) to be reported.
OVERDUE = 120_000

#: How many dead letters that hold emails are listed; `--json` has them all.
MOST_HELD = 5


#: How long (ms) the state of an account shows that the store's memory has been in doubt.
SHOWN_DOUBT = 86_400_000


@dataclass(frozen=True, slots=True)
class PauseStatus:
    """One pause: of an account, a router or a ticket."""

    scope: str
    name: str
    since: int
    by: str
    skip: bool
    """Whether new events are skipped instead of queued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStatus:
    """One schedule, or the check of the names that rules and settings use."""

    started: int
    next: int
    """When the next search is due, or the next attempt after a failure."""
    running: bool
    matches: int
    truncated: bool
    """Whether there are more tickets than one search takes."""
    error: str
    """Why HappyFox could not be searched."""
    ended: int
    findings: tuple[str, ...]
    """Names that HappyFox does not know."""


@dataclass(frozen=True, slots=True)
class MemoryStatus:
    """When the store's memory was last in doubt."""

    since: int
    ends: int
    """The time of the last thing that the store still knew then."""
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    """The state of one account. Times are ms of the store's clock."""

    account: str
    paused: bool
    """Whether the whole account is paused."""
    dry_run: bool | tuple[str, ...]
    """Whether the account runs dry, or which of its routers do."""
    deliveries: Mapping[str, DeliveryCount]
    webhooks: WebhookStatus
    budget: Forecast | None
    """None if the budget is not known, because only a web process's settings are set here."""
    calls_saved: int
    """API calls that folding saved."""
    planned: int
    """Writes that turns have decided on and not completed."""
    drained: float | None
    """Seconds until the backlog is processed at the current limits, if each undecided ticket gets one write."""
    newest_first: bool
    """Whether the newest tickets are handled first."""
    lanes: int
    due: int
    events: int
    oldest: int | None
    timers: WaitingTimers
    schedules: Mapping[str, ScheduleStatus]
    """By the name of the handler that has the schedule."""
    names: ScheduleStatus | None
    """The check of names; None if there was none yet."""
    dead_letters: int
    dead_letters_left: int | None
    """The ms until the first dead letter expires."""
    held_emails: Mapping[str, int]
    """How many emails the brakes hold, by the id of the dead letter that holds them."""
    pauses: tuple[PauseStatus, ...]
    """What `foxhooks pause` has paused; a ticket that is paused by its tag is not listed."""
    paused_tickets: int
    """Tickets that wait for the end of a pause, also of one by a tag; they are not part of ``lanes``."""
    memory: MemoryStatus | None
    """Set if the store's memory has been in doubt within the last day."""


def status(
    worker: Annotated[bool, typer.Option("--worker", help="Exit with 0 if a worker is alive, else with 1.")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="With --worker: only look at this machine; needs no store and no settings.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show deliveries, call budget and backlog of each account."""
    if local and not worker:
        raise typer.BadParameter("use it together with --worker", param_hint="--local")
    if worker:
        (_probe_local if local else _probe)()
        return
    accounts = accounts_of()
    with store_of(accounts.settings) as client:
        now = store_time(client)
        found = [read_status(client, account, accounts, now) for account in accounts.chosen("")]
        alive = read_workers(client, now).alive
        misdirected, usage = read_misdirected(client), read_usage(client)
    if json:
        fleet = {"workers": alive, "misdirected": misdirected, "store": usage.as_json()}
        print_json({"at": now, "accounts": found, **fleet})
        return
    for each in found:
        line((each.account, "bold"))
        details(_describe(each, now))
    for text in describe_misdirected(misdirected, list(accounts.settings.accounts), now):
        line(text)
    fix = f". {FIX[:1].upper()}{FIX[1:]}." if usage.is_scarce else "."
    line("Store: ", (describe_usage(usage), "red" if usage.is_scarce else ""), fix)
    start = "No worker alive. Start `foxhooks worker` or `foxhooks up`."
    line(f"{plural(len(alive), 'worker')} alive." if alive else start)


def _probe_local() -> None:
    """Check that no worker process of this machine is stuck, and that there is one."""
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
    print(f"alive: {', '.join(alive)}")


def read_status(client: redis.Redis, account: Account, accounts: Accounts, now: int) -> AccountStatus:
    """Read the state of an account at the time ``now`` (ms)."""
    records = AccountRecords(client, account.name)
    backlog, memory = records.backlog(now), records.memory()
    schedules = {name: _schedule(state) for name, state in records.schedules().items()}
    pauses = tuple(PauseStatus(*target, each.since, each.by, each.skip) for target, each in records.pauses().items())
    with Store(client) as store:
        known = outlook(store, Governor(account.name, account.budget)) if accounts.budgets else None
    return AccountStatus(
        account=account.name,
        paused=any(pause.scope == "account" for pause in pauses),
        dry_run=account.dry_run or tuple(sorted(account.dry_routers)),
        deliveries=records.delivery_counts(),
        webhooks=read_webhooks(client, account),
        budget=known.forecast if known else None,
        calls_saved=records.calls_saved(),
        planned=known.planned if known else 0,
        drained=known.drained if known else None,
        newest_first=account.newest_first,
        lanes=backlog.lanes,
        due=backlog.due,
        events=backlog.events,
        oldest=backlog.oldest,
        timers=records.waiting_timers(now),
        names=schedules.pop(NAMES, None),
        schedules=schedules,
        dead_letters=records.dead_letter_count(),
        dead_letters_left=records.dead_letters_left(),
        held_emails=records.held_emails(),
        pauses=pauses,
        paused_tickets=records.paused_tickets(),
        memory=MemoryStatus(memory.at, memory.ends, memory.cause) if memory.at > now - SHOWN_DOUBT else None,
    )


def _schedule(state: TaskState) -> ScheduleStatus:
    running = state.phase != "done"
    return ScheduleStatus(
        started=state.scheduled_at,
        next=state.locked_until if running and state.why else state.next,
        running=running,
        matches=state.found,
        truncated=state.truncated,
        error=state.why,
        ended=state.ended,
        findings=state.findings,
    )


def _describe(status: AccountStatus, now: int) -> Iterator[tuple[str, object]]:
    if not status.deliveries:
        yield "deliveries", "none for this account yet. Try `foxhooks send --sample created --ticket N`."
    for name, count in status.deliveries.items():
        yield name.replace("refused:", "refused, "), f"{count.count}, last {ago(count.last, now)}"
    yield from describe(status.webhooks, now)
    yield from describe_budget(status.budget, now)
    oldest = f", oldest received {ago(status.oldest, now)}" if status.oldest is not None else ""
    waiting = f"{plural(status.events, 'event')} in {plural(status.lanes, 'ticket')}, {status.due} due{oldest}"
    yield "waiting", waiting if status.events or status.lanes else "no events"
    yield from _forecast(status)
    if status.calls_saved:
        yield "API calls saved", status.calls_saved
    if status.timers.next is not None:
        first = ahead(status.timers.next, now)
        yield "timers", f"{plural(status.timers.tickets, 'ticket')} waiting for a timer only, first due {first}"
    for name, schedule in status.schedules.items():
        yield "schedule", Text(f"{plain(name)}: ").append_text(_describe_schedule(schedule, now))
    if status.names is not None and status.names.error:
        yield "names", f"not checked: {status.names.error}. Next attempt {ahead(status.names.next, now)}."
    elif status.names is not None:
        yield from (("names", Text(plain(finding), "red")) for finding in status.names.findings)
    if status.dry_run:
        dry = ", ".join(status.dry_run) if isinstance(status.dry_run, tuple) else "all routers"
        yield "dry run", f"{dry}. Plans are stored and shown; nothing is sent."
    for pause in status.pauses:
        what = f"{pause.scope} {pause.name or status.account}"
        events = "skipped" if pause.skip else "queued"
        yield "paused", f"{what}, {ago(pause.since, now)} by {pause.by}. New events are {events}."
    if status.paused_tickets:
        yield "paused tickets", f"{plural(status.paused_tickets, 'ticket')} waiting for the end of a pause"
    yield from _describe_memory(status.memory)
    left = status.dead_letters_left
    soon = f" The first expires {ahead(now + left, now)}." if left is not None and left < EXPIRES_SOON else ""
    dead = Text(str(status.dead_letters), "red").append(f".{soon} See `foxhooks dead list`.", "default")
    yield "dead letters", dead if status.dead_letters else "none"
    yield from _describe_held_emails(status.held_emails)


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
    if budget.gate == "locked":
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
