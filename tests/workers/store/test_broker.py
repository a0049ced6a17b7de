"""Invitations: one per due lane and free thread, across accounts, none when the process stops."""

import pytest
import redis

from tests.support.stores import untyped
from workers.settings import Budget
from workers.store.broker import Readiness
from workers.store.client import Store
from workers.store.inbox import accept, receive
from workers.store.keys import WAKE
from workers.store.lanes import ClaimConfig
from workers.store.permits import Governor
from workers.webhook import parse

THREADS = 4


def config(account: str) -> ClaimConfig:
    budget = Governor(account, Budget(500, 300, 60.0, 600.0, 1.0, 8)).budget
    return ClaimConfig(account, lease=15_000, read=True, budget=budget, life=20_000)


def fill(store: redis.Redis, account: str, lanes: int) -> None:
    bodies = [b'{"ticket_id":%d}' % number for number in range(1, lanes + 1)]
    Store(store).run(accept(account, [receive(parse(body), body) for body in bodies], keep=3600))


def readiness(store: redis.Redis, *accounts: str) -> Readiness:
    return Readiness(Store(store), store, [config(account) for account in accounts], THREADS)


def accepted(invited: Readiness, count: int) -> list[str]:
    return [found.account for _ in range(count) if (found := invited.accept())]


def test_no_two_threads_are_invited_for_one_lane(store: redis.Redis) -> None:
    fill(store, "acme", 1)
    invited = readiness(store, "acme")
    assert (invited.wait(), invited.wait()) == (1, 0)


def test_no_more_are_invited_than_threads_are_free(store: redis.Redis) -> None:
    fill(store, "acme", 10)
    invited = readiness(store, "acme")
    assert invited.wait() == THREADS
    assert accepted(invited, THREADS) == ["acme"] * THREADS
    invited.leave(config("acme"))
    assert invited.wait() == 1


def test_another_process_is_woken_for_lanes_that_this_one_cannot_claim(store: redis.Redis) -> None:
    fill(store, "acme", 10)
    readiness(store, "acme").wait()
    assert store.llen(WAKE) == 1


def test_a_backlog_of_one_account_does_not_delay_the_others(store: redis.Redis) -> None:
    fill(store, "acme", 50)
    fill(store, "beta", 1)
    invited = readiness(store, "acme", "beta")
    assert invited.wait() == THREADS
    assert sorted(accepted(invited, THREADS)) == ["acme", "acme", "acme", "beta"]


def test_slow_turns_of_one_account_leave_a_thread_for_every_other(store: redis.Redis) -> None:
    fill(store, "acme", 50)
    invited = readiness(store, "acme", "beta")
    assert invited.wait() == THREADS - 1
    assert accepted(invited, THREADS - 1) == ["acme"] * (THREADS - 1)
    fill(store, "beta", 5)
    assert invited.wait() == 1
    assert accepted(invited, 1) == ["beta"]


def test_a_capped_account_is_checked_again_when_it_has_a_free_thread(store: redis.Redis) -> None:
    fill(store, "acme", 50)
    invited = readiness(store, "acme", "beta")
    assert invited.wait() == THREADS - 1
    accepted(invited, THREADS - 1)
    store.delete(WAKE)
    invited.leave(config("acme"))
    own = [key for key in store.keys(f"{WAKE}:*") if store.ttl(key) > 0]
    assert len(own) == 1, "its own consumer is woken"
    assert invited.wait() == 1


def test_a_thread_yields_after_its_turn_if_another_account_may_wait(store: redis.Redis) -> None:
    fill(store, "acme", 50)
    alone, shared = readiness(store, "acme"), readiness(store, "acme", "beta")
    alone.wait()
    assert not alone.should_yield(config("acme"))
    shared.wait()
    assert not shared.should_yield(config("acme")), "nobody else has anything due"
    fill(store, "beta", 5)
    shared.wait()
    assert shared.should_yield(config("acme"))


def test_an_account_with_a_corrupt_key_does_not_stop_the_others(store: redis.Redis) -> None:
    store.set("foxhooks:{acme}:schedule", "corrupt")
    fill(store, "beta", 1)
    invited = readiness(store, "acme", "beta")
    assert invited.wait() == 1
    assert accepted(invited, 1) == ["beta"]


@pytest.mark.parametrize("keys", ["~foxhooks:{none}:*", "~foxhooks:{acme}:"])
def test_an_account_whose_keys_are_forbidden_does_not_stop_the_others(
    store: redis.Redis, valkey_url: str, keys: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill(store, "acme", 1)
    fill(store, "beta", 1)
    rules = ("reset", "on", "nopass", "+@all", "~{foxhooks}:*", "~foxhooks:{beta}:*", keys)
    untyped(store).execute_command("ACL", "SETUSER", "app", *rules)
    try:
        with redis.Redis.from_url(valkey_url, username="app", password="") as client:
            invited = readiness(client, "acme", "beta")
            assert invited.wait() == 1
            assert accepted(invited, 1) == ["beta"]
    finally:
        store.acl_deluser("app")
    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["account"]) == ("Lanes cannot be claimed", "acme")
    assert "the store's user may not use all keys" in record.__dict__["error"]


def test_a_stopping_process_invites_no_thread_and_wakes_another_process(store: redis.Redis) -> None:
    fill(store, "acme", 3)
    invited = readiness(store, "acme")
    assert invited.wait() == 3
    invited.stop()
    assert invited.wait() == 0
    assert invited.accept() is None
    invited.leave()
    assert store.llen(WAKE) == 1
