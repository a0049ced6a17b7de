"""The state of each account as it runs: what commands, pages, metrics and alerts show about it.

Settings are those of the running workers, as they publish them; without a worker, those of this process.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import redis

from service.context import as_running
from service.reading.sweeps import CompletenessStatus, SweepStatus, read_completeness_status, read_sweep
from service.reading.webhooks import WebhookStatus, read_webhooks
from workers.settings import Account
from workers.store.client import Store
from workers.store.client_figures import ClientFigures, read_client_figures
from workers.store.fleet import Fleet
from workers.store.periodic import NAMES, SWEEP, TaskState
from workers.store.permits import Backlog, Forecast, Governor, backlog, outlook
from workers.store.records import AccountRecords, DeliveryCount, WaitingTimers
from workers.store.storms import Storm, read_storm
from workers.store.troubles import Trouble, find_troubles

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
    why: str = ""
    """The reason that was typed."""


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
    troubles: tuple[Trouble, ...]
    """What is wrong, what prevents work first, and what needs attention in all accounts last."""
    paused: bool
    """Whether the whole account is paused."""
    dry_run: bool | tuple[str, ...]
    """Whether the account runs dry, or which of its routers do."""
    running: bool
    """Whether a worker runs it, so that budget, dry run and order are what is in force."""
    deliveries: Mapping[str, DeliveryCount]
    webhooks: WebhookStatus
    budget: Forecast | None
    """None if the budget is not known, because only a web process's settings are set here."""
    calls_saved: int
    """API calls that folding saved."""
    planned: int
    """Writes that turns have decided on and not completed."""
    drained: float | None
    """Seconds until the backlog is processed at the current limits, if each undecided ticket gets one write.

    None while nobody knows when calls are made again: in a pause, or as long as HappyFox rejects the key or is silent.
    """
    newest_first: bool
    """Whether the newest tickets are handled first."""
    lanes: int
    """Tickets with waiting events or work; those that only wait for a timer or the end of a pause do not count."""
    due: int
    """Tickets that may be worked on now."""
    events: int
    events_estimated: bool
    """Whether ``events`` and ``oldest`` are those of the tickets that are due first, because there are very many."""
    oldest: int | None
    """When the oldest waiting event came."""
    due_since: int | None
    """Since when the ticket waits that is due longest."""
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
    storm: Storm | None
    """The last storm of deliveries, if there was one within a day."""
    sweep: SweepStatus
    completeness: CompletenessStatus
    paused_tickets: int
    """Tickets that wait for the end of a pause, also of one by a tag; they are not part of ``lanes``."""
    memory: MemoryStatus | None
    """Set if the store's memory has been in doubt within the last day."""
    clients: tuple[ClientFigures, ...]
    """What clients of the gateway have done."""


def read_account(
    client: redis.Redis, account: Account, fleet: Fleet, now: int, *, knows_budget: bool = False
) -> AccountStatus:
    """Read the state of an account at the time ``now`` (ms); ``knows_budget``: its own settings are a worker's."""
    records, running = AccountRecords(client, account.name), fleet.account(account.name)
    account = as_running(account, running)
    memory = records.memory()
    schedules = {name: _schedule(state) for name, state in records.schedules().items() if name != SWEEP}
    pauses = tuple(
        PauseStatus(*target, each.since, each.by, each.skip, each.why) for target, each in records.pauses().items()
    )
    with Store(client) as store:
        known = outlook(store, Governor(account.name, account.budget)) if knows_budget or running else None
        waiting: Backlog = known.backlog if known else store.run(backlog(account.name))
    paused_tickets = records.paused_tickets()
    paused = any(pause.scope == "account" for pause in pauses)
    troubles = (
        each for each in find_troubles(client, [account.name], fleet, now) if each.account in ("", account.name)
    )
    return AccountStatus(
        account=account.name,
        troubles=tuple(sorted(troubles, key=lambda each: (not each.is_error, not each.is_error and not each.account))),
        paused=paused,
        dry_run=account.dry_run or tuple(sorted(account.dry_routers)) or False,
        running=running is not None,
        deliveries=records.delivery_counts(),
        webhooks=read_webhooks(client, account),
        budget=known.forecast if known else None,
        calls_saved=records.calls_saved(),
        planned=known.planned if known else 0,
        drained=known.drained if known and known.forecast.opens_by_itself and not paused else None,
        newest_first=account.newest_first,
        lanes=max(0, waiting.lanes - paused_tickets),
        due=waiting.due,
        events=waiting.events,
        events_estimated=waiting.is_estimate,
        oldest=waiting.oldest,
        due_since=waiting.due_since,
        timers=records.waiting_timers(now),
        names=schedules.pop(NAMES, None),
        storm=read_storm(client, account.name),
        sweep=read_sweep(client, account),
        completeness=read_completeness_status(client, account),
        schedules=schedules,
        dead_letters=records.dead_letter_count(),
        dead_letters_left=records.dead_letters_left(),
        held_emails=records.held_emails(),
        pauses=pauses,
        paused_tickets=paused_tickets,
        memory=MemoryStatus(memory.at, memory.ends, memory.cause) if memory.at > now - SHOWN_DOUBT else None,
        clients=tuple(read_client_figures(client, account.name)),
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
