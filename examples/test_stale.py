"""Tests of `stale.py`."""

from datetime import timedelta

from stale import router

from workers.testing import NOON, Desk, run, ticket


def test_a_stale_ticket_is_closed_with_a_message() -> None:
    later = NOON + timedelta(days=15)
    result = run(router, ticket(status="On Hold"), "scheduled", now=later, allow=["reply"])
    assert result.properties == {"status": "Closed"}
    assert "Just answer to open it again" in result.replies[0]


def test_only_tickets_unchanged_for_two_weeks_are_closed_and_can_reopen(desk: Desk) -> None:
    desk.use(router, allow=["stale:reply"])
    desk.crash = True
    waiting = desk.simulator.create_ticket().id
    working = desk.simulator.create_ticket().id
    desk.simulator.staff_updates(waiting, "Ada King", text="Which printer is it?", status="On Hold")
    desk.advance("13d")
    assert desk.ticket(waiting).status.name == "On Hold"
    desk.advance("3d")
    assert desk.ticket(waiting).status.name == "Closed"
    assert len(desk.replies(waiting)) == 1
    assert desk.ticket(working).status.name == "New"

    desk.simulator.contact_replies(waiting, "The one upstairs.")
    desk.advance("10m")
    assert desk.ticket(waiting).status.name == "In Progress"
    assert desk.ticket(waiting).tags == frozenset()
