"""Notes about refused requests: what is examined, kept and logged, and that no secret is among it."""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import redis

from service.web import refusals
from service.web.app import build
from tests.support.intake import KEY, REPLY, P, client, deliver, settings
from workers.store.refusals import EXAMPLES, LIFE, read_causes, read_keys_used, read_misdirected
from workers.webhook import HEADER, sign
from workers.webhook.diagnosis import MOST_BYTES
from workers.webhook.signature import label_of

Scenario = Callable[[httpx.AsyncClient], Awaitable[Any]]
QUOTED = sign(f'"{KEY}"', REPLY)


@pytest.fixture
def run(valkey_url: str) -> Callable[[Scenario], Any]:
    """Run a scenario against the application, which writes its notes when it ends."""

    def run(scenario: Scenario) -> Any:
        async def main() -> Any:
            app = build(settings(valkey_url))
            async with app.router.lifespan_context(app), client(app) as http:
                return await scenario(http)

        return asyncio.run(main())

    return run


async def refuse(http: httpx.AsyncClient, header: str = QUOTED, body: bytes = REPLY) -> httpx.Response:
    answer = await http.post("/webhooks/acme", content=body, headers={HEADER: header})
    assert answer.status_code == 401
    return answer


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "service.web.refusals"]


def test_the_cause_of_a_wrong_signature_is_noted_and_logged_once_but_not_answered(
    run: Any, store: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(http: httpx.AsyncClient) -> list[str]:
        return [(await refuse(http, header)).text for header in (QUOTED, QUOTED, "0" * 40)]

    assert len(set(run(scenario))) == 1, "the answer says nothing about the cause"
    noted = read_causes(store, "acme")
    assert {cause: each.count for cause, each in noted.items()} == {"quotes-there": 2, "unknown": 1}
    assert all(each.last for each in noted.values())
    assert 0 < store.ttl(P + "refusals") <= LIFE
    first, second = logged(caplog)
    assert "quotes around it" in first.__dict__["reason"]
    assert "another key" in second.__dict__["reason"]
    assert KEY not in repr([record.__dict__ for record in (first, second)])


def test_only_some_signatures_and_small_bodies_are_examined(
    run: Any, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "PER_SECOND", 3)
    large = b"x" * (MOST_BYTES + 1)

    async def scenario(http: httpx.AsyncClient) -> None:
        await refuse(http, sign("other", large), large)
        await asyncio.gather(*(refuse(http) for _ in range(20)))

    run(scenario)
    counted = sum(each.count for each in read_causes(store, "acme").values())
    assert counted % 3 == 0
    assert 0 < counted < 20


def test_signatures_that_take_long_to_examine_use_up_the_time(
    run: Any, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "SHARE", 0.0)

    async def scenario(http: httpx.AsyncClient) -> None:
        await asyncio.gather(*(refuse(http) for _ in range(3)))

    run(scenario)
    assert sum(each.count for each in read_causes(store, "acme").values()) == 1


def test_the_key_that_signs_is_noted_by_its_label(run: Any, store: redis.Redis) -> None:
    run(deliver)
    assert read_keys_used(store, "acme").keys() == {label_of(KEY.encode())}
    assert not read_causes(store, "acme")


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("POST", "/webhooks/acmee", "unknown-account"),
        ("GET", "/webhooks/acmee/created", "unknown-account"),
        ("POST", "/webhooks/acme/deleted", "unknown-path"),
        ("POST", "/foxhooks/webhooks/acme", "unknown-path"),
        ("POST", "/", "unknown-path"),
        ("PUT", "/webhooks/acme", "method"),
    ],
)
def test_a_request_that_no_account_can_receive_is_noted(
    run: Any, store: redis.Redis, caplog: pytest.LogCaptureFixture, method: str, path: str, reason: str
) -> None:
    async def scenario(http: httpx.AsyncClient) -> None:
        for _ in range(2):
            answer = await http.request(method, path, content=REPLY, headers={HEADER: sign(KEY, REPLY)})
            assert answer.status_code in (404, 405)

    run(scenario)
    found = read_misdirected(store)
    assert {reason: each.count for reason, each in found.reasons.items()} == {reason: 2}
    assert list(found.examples) == [f"{method} {path}"]
    (record,) = logged(caplog)
    assert (record.__dict__["path"], record.__dict__["reason"]) == (path, reason)


def test_a_request_that_does_not_look_like_a_webhook_is_ignored(run: Any, store: redis.Redis) -> None:
    run(lambda http: http.post("/wp-login.php", content=b"x"))
    assert not read_misdirected(store).reasons


def test_examples_are_few_and_contain_no_secret(run: Any, store: redis.Redis) -> None:
    token = base64.b16encode(b"a token of a stranger").decode()

    async def scenario(http: httpx.AsyncClient) -> None:
        for path in (f"/webhooks/x/{KEY}", f"/webhooks/{token}", "/webhooks/%1b[2J", "/webhooks/" + "a/" * 500):
            await http.post(path + "?key=hidden")

    async def many(http: httpx.AsyncClient) -> None:
        for number in range(2 * EXAMPLES):
            await http.post(f"/webhooks/number-{number}")

    run(many)
    assert len(read_misdirected(store).examples) == EXAMPLES
    run(scenario)
    found = read_misdirected(store)
    assert len(found.examples) == EXAMPLES
    assert "POST /webhooks/x/..." in found.examples
    assert "POST /webhooks/..." in found.examples
    assert max(map(len, found.examples)) <= 110
    text = json.dumps(list(found.examples))
    assert not any(word in text for word in (KEY, token, "hidden", "u001b"))


def test_a_store_that_is_down_changes_no_answer() -> None:
    async def main() -> None:
        app = build(settings("redis://127.0.0.1:1"))
        async with app.router.lifespan_context(app), client(app) as http:
            await refuse(http)
            assert (await http.post("/webhooks/acmee")).status_code == 404

    asyncio.run(main())
