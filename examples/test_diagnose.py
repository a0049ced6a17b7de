"""Tests of `diagnose.py`."""

import httpx
import pytest
from conftest import Service
from diagnose import check, router

from workers.testing import Desk, run, ticket

SETTINGS = {"diagnose": {"url": "http://checks.example"}}


def test_the_result_of_the_check_comes_back_as_a_note(desk: Desk, service: Service) -> None:
    service.answers = [(200, {"problems": ["the certificate ends in 3 days"]})]
    desk.use(router, settings={"diagnose": {"url": service.url}})
    number = desk.simulator.create_ticket("sam@bigcorp.example").id
    desk.advance("5m")
    assert service.asked[0] == ("GET", "/?domain=bigcorp.example", None)
    assert desk.notes(number) == ["Checked the installation:\n- the certificate ends in 3 days"]
    assert desk.ticket(number).tags == {"unhealthy"}


def test_a_service_that_fails_fails_the_job_so_that_dramatiq_repeats_it(service: Service) -> None:
    service.answers = [(503, {})]
    with pytest.raises(httpx.HTTPStatusError):
        check(service.url, "bigcorp.example", "demo", 1)


def test_a_healthy_installation_is_not_mentioned() -> None:
    result = run(router, ticket(), "hook", name="checked", data={"problems": []}, settings=SETTINGS["diagnose"])
    assert (result.actions, result.skipped, result.failed) == ((), {}, {})
