"""What must be true: HappyFox's updates and calls compared with the deliveries that were answered 200.

Nothing here reads the engine or its store.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.chaos.story import Message
from tests.support.fleet import BOT

#: Seconds after a 429 in which a call that was already sent may still arrive.
ON_ITS_WAY = 1.0
NAME = re.compile(r"^(noted|answer to) (message (\d+) of ticket (\d+))$")

Json = dict[str, Any]


@dataclass(slots=True)
class Evidence:
    """What was seen from outside foxhooks."""

    story: Sequence[Message]
    tickets: dict[int, list[Json]]
    tags: dict[int, list[str]]
    calls: list[Json]
    accepted: set[tuple[int, int | None]]
    """The deliveries that were answered 200: ticket and `update_id`."""
    limits: dict[str, int]
    """Calls allowed in a window: get, post."""
    window: float
    """Seconds of a window."""
    lockout: float
    """Seconds of a lockout."""
    hits: list[tuple[float, float]] = field(default_factory=list)
    """From when until when (epoch seconds) a worker or the store was away."""
    intended_lockouts: int = 0
    """Lockouts that the test started."""
    lockouts: int = 0
    """All lockouts."""


@dataclass(slots=True)
class TicketEvidence:
    """One ticket: its messages, those whose delivery was accepted, and what foxhooks wrote, in order."""

    number: int
    messages: list[Message] = field(default_factory=list)
    accepted: list[Message] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    silent: int = 0


def sort_updates(evidence: Evidence) -> list[TicketEvidence]:
    """Sort the updates of every ticket."""
    messages: dict[int, list[Message]] = {}
    for message in evidence.story:
        messages.setdefault(message.ticket, []).append(message)
    return [_sort_ticket(evidence, number, messages[number]) for number in sorted(messages)]


def _sort_ticket(evidence: Evidence, number: int, messages: list[Message]) -> TicketEvidence:
    snapshot, waiting = TicketEvidence(number), list(messages)
    for index, update in enumerate(evidence.tickets.get(number, [])):
        said, by = update["message"], update["by"]
        if by["type"] == "user":
            message = waiting.pop(0)
            snapshot.messages.append(message)
            key = (number, update["update_id"])
            if key in evidence.accepted or (index == 0 and (number, None) in evidence.accepted):
                snapshot.accepted.append(message)
        elif by.get("id") == BOT:
            if said:
                texts = snapshot.notes if said["message_type"] == "p" else snapshot.replies
                texts.append(said["text"].strip())
            if update["status_change"]:
                snapshot.statuses.append(update["status_change"]["new_name"])
            elif not said:
                snapshot.silent += 1
    return snapshot


def lost(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Each accepted message has its note, its answer if it asked for one, its tag and its status."""
    for snapshot in tickets:
        notes, replies = set(snapshot.notes), set(snapshot.replies)
        for message in snapshot.accepted:
            if f"noted {message.name}" not in notes:
                yield f"ticket {snapshot.number}: no note for {message.name}"
            if message.asks and f"answer to {message.name}" not in replies:
                yield f"ticket {snapshot.number}: no answer to {message.name}"
        if snapshot.accepted and snapshot.accepted[0].number == 0 and "welcomed" not in evidence.tags[snapshot.number]:
            yield f"ticket {snapshot.number}: no tag"
        wanted = [message.status for message in snapshot.accepted if message.status]
        now = snapshot.statuses[-1] if snapshot.statuses else "New"
        if wanted and now != wanted[-1]:
            yield f"ticket {snapshot.number}: its status is {now} and not {wanted[-1]}"


def doubled(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """No note, answer or tag exists twice, and none without a message."""
    for snapshot in tickets:
        wanted = {f"noted {message.name}" for message in snapshot.messages}
        wanted |= {f"answer to {message.name}" for message in snapshot.messages if message.asks}
        for text, times in Counter(snapshot.notes + snapshot.replies).items():
            if times > 1 or text not in wanted:
                yield f"ticket {snapshot.number}: {text!r} is there {times} times"
        if snapshot.silent > 1:
            yield f"ticket {snapshot.number}: the tag was written {snapshot.silent} times"


def disordered(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Notes, answers and statuses are in the order of the messages."""
    for snapshot in tickets:
        for texts in (snapshot.notes, snapshot.replies):
            numbers = [int(match[3]) for text in texts if (match := NAME.match(text))]
            for before, after in pairwise(numbers):
                if after < before:
                    yield f"ticket {snapshot.number}: {texts[0].split()[0]} {after} comes after {before}"
        wanted = iter(message.status for message in snapshot.messages if message.status)
        if not all(status in wanted for status in snapshot.statuses):
            yield f"ticket {snapshot.number}: the statuses {snapshot.statuses} are out of order"


def overlapping(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """No write to a ticket begins before another has ended."""
    for call in evidence.calls:
        if call["overlapped"]:
            yield f"call {call['number']} overlaps another write to ticket {call['ticket']}"


def over_the_limit(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """No window holds more calls than allowed, and only the test caused lockouts."""
    for kind, limit in evidence.limits.items():
        fullest = fullest_window(evidence, kind)
        if fullest > limit:
            yield f"{fullest} {kind} calls in a window, {limit} are allowed"
    if evidence.lockouts != evidence.intended_lockouts:
        yield f"{evidence.lockouts - evidence.intended_lockouts} lockouts that the test did not start"


def while_locked(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """After a 429 no call arrives until the lockout ends, unless its caller may have been killed."""
    for first in refusals(evidence):
        since = first["answered"] + ON_ITS_WAY
        for call in evidence.calls:
            if since < call["arrived"] < first["answered"] + evidence.lockout:
                late = call["arrived"] - first["answered"]
                yield f"call {call['number']} arrived {late:.2f} s after the 429 of call {first['number']}"


def refusals(evidence: Evidence) -> list[Json]:
    """Return the calls that were answered 429 and whose caller survived."""
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
    "duplicate notes, replies, tags": doubled,
    "order violations": disordered,
    "overlapping writes on a ticket": overlapping,
    "windows over the limit": over_the_limit,
    "calls during a lockout": while_locked,
}
