"""Health: ready means that a delivery can be stored now."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
import redis
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.web.app import Health, build
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
            return await health.ready(Request({"type": "http"}))
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
def test_a_policy_that_may_not_be_read_is_degraded(server: Callable[..., Server]) -> None:
    store = server("redis", "--rename-command", "CONFIG", "", "--appendonly", "no")
    store.start()
    answer = ask(store.url, FOXHOOKS_DURABILITY="everysec")
    assert answer.status_code == 200
    degraded = " ".join(answer.json()["degraded"])
    assert "does not allow reading" in degraded
    assert "append-only" in degraded
