"""Tests of `escalate.py`."""

from datetime import timedelta

from escalate import router

from workers.testing import Desk, run, ticket


def test_a_new_ticket_sets_a_timer_that_escalates_it() -> None:
    assert run(router, ticket(), "ticket-created").timers == {"unanswered": timedelta(hours=2)}
    result = run(router, ticket(), "later", name="unanswered", settings={"priority": "Critical"})
    assert result.properties == {"priority": "Critical"}
    assert result.notes == ("Nobody has answered for 2h.",)


def test_a_closed_ticket_is_not_escalated() -> None:
    assert run(router, ticket(status="Closed"), "later", name="unanswered").actions == ()


def test_an_unanswered_ticket_is_escalated_once_and_on_time(desk: Desk) -> None:
    desk.use(router)
    desk.crash = True
    number = desk.simulator.create_ticket(priority="Low").id
    desk.advance("119m")
    assert desk.ticket(number).priority.name == "Low"
    desk.advance("10m")
    assert desk.ticket(number).priority.name == "High"
    desk.advance("12h")
    assert desk.notes(number) == ["Nobody has answered for 2h."]


def test_an_answer_cancels_the_timer_and_a_new_message_restarts_it(desk: Desk) -> None:
    desk.use(router)
    number = desk.simulator.create_ticket().id
    desk.advance("1h")
    desk.simulator.staff_updates(number, "Ada King", text="We look into it.")
    desk.advance("3h")
    assert desk.notes(number) == []
    desk.simulator.contact_replies(number, "Any news?")
    desk.advance("2h")
    desk.advance("1m")
    assert desk.notes(number) == ["Nobody has answered for 2h."]
