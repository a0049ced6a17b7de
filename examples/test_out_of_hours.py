"""Tests of `out_of_hours.py`."""

from datetime import UTC, datetime

import pytest
from out_of_hours import router

from workers.testing import Desk, run, ticket

BERLIN = {"zone": "Europe/Berlin", "answer": "We are back at 9."}


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        (datetime(2026, 1, 5, 7, 59, tzinfo=UTC), True),  # Monday, 8:59 in Berlin
        (datetime(2026, 1, 5, 8, 0, tzinfo=UTC), False),
        (datetime(2026, 1, 5, 15, 59, tzinfo=UTC), False),
        (datetime(2026, 1, 5, 16, 0, tzinfo=UTC), True),
        (datetime(2026, 1, 10, 12, 0, tzinfo=UTC), True),  # Saturday
        (datetime(2026, 7, 6, 7, 0, tzinfo=UTC), False),  # in summer, 9:00 in Berlin
    ],
)
def test_an_answer_is_sent_outside_working_hours(now: datetime, closed: bool) -> None:
    result = run(router, ticket(), "ticket-created", settings=BERLIN, now=now, allow=["reply"])
    assert result.replies == (("We are back at 9.",) if closed else ())


def test_a_contact_is_answered_once_per_ticket(desk: Desk) -> None:
    desk.use(router, settings={"out-of-hours": BERLIN}, allow=["out-of-hours:reply"])
    desk.crash = True
    desk.at("20:00")
    number = desk.simulator.create_ticket().id
    desk.advance("10m")
    desk.simulator.contact_replies(number, "Is anybody there?")
    desk.advance("10m")
    assert desk.replies(number) == ["We are back at 9."]
    assert desk.ticket(number).tags == {"out-of-hours"}


@pytest.mark.parametrize("table", [{"zone": "Berlin"}, {"opens": 17, "closes": 9}])
def test_an_invalid_table_is_reported_at_start(table: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"router\.out-of-hours: .*; write"):
        run(router, ticket(), "ticket-created", settings=table)
