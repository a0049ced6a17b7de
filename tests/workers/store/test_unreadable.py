"""Unreadable: the keys whose contents no reading function understands are named."""

import json

import pytest
import redis

from tests.support.sample_store import FOLDER, VERSION, restore
from tests.support.stores import untyped
from workers.store.keys import ALERTS, FLEET_SEEN, MISDIRECTED, WORKERS, Keys
from workers.store.unreadable import EVENTS, TICKETS, find_unreadable
from workers.testing.desk import ACCOUNT

KEYS = Keys(ACCOUNT)
#: Hashes with the field that is changed, and what it then has.
FIELDS = {
    KEYS.client_counts: "triage:done",
    KEYS.counts: "accepted",
    KEYS.gate: "until",
    KEYS.hosts: "help.acme.example",
    KEYS.keys_used: "a1b2",
    KEYS.learned: "delivery@1",
    KEYS.memory: "doubts",
    KEYS.paused: "account",
    KEYS.periodic_tasks: "main.close",
    KEYS.refusals: "quotes-there",
    KEYS.shapes: "0123456789ab",
    KEYS.storm: "since",
    WORKERS: "desk-1-17-a1b2c3",
    FLEET_SEEN: "desk-1-17-a1b2c3",
    MISDIRECTED: "unknown-path",
    ALERTS: "dead-letters 0 demo",
}


def fill(store: redis.Redis) -> None:
    """Restore a store with one of everything."""
    restore(store, json.loads((FOLDER / f"{VERSION}.json").read_text())["keys"])


def test_everything_that_foxhooks_writes_is_readable(store: redis.Redis) -> None:
    assert find_unreadable(store, [ACCOUNT]) == []
    fill(store)
    assert find_unreadable(store, [ACCOUNT]) == []


@pytest.mark.parametrize("junk", [b"\xff{junk", b"[]"])
def test_what_is_not_understood_is_named(store: redis.Redis, junk: bytes) -> None:
    fill(store)
    lanes = [int(lane) for lane in untyped(store).zrange(KEYS.schedule, 0, -1)]
    ticket = next(lane for lane in lanes if store.exists(KEYS.lane(lane)))
    for key, field in FIELDS.items():
        store.hset(key, field, junk)
    store.set(KEYS.calls_saved, junk)
    for key in (KEYS.schedule, KEYS.timers):
        store.zadd(key, {junk: 1})
    store.zadd(KEYS.turns, {"a": float("inf")})
    store.rpush(KEYS.quarantine, junk)
    broken = untyped(store).zrange(KEYS.dead_letters, 0, 0)[0].decode()
    store.hset(KEYS.dead_letter(broken), "evidence", junk)
    named = {*FIELDS, KEYS.calls_saved, KEYS.schedule, KEYS.timers, KEYS.turns, KEYS.dead_letter(broken)}
    event = KEYS.event(untyped(store).lindex(KEYS.lane(ticket), 0).decode())
    store.hset(event, "at", junk)
    store.hset(KEYS.turn(ticket), "calls", junk)
    store.rpush(KEYS.history(ticket), junk)
    named |= {event, KEYS.turn(ticket), KEYS.history(ticket)}
    found = find_unreadable(store, [ACCOUNT])
    assert {*found} - {KEYS.quarantine} == named


def test_a_key_of_the_wrong_type_is_named_too(store: redis.Redis) -> None:
    store.zadd(KEYS.schedule, {"3": 1})
    wrong = {*FIELDS, KEYS.dead_letters, KEYS.turns, KEYS.quarantine, KEYS.lane(3), KEYS.turn(3), KEYS.history(3)}
    for key in wrong:
        store.set(key, "x")
    assert {*find_unreadable(store, [ACCOUNT])} == wrong
    store.set(KEYS.schedule, "x")
    assert KEYS.schedule in find_unreadable(store, [ACCOUNT])


def test_a_large_backlog_costs_few_commands(store: redis.Redis) -> None:
    for ticket in range(1, 150):
        store.zadd(KEYS.schedule, {str(ticket): 1})
        store.rpush(KEYS.lane(ticket), *(f"e{ticket}-{number}" for number in range(20)))
    before = untyped(store).info("stats")["total_commands_processed"]
    assert find_unreadable(store, [ACCOUNT]) == []
    assert untyped(store).info("stats")["total_commands_processed"] - before < TICKETS * (EVENTS + 6)
