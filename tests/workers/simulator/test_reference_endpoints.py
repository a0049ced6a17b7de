import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator


def put(api: Caller, choices: Any, number: int = 3, status: int = 200) -> Any:
    response = api.send("PUT", f"ticket_custom_field/{number}/", {"choices": choices})
    assert response.status == status, response.body
    return json.loads(response.body)


def test_all_choices_are_replaced_and_new_ones_get_new_ids(api: Caller, simulator: Simulator) -> None:
    simulator.create_ticket(fields={"Product": "Printer"})
    simulator.create_ticket(fields={"Product": "Scanner"})
    changed = put(api, [{"id": 2, "text": "Scanners", "dependant_fields": []}, {"id": None, "text": "Fax"}])
    assert [(choice["id"], choice["text"]) for choice in changed["choices"]] == [(2, "Scanners"), (5, "Fax")]
    assert api.got("ticket_custom_fields/")[2] == changed
    assert [api.got(f"ticket/{n}/")["custom_fields"][2]["value"] for n in (1, 2)] == [None, "Scanners"]
    assert put(api, [{"text": "Phone"}])["choices"][0]["id"] == 6


@pytest.mark.parametrize(
    "choices", [None, [], "x", [{"id": 99, "text": "x"}], [{"id": 1}], [7], [{"id": 1, "text": ""}]]
)
def test_an_invalid_list_is_refused(api: Caller, choices: Any) -> None:
    before = api.simulator.account.ticket_fields
    assert put(api, choices, status=400)["error"][0]["field"] == "choices"
    assert api.simulator.account.ticket_fields == before


def test_a_field_without_choices_accepts_none(api: Caller) -> None:
    put(api, [{"text": "x"}], number=1, status=400)


def test_a_fork_keeps_its_own_choices(simulator: Simulator, api: Caller) -> None:
    fork = simulator.fork()
    put(api, [{"text": "x"}])
    assert len(Caller(fork).got("ticket_custom_field/3/")["choices"]) == 3


def test_sections_hold_their_external_articles(api: Caller) -> None:
    sections = api.got("kb/sections/")
    assert [[one["title"] for one in section["articles"]] for section in sections] == [["Welcome"], ["Paper jams"]]
    assert api.got("kb/section/2") == sections[1]


def test_internal_articles_are_listed_separately_and_cannot_be_read(api: Caller) -> None:
    assert [one["id"] for one in api.got("kb/articles/")] == [1, 2]
    assert [one["id"] for one in api.got("kb/internal-articles/")] == [3]
    assert api.got("kb/article/2")["title"] == "Paper jams"
    assert api.get("kb/article/3").status == 404


def test_whether_lists_are_paged_is_a_switch(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, articles_paged=True))
    assert api.got("kb/articles/", "size=1&page=2")["data"][0]["id"] == 2
