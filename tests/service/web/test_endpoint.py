"""The endpoint: which request gets which answer, in which order it is checked, and what is kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.web import writer
from service.web.app import build
from tests.support.intake import KEY, REPLY, P, client, counts, deliver, settings
from workers.settings import load
from workers.webhook import HEADER, sign

Scenario = Callable[[httpx.AsyncClient], Awaitable[Any]]


@pytest.fixture
def run(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], Any]:
    """Run a scenario against the application, then shut it down; the store may take its time."""
    monkeypatch.setattr(writer, "TRIP_SECONDS", 60.0)

    def run(scenario: Scenario) -> Any:
        async def main() -> Any:
            app = build(settings(valkey_url))
            async with app.router.lifespan_context(app), client(app) as http:
                return await scenario(http)

        return asyncio.run(main())

    return run


def post(run: Any, body: bytes = REPLY, path: str = "/webhooks/acme", **headers: str) -> httpx.Response:
    answer: httpx.Response = run(lambda http: deliver(http, body, path, **headers))
    return answer


SUFFIXES = ["", "/", "/created", "/created/", "/updated", "/updated/"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_form_of_the_path_accepts_deliveries(run: Any, store: redis.Redis, suffix: str) -> None:
    answer = post(run, path="/webhooks/acme" + suffix)
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    assert answer.headers["content-type"] == "application/json"
    assert store.exists(P + "event:" + answer.json()["event"])


@pytest.mark.parametrize("kind", ["created", "updated"])
def test_the_path_sets_the_kind_if_the_body_does_not(run: Any, store: redis.Redis, kind: str) -> None:
    answer = post(run, b'{"ticket_id":3}', f"/webhooks/acme/{kind}/")
    assert store.hget(P + "event:" + answer.json()["event"], "kind") == kind.encode()


def test_the_same_delivery_a_hundred_times_at_once_is_one_event(run: Any, store: redis.Redis) -> None:
    async def scenario(http: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*[deliver(http) for _ in range(100)])

    answers = [answer.json() for answer in run(scenario)]
    assert sorted(answer["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 99
    assert len({answer["event"] for answer in answers}) == 1
    assert store.llen(P + "lane:3") == 1
    assert counts(store) == {"accepted": 1, "duplicate": 99}


def test_an_accepted_delivery_wakes_a_worker_and_a_quarantined_one_does_not(run: Any, store: redis.Redis) -> None:
    post(run, b"[1]")
    assert not store.exists("{foxhooks}:wake")
    post(run)
    post(run, b'{"ticket_id":4}')
    assert store.llen("{foxhooks}:wake") == 1


def test_headers_that_may_matter_are_kept_and_the_signature_is_not(run: Any, store: redis.Redis) -> None:
    others = {"cookie": "c", "authorization": "a", "x_happyfox_signature": "s", "x_happyfox_token": "t"}
    named = {"content_type": "text/json", "content_encoding": "identity", "x_happyfox_delivery": "d1"}
    sent = {**named, **others, "x_request_id": "r1"}
    answer = run(lambda http: deliver(http, REPLY, "/webhooks/acme", **sent))
    kept = json.loads(store.hget(P + "event:" + answer.json()["event"], "headers") or b"")
    assert kept.pop("user-agent")
    assert kept == {name.replace("_", "-"): value for name, value in named.items()} | {"x-request-id": "r1"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_person_can_check_the_url(run: Any, method: str, suffix: str) -> None:
    answer = run(lambda http: http.request(method, "/webhooks/acme" + suffix))
    assert answer.status_code == 200
    assert ("URL is correct" in answer.text) is (method == "GET")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"])
def test_other_methods_are_rejected(run: Any, method: str) -> None:
    answer = run(lambda http: http.request(method, "/webhooks/acme"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize(
    "path", ["/webhooks/other", "/webhooks/ACME", "/webhooks/acme/deleted", "/webhooks/acme/created/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_account_or_path_is_not_found(run: Any, path: str, method: str) -> None:
    answer = run(lambda http: http.request(method, path, content=REPLY, headers={HEADER: sign(KEY, REPLY)}))
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/webhooks", "/webhooks/", "//webhooks/acme", "/webhooks//acme", "/"])
def test_nothing_is_redirected(run: Any, path: str) -> None:
    assert run(lambda http: http.post(path, content=REPLY)).status_code == 404


def test_every_active_secret_is_accepted(run: Any) -> None:
    for key in ("newest", KEY):
        answer = run(
            lambda http, key=key: http.post("/webhooks/acme", content=REPLY, headers={HEADER: sign(key, REPLY)})
        )
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "no-signature"),
        ([(HEADER, "")], "malformed-signature"),
        ([(HEADER, "0" * 40)], "bad-signature"),
        ([(HEADER, sign("other", REPLY))], "bad-signature"),
        ([(HEADER, sign(KEY, REPLY + b" "))], "bad-signature"),
        ([(HEADER.encode(), "☕".encode())], "malformed-signature"),
        ([(HEADER.encode(), b"\xff\xfe")], "malformed-signature"),
        ([(HEADER, "sha256=" + "0" * 64)], "bad-signature"),
        ([(HEADER, "x" * 129)], "malformed-signature"),
        ([(HEADER, "x" * 19)], "malformed-signature"),
        ([(HEADER, "x" * 39 + "!")], "malformed-signature"),
        ([(HEADER, "SHA256=" + "x" * 128)], "bad-signature"),
        ([(HEADER, sign(KEY, REPLY)), (HEADER, sign(KEY, REPLY))], "two-signatures"),
        ([(HEADER, sign(KEY, REPLY)), (HEADER.lower(), "0" * 40)], "two-signatures"),
    ],
)
def test_a_delivery_without_one_valid_signature_is_rejected_and_counted(
    run: Any, store: redis.Redis, headers: list[tuple[Any, Any]], reason: str
) -> None:
    answer = run(lambda http: http.post("/webhooks/acme", content=REPLY, headers=httpx.Headers(headers)))
    assert answer.status_code == 401
    assert HEADER in answer.json()["error"] or "secret" in answer.json()["error"]
    assert counts(store) == {"refused:" + reason: 1}
    assert not list(store.scan_iter(P + "event:*"))


def test_a_bad_signature_costs_no_call_to_the_store(run: Any, store: redis.Redis) -> None:
    async def scenario(http: httpx.AsyncClient) -> None:
        await deliver(http)
        before = store.info("stats")["total_commands_processed"]
        for _ in range(50):
            answer = await http.post("/webhooks/acme", content=REPLY, headers={HEADER: "0" * 40})
            assert answer.status_code == 401
        assert store.info("stats")["total_commands_processed"] - before <= 4  # our own INFO, and at most one flush

    run(scenario)
    assert counts(store)["refused:bad-signature"] == 50


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"[1, 2]", "not-an-object"),
        (b"7", "not-an-object"),
        (b'{"ticket_id":', "not-json"),
        (b'{"subject":"\xff"}', "not-utf-8"),
        (b'{"ticket_id":3,"ticket_number":4}', "two-ticket-numbers"),
        (b'{"a":' * 60_000 + b"1" + b"}" * 60_000, "too-deep"),
        (b"{}", "no-ticket-number"),
        (b'{"ticket_id":"soon"}', "bad-ticket-number"),
        (b'{"ticket_id":-3}', "bad-ticket-number"),
        (b'{"ticket_id":123456789012345678901234567890}', "bad-ticket-number"),
    ],
)
def test_a_signed_but_unreadable_delivery_is_quarantined(
    run: Any, store: redis.Redis, body: bytes, reason: str
) -> None:
    answer = post(run, body)
    assert (answer.status_code, answer.json()["status"]) == (200, "quarantined")
    event = store.hgetall(P + "event:" + answer.json()["event"])
    assert (event[b"body"], event[b"reason"]) == (body, reason.encode())


ACME, BETA, OTHER = "https://acme.happyfox.com", "https://beta.happyfox.com", "https://other.happyfox.net"
TWO_ACCOUNTS = f"""
[accounts.acme]
url = "{ACME}"
webhook_secrets = ["{KEY}"]
[accounts.beta]
url = "env:BETA_URL"
webhook_secrets = ["{KEY}"]
"""


def link(url: str) -> bytes:
    return b'{"ticket_id":3,"agent_ticket_url":"%s/staff/ticket/3"}' % url.encode()


@pytest.mark.parametrize(
    ("url", "reason"),
    [(ACME, ""), (BETA, "other-account"), (OTHER, "other-help-desk"), ("https://help.acme.example", ""), ("x", "")],
)
def test_a_delivery_that_links_to_another_account_is_quarantined(
    valkey_url: str, store: redis.Redis, tmp_path: Path, url: str, reason: str
) -> None:
    (tmp_path / "foxhooks.toml").write_text(TWO_ACCOUNTS)
    loaded = load("web", {"REDIS_URL": valkey_url, "BETA_URL": BETA}, tmp_path)

    async def main() -> httpx.Response:
        app = build(loaded)
        async with app.router.lifespan_context(app), client(app) as http:
            return await deliver(http, link(url))

    answer = asyncio.run(main()).json()
    assert answer["status"] == ("quarantined" if reason else "accepted")
    assert store.hget(P + "event:" + answer["event"], "reason") == (reason.encode() or None)


def test_the_first_link_teaches_the_host_of_an_account_whose_url_is_not_known(run: Any, store: redis.Redis) -> None:
    assert post(run, link(ACME)).json()["status"] == "accepted"
    answer = post(run, link(BETA)).json()
    assert answer["status"] == "quarantined"
    assert store.hget(P + "event:" + answer["event"], "reason") == b"other-help-desk"
    assert store.hkeys(P + "hosts") == [b"acme.happyfox.com"]


def test_an_unknown_kind_is_accepted(run: Any) -> None:
    assert post(run, b'{"ticket_id":3,"event_type":"ticket.teleported"}').json()["status"] == "accepted"


def test_a_form_with_json_in_it_is_accepted(run: Any) -> None:
    answer = post(run, b"payload=%7B%22ticket_id%22%3A3%7D", content_type="application/x-www-form-urlencoded")
    assert answer.json()["status"] == "accepted"


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_rejected(run: Any, store: redis.Redis, announced: bool) -> None:
    async def chunks() -> Any:
        for _ in range(6):
            yield b"x" * 1024 * 1024

    body: Any = b"x" * (5 * 1024 * 1024 + 1) if announced else chunks()
    answer = run(lambda http: http.post("/webhooks/acme", content=body, headers={HEADER: "0" * 40}))
    assert answer.status_code == 413
    assert counts(store) == {"refused:too-large": 1}


def test_a_body_of_exactly_the_limit_is_accepted(run: Any) -> None:
    body = b'{"ticket_id":3,"text":"' + b"x" * (5 * 1024 * 1024 - 25) + b'"}'
    assert len(body) == 5 * 1024 * 1024
    assert post(run, body).json()["status"] == "accepted"


def test_bodies_being_received_share_a_memory_limit(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.endpoint.MEMORY_LIMIT", 2_500_000)
    body = b'{"ticket_id":3,"text":"' + b"x" * 1_000_000 + b'"}'

    async def pieces() -> Any:
        for start in range(0, len(body), 100_000):
            await asyncio.sleep(0)
            yield body[start : start + 100_000]

    async def scenario(http: httpx.AsyncClient) -> list[httpx.Response]:
        headers = {HEADER: sign(KEY, body)}
        many = [http.post("/webhooks/acme", content=pieces(), headers=headers) for _ in range(10)]
        first = await asyncio.gather(*many)
        return [*first, await http.post("/webhooks/acme", content=pieces(), headers=headers)]

    answers = run(scenario)
    assert {answer.status_code for answer in answers} == {200, 503}
    assert answers[-1].status_code == 200
