"""Tests of `sla_warning.py`."""

from sla_warning import router

from workers.testing import Desk

SETTINGS = {"sla-warning": {"promised": "8h", "hours": "Mon-Fri 09:00-17:00 Europe/Berlin"}}


def test_a_ticket_that_nobody_answers_is_raised_an_hour_before(desk: Desk) -> None:
    desk.use(router, settings=SETTINGS)
    desk.crash = True
    desk.at("2026-01-09 12:00 Europe/Berlin")  # a Friday: five hours are left, and two on Monday
    number = desk.simulator.create_ticket().id
    desk.at("2026-01-12 10:55 Europe/Berlin")
    assert desk.notes(number) == []
    desk.at("2026-01-12 11:05 Europe/Berlin")
    assert desk.notes(number) == ["Sam Reed was promised an answer, due in 1h."]
    assert desk.ticket(number).priority.name == "High"
    assert desk.ticket(number).tags == {"sla-risk"}


def test_an_answer_ends_the_time(desk: Desk) -> None:
    desk.use(router, settings=SETTINGS)
    number = desk.simulator.create_ticket().id
    desk.advance("1h")
    desk.simulator.staff_updates(number, "Ada King", text="We look into it.")
    desk.advance("7d")
    assert desk.ticket(number).tags == frozenset()
