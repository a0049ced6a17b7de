"""Check that one trouble does not spread: denied tickets, strangers, a silent HappyFox, a store that was demoted."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator

from tests.chaos.checkers import ON_ITS_WAY, Evidence, Json, TicketEvidence
from tests.chaos.denials import is_denial
from tests.chaos.strangers import ENDS

#: Seconds before a call in which a fault or a 429 may still be the reason for which foxhooks makes none.
AFTERMATH = 6.0
#: The part of a lockout for which nobody calls if a denial is taken for that of the key.
PAUSE = 0.8
#: The calls to a HappyFox that does not answer for each `lockout`, which is the longest pause in a run: a read that
#: probes, and another one that says whether only that ticket fails. Workers that were frozen make those they began, and
#: report earlier answers as new, so that three calls notice the silence again.
PROBES, FROZEN = 2, 13
#: The part of the time for which a process may wait for a processor beside others.
STARVED = 0.5
#: The bytes by which an attack may let a web process grow: large bodies of which the limit allows 32 MiB.
BEARABLE = 48 * 1024 * 1024


def not_given_up(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield tickets that the key may not read and that are not a dead letter, or that were written to."""
    for number in sorted(evidence.denied - evidence.given_up):
        if evidence.accepted.last(number) >= 0:
            yield f"ticket {number} has no dead letter"
    for call in evidence.calls:
        if call["method"] != "GET" and call["ticket"] in evidence.denied and call["arrived"] < evidence.access_at:
            yield f"call {call['number']} writes to ticket {call['ticket']}"


def delayed_by_a_denial(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield denials after which no call on another ticket arrives for as long as a pause, without any other reason.

    In a run with many faults there mostly is one. So foxhooks' own reason to pause is looked at, too.
    """
    if evidence.rejected:
        yield f"calls paused as if HappyFox had rejected the key, seen {len(evidence.rejected)} times"
    others = [call["arrived"] for call in evidence.calls if call["ticket"] and call["ticket"] not in evidence.denied]
    for denial in undisturbed_denials(evidence):
        later = others[bisect_right(others, denial["answered"]) :][:1]
        gap = (later[0] if later else evidence.written_until) - denial["answered"]
        if gap > evidence.lockout * PAUSE:
            yield f"no call for {gap:.1f} s after the denial of ticket {denial['ticket']}"


def undisturbed_denials(evidence: Evidence) -> list[Json]:
    """Return the refused reads near which nothing else happened that makes calls pause."""
    troubles = [
        *evidence.pauses,
        *(
            (call["arrived"], call["answered"])
            for call in evidence.calls
            if not is_denial(call) and (call["fault"] or call["status"] == 429)
        ),
    ]
    found = []
    for call in filter(is_denial, evidence.calls):
        since, until = call["answered"] - AFTERMATH, call["answered"] + evidence.lockout
        if until < evidence.written_until and not any(began < until and since < end for began, end in troubles):
            found.append(call)
    return found


def calls_into_silence(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield periods without an answer from HappyFox in which more calls were made than needed to notice its end."""
    for began, until in evidence.silences:
        since = began + ON_ITS_WAY
        made = sum(since < at < until for at in evidence.unanswered)
        allowed = PROBES * math.ceil((until - since) / evidence.lockout)
        allowed += FROZEN * sum(hit < until and began < end for hit, end in evidence.hits)
        if made > allowed:
            yield f"{made} calls in {until - since:.1f} s although HappyFox does not answer, {allowed} are allowed"


def stranded(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield connections that clients kept using although their server refuses to write."""
    yield from evidence.stranded


def refused_beside_strangers(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield honest deliveries that were not answered 200 because strangers attacked: nothing else went wrong then."""
    for after, status in beside_strangers(evidence):
        if status != 200:
            yield f"a delivery got {status or 'no answer'} {after:.1f} s after strangers came"


def beside_strangers(evidence: Evidence) -> list[tuple[float, int]]:
    """Return how many seconds after strangers came each delivery was sent, and the status of its answer.

    On a machine that cannot run the web processes because of other programs, an answer proves nothing.
    """
    return [
        (sent - attack.began, status)
        for attack in evidence.attacks
        if attack.starved < (attack.flooded - attack.began) * STARVED
        for sent, status in evidence.attempts
        if attack.began <= sent <= attack.flooded
    ]


def costly_strangers(evidence: Evidence, tickets: list[TicketEvidence]) -> Iterator[str]:
    """Yield strangers who were accepted or never cut off, and web processes that they filled."""
    for attack in evidence.attacks:
        for (kind, end), times in attack.ends.items():
            if end not in ENDS[kind]:
                yield f"{times} strangers ended with {end}: {kind}"
    if (grown := most_growth(evidence)) > BEARABLE:
        yield f"a web process grew by {grown / 1024 / 1024:.0f} MiB"


def most_growth(evidence: Evidence) -> int:
    """Return by how many bytes a web process has grown in an attack."""
    return max((size for attack in evidence.attacks for size in attack.grown.values()), default=0)


NEIGHBOUR_CHECKERS: dict[str, Callable[[Evidence, list[TicketEvidence]], Iterator[str]]] = {
    "denied tickets without an end": not_given_up,
    "calls delayed by a denied ticket": delayed_by_a_denial,
    "calls to a HappyFox that does not answer": calls_into_silence,
    "connections that stay with a demoted store": stranded,
    "deliveries refused beside strangers": refused_beside_strangers,
    "strangers that cost too much": costly_strangers,
}
