"""Tests of `triage.py`."""

from typing import Any

import pytest
from triage import router

from workers.testing import Desk, run, ticket

TABLE: dict[str, Any] = {
    "unknown": "Omar Haddad",
    "products": {
        "Printer": {"assignee": "Ada King", "priority": "High", "tags": ["hardware"]},
        "Scanner": {"assignee": "Lin Wu"},
    },
}


def test_the_product_decides() -> None:
    result = run(router, ticket(fields={"Product": "Printer"}), "ticket-created", settings=TABLE)
    assert result.properties == {"assignee": "Ada King", "priority": "High"}
    assert result.tags_added == {"hardware"}


@pytest.mark.parametrize("fields", [{}, {"Product": "Teapot"}])
def test_a_ticket_about_an_unknown_product_is_still_assigned(fields: dict[str, str]) -> None:
    result = run(router, ticket(fields=fields), "ticket-created", settings=TABLE)
    assert result.properties == {"assignee": "Omar Haddad"}


def test_an_assigned_ticket_keeps_its_assignee() -> None:
    given = ticket(fields={"Product": "Printer"}, assignee="Grace Park")
    assert run(router, given, "ticket-created", settings=TABLE).properties == {"priority": "High"}


def test_only_a_changed_product_triages_again(desk: Desk) -> None:
    desk.use(router, settings={"triage": TABLE})
    number = desk.simulator.create_ticket(fields={"Product": "Scanner"}).id
    desk.advance("1m")
    desk.simulator.staff_updates(number, "Grace Park", fields={"Amount": 3})
    desk.advance("1m")
    assert desk.ticket(number).tags == frozenset()
    desk.simulator.staff_updates(number, "Grace Park", fields={"Product": "Printer"})
    desk.advance("1m")
    read = desk.ticket(number)
    assert read.tags == {"hardware"}
    assert read.priority.name == "High"
    assert read.assignee is not None
    assert read.assignee.name == "Lin Wu"
