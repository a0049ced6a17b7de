"""Check that no customer gets too many emails, no plan makes too many calls, and nothing happens without a grant.

Like the other checkers, these know only what HappyFox shows.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

HOUR, DAY = 3600.0, 86_400.0
#: Seconds after the last worker with a grant was killed in which its last call may still arrive.
ON_ITS_WAY = 0.5
NAME = re.compile(r"message \d+ of ticket \d+")
#: The author of foxhooks' updates; that of a contact is an address.
US = "us"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of foxhooks, by default its own defaults."""

    unanswered: int = 3
    """FOXHOOKS_UNANSWERED_REPLIES"""
    per_address: int = 10
    """FOXHOOKS_REPLIES_PER_CONTACT"""
    calls: int = 20
    """FOXHOOKS_LOOP_GUARD"""


@dataclass(frozen=True, slots=True)
class Written:
    """An update of a ticket."""

    at: float
    """Epoch seconds."""
    by: str
    """The address of a contact, or `US`."""
    text: str = ""
    email: bool = False
    """Whether HappyFox has mailed it to the contact."""


@dataclass(slots=True, kw_only=True)
class CustomerEvidence:
    """What was observed from outside foxhooks, of tickets whose contacts may be programs."""

    tickets: dict[int, list[Written]]
    """The updates of every ticket that was opened; none if it does not exist any more."""
    addresses: dict[int, str]
    """The address of each ticket's contact."""
    programs: frozenset[str]
    """The addresses that no person reads."""
    talkers: frozenset[str]
    """The addresses of people who write more than the limits allow to answer."""
    calls: list[Json]
    losses: list[tuple[float, float]]
    """The periods (epoch seconds) of which the store has forgotten everything."""
    revoked: float
    """When the last worker with the grant of the router `former` was killed (epoch seconds)."""
    limits: Limits = Limits()
    held: frozenset[int] = frozenset()
    """The tickets with a dead letter that holds emails."""
    stopped: frozenset[int] = frozenset()
    """The tickets with a dead letter of the loop guard, which holds notes."""


def emails_per_address(evidence: CustomerEvidence) -> Iterator[str]:
    """Yield addresses that got more emails within 24 hours than allowed, from all tickets together.

    Only the store knows how many there were. So those of a period that the store has forgotten are left out.
    """
    for address, moments in _emails(evidence).items():
        remembered = [at for at in moments if not any(since <= at <= until for since, until in evidence.losses)]
        if (most := fullest(remembered, DAY)) > evidence.limits.per_address:
            yield f"{address} got {most} emails in 24 hours, {evidence.limits.per_address} are allowed"


def emails_in_a_row(evidence: CustomerEvidence) -> Iterator[str]:
    """Yield tickets with more emails in a row than allowed, without an update by a person between them."""
    for number, updates in evidence.tickets.items():
        if (most := longest_row(updates, evidence.programs)) > evidence.limits.unanswered:
            yield f"ticket {number}: {most} emails in a row, {evidence.limits.unanswered} are allowed"


def calls_per_hour(evidence: CustomerEvidence) -> Iterator[str]:
    """Yield tickets on which more calls took effect within an hour than the loop guard allows."""
    for number, updates in evidence.tickets.items():
        most = fullest([update.at for update in updates if update.by == US], HOUR)
        if most > evidence.limits.calls:
            yield f"ticket {number}: {most} calls within an hour, {evidence.limits.calls} are allowed"


def calls_per_plan(evidence: CustomerEvidence) -> Iterator[str]:
    """Yield calls of a handler that plans more of them than the loop guard allows: not even a part may be made."""
    for number, updates in evidence.tickets.items():
        lines = sum(update.by == US and update.text.startswith("line ") for update in updates)
        if lines:
            yield f"ticket {number}: {lines} calls of plans with 30 calls, {evidence.limits.calls} are allowed"


def without_grant(evidence: CustomerEvidence) -> Iterator[str]:
    """Yield calls for which there was no grant when they were made, whether or not they took effect."""
    for number, updates in evidence.tickets.items():
        if not updates:
            yield f"ticket {number} was deleted"
    for call in evidence.calls:
        content = str(call["body"])
        formerly = "former answer" in content and call["arrived"] > evidence.revoked + ON_ITS_WAY
        if call["method"] != "GET" and ("stranger" in content or "delete" in call["path"] or formerly):
            yield f"call {call['number']} to {call['path']}: {content[:60]}"


def without_answer(evidence: CustomerEvidence) -> Iterator[str]:
    """Yield messages of people that have no note, and no answer either: not even one that a dead letter holds.

    After a loss, people write again, so often and so soon after an email that the limits may take them for programs.
    """
    for number, updates in evidence.tickets.items():
        if evidence.addresses[number] in evidence.programs | evidence.talkers:
            continue
        ours = "\n".join(update.text for update in updates if update.by == US)
        for name in (NAME.findall(update.text)[-1] for update in updates if update.by != US):
            note = () if number in evidence.stopped else (f"noted {name}",)
            for wanted in (*note, *(() if number in evidence.held else (f"answer to {name}.",))):
                if wanted not in ours:
                    yield f"ticket {number}: {wanted!r} is missing"


def repeated(evidence: CustomerEvidence) -> Iterator[str]:
    """Yield texts that exist twice."""
    for number, updates in evidence.tickets.items():
        for text, times in Counter(update.text for update in updates if update.by == US and update.text).items():
            if times > 1:
                yield f"ticket {number}: {text!r} exists {times} times"


def longest_row(updates: Sequence[Written], programs: frozenset[str]) -> int:
    """Return the largest number of emails in a row that no person has answered."""
    most = row = 0
    for update in updates:
        if update.by == US:
            row += update.email
        elif update.by not in programs:
            row = 0
        most = max(most, row)
    return most


def emails_to(evidence: CustomerEvidence) -> dict[str, int]:
    """Return the largest number of emails that each address got within 24 hours."""
    return {address: fullest(moments, DAY) for address, moments in _emails(evidence).items()}


def _emails(evidence: CustomerEvidence) -> dict[str, list[float]]:
    """Return the times of the emails to each address."""
    moments: dict[str, list[float]] = {}
    for number, updates in evidence.tickets.items():
        moments.setdefault(evidence.addresses[number], []).extend(update.at for update in updates if update.email)
    return {address: sorted(times) for address, times in moments.items()}


def fullest(times: Sequence[float], window: float) -> int:
    """Return the largest number of moments, in ascending order, within any window."""
    most = first = 0
    for last, moment in enumerate(times):
        while times[first] <= moment - window:
            first += 1
        most = max(most, last - first + 1)
    return most


LIMIT_CHECKERS: dict[str, Callable[[CustomerEvidence], Iterator[str]]] = {
    "addresses with too many emails": emails_per_address,
    "tickets with too many emails in a row": emails_in_a_row,
    "tickets with too many calls per hour": calls_per_hour,
    "plans with too many calls": calls_per_plan,
    "effects without a grant": without_grant,
    "messages of people without an answer": without_answer,
    "texts that exist twice": repeated,
}
