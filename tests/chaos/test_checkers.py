"""Each checker notices its violation in otherwise valid evidence."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.checkers import CHECKERS, Evidence, sort_updates
from tests.chaos.courier import Acceptances
from tests.chaos.story import Message, write
from tests.support.fleet import BOT, COLLEAGUE

STORY = (
    Message(1, 0),
    Message(1, 1, asks=True),
    Message(1, 2, status="On Hold"),
)


def update(
    identity: int, by: dict[str, Any], text: str = "", private: bool = False, status: str = ""
) -> dict[str, Any]:
    message = {"text": f"{text}\n\n", "message_type": "p" if private else None} if text else None
    return {
        "update_id": identity,
        "by": by,
        "message": message,
        "status_change": {"new_name": status} if status else None,
    }


def call(number: int, method: str = "POST", at: float = 0.0, status: int = 200, overlapped: bool = False) -> Any:
    return {
        "number": number,
        "method": method,
        "ticket": 1,
        "arrived": at,
        "answered": at + 0.1,
        "status": status,
        "counted": status != 429,
        "overlapped": overlapped,
    }


def valid_evidence() -> Evidence:
    contact, bot = {"type": "user", "id": 1}, {"type": "staff", "id": BOT}
    updates = [
        update(10, contact, STORY[0].text),
        update(11, bot),
        update(12, bot, "noted message 0 of ticket 1", private=True),
        update(13, contact, STORY[1].text),
        update(14, contact, STORY[2].text),
        update(15, bot, "noted message 1 of ticket 1", private=True),
        update(16, bot, "noted message 2 of ticket 1", private=True),
        update(17, bot, "answer to message 1 of ticket 1", status="On Hold"),
    ]
    return Evidence(
        story=STORY,
        tickets={1: updates},
        tags={1: ["welcomed"]},
        calls=[call(1, "GET", 0.0), call(2, at=0.2), call(3, at=0.4, status=429), call(4, "GET", 4.0)],
        accepted=Acceptances({1: [(None, 1.0), (13, 2.0), (14, 3.0)]}),
        colleagues=[],
        limits={"get": 2, "post": 2},
        window=6.0,
        lockout=3.0,
    )


def complaints(evidence: Evidence) -> set[str]:
    tickets = sort_updates(evidence)
    return {name for name, checker in CHECKERS.items() if list(checker(evidence, tickets))}


def without(text: str) -> Callable[[Evidence], None]:
    def change(evidence: Evidence) -> None:
        evidence.tickets[1] = [update for update in evidence.tickets[1] if text not in str(update["message"])]

    return change


def again(index: int) -> Callable[[Evidence], None]:
    return lambda evidence: evidence.tickets[1].append(evidence.tickets[1][index])


def swapped(evidence: Evidence) -> None:
    updates = evidence.tickets[1]
    updates[5], updates[6] = updates[6], updates[5]


def overfill(evidence: Evidence) -> None:
    evidence.calls += [call(5, "GET", 5.0)]


def strike(evidence: Evidence) -> None:
    evidence.calls += [call(5, at=2.0)]
    evidence.hits = [(0.3, 0.6)]


BREAKAGES: dict[str, tuple[Callable[[Evidence], None], str]] = {
    "a note is missing": (without("noted message 1"), "lost accepted events"),
    "an answer is missing": (without("answer to"), "lost accepted events"),
    "the tag is missing": (lambda evidence: evidence.tags.update({1: []}), "lost accepted events"),
    "a status is missing": (
        lambda evidence: evidence.tickets[1][-1].update(status_change=None),
        "lost accepted events",
    ),
    "a note exists twice": (again(6), "duplicate notes, replies, tags"),
    "an answer exists twice": (again(7), "duplicate notes, replies, tags"),
    "the tag was written twice": (again(1), "duplicate notes, replies, tags"),
    "two notes are swapped": (swapped, "order violations"),
    "an own update is taken for a colleague's": (
        lambda evidence: evidence.colleagues.append("1 12 note-added by staff"),
        "own updates taken for a colleague's",
    ),
    "two writes overlap": (
        lambda evidence: evidence.calls.append(call(5, overlapped=True)),
        "overlapping writes on a ticket",
    ),
    "a window is too full": (overfill, "windows over the limit"),
    "a lockout that the test did not start": (
        lambda evidence: setattr(evidence, "lockouts", 1),
        "windows over the limit",
    ),
    "a call in the lockout": (lambda evidence: evidence.calls.append(call(5, at=2.0)), "calls during a lockout"),
}


def test_valid_evidence_has_no_complaints() -> None:
    assert complaints(valid_evidence()) == set()


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_every_breakage_is_noticed(breakage: str) -> None:
    evidence = valid_evidence()
    change, checker = BREAKAGES[breakage]
    change(evidence)
    assert checker in complaints(evidence)


def test_a_message_that_was_never_accepted_may_be_missing() -> None:
    evidence = valid_evidence()
    without("noted message 1")(evidence)
    without("answer to")(evidence)
    evidence.accepted.times[1] = [(None, 1.0)]
    assert complaints(evidence) == set()


def test_a_message_whose_delivery_was_lost_must_be_found() -> None:
    evidence = valid_evidence()
    without("noted message 1")(evidence)
    without("answer to")(evidence)
    evidence.accepted.times[1] = [(None, 1.0)]
    evidence.accepted.dropped = {1: {13}}
    assert complaints(evidence) == {"lost deliveries that no sweep made up for"}


def test_a_message_that_the_store_has_forgotten_may_be_missing() -> None:
    evidence = valid_evidence()
    without("noted message 1")(evidence)
    without("answer to")(evidence)
    assert complaints(evidence) == {"lost accepted events"}
    evidence.accepted.losses = [(1.5, 4.0)]
    assert complaints(evidence) == set()


@pytest.mark.parametrize("remove", [without("noted message 1"), lambda evidence: evidence.tags.update({1: []})])
def test_an_effect_that_a_dead_letter_holds_may_be_missing(remove: Callable[[Evidence], None]) -> None:
    evidence = valid_evidence()
    remove(evidence)
    assert complaints(evidence) == {"lost accepted events"}
    evidence.undone = {1: 1}
    assert complaints(evidence) == set()


def test_the_next_delivery_on_the_ticket_ends_this_excuse() -> None:
    evidence = valid_evidence()
    without("noted message 1")(evidence)
    evidence.accepted.losses = [(1.5, 2.5)]
    assert complaints(evidence) == {"lost accepted events"}


def test_a_colleagues_note_must_be_handled_like_a_message() -> None:
    evidence = valid_evidence()
    evidence.tickets[1].insert(3, update(13, {"type": "staff", "id": COLLEAGUE}, "This is a note", private=True))
    evidence.story = (Message(1, 0), Message(1, 1, colleague=True), Message(1, 2), Message(1, 3))
    assert "lost accepted events" in complaints(evidence)


def test_a_429_whose_caller_may_have_died_proves_nothing() -> None:
    evidence = valid_evidence()
    evidence.limits["post"] = 3
    strike(evidence)
    assert complaints(evidence) == set()


def test_a_seed_always_produces_the_same_story() -> None:
    story = write(7, 300, 20)
    assert story == write(7, 300, 20)
    assert len(story) == 300
    for ticket in range(1, 21):
        numbers = [message.number for message in story if message.ticket == ticket]
        assert numbers == list(range(len(numbers)))
        assert numbers
