"""The fleet: what processes publish, when they count as alive, and where they differ."""

from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.stores import untyped
from workers.settings import ShownSetting, load
from workers.store.client import connect, store_time
from workers.store.fleet import (
    FORGET,
    HANDLERS,
    RULES,
    VERSION,
    Presence,
    Process,
    RunningAccount,
    RunningRouter,
    describe_process,
    read_fleet,
)
from workers.store.keys import FLEET, FLEET_SEEN, WORKER_LIFE, WORKERS
from workers.version import __version__

WEB = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "kkkkkkkkkkkkkkkkkkkk"}


def process(name: str, part: str = "worker", **members: Any) -> Process:
    values: dict[str, Any] = {"version": "1.0", "host": "desk", "pid": int(name)}
    return Process(name=name, part=part, **values | members)


def publish(store: redis.Redis, *processes: Process) -> None:
    for each in processes:
        Presence(store, each).beat()


def silence(store: redis.Redis, name: str, milliseconds: int) -> None:
    store.hset(FLEET_SEEN, name, store_time(store) - milliseconds)


def test_a_process_publishes_its_version_and_its_settings_in_force(store: redis.Redis, tmp_path: Path) -> None:
    publish(store, describe_process("web", load("web", WEB | {"PORT": "8123"}, tmp_path)))
    (found,) = read_fleet(store).alive
    assert (found.part, found.version) == ("web", __version__)
    assert 0 <= store_time(store) - found.since < 60_000
    assert ShownSetting("PORT", "8123", "PORT") in found.settings
    assert ShownSetting("FOXHOOKS_DURABILITY", "fsync", "default") in found.settings
    secret = ShownSetting("HAPPYFOX_WEBHOOK_SECRETS", "set, 20 characters", "HAPPYFOX_WEBHOOK_SECRETS")
    assert secret in found.accounts["acme"].settings


def test_no_secret_is_published(store: redis.Redis, tmp_path: Path) -> None:
    environ = WEB | {
        "REDIS_URL": "rediss://user:p4ssw0rd@host:6379/0?password=p4ssw0rd",
        "SENTRY_DSN": "https://p4ssw0rd@sentry.example/1",
        "HAPPYFOX_WEBHOOK_SECRETS": "p4ssw0rd-p4ssw0rd",
        "FOXHOOKS_TOKENS": f"grafana:viewer:{'ab' * 32}",
    }
    publish(store, describe_process("web", load("web", environ, tmp_path)))
    [stored] = untyped(store).hvals(FLEET)
    assert b"p4ssw0rd" not in stored
    assert b"abab" not in stored
    assert b"rediss://***@host:6379/0" in stored
    assert b"grafana:viewer" in stored


def test_a_process_is_silent_without_a_sign_of_life_and_forgotten_later(store: redis.Redis) -> None:
    publish(store, process("1"), process("2"))
    silence(store, "1", WORKER_LIFE)
    fleet = read_fleet(store)
    assert [each.name for each in fleet.alive] == ["2"]
    assert [each.name for each in fleet.silent] == ["1"]
    silence(store, "1", FORGET + 1)
    publish(store, process("2"))
    assert read_fleet(store).silent == ()
    assert untyped(store).hkeys(FLEET) == [b"2"]


def test_a_process_that_ends_in_order_is_dropped_at_once(store: redis.Redis, valkey_url: str) -> None:
    presence = Presence(connect(valkey_url), process("1"))
    presence.beat()
    store.hset(WORKERS, "1", store_time(store))
    presence.stop()
    assert store.exists(FLEET, FLEET_SEEN, WORKERS) == 0


def test_a_process_is_published_again_in_an_emptied_store(store: redis.Redis) -> None:
    presence = Presence(store, process("1"))
    presence.beat()
    before = read_fleet(store).alive
    store.flushall()
    presence.beat()
    assert read_fleet(store).alive == before


def test_a_later_version_and_damage_hide_no_other_process(store: redis.Redis) -> None:
    publish(store, process("1"))
    store.hset(FLEET, mapping={"2": b'{"name":7}', "3": b"?"})
    store.hset(FLEET, "4", b'{"name":"4","part":"oracle","version":"9","host":"h","pid":4,"new":1}')
    store.hset(FLEET_SEEN, mapping=dict.fromkeys("234", store_time(store)))
    assert {each.name for each in read_fleet(store).alive} == {"1", "4"}


def account(**members: Any) -> dict[str, RunningAccount]:
    settings = (ShownSetting("FOXHOOKS_LOOP_GUARD", members.pop("guard", "20"), "default"),)
    return {"acme": RunningAccount(settings=settings, **members)}


@pytest.mark.parametrize(
    ("other", "what", "values"),
    [
        ({"version": "1.1"}, VERSION, {"1.0", "1.1"}),
        ({"settings": (ShownSetting("FOXHOOKS_LEASE_SECONDS", "5", "x"),)}, "FOXHOOKS_LEASE_SECONDS", {"15", "5"}),
        ({"accounts": account(guard="9", rules="a", handlers="a")}, "FOXHOOKS_LOOP_GUARD", {"20", "9"}),
        ({"accounts": account(rules="b", handlers="a")}, RULES, {"a", "b"}),
        ({"accounts": account(rules="a", handlers="b")}, HANDLERS, {"a", "b"}),
    ],
)
def test_what_should_be_equal_and_is_not_is_a_difference(
    store: redis.Redis, other: dict[str, Any], what: str, values: set[str]
) -> None:
    base: dict[str, Any] = {
        "settings": (ShownSetting("FOXHOOKS_LEASE_SECONDS", "15", "default"),),
        "accounts": account(rules="a", handlers="a"),
    }
    publish(store, process("1", **base), process("2", **base | other))
    (difference,) = read_fleet(store).differences()
    assert (difference.what, set(difference.values)) == (what, values)
    assert "worker desk-2" in str(difference)


def test_ports_addresses_and_sources_may_differ(store: redis.Redis) -> None:
    def settings(port: str, source: str) -> tuple[ShownSetting, ...]:
        return ShownSetting("PORT", port, source), ShownSetting("FOXHOOKS_RETENTION_HOURS", "168", source)

    publish(store, process("1", "web", settings=settings("1", "a")), process("2", "web", settings=settings("2", "b")))
    assert read_fleet(store).differences() == ()


def test_an_account_runs_as_its_newest_worker_has_it(store: redis.Redis) -> None:
    routers = (RunningRouter("vip", dry_run=True), RunningRouter("rules"))
    publish(store, process("1", accounts=account(dry_run=True)))
    assert read_fleet(store).account("beta") is None
    newer = Presence(store, process("2", accounts=account(routers=routers)))
    store.hset(FLEET, "1", untyped(store).hget(FLEET, "1").replace(b'"since":1', b'"since":0'))
    newer.beat()
    publish(store, process("3", "web", accounts=account()))
    found = read_fleet(store).account("acme")
    assert found is not None
    assert (found.dry_run, found.dry_routers) == (False, ("vip",))
