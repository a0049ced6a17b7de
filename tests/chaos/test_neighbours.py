"""Each checker of what must not spread notices its violation in otherwise valid evidence."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.checkers import Evidence
from tests.chaos.courier import Acceptances
from tests.chaos.neighbours import BEARABLE, NEIGHBOUR_CHECKERS, undisturbed_denials
from tests.chaos.strangers import KEPT, Attack

#: A ticket that the key may not read, and another one.
DENIED, OTHER = 2, 1


def call(number: int, at: float, ticket: int = OTHER, status: int = 200, **more: Any) -> dict[str, Any]:
    times = {"arrived": at, "answered": at + 0.1}
    return {"number": number, "method": "GET", "ticket": ticket, "status": status, "fault": None, **times, **more}


def attack() -> Attack:
    attack = Attack([1])
    attack.began, attack.flooded = 10.0, 14.0
    attack.ends = Counter({("silent", 0): 10, ("slow body", 408): 10, ("large body", 413): 2, ("unsigned", 401): 80})
    attack.grown = {"web 0": BEARABLE}
    return attack


def valid_evidence() -> Evidence:
    return Evidence(
        story=(),
        tickets={},
        tags={},
        calls=[call(1, 20.0, DENIED, 403), call(2, 20.5), call(3, 25.0, DENIED, 403), call(4, 26.0), call(5, 60.0)],
        accepted=Acceptances({DENIED: [(None, 19.0)]}),
        colleagues=[],
        limits={},
        window=6.0,
        lockout=3.0,
        written_until=40.0,
        denied=frozenset((DENIED,)),
        given_up=frozenset((DENIED,)),
        access_at=50.0,
        silences=[(100.0, 106.0)],
        unanswered=[97.0, 98.0, 99.9, 100.5, 102.0, 104.0, 104.1, 108.0],
        attacks=[attack()],
        attempts=[(9.0, 503), (10.5, 200), (13.9, 200), (14.5, 0)],
    )


def complaints(evidence: Evidence) -> set[str]:
    return {name for name, checker in NEIGHBOUR_CHECKERS.items() if list(checker(evidence, []))}


def end(kind: str, status: int) -> Callable[[Evidence], None]:
    return lambda evidence: evidence.attacks[0].ends.update({(kind, status): 1})


BREAKAGES: dict[str, tuple[Callable[[Evidence], object], str]] = {
    "a denied ticket is never given up": (
        lambda evidence: setattr(evidence, "given_up", frozenset()),
        "denied tickets without an end",
    ),
    "a denied ticket is written to": (
        lambda evidence: evidence.calls.append(call(6, 45.0, DENIED, method="POST")),
        "denied tickets without an end",
    ),
    "no call follows a denial": (lambda evidence: evidence.calls.pop(3), "calls delayed by a denied ticket"),
    "only denied tickets are read": (
        lambda evidence: evidence.calls[3].update(ticket=DENIED),
        "calls delayed by a denied ticket",
    ),
    "a denial counts as that of the key": (
        lambda evidence: evidence.rejected.append(20.0),
        "calls delayed by a denied ticket",
    ),
    "lanes call a silent HappyFox": (
        lambda evidence: evidence.unanswered.extend([103.0, 103.5]),
        "calls to a HappyFox that does not answer",
    ),
    "a connection stays": (
        lambda evidence: evidence.stranded.append("1 connection"),
        "connections that stay with a demoted store",
    ),
    "a delivery is refused": (
        lambda evidence: evidence.attempts.append((11.0, 503)),
        "deliveries refused beside strangers",
    ),
    "a delivery is not answered": (
        lambda evidence: evidence.attempts.append((11.0, 0)),
        "deliveries refused beside strangers",
    ),
    "a stranger is accepted": (end("forged", 200), "strangers that cost too much"),
    "a slow stranger is never cut off": (end("slow head", KEPT), "strangers that cost too much"),
    "a large body is read": (end("large body", 401), "strangers that cost too much"),
    "a web process grows": (
        lambda evidence: evidence.attacks[0].grown.update({"web 1": BEARABLE + 1}),
        "strangers that cost too much",
    ),
}


def test_valid_evidence_has_no_complaints() -> None:
    evidence = valid_evidence()
    assert complaints(evidence) == set()
    assert len(undisturbed_denials(evidence)) == 2


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_every_breakage_is_noticed(breakage: str) -> None:
    evidence = valid_evidence()
    change, checker = BREAKAGES[breakage]
    change(evidence)
    assert complaints(evidence) == {checker}


def test_a_pause_with_another_reason_is_not_blamed_on_a_denied_ticket() -> None:
    evidence = valid_evidence()
    evidence.calls.pop(3)
    evidence.pauses = [(22.0, 23.0)]
    assert complaints(evidence) == set()


def test_workers_that_were_frozen_may_call_a_silent_happyfox() -> None:
    evidence = valid_evidence()
    evidence.unanswered += [103.0, 103.5]
    evidence.hits = [(101.0, 102.0)]
    assert complaints(evidence) == set()


def test_a_machine_that_is_too_busy_for_the_web_process_excuses_it() -> None:
    evidence = valid_evidence()
    evidence.attempts.append((11.0, 0))
    evidence.attacks[0].starved = 2.5
    assert complaints(evidence) == set()
