"""Health: ready means that a delivery can be stored now."""

import asyncio
import json
from collections.abc import Callable
from hashlib import sha256

import httpx
import pytest
import redis
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.web.app import build
from service.web.health import Health, SharedCheck
from service.web.writer import GroupCommit, StoreWriter
from tests.support.intake import P, client, settings
from tests.support.stores import Server
from workers.store.keys import WORKER_LIFE, WORKERS


def ask(url: str, path: str = "/readyz", **more: str) -> httpx.Response:
    async def main() -> httpx.Response:
        app = build(settings(url, **more))
        async with app.router.lifespan_context(app), client(app) as http:
            return await http.get(path)

    return asyncio.run(main())


def test_healthz_is_200_whatever_the_store_does(server: Callable[..., Server]) -> None:
    assert ask(server().url, "/healthz").status_code == 200


def test_ready_is_tested_with_a_write(valkey_url: str, store: redis.Redis) -> None:
    answer = ask(valkey_url)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert store.get(P + "batches") == b"1"


def test_a_hundred_questions_at_once_cost_one_write(
    valkey_url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[httpx.Response]:
        app = build(settings(valkey_url))
        async with app.router.lifespan_context(app), client(app) as http:
            return [*await asyncio.gather(*[http.get("/readyz") for _ in range(100)]), await http.get("/readyz")]

    monkeypatch.setattr("service.web.health.KEPT_SECONDS", 3600)
    answers = asyncio.run(main())
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "ready")}
    assert "could not be read" not in answers[0].text
    assert store.get(P + "batches") == b"1"


def test_a_check_that_fails_is_shared_too() -> None:
    checks: list[int] = []

    async def check() -> None:
        checks.append(1)
        raise OSError

    async def main() -> list[BaseException | None]:
        shared = SharedCheck(check)
        together = await asyncio.gather(*(shared.result() for _ in range(9)), return_exceptions=True)
        return [*together, *await asyncio.gather(shared.result(), return_exceptions=True)]

    assert {type(each) for each in asyncio.run(main())} == {OSError}
    assert checks == [1]


def test_a_result_is_not_kept_longer(valkey_url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        app = build(settings(valkey_url))
        async with app.router.lifespan_context(app), client(app) as http:
            assert (await http.get("/readyz")).status_code == 200
            store.set(P + "schedule", "corrupt")
            assert (await http.get("/readyz")).status_code == 503

    monkeypatch.setattr("service.web.health.KEPT_SECONDS", 0)
    asyncio.run(main())


TOKENS = f"grafana:viewer:{sha256(b'a-token').hexdigest()},ci:admin:{sha256(b'another').hexdigest().upper()}"


@pytest.mark.parametrize(
    ("caller", "headers", "shown"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("10.0.0.7", {}, False),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}, False),
        ("127.0.0.1", {"X-Forwarded-Proto": "https"}, False),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.7"}, False),
        ("10.0.0.7", {"Authorization": "Bearer a-token"}, True),
        ("10.0.0.7", {"Authorization": "bearer another", "X-Forwarded-For": "10.0.0.8"}, True),
        ("10.0.0.7", {"Authorization": "Bearer a-tokem"}, False),
        ("127.0.0.1", {"Authorization": "Bearer a-tokem"}, False),
        ("10.0.0.7", {"Authorization": sha256(b"a-token").hexdigest()}, False),
    ],
)
@pytest.mark.parametrize("ready", [True, False])
def test_details_are_for_people_with_a_token_or_on_this_machine(
    valkey_url: str, store: redis.Redis, caller: str, headers: dict[str, str], shown: bool, ready: bool
) -> None:
    if not ready:
        store.set(P + "schedule", "corrupt")

    async def main() -> httpx.Response:
        app = build(settings(valkey_url, FOXHOOKS_TOKENS=TOKENS))
        transport = httpx.ASGITransport(app, client=(caller, 4711))
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as http:
            return await http.get("http://foxhooks/readyz", headers=headers)

    answer = asyncio.run(main())
    assert answer.status_code == (200 if ready else 503)
    details = {"degraded"} if ready else {"reasons"}
    assert answer.json().keys() == {"status"} | (details if shown else set())
    assert ("acme" in answer.text) is (shown and not ready)


def test_not_ready_while_the_store_is_away(server: Callable[..., Server]) -> None:
    answer = ask(server().url)
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["reasons"][0]


@pytest.mark.redis
def test_not_ready_when_fsync_cannot_be_promised_and_the_fix_is_named(server: Callable[..., Server]) -> None:
    store = server("redis", "--appendfsync", "everysec")
    store.start()
    answer = ask(store.url)
    assert answer.status_code == 503
    assert "FOXHOOKS_DURABILITY=everysec" in answer.json()["reasons"][0]
    assert ask(store.url, FOXHOOKS_DURABILITY="everysec").status_code == 200


def test_not_ready_when_the_store_is_full(valkey_url: str, store: redis.Redis) -> None:
    store.config_set("maxmemory", "1")
    try:
        assert ask(valkey_url).status_code == 503
    finally:
        store.config_set("maxmemory", "0")


def test_an_account_that_cannot_be_stored_is_named_and_does_not_affect_the_others(
    valkey_url: str, store: redis.Redis
) -> None:
    store.set(P + "schedule", "corrupt")
    alone = ask(valkey_url)
    assert (alone.status_code, "foxhooks:{acme}:schedule" in alone.json()["reasons"][0]) == (503, True)

    async def both() -> JSONResponse:
        commit = GroupCommit(StoreWriter(valkey_url, "fsync"), 3600)
        health = Health(commit, valkey_url, ("acme", "beta"))
        try:
            return await health.ready(Request({"type": "http", "headers": [], "client": ("127.0.0.1", 1)}))
        finally:
            await health.close()
            await commit.close()

    two = asyncio.run(both())
    answer = json.loads(bytes(two.body))
    assert (two.status_code, answer["status"]) == (200, "ready")
    assert "account acme: deliveries cannot be stored" in answer["degraded"][0]
    assert store.get("foxhooks:{beta}:batches") == b"1"


def test_no_worker_is_degraded_and_a_living_one_is_not(valkey_url: str, store: redis.Redis) -> None:
    assert "no worker is running" in ask(valkey_url).json()["degraded"][0]
    now = store.time()[0] * 1000
    store.hset(WORKERS, "one", now - 2 * WORKER_LIFE)
    assert "no worker is running" in ask(valkey_url).json()["degraded"][0]
    store.hset(WORKERS, "two", now)
    assert ask(valkey_url).json()["degraded"] == []


def test_a_lockout_and_a_bad_eviction_policy_are_degraded(valkey_url: str, store: redis.Redis) -> None:
    store.hset(P + "gate", mapping={"state": "locked", "until": 1_700_000_000_000})
    store.config_set("maxmemory-policy", "allkeys-lru")
    try:
        answer = ask(valkey_url)
    finally:
        store.config_set("maxmemory-policy", "noeviction")
    assert answer.status_code == 200
    degraded = " ".join(answer.json()["degraded"])
    assert "account acme: locked out of HappyFox until 22:13 UTC" in degraded
    assert "allkeys-lru" in degraded


@pytest.mark.redis
def test_the_policy_needs_no_config_get(server: Callable[..., Server]) -> None:
    store = server(
        "redis", "--rename-command", "CONFIG", "", "--appendonly", "no", "--maxmemory-policy", "volatile-ttl"
    )
    store.start()
    answer = ask(store.url, FOXHOOKS_DURABILITY="everysec")
    assert answer.status_code == 200
    degraded = " ".join(answer.json()["degraded"])
    assert "eviction policy is volatile-ttl" in degraded
    assert "append-only" in degraded


@pytest.mark.parametrize("forbidden", [True, False])
def test_a_state_that_may_not_be_read_is_degraded(server: Callable[..., Server], forbidden: bool) -> None:
    store = server("valkey", *(() if forbidden else ("--rename-command", "INFO", "")))
    if forbidden:
        store.start()
        with store.client() as admin:
            admin.execute_command("ACL", "SETUSER", "app", "on", "nopass", "+@all", "-info", "~*")
        url = store.url.replace("unix://", "unix://app:@")
    else:
        store.start()
        url = store.url
    answer = ask(url)
    assert (answer.status_code, len(answer.json()["degraded"])) == (200, 2)
    assert "no worker is running" in answer.json()["degraded"][0]
    assert "INFO" in answer.json()["degraded"][1]
    assert "maxmemory-policy noeviction" in answer.json()["degraded"][1]


def test_what_only_workers_may_not_do_is_degraded(server: Callable[..., Server]) -> None:
    store = server()
    store.start()
    with store.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", "nopass", "+@all", "-zcount", "~*")
    answer = ask(store.url.replace("unix://", "unix://app:@"))
    assert answer.status_code == 200
    assert answer.json()["degraded"][0] == (
        "the store's user may not run ZCOUNT: workers take no turns, or fail in them; add +zcount to that user there "
        "(ACL SETUSER); docs/security.md lists all rights"
    )
