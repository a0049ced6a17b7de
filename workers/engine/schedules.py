"""Run one periodic task of an account: a schedule's search, the check of the names in use, or a page of the sweep.

    take       claim the task that has been due longest, under a lease; if its worker dies, the next one resumes it
    search     read one page after another, with bulk priority; the store collects the tickets found
    enqueue    add an event to the lane of each ticket; its turn reads the ticket and runs the handler, as always

Events are added only when the search is complete, because the changes of handlers to the first tickets could shift the
next pages. While HappyFox cannot answer, no call is made: the task waits for a permit and continues with the same page.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from workers.engine.context import AccountConfig, Parked, Sweep, TaskCalls
from workers.engine.read import read_directory
from workers.engine.steps import Steps
from workers.engine.sweep import SweepRun
from workers.errors import Gone, NotNow, Refused
from workers.happyfox import tickets as requests
from workers.happyfox.base import read_page
from workers.happyfox.directory import Directory
from workers.plugins.invoke import Bound
from workers.plugins.router import Schedule
from workers.store.periodic import (
    NAMES,
    SWEEP,
    ClaimedTask,
    TaskInterval,
    add_matches,
    claim_task,
    enqueue_matches,
    release_task,
)
from workers.tickets.model import mapping, number

#: The most tickets of a search that get an event; the others wait until these are no longer found.
MOST = 1_000

#: Tickets on a page of a search, and tickets that get their events in one script.
PAGE, BATCH = 50, 200

#: The lease of a task in addition to the longest call (ms).
LEASE = 30_000

#: The task that checks the account's names, and its period (ms): daily, or sooner if there is reason to doubt them.
DAILY, DOUBTED = 86_400_000, 600_000

#: The maximum age (ms) of the lists of names: a busy account may need several windows to read them all.
FRESH = 300_000

#: Returns the names in use that an account does not know.
Check = Callable[[Directory], Sequence[str]]


@dataclass(frozen=True, slots=True)
class PeriodicTasks:
    """The periodic tasks of an account."""

    schedules: tuple[tuple[str, Schedule], ...]
    """Schedules with the names of their handlers."""
    check: Check | None = None
    """Checks the names and ids in use."""
    lists: tuple[str, ...] = tuple(Directory.LISTS)
    """The lists of names that it needs."""
    sweep: Sweep | None = None

    def periods(self, doubted: bool) -> list[TaskInterval]:
        """Return the tasks with their periods; ``doubted``: check the names soon."""
        tasks = [TaskInterval(name, schedule.period) for name, schedule in self.schedules]
        if self.check:
            tasks.append(TaskInterval(NAMES, DOUBTED if doubted else DAILY))
        if self.sweep:
            tasks.append(TaskInterval(SWEEP, self.sweep.period, patient=True))
        return tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The result of looking for a task that is due."""

    wait: int = 0
    """When to look again (ms from now); -1: never."""
    name: str = ""
    """The task that ran, if any."""
    over: bool = False
    """Whether it is complete; otherwise it was released for later."""
    put: int = 0
    """How many tickets got an event; of a sweep, on this page."""
    cut: bool = False
    """Whether the search found more tickets than it may take."""
    why: str = ""
    """Why it could not be completed."""
    new_findings: tuple[str, ...] = ()
    """Unknown names that the last check did not find."""


def periodic_tasks(
    handlers: Iterable[Bound],
    check: Check | None = None,
    lists: Iterable[str] = Directory.LISTS,
    sweep: Sweep | None = None,
) -> PeriodicTasks:
    """Return the periodic tasks that an account's handlers need; ``check`` needs these ``lists`` of names."""
    schedules = tuple((each.name, each.handler.every) for each in handlers if each.handler.every)
    return PeriodicTasks(schedules, check, tuple(lists), sweep)


def run_due_task(
    config: AccountConfig, tasks: PeriodicTasks, token: str, *, doubted: bool = False
) -> Steps[TaskResult]:
    """Run the task that has been due longest, as far as possible; ``doubted``: check the names soon."""
    try:
        taken: ClaimedTask | int = yield claim_task(
            config.account, token, config.call_ms + LEASE, tasks.periods(doubted)
        )
    except NotNow as ending:
        return TaskResult(wait=ending.wait)
    if not isinstance(taken, ClaimedTask):
        return TaskResult(wait=taken)
    run = _TaskRun(config, taken)
    try:
        if taken.name == NAMES and tasks.check:
            return (yield from run.check_names(tasks.check, tasks.lists))
        if taken.name == SWEEP and tasks.sweep:
            over, changed = yield from SweepRun(config, tasks.sweep, taken, run.calls).page()
            return TaskResult(name=SWEEP, over=over, put=changed)
        return (yield from run.search(dict(tasks.schedules)[taken.name]))
    except Parked as parked:
        wait, why = parked.delay, parked.why
    except NotNow as refused:
        wait, why = refused.wait, ""
    yield release_task(config.account, taken, wait, why)
    return TaskResult(name=taken.name, why=why)


class _TaskRun:
    """A task that this worker has claimed."""

    def __init__(self, config: AccountConfig, taken: ClaimedTask) -> None:
        self.config, self.taken, self.account = config, taken, config.account
        self.lease = config.call_ms + LEASE
        self.calls = TaskCalls(config, taken.token, taken.state.locked_until - self.lease)

    def search(self, schedule: Schedule) -> Steps[TaskResult]:
        """Search page by page from where the last worker stopped, then add the events."""
        state = self.taken.state
        page, phase, cut, count = state.page, state.phase, state.truncated, state.found
        while phase == "search":
            numbers = yield from self._page(schedule.query(state.scheduled_at), page)
            last = len(numbers) < PAGE
            if not (yield add_matches(self.account, self.taken, self.lease, page, numbers, last, MOST)):
                return TaskResult()
            count, page = count + len(numbers), page + 1
            cut = count > MOST or (count == MOST and not last)
            phase = "search" if not (last or cut) else "enqueue"
        keep = self.config.record_ttl // 1000
        while (left := (yield enqueue_matches(self.account, self.taken, self.lease, BATCH, keep))) > 0:
            pass
        return TaskResult() if left < 0 else TaskResult(name=self.taken.name, over=True, put=min(count, MOST), cut=cut)

    def check_names(self, check: Check, lists: tuple[str, ...]) -> Steps[TaskResult]:
        """Read the account's lists and find names in use that are not in them."""
        directory = yield from read_directory(self.account, FRESH, lambda request, _: self.calls.get(request), lists)
        findings = tuple(check(directory))
        yield release_task(self.account, self.taken, -1, "", findings)
        new = tuple(each for each in findings if each not in self.taken.state.findings)
        return TaskResult(name=self.taken.name, over=True, new_findings=new)

    def _page(self, query: str, page: int) -> Steps[list[int]]:
        request = requests.tickets(page=page, size=PAGE, numbers_only=True, q=query)
        try:
            content = yield from self.calls.get(request)
        except Gone:
            return []  # a page beyond the last
        except Refused as error:
            why = f"HappyFox rejects the search ({error}): correct find, and try it in HappyFox first"
            raise Parked(-1, why) from None
        # Accounts that do not know ``minify_response`` send objects instead of bare numbers.
        return list(read_page(content, lambda raw: number(mapping(raw).get("id") if mapping(raw) else raw)))
