"""Emails that clients send count for both brakes on email and for the loop guard, like those of the engine."""

from dataclasses import replace

import pytest
import redis

from tests.support.clients import ClientDesk, client
from workers import Router, Ticket
from workers.simulator import ApiFault
from workers.testing.desk import SimulatedDeployment

TRIAGE = client("triage")
SAM = "sam@bigcorp.example"
LONG = "We have got your message and will look into it very soon."


def answering() -> Router:
    router = Router("answer")

    @router.on("contact-replied")
    def answer(ticket: Ticket) -> None:
        ticket.reply(LONG)

    return router


@pytest.fixture
def desk(store: redis.Redis) -> ClientDesk:
    return ClientDesk(SimulatedDeployment(store, answering(), unanswered_replies=3, replies_per_contact=5))


def opened(desk: ClientDesk, email: str = SAM) -> int:
    number = desk.world.simulator.create_ticket(email).id
    settle(desk)
    return number


def settle(desk: ClientDesk) -> None:
    desk.world.deliver()
    desk.world.settle_down(20_000)


@pytest.mark.parametrize("seen", [True, False])
def test_emails_in_a_row_are_refused_until_a_person_writes(desk: ClientDesk, seen: bool) -> None:
    number = opened(desk)
    for turn in range(3):
        assert desk.reply(TRIAGE, number, f"reply {turn} of the client to the contact").status == 200
        if seen:
            settle(desk)
    reply = desk.reply(TRIAGE, number, "one too many")
    assert (reply.status, reply.result) == (409, "held")
    assert (
        "3 emails in a row from this ticket without an update by a person (FOXHOOKS_UNANSWERED_REPLIES=3)" in reply.why
    )
    assert len(desk.writes()) == 3

    desk.world.simulator.staff_updates(number, staff=2, text="I take over.")
    assert desk.reply(TRIAGE, number, "after a colleague").status == 200


def test_the_engine_counts_a_clients_emails(store: redis.Redis) -> None:
    desk = ClientDesk(SimulatedDeployment(store, answering(), unanswered_replies=2))
    number = opened(desk)
    for _ in range(2):
        assert desk.reply(TRIAGE, number, LONG).status == 200
    desk.world.simulator.contact_replies(number, LONG)  # a program that returns what it gets
    settle(desk)
    assert len(desk.writes()) == 2  # the answer of the engine is held


def test_emails_to_one_address_are_counted_over_all_tickets(desk: ClientDesk) -> None:
    replies = [desk.reply(TRIAGE, opened(desk), f"a reply to ticket {number}") for number in range(6)]
    assert [reply.status for reply in replies] == [200] * 5 + [409]
    assert "5 automatic emails to this address within 24 hours (FOXHOOKS_REPLIES_PER_CONTACT=5)" in replies[-1].why
    assert desk.reply(TRIAGE, opened(desk, "mia@example.com"), "to somebody else").status == 200


def test_forwards_copies_and_creations_count_too(desk: ClientDesk) -> None:
    number = opened(desk)
    body = {"staff_id": 1, "to": "partner@example.com", "subject": "FYI", "message": "see below"}
    assert desk.call(TRIAGE, "POST", f"/ticket/{number}/forward/", body).status == 200
    new = {"email": "partner@example.com", "name": "P", "subject": "x", "text": "y", "category": 1}
    for _ in range(4):
        assert desk.call(TRIAGE, "POST", "/tickets/", new).status == 200
    assert desk.call(TRIAGE, "POST", "/tickets/", new).status == 409
    copied = {"staff": 1, "text": "a copy", "cc": "partner@example.com"}
    assert desk.call(TRIAGE, "POST", f"/ticket/{number}/staff_update/", copied).status == 409


def test_an_email_that_happyfox_refused_does_not_count(desk: ClientDesk) -> None:
    number = opened(desk)
    for _ in range(6):
        body = {"staff": 1, "text": "x", "update_customer": True, "status": 99}
        assert desk.call(TRIAGE, "POST", f"/ticket/{number}/staff_update/", body).status == 400
    assert desk.reply(TRIAGE, number, "a good one").status == 200


def test_a_reply_without_email_does_not_count(desk: ClientDesk) -> None:
    number = opened(desk)
    for turn in range(8):
        body = {"staff": 1, "text": f"only in the portal {turn}"}
        assert desk.call(TRIAGE, "POST", f"/ticket/{number}/staff_update/", body).status == 200
        settle(desk)
    assert desk.reply(TRIAGE, number, "by mail").status == 200


def test_a_survey_counts(desk: ClientDesk) -> None:
    number = opened(desk)
    body = {"staff": 1, "text": "How was it?", "send_survey": True}
    replies = [desk.call(TRIAGE, "POST", f"/ticket/{number}/staff_update/", body) for _ in range(4)]
    assert [reply.status for reply in replies] == [200] * 3 + [409]


def test_the_loop_guard_stops_a_clients_emails(store: redis.Redis) -> None:
    desk = ClientDesk(SimulatedDeployment(store, loop_guard=4, unanswered_replies=99, replies_per_contact=99))
    number = desk.world.simulator.create_ticket(SAM).id
    settle(desk)
    replies = [desk.reply(TRIAGE, number, f"reply {turn}") for turn in range(5)]
    assert [reply.status for reply in replies] == [200] * 4 + [409]
    assert "4 writes to this ticket within an hour (FOXHOOKS_LOOP_GUARD=4)" in replies[-1].why
    assert desk.note(TRIAGE, number, "a note goes on").status == 200


def test_the_engines_emails_hold_a_clients(desk: ClientDesk) -> None:
    number = opened(desk)
    for turn in range(3):
        desk.world.simulator.contact_replies(number, f"{LONG} {turn}")
        settle(desk)
    assert len(desk.writes()) == 3
    assert desk.reply(TRIAGE, number, "one more").status == 409


def test_each_ticket_of_a_list_counts(desk: ClientDesk) -> None:
    new = {"email": SAM, "name": "Sam", "subject": "x", "text": "y", "category": 1}
    assert desk.call(TRIAGE, "POST", "/tickets/", [new, new]).status == 200
    reply = desk.call(TRIAGE, "POST", "/tickets/", [new] * 4)
    assert (reply.status, len(desk.writes())) == (409, 1)
    assert "2 automatic emails to this address within 24 hours, and 4 more in this call" in reply.why
    assert desk.call(TRIAGE, "POST", "/tickets/", [new] * 3).status == 200
    assert desk.call(TRIAGE, "POST", "/tickets/", new).status == 409


def test_a_list_that_happyfox_refused_does_not_count(desk: ClientDesk) -> None:
    new = {"email": SAM, "name": "Sam", "subject": "x", "text": "y", "category": 1}
    desk.world.simulator.faults.add(ApiFault("status", method="POST", path="tickets", status=400, count=1))
    assert desk.call(TRIAGE, "POST", "/tickets/", [new] * 5).status == 400
    assert desk.call(TRIAGE, "POST", "/tickets/", [new] * 5).status == 200


def test_a_ticket_for_a_contact_and_an_address_counts_for_both(desk: ClientDesk) -> None:
    opened(desk)
    new = {"client": 1, "name": "Sam", "subject": "x", "text": "y", "category": 1}
    replies = [desk.call(TRIAGE, "POST", "/tickets/", {**new, "email": f"{turn}@example.com"}) for turn in range(6)]
    assert [reply.status for reply in replies] == [200] * 5 + [409]


def test_copies_of_a_reply_as_contact_count(desk: ClientDesk) -> None:
    def reply(number: int, turn: int) -> int:
        body = {"user": 1, "text": f"text {turn}", "cc": "partner@example.com"}
        return desk.call(TRIAGE, "POST", f"/ticket/{number}/user_reply/", body).status

    number = opened(desk)
    assert [reply(number, turn) for turn in range(4)] == [200] * 3 + [409]
    assert [reply(opened(desk), turn) for turn in range(3)] == [200] * 2 + [409]


@pytest.mark.parametrize("member", ["to_include_ticket_contact", "cc_include_ticket_contact"])
def test_a_forward_that_includes_the_contact_counts_for_the_contact(desk: ClientDesk, member: str) -> None:
    def forward(turn: int) -> int:
        body = {"staff_id": 1, "to": f"{turn}@example.com", "subject": "FYI", "message": "See below.", member: True}
        return desk.call(TRIAGE, "POST", f"/ticket/{opened(desk)}/forward/", body).status

    assert [forward(turn) for turn in range(6)] == [200] * 5 + [409]


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("seen", [True, False])
def test_a_clients_forward_is_no_colleagues_message(store: redis.Redis, shown: bool, seen: bool) -> None:
    """HappyFox may show a forward as an update of the staff member in whose name it is."""
    desk = ClientDesk(SimulatedDeployment(store, unanswered_replies=3, replies_per_contact=99))
    account = desk.world.simulator.account
    account.options = replace(account.options, forward_updates=shown)
    number = opened(desk) if seen else desk.world.simulator.create_ticket(SAM).id
    body = {"staff_id": 1, "subject": "FYI", "message": "See below."}
    statuses = []
    for turn in range(4):
        statuses.append(desk.reply(TRIAGE, number, f"reply {turn} to the contact").status)
        forward = {**body, "to": f"{turn}@example.com"}
        statuses.append(desk.call(TRIAGE, "POST", f"/ticket/{number}/forward/", forward).status)
        if seen:
            settle(desk)
    assert statuses == [200] * 3 + [409] * 5

    desk.world.simulator.staff_updates(number, staff=2, text="I take over.")
    forward = {**body, "to": "last@example.com"}
    assert desk.call(TRIAGE, "POST", f"/ticket/{number}/forward/", forward).status == 200
