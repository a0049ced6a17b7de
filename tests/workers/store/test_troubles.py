"""What is wrong with the running system: each trouble with its level and its fix."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from workers.settings import ShownSetting
from workers.store.client import Store, store_time
from workers.store.fleet import Presence, Process, read_fleet
from workers.store.keys import FLEET_SEEN, WORKER_LIFE, WORKERS, Keys
from workers.store.pauses import Pause, pause
from workers.store.troubles import LONG_PAUSE, Trouble, find_troubles

KEYS = Keys("acme")
MINUTE = 60_000


def find(store: redis.Redis) -> list[Trouble]:
    return list(find_troubles(store, ["acme"], read_fleet(store), store_time(store)))


def start(store: redis.Redis, name: str = "1", part: str = "worker", **members: Any) -> None:
    values: dict[str, Any] = {"version": "1.0", "host": "desk", "pid": int(name)}
    Presence(store, Process(name=name, part=part, **values | members)).beat()


def close(store: redis.Redis, why: str, state: str = "locked") -> None:
    until = store_time(store) + 10 * MINUTE
    store.hset(KEYS.gate, mapping={"state": state, "why": why, "until": until, "since": until - 20 * MINUTE})


def refuse(store: redis.Redis, accepted: int) -> None:
    now = store_time(store)
    store.hset(KEYS.counts, mapping={"refused:bad-signature": 3, "refused:bad-signature:at": now - MINUTE})
    store.hset(KEYS.counts, mapping={"accepted": 3, "accepted:at": now - accepted})


def pause_for(store: redis.Redis, milliseconds: int) -> None:
    with Store(store) as run:
        run.run(pause("acme", "router", "vip", Pause(store_time(store) - milliseconds, "ada")))


def differ(store: redis.Redis) -> None:
    start(store, "2", settings=(ShownSetting("FOXHOOKS_LEASE_SECONDS", "5", "x"),))
    start(store, "3", settings=(ShownSetting("FOXHOOKS_LEASE_SECONDS", "9", "x"),))


def die(store: redis.Redis) -> None:
    start(store, "2", "web")
    store.hset(FLEET_SEEN, "2", store_time(store) - WORKER_LIFE)


def dead_letter(store: redis.Redis) -> None:
    store.zadd(KEYS.dead_letters, {"n1": 1})
    store.hset(KEYS.dead_letter("n1"), mapping={"ticket": 1, "at": 1, "evidence": "{}"})


@pytest.mark.parametrize(
    ("spoil", "kind", "is_error", "words"),
    [
        (lambda store: close(store, "limited"), "locked-out", True, "locked out until"),
        (lambda store: close(store, "denied", "denied"), "credentials-refused", True, "rejects the API key"),
        (lambda store: close(store, "unreachable", "unreachable"), "unreachable", True, "does not answer since"),
        (lambda store: close(store, "clock"), "calls-stopped", False, "clock or server changed"),
        (lambda store: refuse(store, 2 * MINUTE), "deliveries-refused", True, "none was accepted since"),
        (lambda store: pause_for(store, MINUTE), "paused", False, "router vip of acme is paused"),
        (lambda store: pause_for(store, LONG_PAUSE + MINUTE), "paused", True, "by ada"),
        (dead_letter, "dead-letters", False, "1 dead letter of acme"),
        (differ, "settings-differ", True, "different values of FOXHOOKS_LEASE_SECONDS"),
        (lambda store: start(store, "2", version="1.1"), "version-skew", False, "1.0 in worker desk-1; 1.1 in worker"),
        (die, "silent-process", False, "web process desk-2"),
    ],
)
def test_a_trouble_says_what_is_wrong_and_what_to_do(
    store: redis.Redis, spoil: Callable[[redis.Redis], None], kind: str, is_error: bool, words: str
) -> None:
    start(store)
    assert find(store) == []
    spoil(store)
    (found,) = find(store)
    assert (found.kind, found.is_error) == (kind, is_error)
    assert words in found.text
    assert found.fix


def test_refused_deliveries_before_an_accepted_one_are_no_trouble(store: redis.Redis) -> None:
    start(store)
    refuse(store, 0)
    assert find(store) == []


def test_no_worker_is_a_trouble_once_anything_has_run(store: redis.Redis) -> None:
    assert find(store) == []
    store.set(KEYS.store_epoch, 1)
    assert [each.kind for each in find(store)] == ["no-workers"]
    store.delete(KEYS.store_epoch)
    start(store, "1", "web")
    assert [each.kind for each in find(store)] == ["no-workers"]
    store.hset(WORKERS, "of an older version", store_time(store))
    assert find(store) == []


def test_a_probe_of_a_wrong_key_is_still_the_same_trouble(store: redis.Redis) -> None:
    start(store)
    close(store, "denied", "probing")
    assert [each.kind for each in find(store)] == ["credentials-refused"]
