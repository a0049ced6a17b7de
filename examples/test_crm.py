"""Tests of `crm.py`."""

import pytest
from conftest import Service
from crm import router

from workers import GiveUp, Retry
from workers.testing import Desk, Result, run, ticket


def crm(service: Service) -> dict[str, str]:
    return {"base_url": service.url, "token": "test-token", "field": "Refund reason"}


def ask(service: Service) -> Result:
    return run(router, ticket(email="sam@bigcorp.example"), "ticket-created", settings=crm(service))


def test_the_plan_is_set_as_a_field(service: Service) -> None:
    service.answers = [(200, [{"plan": "Gold"}])]
    assert ask(service).fields == {"Refund reason": "Gold"}
    assert service.asked == [("GET", "/customers?email=sam%40bigcorp.example", None)]


def test_a_contact_unknown_to_the_crm_is_not_changed(service: Service) -> None:
    service.answers = [(200, []), (404, {})]
    assert ask(service).actions == ask(service).actions == ()


@pytest.mark.parametrize(("status", "error"), [(503, Retry), (429, Retry), (401, GiveUp)])
def test_errors_of_the_crm_are_distinguished(service: Service, status: int, error: type[Exception]) -> None:
    service.answers = [(status, {})]
    assert isinstance(ask(service).failed["crm.plan"], error)


def test_a_crm_that_is_down_is_asked_until_it_answers(desk: Desk, service: Service) -> None:
    service.answers = [(503, {}), (503, {}), (200, [{"plan": "Gold"}])]
    desk.use(router, settings={"crm": crm(service)})
    number = desk.simulator.create_ticket().id
    desk.advance("5m")
    assert desk.ticket(number).fields["Refund reason"] == "Gold"
    assert len(service.asked) == 3
