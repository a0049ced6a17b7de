"""forget: says what it erases and what stays, asks first, and refuses what is not a whole address."""

import msgspec
import pytest
import redis

from tests.support.commands import KEYS, refused, run, take_in, wrong
from workers.store.accounts import AccountChange
from workers.store.client import Store
from workers.store.inbox import accept, receive
from workers.store.keys import ACCOUNT_LOG, arriving, leaving, prefix
from workers.webhook import parse

pytestmark = pytest.mark.usefixtures("web_settings")


def deliver(store: redis.Redis, body: bytes) -> None:
    Store(store).run(accept("acme", [receive(parse(body), body)], 3600))


def test_it_says_what_it_erases_and_what_stays(store: redis.Redis) -> None:
    take_in(store)
    deliver(store, b'{"ticket_id": 7, "email": "sam@bigcorp.example"}')
    printed = " ".join(run("forget", "--contact", "sam@bigcorp.example", "--yes").stdout.split())
    assert "Tickets of acme: 7" in printed
    assert "1 delivery or event" in printed
    assert "Ticket 7 has 1 waiting event, which will not be processed." in printed
    assert "What stays:" in printed
    assert "append-only file was rewritten" in printed
    assert not store.exists(KEYS.lane(7))
    assert store.exists(KEYS.lane(3), KEYS.lane(4)) == 2


def test_it_asks_first(store: redis.Redis) -> None:
    deliver(store, b'{"ticket_id": 7}')
    run("forget", "--ticket", "7", code=1)
    assert store.exists(KEYS.lane(7))


def test_it_says_that_nothing_is_stored(store: redis.Redis) -> None:
    assert "Nothing is stored about that." in run("forget", "--ticket", "99", "--yes").stdout


def test_a_ticket_with_an_unfinished_turn_is_kept(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.commands.forget.TURN_PATIENCE", 0)
    deliver(store, b'{"ticket_id": 7}')
    store.hset(KEYS.turn(7), mapping={"id": "n1", "plan": "{}"})
    assert "ticket 7 is not forgotten: a turn of it has begun and is not finished" in refused(
        "forget", "--ticket", "7", "--yes"
    )
    assert store.exists(KEYS.lane(7), KEYS.turn(7)) == 2
    run("forget", "--ticket", "7", "--yes", "--unfinished")
    assert not store.exists(KEYS.lane(7), KEYS.turn(7))


@pytest.mark.parametrize("address", ["sam", "@example.com", "sam@example", ""])
def test_a_part_of_an_address_is_refused(address: str) -> None:
    assert "whole email address" in wrong("forget", "--address", address)


def test_something_must_be_chosen() -> None:
    assert "choose something" in wrong("forget")


@pytest.mark.parametrize("left", [leaving("old", "acme"), arriving("acme", "old"), "old"])
def test_it_refuses_while_a_part_of_the_account_is_under_its_old_name(store: redis.Redis, left: str) -> None:
    change = AccountChange(1, "ada", "move", "old", "acme")
    store.rpush(ACCOUNT_LOG, msgspec.json.encode(change))
    store.set(f"{prefix(left)}calls_saved", 1)
    told = refused("forget", "--ticket", "7", "--yes")
    assert "the move of old to acme was interrupted" in told
    assert "run `foxhooks store move old acme` first" in told
    store.rpush(ACCOUNT_LOG, msgspec.json.encode(msgspec.structs.replace(change, keys=1)))
    run("forget", "--ticket", "7", "--yes")
