"""Hooks: other systems call them, with the limits, the quarantine and the durability of deliveries."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.web import writer
from service.web.app import build
from tests.support.intake import P, client, counts
from workers.settings import load
from workers.webhook.hooks import MOST_BYTES

TOML = """
[hooks.jira]
secret = "env:JIRA_SECRET"

[hooks.billing]
secret = ["newest", "older"]
header = "X-Billing-Digest"
"""
PATH = "/hooks/acme/desk/jira"
BODY = b'{"ticket": 3, "status": "Done"}'


@pytest.fixture
def run(valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a scenario against the application, then shut it down; the store may take its time."""
    monkeypatch.setattr(writer, "TRIP_SECONDS", 60.0)
    (tmp_path / "foxhooks.toml").write_text(TOML)
    names = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "key", "JIRA_SECRET": "jira-secret"}
    settings = load("web", {**names, "REDIS_URL": valkey_url}, tmp_path)

    def run(scenario: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            app = build(settings)
            async with app.router.lifespan_context(app), client(app) as http:
                return await scenario(http)

        return asyncio.run(main())

    return run


def call(run: Any, path: str = PATH, body: bytes = BODY, method: str = "POST", **headers: str) -> httpx.Response:
    given = {
        name.replace("_", "-"): value for name, value in ({"authorization": "Bearer jira-secret"} | headers).items()
    }
    answer: httpx.Response = run(lambda http: http.request(method, path, content=body, headers=given))
    return answer


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
def test_a_call_is_stored_as_an_event_of_its_ticket(run: Any, store: redis.Redis, path: str) -> None:
    answer = call(run, path)
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    event: Any = store.hgetall(P + "event:" + answer.json()["event"])
    kept = {name: event[name.encode()].decode() for name in ("ticket", "kind", "source", "handler", "body")}
    assert kept == {"ticket": "3", "kind": "hook", "source": "hook", "handler": "desk jira", "body": BODY.decode()}
    assert b"headers" not in event or b"jira-secret" not in event[b"headers"]
    assert store.llen(P + "lane:3") == 1
    assert counts(store) == {"accepted": 1}


@pytest.mark.parametrize(
    "path",
    [
        "/hooks/acme/desk/jirra",
        "/hooks/other/desk/jira",
        "/hooks/acme/Desk/jira",
        "/hooks/acme/desk/jira/more",
        "/hooks/acme/desk",
    ],
)
def test_an_unknown_hook_is_not_found(run: Any, store: redis.Redis, path: str) -> None:
    assert call(run, path).status_code == 404
    assert store.keys(P + "*") == []


@pytest.mark.parametrize("token", ["newest", "jira-secret ", "jira-secre", "", "Jira-secret"])
def test_a_wrong_secret_is_refused_and_counted(run: Any, store: redis.Redis, token: str) -> None:
    answer = call(run, authorization=f"Bearer {token}x")
    assert answer.status_code == 401
    assert counts(store) == {"refused:hook-bad-secret": 1}
    assert store.llen(P + "lane:3") == 0


def test_without_a_secret_nothing_is_read(run: Any, store: redis.Redis) -> None:
    assert call(run, authorization="").status_code == 401
    answer: Any = run(lambda http: http.post(PATH, content=BODY))
    assert answer.status_code == 401
    assert counts(store) == {"refused:hook-bad-secret": 1, "refused:hook-no-secret": 1}


@pytest.mark.parametrize(
    ("headers", "status", "most"),
    [({"authorization": "Bearer wrong"}, 401, 0), ({"x-signature": "wrong"}, 413, MOST_BYTES // 1024 + 1)],
)
def test_little_is_read_of_a_strangers_endless_body(
    run: Any, store: redis.Redis, headers: dict[str, str], status: int, most: int
) -> None:
    read = list[int]()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2 * MOST_BYTES // 1024):
            read.append(1024)
            yield b"x" * 1024

    answer: Any = run(lambda http: http.post(PATH, content=pieces(), headers=headers))
    assert (answer.status_code, len(read)) == (status, most)


@pytest.mark.parametrize("token", ["newest", "older"])
def test_two_secrets_are_accepted_while_one_is_replaced(run: Any, store: redis.Redis, token: str) -> None:
    assert call(run, "/hooks/acme/desk/billing", authorization=f"Bearer {token}").status_code == 200


def test_a_body_without_a_ticket_is_quarantined(run: Any, store: redis.Redis) -> None:
    answer = call(run, body=b'{"issue": "OPS-1"}')
    assert (answer.status_code, answer.json()["status"]) == (200, "quarantined")
    assert store.hget(P + "event:" + answer.json()["event"], "reason") == b"no-ticket-number"


def test_a_call_that_still_waits_is_joined_and_another_hook_is_not(run: Any, store: redis.Redis) -> None:
    first, again = call(run).json(), call(run).json()
    assert again == {"status": "duplicate", "event": first["event"]}
    assert call(run, "/hooks/acme/desk/billing", authorization="Bearer older").json()["status"] == "accepted"
    assert call(run, "/hooks/acme/other/jira").json()["status"] == "accepted"
    assert store.llen(P + "lane:3") == 3


def test_a_message_with_an_id_is_stored_once_even_after_its_turn(run: Any, store: redis.Redis) -> None:
    first = call(run, webhook_id="msg_1").json()["event"]
    store.delete(P + "lane:3", P + f"event:{first}")  # as its turn does
    assert call(run, webhook_id="msg_1").json()["event"] == first
    assert store.llen(P + "lane:3") == 0
    assert counts(store) == {"accepted": 1, "duplicate": 1}
    assert call(run, webhook_id="msg_2").json()["event"] != first
    assert store.llen(P + "lane:3") == 1


def test_a_body_that_is_too_large_is_refused(run: Any, store: redis.Redis) -> None:
    largest = b'{"ticket": 3, "text": "' + b"x" * (MOST_BYTES - 25) + b'"}'
    assert (len(largest), call(run, body=largest).status_code) == (MOST_BYTES, 200)
    assert call(run, body=largest + b" ").status_code == 413


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("PUT", 405), ("DELETE", 405)])
def test_other_methods_never_store(run: Any, store: redis.Redis, method: str, status: int) -> None:
    assert call(run, method=method).status_code == status
    assert store.keys(P + "lane:*") == []
