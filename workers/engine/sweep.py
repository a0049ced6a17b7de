"""The sweep: find what changed in HappyFox without a delivery that said so.

HappyFox documents no redelivery, so a webhook that was lost stays lost. A sweep lists the tickets changed since the
last complete one, newest first, and compares each one's stamp with its snapshot. A ticket that differs gets an event;
its turn reads it and finds the changes, as always. Each step reads one page and releases the task for some seconds, so
a sweep keeps within its share of the budget, and any worker continues it.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from workers.engine.context import DAY, REST, AccountConfig, Parked, Sweep, TaskCalls, utc
from workers.engine.missing import HANDLER_GRACE
from workers.engine.steps import Steps
from workers.errors import Gone, Refused
from workers.happyfox import tickets as requests
from workers.happyfox.base import Page, read_page
from workers.happyfox.search import search
from workers.store.periodic import (
    Changed,
    ClaimedTask,
    PageResult,
    SweepMemo,
    decode_memo,
    end_page,
    news_since,
    read_open,
)
from workers.store.records import read_snapshots
from workers.tickets.model import mapping, millis, number, time
from workers.tickets.snapshot import Snapshot, decode

#: Tickets on a page.
PAGE = 50

#: A deep sweep lists a whole day more, because a list may have missed a ticket, or have stamps of another time zone.
#: Every second one searches by days, because HappyFox may not sort the list, and its first page may look sorted.
DEEP_EVERY, OVERLAP = 3_600_000, DAY

#: How long (ms) after a change its delivery may be on its way.
DELIVERY_TIME = 10_000


class ListedTicket(NamedTuple):
    """A ticket of the list."""

    ticket: int
    modified: int
    """When it was last changed, by HappyFox's stamp (ms); 0 if the list does not say."""
    closed: bool
    """Whether its status is one of completed tickets."""


class Span(NamedTuple):
    """What a sweep looks for."""

    since: int
    """A ticket without a snapshot is new to foxhooks if it was changed at this time or later (ms)."""
    until: int
    """The list is read back to this time (ms)."""


NO_ROWS: Page[ListedTicket] = Page((), None, None, None, None)


class SweepRun:
    """One page of a sweep."""

    def __init__(self, config: AccountConfig, sweep: Sweep, task: ClaimedTask, calls: TaskCalls) -> None:
        self._config, self._sweep, self._task, self._calls = config, sweep, task, calls
        self._memo = decode_memo(task.state.memo)
        self._begun = task.state.scheduled_at
        self._by_days = False

    def page(self) -> Steps[tuple[bool, int]]:
        """Look at one page; return whether the sweep is complete, and how many tickets have changed."""
        if not self._config.handlers:
            return (yield from self._without_handlers())
        page = self._task.state.page
        memo = self._memo = replace(self._memo, idle=0)
        if memo.rotating:
            return (yield from self._rotate())
        deep = self._begun - memo.deep >= DEEP_EVERY
        self._by_days = memo.unordered or (deep and memo.days_next)
        span = self._span(deep)
        listed = yield from self._list(page, span)
        rows, ahead, now = listed.items, self._calls.ahead, self._calls.now()
        if again := self._again(listed):
            return (yield from self._end(again, 1))
        if page > 1 and listed.total is not None and listed.total < memo.total:
            # A ticket was deleted, so the others have moved up, one of them to the page before.
            return (yield from self._end(replace(memo, total=listed.total), page - 1))
        stored: Sequence[bytes | None] = yield read_snapshots(self._config.account, [row.ticket for row in rows])
        snapshots = [decode(each, self._config.site) for each in stored]
        both = list(zip(rows, snapshots, strict=True))
        changed = [
            Changed(row.ticket, min(DELIVERY_TIME, max(0, row.modified - ahead + DELIVERY_TIME - now)))
            for row, snapshot in both
            if _has_changed(row, snapshot, span.since + ahead)
        ]
        memo = replace(memo, total=listed.total or 0)
        if not memo.covered:
            before = sum(not each and span.until <= row.modified - ahead < span.since for row, each in both)
            memo = replace(memo, unknown=memo.unknown + before, born=span.since)
        if not self._is_last(listed, page, span.until + ahead):
            return (yield from self._end(memo, page + 1, rows, changed, span.since))
        memo = replace(memo, covered=self._begun, total=0, rotating=True)
        if deep:
            memo = replace(memo, deep=self._begun, unordered=False, days_next=not memo.days_next)
        return (yield from self._end(memo, page, rows, changed, span.since))

    def _without_handlers(self) -> Steps[tuple[bool, int]]:
        """Leave the page to a worker with handlers, if there was one; it may run beside this one during a deploy.

        If none has come for a while, nobody is shown what has happened until now, so it is history for a later handler.
        """
        memo, now = self._memo, self._calls.now()
        idle = memo.idle or now
        if memo.covered != memo.born and now < idle + HANDLER_GRACE:
            return (yield from self._end(replace(memo, idle=idle), self._task.state.page))
        return (yield from self._end(SweepMemo(covered=self._begun, born=self._begun), 1, over=True))

    def _rotate(self) -> Steps[tuple[bool, int]]:
        """Look at the next page of the open tickets: one that is missing was closed, deleted or merged.

        No list of changes shows a deletion, so each sweep compares one page; its turn finds out what has happened.
        """
        memo, account = self._memo, self._config.account
        known: list[int] = yield read_open(account, memo.checked)
        if not known:
            return (yield from self._end(replace(memo, rotating=False, open_page=1, checked=0), 1, over=True))
        content, why = yield from self._list_open(memo.open_page)
        # Accounts that do not know ``minify_response`` send objects instead of bare numbers.
        listed = read_page(content, lambda raw: number(mapping(raw).get("id") if mapping(raw) else raw))
        if any(one > other for one, other in pairwise(listed.items)):
            why = "HappyFox does not list open tickets by their numbers, so deleted ones cannot be found"
        if why:
            # The list of changes must not wait for this one; the next sweep asks for the same page again.
            return (yield from self._end(replace(memo, rotating=False), 1, why=why, over=True))
        last = len(listed.items) < PAGE or listed.pages == memo.open_page
        until = known[-1] if last else max(listed.items)
        missing = {ticket for ticket in known if ticket <= until} - {*listed.items}
        memo = (
            replace(memo, rotating=False, open_page=1, checked=0)
            if last
            else replace(memo, rotating=False, open_page=memo.open_page + 1, checked=until)
        )
        # Without a snapshot there is nothing to compare: handlers would be shown a change of which nothing is known.
        stored: Sequence[bytes | None] = yield read_snapshots(account, sorted(missing))
        changed = [Changed(ticket) for ticket, snapshot in zip(sorted(missing), stored, strict=True) if snapshot]
        # One that has moved to the page before, because another one was closed, is watched again when it is listed.
        are_open = {**dict.fromkeys(listed.items, True), **dict.fromkeys(missing, False)}
        since = self._span(deep=False).since
        return (yield from self._end(memo, 1, changed=changed, since=since, are_open=are_open, over=True))

    def _list_open(self, page: int) -> Steps[tuple[object, str]]:
        """Return a page of the numbers of the open tickets, and why there is none."""
        try:
            request = requests.tickets(page=page, size=PAGE, status="_pending", numbers_only=True)
            content = yield from self._calls.get(request)
        except Gone:
            return [], ""
        except Refused as error:
            return None, f"HappyFox rejects the list of open tickets: {error}"
        except Parked as parked:
            if not parked.delay:
                raise
            return None, parked.why
        if not _is_list(content):
            return None, "HappyFox answered the list of open tickets with something other than a list"
        return content, ""

    def _span(self, deep: bool) -> Span:
        since = news_since(self._memo, self._task.state.epoch, self._begun)
        return Span(since, since - OVERLAP if deep else since)

    def _list(self, page: int, span: Span) -> Steps[Page[ListedTicket]]:
        # Whole days, one more than needed: the time zone of the days is unknown.
        day = utc(span.until).date() - timedelta(days=1)
        request = requests.tickets(
            page=page,
            size=PAGE,
            sort="last_modifiedd",
            q=search(last_modified_on_or_after=day) if self._by_days else "",
            fields=() if self._memo.whole else ("last_modified", "status"),
        )
        try:
            content = yield from self._calls.get(request)
        except Gone:
            return NO_ROWS  # a page beyond the last
        except Refused as error:
            raise Parked(REST, f"HappyFox rejects the list of changed tickets: {error}") from None
        if not _is_list(content):
            raise Parked(REST, "HappyFox answered the list of changed tickets with something other than a list")
        return read_page(content, _read_row)

    def _again(self, listed: Page[ListedTicket]) -> SweepMemo | None:
        """Return the memo with which the list must be read again from its first page, or None."""
        rows = listed.items
        if rows and not all(row.modified for row in rows) and not self._memo.whole:
            return replace(self._memo, whole=True)
        if not self._by_days and any(one.modified < other.modified for one, other in pairwise(rows)):
            return replace(self._memo, unordered=True)
        return None

    def _is_last(self, listed: Page[ListedTicket], page: int, until: int) -> bool:
        rows = listed.items
        if not rows or (page >= listed.pages if listed.pages else len(rows) < PAGE):
            return True
        return not self._by_days and 0 < rows[-1].modified < until

    def _end(
        self,
        memo: SweepMemo,
        page: int,
        rows: Sequence[ListedTicket] = (),
        changed: Sequence[Changed] = (),
        since: int = 0,
        *,
        are_open: Mapping[int, bool] | None = None,
        why: str = "",
        over: bool = False,
    ) -> Steps[tuple[bool, int]]:
        are_open = {**{row.ticket: not row.closed for row in rows}, **(are_open or {})}
        result = PageResult(
            memo=msgspec.json.encode(memo).decode(),
            page=page,
            tickets=len(rows),
            changed=tuple(changed),
            opened=tuple(ticket for ticket, is_open in are_open.items() if is_open),
            closed=tuple(ticket for ticket, is_open in are_open.items() if not is_open),
            why=why,
        )
        wait, keep = -1 if over else self._sweep.pace, self._config.record_ttl // 1000
        yield end_page(self._config.account, self._task, wait, result, since, keep)
        return over, len(changed)


def _has_changed(row: ListedTicket, snapshot: Snapshot | None, since: int) -> bool:
    """Return whether a ticket must be read: it differs from its snapshot, or is new to foxhooks."""
    if snapshot is None or not snapshot.modified or not row.modified:
        return row.modified >= since
    return not snapshot.reflects(row.modified)


def _is_list(content: object) -> bool:
    return isinstance(content if isinstance(content, list) else mapping(content).get("data"), list)


def _read_row(raw: object) -> ListedTicket | None:
    ticket = mapping(raw)
    identity = number(ticket.get("id"))
    closed = mapping(ticket.get("status")).get("behavior") == "completed"
    return None if identity is None else ListedTicket(identity, millis(time(ticket.get("last_modified"))), closed)
