"""The API: tokens with roles, answers as the commands print them, and a description that fits."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import redis

from service.dashboard.api import ENDPOINTS, description
from tests.support.dashboard import TOKEN, Visitor, visiting
from tests.support.sample_store import SampleAccount
from tests.support.stores import untyped
from workers.testing.desk import ACCOUNT

HERE = f"/accounts/{ACCOUNT}"


@pytest.fixture
def sample(store: redis.Redis) -> SampleAccount:
    account = SampleAccount(store)
    account.run()
    return account


@pytest.fixture
def programs(valkey_url: str, sample: SampleAccount) -> Iterator[Visitor]:
    with visiting(valkey_url, HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        yield visitor


def path_of(template: str, sample: SampleAccount, programs: Visitor) -> str:
    """Return a path with names that exist."""
    dead = programs.api(f"{HERE}/dead").json()["items"][0]["id"]
    lane = sample.keys.lane(sample.tickets["waiting"])
    event = untyped(sample.client).lindex(lane, 0).decode()
    job = programs.api(f"{HERE}/dead/preview", "operator", "POST", ids=[dead]).json()["job"]
    names = {"account": ACCOUNT, "ticket": str(sample.tickets["settled"]), "id": dead, "event": event, "job": job}
    return re.sub(r"{(\w+)}", lambda found: names[found[1]], template)


def test_every_endpoint_answers_as_the_description_says(programs: Visitor, sample: SampleAccount) -> None:
    for each in ENDPOINTS:
        if each.method != "GET" or "{job}" in each.path:
            continue
        answer = programs.api(path_of(each.path, sample, programs))
        assert answer.status_code == 200, (each.path, answer.text)
        said = description()["paths"][each.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**said, "components": description()["components"]})


def test_the_description_names_every_endpoint(programs: Visitor) -> None:
    found = programs.api("/openapi.json").json()
    assert {(method.upper(), path) for path, methods in found["paths"].items() for method in methods} == {
        (each.method, each.path) for each in ENDPOINTS
    }
    assert found["openapi"] == "3.1.0"


def test_without_a_token_nothing_answers(programs: Visitor) -> None:
    for path in ("/accounts", "/openapi.json", "/scale", "/nothing"):
        assert programs.http.get(f"/dashboard/api/v1{path}").status_code == 401
    headers = {"authorization": f"Basic {TOKEN}-admin"}
    assert programs.http.get("/dashboard/api/v1/accounts", headers=headers).status_code == 401


def test_a_session_is_no_token(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "ada") as visitor:
        assert visitor.http.get("/dashboard/api/v1/accounts").status_code == 401


def test_what_changes_something_needs_the_role_operator(programs: Visitor, sample: SampleAccount) -> None:
    for each in ENDPOINTS:
        if each.method != "GET":
            answer = programs.api(path_of(each.path, sample, programs), "viewer", each.method)
            assert answer.status_code == 403, each.path
    assert not programs.api(HERE).json()["paused"]


def test_an_account_is_paused_and_resumed(programs: Visitor) -> None:
    assert programs.api(f"{HERE}/pause", "operator", "POST", why="a test").json()["paused"] is True
    assert programs.api(HERE).json()["paused"] is True
    assert programs.api("/scale").json() == {"oldest_due_seconds": 0.0, "due": 0}
    assert programs.api(f"{HERE}/resume", "operator", "POST").json()["was_paused"] is True
    assert programs.api(HERE).json()["paused"] is False
    [resumed, paused] = programs.api("/audit?who=operator").json()["items"]
    assert (paused["what"], paused["role"], paused["why"]) == ("pause", "operator", "a test")
    assert resumed["what"] == "resume"


def test_the_words_of_customers_are_for_operators(programs: Visitor, sample: SampleAccount) -> None:
    dead = programs.api(f"{HERE}/dead").json()["items"][0]["id"]
    assert "evidence" not in programs.api(f"{HERE}/dead/{dead}").json()
    assert "evidence" in programs.api(f"{HERE}/dead/{dead}", "operator").json()
    number = sample.tickets["settled"]
    [turn, *_] = programs.api(f"{HERE}/tickets/{number}").json()["turns"]
    assert turn["record"] is None
    [turn, *_] = programs.api(f"{HERE}/tickets/{number}", "operator").json()["turns"]
    assert turn["record"]["ticket"]["subject"] == "settled"
    assert programs.api(f"{HERE}/events?text=quiet").status_code == 403


def test_a_selection_is_replayed(programs: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.dashboard.operations.PACE", 0)
    chosen = programs.api(f"{HERE}/dead/preview", "operator", "POST", error="contact").json()
    job: Any = programs.api(f"{HERE}/dead/replay", "operator", "POST", job=chosen["job"], why="known now").json()
    for thread in threading.enumerate():
        if thread.name.startswith("job "):
            thread.join(20)
    done = programs.api(f"{HERE}/jobs/{job['id']}").json()
    assert (done["state"], done["done"]) == ("done", len(chosen["ids"]))


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/accounts/nobody", "", 404),
        ("GET", f"{HERE}/lanes?state=x", "", 400),
        ("GET", f"{HERE}/events?ticket=x", "", 400),
        ("GET", f"{HERE}/tickets/999", "", 404),
        ("GET", "/nothing", "", 404),
        ("POST", f"{HERE}/pause", "{", 400),
        ("POST", f"{HERE}/pause", "[]", 400),
        ("POST", f"{HERE}/pause", '{"router": "x"}', 404),
        ("POST", f"{HERE}/pause", f'{{"why": "{"x" * 70_000}"}}', 413),
        ("POST", f"{HERE}/dead/replay", '{"job": "x", "why": "y"}', 404),
    ],
)
def test_mistakes_are_explained(programs: Visitor, method: str, path: str, body: str, status: int) -> None:
    headers = {"authorization": f"Bearer {TOKEN}-admin"}
    answer = programs.http.request(method, f"/dashboard/api/v1{path}", content=body, headers=headers)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


def test_the_audit_log_of_an_account_that_is_not_there_is_refused(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url) as visitor:
        refused = visitor.api("/audit?account=acmee")
    assert (refused.status_code, "did you mean 'acme'?" in refused.json()["error"]) == (404, True)
