"""Check HappyFox's updates and calls against the deliveries that were answered with 200.

Nothing here reads the engine or its store.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

from tests.chaos.courier import Acceptances
from tests.chaos.story import Message
from tests.chaos.strangers import Attack
from tests.support.fleet import by_us

#: Seconds after a 429 in which a call that was already sent may still arrive.
ON_ITS_WAY = 1.0
NAME = re.compile(r"^(noted|answer to) (message (\d+) of ticket (\d+))$")

Json = dict[str, Any]


@dataclass(slots=True)
class Evidence:
    """What was observed from outside foxhooks."""

    story: Sequence[Message]
    tickets: dict[int, list[Json]]
    tags: dict[int, list[str]]
    calls: list[Json]
    accepted: Acceptances
    colleagues: list[str]
    """The changes that handlers took for a colleague's, although no colleague did anything."""
    limits: dict[str, int]
    """The calls allowed in a window, for `get` and `post`."""
    window: float
    """The length of a window in seconds."""
    lockout: float
    """The length of a lockout in seconds."""
    hits: list[tuple[float, float]] = field(default_factory=list)
    """The periods (epoch seconds) during which a worker or the store was down or frozen."""
    intended_lockouts: int = 0
    """The number of lockouts that the test started."""
    lockouts: int = 0
    """The number of all lockouts."""
    pauses: list[tuple[float, float]] = field(default_factory=list)
    """The periods (epoch seconds) in which foxhooks may have to make no call at all."""
    written_until: float = 0.0
    """When the last message was written (epoch seconds)."""
    denied: frozenset[int] = frozenset()
    """The tickets that the key may not read before access is given."""
    given_up: frozenset[int] = frozenset()
    """Those of them that had a dead letter then."""
    access_at: float = 0.0
    """When access was given (epoch seconds)."""
    rejected: list[float] = field(default_factory=list)
    """When foxhooks made no calls because HappyFox seemed to reject its key (epoch seconds)."""
    silences: list[tuple[float, float]] = field(default_factory=list)
    """The periods (epoch seconds) in which HappyFox did not answer and foxhooks knew it."""
    unanswered: list[float] = field(default_factory=list)
    """When a call got no answer because HappyFox was silent (epoch seconds)."""
    stranded: list[str] = field(default_factory=list)
    """The connections that stayed with a store that had become a replica."""
    attacks: list[Attack] = field(default_factory=list)
    """The attacks of strangers."""
    undone: Mapping[int, int] = field(default_factory=dict)
    """How many effects of each ticket HappyFox did not take, or perhaps not: a dead letter holds each of them."""
    attempts: list[tuple[float, int]] = field(default_factory=list)
    """When each delivery was sent (epoch seconds), and the status of the answer, 0 for none."""


@dataclass(slots=True)
class TicketEvidence:
    """One ticket: its messages, those that were accepted, and what foxhooks wrote, in order."""

    number: int
    messages: list[Message] = field(default_factory=list)
    accepted: list[Message] = field(default_factory=list)
    dropped: list[Message] = field(default_factory=list)
    """Messages whose own delivery was lost on its way."""
    notes: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    silent: int = 0


def sort_updates(evidence: Evidence) -> list[TicketEvidence]:
    """Sort the updates of every ticket into what people and what foxhooks wrote."""
    messages: dict[int, list[Message]] = {}
    for message in evidence.story:
        messages.setdefault(message.ticket, []).append(message)
    return [_sort_ticket(evidence, number, messages[number]) for number in sorted(messages)]


def _sort_ticket(evidence: Evidence, number: int, messages: list[Message]) -> TicketEvidence:
    ticket, waiting, known = TicketEvidence(number), list(messages), evidence.accepted.last(number)
    for index, update in enumerate(evidence.tickets.get(number, [])):
        written = update["message"]
        if not by_us(update):
            message = waiting.pop(0)
            ticket.messages.append(message)
            identity = update["update_id"] if index else 0
            if known >= identity:
                ticket.accepted.append(message)
            if identity in evidence.accepted.dropped.get(number, ()):
                ticket.dropped.append(message)
        else:
            if written:
                texts = ticket.notes if written["message_type"] == "p" else ticket.replies
                texts.append(written["text"].strip())
            if update["status_change"]:
                ticket.statuses.append(update["status_change"]["new_name"])
            elif not written:
                ticket.silent += 1
    return ticket


def lost(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield accepted messages without their note, answer, tag or status.

    A store that goes back in time loses what it has accepted since. If foxhooks learns no more of a ticket after that,
    its messages from that time are excused: HappyFox does not deliver again. The next delivery on the ticket ends the
    excuse, because the ticket shows what was missed. The contacts of a run write once more on each of these tickets, so
    in the end no message is excused.
    """
    for ticket in tickets:
        yield from _unhandled(evidence, ticket, ticket.accepted)
        wanted = [message.status for message in ticket.accepted if message.status]
        now = ticket.statuses[-1] if ticket.statuses else "New"
        if wanted and now != wanted[-1]:
            yield f"ticket {ticket.number}: its status is {now} instead of {wanted[-1]}"


def overlooked(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield messages without their note or answer whose delivery was lost: sweeps must find them all.

    Nobody writes on these tickets for that reason, and nothing is excused: a store that goes back in time also forgets
    how far it was swept. With `doubled`, each of them reaches its handlers exactly once.
    """
    for ticket in tickets:
        yield from _unhandled(evidence, ticket, ticket.dropped)


def _unhandled(evidence: Evidence, ticket: TicketEvidence, messages: Sequence[Message]) -> Iterator[str]:
    """Yield what messages lack, except for as much as dead letters of the ticket hold."""
    return islice(_missing(evidence, ticket, messages), evidence.undone.get(ticket.number, 0), None)


def _missing(evidence: Evidence, ticket: TicketEvidence, messages: Sequence[Message]) -> Iterator[str]:
    if messages and messages[0].number == 0 and "welcomed" not in evidence.tags[ticket.number]:
        yield f"ticket {ticket.number}: no tag"
    notes, replies = set(ticket.notes), set(ticket.replies)
    for message in messages:
        if f"noted {message.name}" not in notes:
            yield f"ticket {ticket.number}: no note for {message.name}"
        if message.asks and f"answer to {message.name}" not in replies:
            yield f"ticket {ticket.number}: no answer to {message.name}"


def doubled(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield notes, answers and tags that exist twice or without a message."""
    for ticket in tickets:
        wanted = {f"noted {message.name}" for message in ticket.messages}
        wanted |= {f"answer to {message.name}" for message in ticket.messages if message.asks}
        for text, times in Counter(ticket.notes + ticket.replies).items():
            if times > 1 or text not in wanted:
                yield f"ticket {ticket.number}: {text!r} exists {times} times"
        if ticket.silent > 1:
            yield f"ticket {ticket.number}: the tag was written {ticket.silent} times"


def disordered(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield notes, answers and statuses that are not in the order of the messages."""
    for ticket in tickets:
        for texts in (ticket.notes, ticket.replies):
            numbers = [int(match[3]) for text in texts if (match := NAME.match(text))]
            for before, after in pairwise(numbers):
                if after < before:
                    yield f"ticket {ticket.number}: {texts[0].split()[0]} {after} comes after {before}"
        wanted = iter(message.status for message in ticket.messages if message.status)
        if not all(status in wanted for status in ticket.statuses):
            yield f"ticket {ticket.number}: the statuses {ticket.statuses} are out of order"


def mistaken(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield our own updates that handlers took for a colleague's."""
    for seen in evidence.colleagues:
        yield f"ticket and update {seen}"


def overlapping(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield writes to a ticket that began before another one had ended."""
    for call in evidence.calls:
        if call["overlapped"]:
            yield f"call {call['number']} overlaps another write to ticket {call['ticket']}"


def over_the_limit(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield windows with more calls than allowed, and lockouts that the test did not start."""
    for kind, limit in evidence.limits.items():
        fullest = fullest_window(evidence, kind)
        if fullest > limit:
            yield f"{fullest} {kind} calls in a window, {limit} are allowed"
    if evidence.lockouts != evidence.intended_lockouts:
        yield f"{evidence.lockouts - evidence.intended_lockouts} lockouts that the test did not start"


def while_locked(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield calls that arrived after a 429 and before the lockout ended."""
    for first in refusals(evidence):
        since = first["answered"] + ON_ITS_WAY
        for call in evidence.calls:
            if since < call["arrived"] < first["answered"] + evidence.lockout:
                late = call["arrived"] - first["answered"]
                yield f"call {call['number']} arrived {late:.2f} s after the 429 of call {first['number']}"


def refusals(evidence: Evidence) -> list[Json]:
    """Return the calls that were answered with 429 and whose caller survived for certain."""
    return [
        call
        for call in evidence.calls
        if call["status"] == 429
        and not any(since < call["answered"] + ON_ITS_WAY and until > call["arrived"] for since, until in evidence.hits)
    ]


def fullest_window(evidence: Evidence, kind: str) -> int:
    """Return the largest number of calls with one method in any window."""
    times = [
        call["arrived"] for call in evidence.calls if call["counted"] and (call["method"] == "GET") == (kind == "get")
    ]
    most = first = 0
    for last, moment in enumerate(times):
        while times[first] <= moment - evidence.window:
            first += 1
        most = max(most, last - first + 1)
    return most


CHECKERS: dict[str, Callable[[Evidence, list[TicketEvidence]], Iterator[str]]] = {
    "lost accepted events": lost,
    "lost deliveries that no sweep made up for": overlooked,
    "duplicate notes, replies, tags": doubled,
    "order violations": disordered,
    "own updates taken for a colleague's": mistaken,
    "overlapping writes on a ticket": overlapping,
    "windows over the limit": over_the_limit,
    "calls during a lockout": while_locked,
}
