"""Tests of `csat.py`."""

from csat import router

from workers.testing import Desk

SETTINGS = {"csat": {"lead": "Ada King"}}


def test_a_bad_rating_reopens_the_ticket_for_the_lead(desk: Desk) -> None:
    desk.use(router, settings=SETTINGS)
    desk.crash = True
    number = desk.simulator.create_ticket().id
    desk.simulator.staff_updates(number, "Lin Wu", status="Closed")
    desk.advance("1m")
    desk.simulator.answer_survey(number, "bad", "Nobody called back.")
    desk.advance("5m")
    ticket = desk.ticket(number)
    assert (ticket.status.name, ticket.priority.name) == ("In Progress", "High")
    assert ticket.tags == {"bad-rating"}
    assert ticket.assignee
    assert ticket.assignee.name == "Ada King"
    [note] = desk.notes(number)
    assert "Nobody called back." in note


def test_a_good_rating_changes_nothing(desk: Desk) -> None:
    desk.use(router, settings=SETTINGS)
    number = desk.simulator.create_ticket().id
    desk.simulator.answer_survey(number, "Great")
    desk.advance("1m")
    assert desk.notes(number) == []
