"""Each checker of emails, calls and grants notices its violation in otherwise valid evidence."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.limits import LIMIT_CHECKERS, US, CustomerEvidence, Written

PERSON, PROGRAM, TALKER = "sam@people.example", "echo@programs.example", "talker@people.example"
REVOKED = 1000.0


def email(at: float, text: str = "") -> Written:
    return Written(at, US, text or f"answer at {at}", email=True)


def call(number: int, text: str, at: float = 0.0, path: str = "ticket/1/staff_update/") -> dict[str, Any]:
    return {"number": number, "method": "POST", "path": path, "body": {"html": text}, "arrived": at}


def valid_evidence() -> CustomerEvidence:
    return CustomerEvidence(
        tickets={
            1: [
                Written(1.0, PERSON, "This is message 0 of ticket 1. Please tell me at length."),
                Written(2.0, US, "noted message 0 of ticket 1"),
                email(3.0, "answer to message 0 of ticket 1. Thank you."),
            ],
            2: [
                Written(1.0, PROGRAM, "This is message 0 of ticket 2."),
                *(email(at) for at in (2.0, 3.0, 4.0)),
                Written(5.0, PROGRAM, "This is message 1 of ticket 2."),
                Written(6.0, US, "noted message 1 of ticket 2"),
            ],
            3: [Written(1.0, TALKER, "This is message 0 of ticket 3.")],
        },
        addresses={1: PERSON, 2: PROGRAM, 3: TALKER},
        programs=frozenset((PROGRAM,)),
        talkers=frozenset((TALKER,)),
        calls=[call(1, "former answer to message 0 of ticket 1", at=REVOKED - 1)],
        losses=[],
        revoked=REVOKED,
    )


def complaints(evidence: CustomerEvidence) -> set[str]:
    return {name for name, checker in LIMIT_CHECKERS.items() if list(checker(evidence))}


def many_emails(evidence: CustomerEvidence) -> None:
    """Send eight more emails to the address, each from a ticket of its own."""
    for number in range(10, 18):
        evidence.tickets[number] = [Written(number, PROGRAM, "This is message 0 of a ticket."), email(number + 0.5)]
        evidence.addresses[number] = PROGRAM


def many_calls(evidence: CustomerEvidence) -> None:
    evidence.tickets[3] += [Written(100.0 + number, US) for number in range(21)]


BREAKAGES: dict[str, tuple[Callable[[CustomerEvidence], object], str]] = {
    "an eleventh email": (many_emails, "addresses with too many emails"),
    "a fourth email in a row": (
        lambda evidence: evidence.tickets[2].append(email(7.0)),
        "tickets with too many emails in a row",
    ),
    "a twenty-first call": (many_calls, "tickets with too many calls per hour"),
    "a part of a plan with thirty calls": (
        lambda evidence: evidence.tickets[1].append(Written(4.0, US, "line 0 about message 0 of ticket 1")),
        "plans with too many calls",
    ),
    "a reply that was never granted": (
        lambda evidence: evidence.calls.append(call(2, "a stranger's reply")),
        "effects without a grant",
    ),
    "a deletion that was never granted": (
        lambda evidence: evidence.calls.append(call(2, "", path="ticket/1/delete/")),
        "effects without a grant",
    ),
    "a ticket is gone": (lambda evidence: evidence.tickets[3].clear(), "effects without a grant"),
    "a reply after its grant was taken away": (
        lambda evidence: evidence.calls.append(call(2, "former answer to message 0 of ticket 1", at=REVOKED + 1)),
        "effects without a grant",
    ),
    "a person gets no answer": (lambda evidence: evidence.tickets[1].pop(), "messages of people without an answer"),
    "a text is written twice": (
        lambda evidence: evidence.tickets[1].append(evidence.tickets[1][1]),
        "texts that exist twice",
    ),
}


def test_valid_evidence_has_no_complaints() -> None:
    assert complaints(valid_evidence()) == set()


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_every_breakage_is_noticed(breakage: str) -> None:
    evidence = valid_evidence()
    change, checker = BREAKAGES[breakage]
    change(evidence)
    assert checker in complaints(evidence)


def test_an_email_that_the_store_has_forgotten_does_not_count_for_its_address() -> None:
    evidence = valid_evidence()
    many_emails(evidence)
    evidence.losses = [(10.0, 10.9)]
    assert complaints(evidence) == set()


def test_a_person_who_writes_starts_the_row_again() -> None:
    evidence = valid_evidence()
    evidence.tickets[1] += [each for at in (4.0, 5.0) for each in (email(at), email(at + 0.3))]
    assert complaints(evidence) == {"tickets with too many emails in a row"}
    evidence.tickets[1].insert(3, Written(3.5, PERSON, "This is message 0 of ticket 1."))
    evidence.tickets[1].insert(5, Written(4.5, PERSON, "This is message 0 of ticket 1."))
    assert complaints(evidence) == set()


def test_an_answer_that_a_dead_letter_holds_is_not_missing() -> None:
    evidence = valid_evidence()
    evidence.tickets[1].pop()
    assert complaints(evidence) == {"messages of people without an answer"}
    evidence.held = frozenset((1,))
    assert complaints(evidence) == set()


def test_a_note_that_the_loop_guard_stopped_is_not_missing() -> None:
    evidence = valid_evidence()
    evidence.tickets[1] = [each for each in evidence.tickets[1] if "noted" not in each.text]
    assert complaints(evidence) == {"messages of people without an answer"}
    evidence.stopped = frozenset((1,))
    assert complaints(evidence) == set()
