"""Dead letters: groups of those that failed in the same way, pages of them, and one with its evidence."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from workers.store.failures import UnreadableKey, answered, reading
from workers.store.pages import Page
from workers.store.records import AccountRecords

#: Why a dead letter cannot be acted on: somebody else was faster, or there is nothing to run.
GONE = "it no longer exists"
NO_HANDLER = "it names no handler that could run again; see `foxhooks dead show`, then discard it"

#: How many are read in one step.
STEP = 500

#: What differs between failures of one class: numbers, what is quoted, addresses, ids.
_DETAILS = re.compile(r"'[^']*'|\"[^\"]*\"|\S+@\S+|\b[0-9a-f]{8,}\b|\d+")
#: The longest name of a class of failures, and how much of a reason is looked at: it may quote a long text.
LONGEST_CLASS, LOOKED_AT = 90, 2_000


class _Evidence(msgspec.Struct):
    """The part of the evidence that lists need; it is large, and lists are long."""

    handler: str = ""
    reason: str = ""
    attempts: int = 1
    events_since: int = 0
    doubt: object = None


_DECODER = msgspec.json.Decoder(_Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRow:
    """A dead letter in a list."""

    id: str
    ticket: int
    at: int
    handler: str
    attempts: int
    reason: str
    in_doubt: bool
    """Whether its effect may have happened: a person must look before it is replayed."""
    can_replay: bool
    held: int = 0
    """How many emails it holds back."""

    @property
    def error(self) -> str:
        """Return the class of its failure: the reason without what differs between tickets."""
        return error_class(self.reason)


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters of one handler that failed in the same way."""

    handler: str
    error: str
    count: int
    tickets: int
    first: int
    last: int
    in_doubt: int


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Which dead letters to list; an empty member selects all."""

    handler: str = ""
    error: str = ""
    """A part of the reason, or its class, in any case."""
    ticket: int | None = None
    since: int = 0

    def selects(self, row: DeadLetterRow) -> bool:
        """Return whether a dead letter is selected."""
        wanted = self.error.casefold()
        return (
            (not self.handler or row.handler == self.handler or row.handler.startswith(f"{self.handler}."))
            and (wanted in row.reason.casefold() or wanted == row.error.casefold())
            and self.ticket in (None, row.ticket)
            and row.at >= self.since
        )


def error_class(reason: str) -> str:
    """Return a reason without what differs between tickets."""
    return " ".join(_DETAILS.sub("…", reason[:LOOKED_AT]).split())[:LONGEST_CLASS]


def read_rows(records: AccountRecords, query: DeadLetterQuery) -> list[DeadLetterRow]:
    """Return the dead letters that match, newest first."""
    ids = [name.decode() for name in records.client.zrange(records.keys.dead_letters, 0, -1, desc=True)]
    return [row for row in read_some(records, ids) if query.selects(row)]


def read_some(records: AccountRecords, ids: Sequence[str]) -> Iterator[DeadLetterRow]:
    """Yield the dead letters with these ids that still exist, in this order."""
    for first in range(0, len(ids), STEP):
        step = ids[first : first + STEP]
        with records.client.pipeline(transaction=False) as batch:
            for each in step:
                batch.hmget(records.keys.dead_letter(each), "ticket", "at", "evidence", "held")
            answers = batch.execute(raise_on_error=False)
        for each, answer in zip(step, answers, strict=True):
            try:
                with reading(records.keys.dead_letter(each)):
                    row = _row(each, *answered(answer))
            except UnreadableKey as error:
                row = _unreadable_row(each, error)
            if row is not None:
                yield row


def _row(id: str, ticket: bytes, at: bytes, stored: bytes | None, held: bytes | None) -> DeadLetterRow | None:
    if stored is None:
        return None
    evidence, emails = _DECODER.decode(stored), int(held or 0)
    return DeadLetterRow(
        id=id,
        ticket=int(ticket),
        at=int(at),
        handler=evidence.handler,
        attempts=evidence.attempts,
        reason=(f"{emails} email{'' if emails == 1 else 's'} held back: " if emails else "") + evidence.reason,
        in_doubt=evidence.doubt is not None,
        can_replay=bool(evidence.handler or evidence.events_since or emails),
        held=emails,
    )


def _unreadable_row(id: str, error: UnreadableKey) -> DeadLetterRow:
    return DeadLetterRow(
        id=id, ticket=0, at=0, handler="", attempts=0, reason=str(error), in_doubt=False, can_replay=False
    )


def group(rows: Iterable[DeadLetterRow]) -> list[DeadLetterGroup]:
    """Group dead letters by handler and class of failure, the largest group first."""
    found: defaultdict[tuple[str, str], list[DeadLetterRow]] = defaultdict(list)
    for row in rows:
        found[row.handler, row.error].append(row)
    groups = (
        DeadLetterGroup(
            handler,
            error,
            len(same),
            len({row.ticket for row in same}),
            min(row.at for row in same),
            max(row.at for row in same),
            sum(row.in_doubt for row in same),
        )
        for (handler, error), same in found.items()
    )
    return sorted(groups, key=lambda each: (-each.count, -each.last))


def page(rows: Sequence[DeadLetterRow], cursor: str, most: int = 50) -> Page[DeadLetterRow]:
    """Return a page of dead letters; the cursor is the id of the last one before it."""
    start = next((number for number, row in enumerate(rows, 1) if row.id == cursor), 0) if cursor else 0
    shown = tuple(rows[start : start + most])
    left = len(rows) - start - len(shown)
    return Page(shown, shown[-1].id if left and shown else "", left)
