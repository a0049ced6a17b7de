"""Periodic tasks: one worker of the fleet runs each, and any other can continue after it."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from workers.store.scripts import Args, Script

#: The task that checks the names which rules and settings use.
NAMES = ":names"

#: The task that looks through changed tickets.
SWEEP = ":sweep"


class TaskState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a periodic task. Times are ms of the store's clock."""

    scheduled_at: int
    """When the current or last run was due; the next one is counted from it."""
    period: int
    phase: Literal["search", "enqueue", "done"]
    token: str = ""
    """The token of the worker that runs the task, if any."""
    locked_until: int = 0
    """When that worker's lease ends; without a worker, when the task may be claimed again."""
    page: int = 1
    """The next page of the search."""
    found: int = 0
    """Matching tickets."""
    enqueued: int = 0
    """Events added for them."""
    truncated: bool = False
    """Whether more tickets match than one run takes."""
    why: str = ""
    """Why the run does not continue."""
    ended: int = 0
    """When a run last ended."""
    findings: tuple[str, ...] = ()
    """The findings of the last run."""
    memo: str = ""
    """What the task keeps from one run to the next, in its own format."""
    hurried: bool = False
    """Whether a person wants the next run now."""
    epoch: int = 0
    """When the store was first used, as the current or last run found it."""

    @property
    def next(self) -> int:
        """When the next run is due."""
        return self.scheduled_at + self.period


class SweepMemo(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a sweep keeps for its next page, and for the next sweep. Times are ms of the store's clock."""

    covered: int = 0
    """All changes before this time have been looked for; 0 before the first complete sweep."""
    deep: int = 0
    """When the last deep sweep began."""
    unordered: bool = False
    """Whether HappyFox does not sort the list by changes, so that it is searched by days instead."""
    days_next: bool = False
    """Whether the next deep sweep searches by days in any case."""
    whole: bool = False
    """Whether HappyFox sends the stamps only with whole tickets."""
    total: int = 0
    """Tickets in the list, as the last page said."""
    unknown: int = 0
    """Tickets changed within a day before the store was first used: nobody knows who handled those changes."""
    born: int = 0
    """What happened before this time is history: the first sweep did not look, or there were no handlers."""
    idle: int = 0
    """Since when only workers without handlers have taken the sweep, 0 if one with handlers has."""
    rotating: bool = False
    """Whether the list is complete, and a page of the open tickets follows."""
    open_page: int = 1
    """The next page of the open tickets."""
    checked: int = 0
    """The last ticket of the page before it."""


_MEMO = msgspec.json.Decoder(SweepMemo)


def decode_memo(stored: str) -> SweepMemo:
    """Decode the memo of a sweep; one that cannot be read counts as none, as for a store's first sweep."""
    try:
        return _MEMO.decode(stored) if stored else SweepMemo()
    except msgspec.MsgspecError:
        return SweepMemo()


#: How long (ms) before the last sweep a change may have been made that its lists did not show yet.
LAG = 600_000

#: How far (ms) the first sweep of a store goes back at most: an older store has run without sweeps.
OLDEST = 7 * 86_400_000

#: Stamps have whole seconds (ms).
SECOND = 2_000


def news_since(memo: SweepMemo, epoch: int, now: int) -> int:
    """Return the time (ms) from which on all changes of a ticket without a snapshot are new.

    Complete sweeps have found what happened before. The first one takes the birth of the store, which is its ``epoch``.
    """
    return max(memo.covered - LAG if memo.covered else now - OLDEST, memo.born, epoch - SECOND)


def memo_of(stored: bytes | None) -> SweepMemo:
    """Return the memo in the state of a sweep; an empty one if there is no state, or none that can be read."""
    try:
        return decode_memo(decode(stored).memo) if stored else SweepMemo()
    except msgspec.MsgspecError:
        return SweepMemo()


class ClaimedTask(msgspec.Struct, frozen=True):
    """A task that this worker runs; the token proves it."""

    name: str
    token: str
    state: TaskState


class TaskInterval(NamedTuple):
    """How often a task runs."""

    name: str
    ms: int
    patient: bool = False
    """Whether its first run is one period after the store's first use, instead of at once."""


def claim_task(account: str, token: str, lease: int, tasks: Sequence[TaskInterval]) -> Script[ClaimedTask | int]:
    """Claim the longest due of these tasks.

    If none is due, return the ms until it is worth asking again, -1 if there are no tasks.
    """

    def read(raw: Any) -> ClaimedTask | int:
        return ClaimedTask(raw[1].decode(), token, decode(raw[2])) if raw[0] else int(raw[1])

    return Script("claim_task", account, [token, lease, msgspec.json.encode(tasks)], read)


_STATE = msgspec.json.Decoder(TaskState, strict=False)


def decode(stored: bytes) -> TaskState:
    """Decode the state of a task."""
    return _STATE.decode(stored)


def add_matches(
    account: str, task: ClaimedTask, lease: int, page: int, tickets: Sequence[int], last: bool, most: int
) -> Script[bool]:
    """Store the matches of one page of the search. False: another worker has claimed the task."""
    args: Args = [task.name, task.token, lease, page, msgspec.json.encode(tickets), int(last), most]
    return Script("add_matches", account, args, bool)


def enqueue_matches(account: str, task: ClaimedTask, lease: int, most: int, keep: int) -> Script[int]:
    """Add events for up to ``most`` matches to their lanes; ``keep`` is the retention in seconds.

    Return how many matches are left, -1 if another worker has claimed the task.
    """
    return Script("enqueue_matches", account, [task.name, task.token, lease, most, keep], int)


def release_task(
    account: str, task: ClaimedTask, wait: int, why: str, findings: Sequence[str] | None = None
) -> Script[bool]:
    """Release a task for ``wait`` ms, or end its run with -1; store the findings, if given."""
    encoded = b"" if findings is None else msgspec.json.encode(findings)
    return Script("release_task", account, [task.name, task.token, wait, why, encoded], bool)


def hurry_task(account: str, name: str) -> Script[bool]:
    """Make a task due now; a run that waits for its next page continues."""
    return Script("hurry_task", account, [name], bool)


class Changed(NamedTuple):
    """A ticket that has changed since it was read last."""

    ticket: int
    wait: int = 0
    """How long (ms) its event may wait for a delivery that is on its way."""


class PageResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a page of the sweep has shown."""

    memo: str
    page: int
    """The next page."""
    tickets: int
    """How many tickets the page has."""
    changed: tuple[Changed, ...] = ()
    """Those that must be read."""
    opened: tuple[int, ...] = ()
    """Those that are open."""
    closed: tuple[int, ...] = ()
    """Those that are not, or not listed any more."""
    why: str = ""
    """Why the sweep ends without one of its lists."""


def end_page(account: str, task: ClaimedTask, wait: int, result: PageResult, since: int, keep: int) -> Script[bool]:
    """End a page: add the events of the tickets that have changed, and release the task.

    The next page follows after ``wait`` ms; with -1 the run is over. Changes from ``since`` (ms) on are new; ``keep``
    is the retention in seconds. False: another worker has claimed the task.
    """
    return Script("end_page", account, [task.name, task.token, wait, msgspec.json.encode(result), since, keep], bool)


#: How many open tickets are compared with one page at most; a page has fewer.
MOST_OPEN = 1_000


def read_open(account: str, after: int) -> Script[list[int]]:
    """Return the open tickets that sweeps have seen, by number, after this one."""
    return Script("read_open", account, [after, MOST_OPEN], lambda raw: [int(each) for each in raw])
