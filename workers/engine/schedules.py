"""A round as steps: a schedule's search, whose tickets get an event each; or a look at the account's names.

    take      the round that is due longest, with a lease; a worker that dies leaves it to the next one, where it was
    search    one page after another, in class bulk; the tickets found are noted in the store
    spread    an event into the lane of each; its turn reads the ticket and asks the handler, as ever

Events are made only when the search is over: else what handlers do to the first tickets would shift the pages behind.
What keeps HappyFox from answering costs no call: the round waits for its permit, and goes on with the same page.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from workers.engine.context import SEND_BY, AccountConfig
from workers.engine.steps import Steps, ask, call
from workers.errors import Broken, CheckCredentials, Gone, Locked, NotNow, Refused
from workers.happyfox import tickets as requests
from workers.happyfox.base import read_page
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer, Request, read, settlement
from workers.plugins.invoke import Bound
from workers.plugins.router import Schedule
from workers.store.periodic import ClaimedTask, add_matches, claim_task, enqueue_matches, release_task
from workers.store.records import recall, remember
from workers.tickets.model import mapping, number

#: How many tickets of a search get an event at the most; the rest waits until those are no longer found.
MOST = 1_000

#: Tickets on a page of a search, and how many get their events in one script.
PAGE, BATCH = 50, 200

#: How long (ms) a round is left to its taker beyond the longest call, and how long it rests when HappyFox has failed.
LEASE, REST = 30_000, 60_000

#: The name of the round that looks at the account's names, and how often that is (ms): daily, or when there is reason
#: to doubt them.
NAMES, DAILY, DOUBTED = ":names", 86_400_000, 600_000

#: How old (ms) the lists may be that names are held against: a busy account may need some windows to read them all.
FRESH = 300_000

Check = Callable[[Directory], Sequence[str]]
"""Tells which names in use an account does not know."""


@dataclass(frozen=True, slots=True)
class PeriodicTasks:
    """What the rounds of an account are for: schedules by their handler's name, and the names to be checked, if any."""

    schedules: tuple[tuple[str, Schedule], ...]
    check: Check | None = None

    def due(self, doubted: bool) -> list[tuple[str, int]]:
        """Gives the rounds with their periods (ms)."""
        rounds = [(name, schedule.period) for name, schedule in self.schedules]
        return [*rounds, (NAMES, DOUBTED if doubted else DAILY)] if self.check else rounds


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What came of a round: how long (ms) to wait before the next look, -1 for ever; what to tell of it.

    ``over``: it came to its end, and was not given back for later.
    """

    wait: int
    name: str = ""
    over: bool = False
    put: int = 0
    cut: bool = False
    why: str = ""
    told: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()


def periodic_tasks(handlers: Iterable[Bound], check: Check | None = None) -> PeriodicTasks:
    """Gives what the handlers of an account need done in rounds."""
    return PeriodicTasks(tuple((each.name, each.handler.every) for each in handlers if each.handler.every), check)


def run_due_task(
    config: AccountConfig, tasks: PeriodicTasks, token: str, *, doubted: bool = False
) -> Steps[TaskResult]:
    """Takes up the round that is due longest and brings it as far as it goes; ``doubted``: look at the names soon."""
    try:
        taken = yield from ask(claim_task(config.account, token, config.life + LEASE, tasks.due(doubted)))
    except NotNow as ending:
        return TaskResult(ending.wait)
    if not isinstance(taken, ClaimedTask):
        return TaskResult(taken)
    round = _TaskRun(config, taken)
    try:
        if taken.name == NAMES and tasks.check:
            return (yield from round.names(tasks.check))
        return (yield from round.run(dict(tasks.schedules)[taken.name]))
    except _Left as left:
        return (yield from round.leave(left.wait, left.why))
    except NotNow as ending:
        return (yield from round.leave(ending.wait, ""))


class _Left(Exception):
    """The round cannot go on now: it is given back for ``wait`` ms, or over (-1)."""

    def __init__(self, wait: int, why: str) -> None:
        super().__init__(why)
        self.wait, self.why = wait, why


class _TaskRun:
    """One round that this worker has taken up."""

    def __init__(self, config: AccountConfig, taken: ClaimedTask) -> None:
        self.config, self.taken, self.account = config, taken, config.account
        self.lease = config.life + LEASE
        self._calls = 0

    def run(self, schedule: Schedule) -> Steps[TaskResult]:
        """Searches, and spreads what was found."""
        state = self.taken.state
        page, phase, cut = state.page, state.phase, state.cut
        count = state.found
        while phase == "search":
            numbers = yield from self._page(schedule.query(state.slot), page)
            last = len(numbers) < PAGE
            if not (yield from ask(add_matches(self.account, self.taken, self.lease, page, numbers, last, MOST))):
                return TaskResult(0)
            count, page = count + len(numbers), page + 1
            cut = count > MOST or (count == MOST and not last)
            phase = "search" if not (last or cut) else "spread"
        keep = self.config.record_life // 1000
        while (left := (yield from ask(enqueue_matches(self.account, self.taken, self.lease, BATCH, keep)))) > 0:
            pass
        return TaskResult(0) if left < 0 else TaskResult(0, self.taken.name, True, min(count, MOST), cut)

    def names(self, check: Check) -> Steps[TaskResult]:
        """Reads the account's lists and looks for names that it does not know."""
        names = list(Directory.LISTS)
        stored = yield from ask(recall(self.account, names, FRESH))
        lists: dict[str, list[object]] = {}
        for name, kept in zip(names, stored, strict=True):
            lists[name] = msgspec.json.decode(kept) if kept is not None else (yield from self._list(name))
        told = tuple(check(Directory(**lists)))
        yield from ask(release_task(self.account, self.taken, -1, "", told))
        diff = tuple(each for each in told if each not in self.taken.state.findings)
        return TaskResult(0, self.taken.name, True, told=told, diff=diff)

    def leave(self, wait: int, why: str) -> Steps[TaskResult]:
        """Gives the round back, or ends it."""
        yield from ask(release_task(self.account, self.taken, wait, why))
        return TaskResult(0, self.taken.name, why=why)

    def _page(self, query: str, page: int) -> Steps[list[int]]:
        request = requests.tickets(page=page, size=PAGE, numbers_only=True, q=query)
        try:
            content = yield from self._get(request)
        except Gone:
            return []  # a page beyond the last
        except Refused as error:
            raise _Left(-1, f"HappyFox refuses the search ({error}): correct find, try it in HappyFox first") from None
        return list(read_page(content, _number))

    def _list(self, name: str) -> Steps[list[object]]:
        content = yield from self._get(Directory.LISTS[name])
        if not isinstance(content, list):
            raise _Left(REST, f"HappyFox answered the list of {name} with something other than a list")
        yield from ask(remember(self.account, name, msgspec.json.encode(content)))
        return content

    def _get(self, request: Request) -> Steps[object]:
        """Makes a read in class bulk and gives its content; raises ``_Left`` when there is none to be had now."""
        self._calls += 1
        id, governor = f"round-{self.taken.token}-{self._calls}", self.config.governor
        grant = yield from ask(governor.permit("get", id, "bulk", self.config.life))
        if grant.wait:
            raise _Left(grant.wait, "")
        outcome = yield from call(request, id, SEND_BY)
        result, wait = settlement("GET", outcome)
        yield from ask(governor.release("get", id, result, 0, wait))
        if not isinstance(outcome, Answer):
            raise _Left(REST, f"HappyFox could not be asked: {outcome}")
        try:
            return read(outcome)
        except Locked:
            raise _Left(0, "") from None
        except CheckCredentials as error:
            raise _Left(REST if error.status == 401 else -1, f"{error}; run `foxhooks doctor`") from None
        except Broken as error:
            raise _Left(REST, str(error)) from None


def _number(raw: object) -> int | None:
    """Reads a bare number, or that of an object, for accounts that do not know ``minify_response``."""
    return number(mapping(raw).get("id") if mapping(raw) else raw)
