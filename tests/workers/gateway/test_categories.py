"""A client with categories reads, finds, creates and moves only tickets of these."""

import json

import pytest
import redis

from tests.support.clients import ClientDesk, client
from workers.engine.steps import Call
from workers.happyfox.messages import Request
from workers.testing.desk import SimulatedDeployment


@pytest.fixture
def desk(store: redis.Redis) -> ClientDesk:
    return ClientDesk(SimulatedDeployment(store))


@pytest.fixture
def tickets(desk: ClientDesk) -> tuple[int, int]:
    """One ticket in category 1, and one in category 2."""
    return tuple(desk.world.simulator.create_ticket(category=each, subject=f"in {each}").id for each in (1, 2))  # type: ignore[return-value]


def name_of(desk: ClientDesk, category: int) -> str:
    return str(desk.world.simulator.account.categories[category]["name"])


def test_it_reads_no_other_ticket(desk: ClientDesk, tickets: tuple[int, int]) -> None:
    mine = client("triage", categories=(1,))
    assert desk.call(mine, "GET", f"/ticket/{tickets[0]}/").status == 200
    reply = desk.call(mine, "GET", f"/ticket/{tickets[1]}/")
    assert (reply.status, reply.result) == (403, "denied")
    assert b"in 2" not in reply.body


def test_names_are_looked_up_once(desk: ClientDesk, tickets: tuple[int, int]) -> None:
    mine = client("triage", categories=(name_of(desk, 1),))
    for _ in range(3):
        assert desk.call(mine, "GET", f"/ticket/{tickets[0]}/").status == 200
        assert desk.call(mine, "GET", f"/ticket/{tickets[1]}/").status == 403
    assert [call.path for call in desk.world.simulator.log].count("/api/1.1/json/categories/") == 1


def test_an_unknown_name_is_said(desk: ClientDesk, tickets: tuple[int, int]) -> None:
    reply = desk.call(client("triage", categories=("Billling",)), "GET", f"/ticket/{tickets[0]}/")
    assert reply.status == 503
    assert "categories of [clients.triage] cannot be used" in reply.why


@pytest.mark.parametrize("query", [{}, {"q": "in"}, {"category": "1"}, {"size": "1"}, {"show_updates": "1"}])
def test_a_list_has_no_other_ticket(desk: ClientDesk, tickets: tuple[int, int], query: dict[str, str]) -> None:
    reply = desk.call(client("triage", categories=(1,)), "GET", "/tickets/", query=query)
    assert [each["id"] for each in json.loads(reply.body)["data"]] == [tickets[0]]


def test_a_list_of_numbers_has_no_other_ticket(desk: ClientDesk, tickets: tuple[int, int]) -> None:
    query = {"minify_response": "true"}
    reply = desk.call(client("triage", categories=(1,)), "GET", "/tickets/", query=query)
    assert json.loads(reply.body)["data"] == [tickets[0]]


def test_what_happyfox_lists_besides_is_left_out(desk: ClientDesk, tickets: tuple[int, int]) -> None:
    answer, everything = desk.world.answer, Call(Request("GET", "/tickets/"), "", 0)
    desk.world.answer = lambda _: answer(everything)  # type: ignore[method-assign,assignment]
    reply = desk.call(client("triage", categories=(1,)), "GET", "/tickets/")
    assert [each["id"] for each in json.loads(reply.body)["data"]] == [tickets[0]]


@pytest.mark.parametrize("query", [{"category": "2"}, {"category": ("1", "2")}, {"fields": "subject"}])
def test_a_list_of_others_is_denied(desk: ClientDesk, query: dict[str, str]) -> None:
    assert desk.call(client("triage", categories=(1,)), "GET", "/tickets/", query=query).status == 403
    assert list(desk.world.simulator.log) == []


def test_it_writes_to_no_other_ticket(desk: ClientDesk, tickets: tuple[int, int]) -> None:
    mine = client("triage", categories=(1,))
    assert desk.note(mine, tickets[0], "mine").status == 200
    assert desk.note(mine, tickets[1], "not mine").status == 403
    assert len(desk.writes()) == 1


def test_it_creates_only_there(desk: ClientDesk) -> None:
    mine = client("triage", categories=(1,))
    body = {"email": "sam@example.com", "name": "Sam", "subject": "x", "text": "y", "category": 1}
    assert desk.call(mine, "POST", "/tickets/", body).status == 200
    assert desk.call(mine, "POST", "/tickets/", {**body, "category": 2}).status == 403
    assert desk.call(mine, "POST", "/tickets/", [body, {**body, "category": "2"}]).status == 403
    assert desk.call(mine, "POST", "/tickets/", {key: body[key] for key in body if key != "category"}).status == 403
    assert len(desk.writes()) == 1


def test_it_moves_tickets_neither_in_nor_out(desk: ClientDesk, tickets: tuple[int, int]) -> None:
    mine, path = client("triage", categories=(1,)), "/ticket/{}/move/"
    out, into = {"staff_id": 1, "target_category_id": 2}, {"staff_id": 1, "target_category_id": 1}
    assert desk.call(mine, "POST", path.format(tickets[0]), out).status == 403
    assert desk.call(mine, "POST", path.format(tickets[1]), into).status == 403
    assert desk.call(client("boss", categories=(1, 2)), "POST", path.format(tickets[0]), out).status == 200
    assert len(desk.writes()) == 1


def test_it_reads_no_report_that_lists_tickets(desk: ClientDesk) -> None:
    assert desk.call(client("triage", categories=(1,)), "GET", "/report/1/tabulardata/").status == 403
    assert list(desk.world.simulator.log) == []
