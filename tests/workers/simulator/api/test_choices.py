import json
from typing import Any

import pytest

from tests.support.happyfox import Caller
from workers.simulator import Simulator


def put(api: Caller, choices: Any, number: int = 3, status: int = 200) -> Any:
    response = api.send("PUT", f"ticket_custom_field/{number}/", {"choices": choices})
    assert response.status == status, response.body
    return json.loads(response.body)


def test_the_whole_list_is_replaced_and_new_choices_get_new_ids(api: Caller, simulator: Simulator) -> None:
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
def test_a_wrong_list_is_refused(api: Caller, choices: Any) -> None:
    before = api.simulator.world.ticket_fields
    assert put(api, choices, status=400)["error"][0]["field"] == "choices"
    assert api.simulator.world.ticket_fields == before


def test_a_field_without_choices_gets_none(api: Caller) -> None:
    put(api, [{"text": "x"}], number=1, status=400)


def test_a_fork_keeps_its_own_choices(simulator: Simulator, api: Caller) -> None:
    fork = simulator.fork()
    put(api, [{"text": "x"}])
    assert len(Caller(fork).got("ticket_custom_field/3/")["choices"]) == 3
