"""Which due lane is claimed next: by class and age, within the reserves, however many others wait."""

import pytest
import redis

from tests.support.lanes import START, WINDOW, LaneAccount, P
from workers.store.client import Store
from workers.store.lanes import ClaimedLane, NothingDue, claim, due
from workers.store.scripts import Script


@pytest.fixture
def account(either_store: redis.Redis) -> LaneAccount:
    return LaneAccount(either_store)


def test_the_oldest_lane_is_claimed_first_within_a_class(account: LaneAccount) -> None:
    for ticket in (3, 1, 2):
        account.event(ticket, "normal")
        account.now += 1
    assert [account.claimed() for _ in range(4)] == [3, 1, 2, None]


def test_interactive_lanes_have_a_head_start_that_older_lanes_outgrow(account: LaneAccount) -> None:
    account.event(1, "bulk")
    account.event(2, "normal")
    account.now += 20_000
    account.event(3, "interactive")
    assert account.claimed() == 3
    account.now += 45_000
    account.event(4, "interactive")
    assert [account.claimed() for _ in range(3)] == [2, 1, 4]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_interactive_lanes_get_the_reserve_behind_any_number_of_other_lanes(account: LaneAccount, method: str) -> None:
    for ticket in range(1, 200):
        account.event(ticket, "bulk" if ticket % 2 else "normal")
    account.use(method, 90)
    account.now += 120_000 - WINDOW - 10_000
    assert account.due()[0] == 0
    assert account.claimed() is None
    account.event(1000, "interactive")
    assert account.due()[0] >= 1
    assert [account.claimed(), account.claimed()] == [1000, None]


def test_normal_lanes_pass_bulk_ones_that_have_used_their_part(account: LaneAccount) -> None:
    for ticket in range(1, 100):
        account.event(ticket, "bulk")
    account.now += 45_000
    account.use("GET", 70)
    account.event(1000, "normal")
    assert [account.claimed(), account.claimed()] == [1000, None]


def test_a_lane_that_has_waited_long_sometimes_uses_the_reserve(account: LaneAccount) -> None:
    account.event(1, "bulk")
    account.now += 5 * WINDOW + 1
    account.use("GET", 90)
    assert account.claimed() == 1
    for ticket in (2, 3):
        account.event(ticket, "bulk")
    account.now += 5 * WINDOW + 1
    account.use("GET", 90)
    assert account.claimed() is None, "only one of ten claims"


def test_a_released_lane_keeps_its_class_and_a_more_urgent_event_raises_it(account: LaneAccount) -> None:
    account.event(1, "interactive")
    lane = account.claim()
    assert isinstance(lane, ClaimedLane)
    assert lane.priority == "interactive"
    account.give_back(lane)
    account.event(1, "bulk")
    account.event(2, "bulk")
    account.event(2, "normal")
    account.use("GET", 90 - 1)
    assert account.claimed() == 1
    assert account.client.zscore(P + "schedule:normal", "2") == START


def test_newest_first_turns_the_order_within_a_class_around_except_in_one_of_four_claims(
    either_store: redis.Redis,
) -> None:
    account = LaneAccount(either_store, newest_first=True)
    for ticket in range(1, 9):
        account.event(ticket, "interactive")
        account.now += 1
    assert [account.claimed() for _ in range(8)] == [1, 8, 7, 6, 2, 5, 4, 3]


def test_newest_first_keeps_the_order_of_the_classes(either_store: redis.Redis) -> None:
    account = LaneAccount(either_store, newest_first=True)
    account.event(9, "interactive")
    assert account.claimed() == 9, "the first claim takes the oldest"
    account.event(1, "interactive")
    account.now += 10_000
    account.event(2, "bulk")
    account.now += 80_000
    account.event(3, "interactive")
    assert [account.claimed() for _ in range(3)] == [3, 1, 2]


def test_newest_first_skips_lanes_that_are_not_due_any_more(either_store: redis.Redis) -> None:
    account = LaneAccount(either_store, newest_first=True)
    for ticket in (1, 2, 3, 4):
        account.event(ticket, "interactive")
        account.now += 1
    assert account.claimed() == 1
    account.client.zadd(P + "schedule", {"4": account.now + 60_000})
    assert [account.claimed() for _ in range(3)] == [3, 2, None]


def test_a_claim_repeated_after_a_lost_answer_gets_the_same_answer(account: LaneAccount) -> None:
    account.event(1, "interactive")
    account.event(2, "interactive")
    first, again = (account.store.run(claim(account.config, "same")) for _ in range(2))
    assert first == again


def test_no_more_lanes_are_invited_than_there_is_room_for(either_store: redis.Redis) -> None:
    account = LaneAccount(either_store, gets=20, in_flight=6)
    for ticket in range(1, 50):
        account.event(ticket, "normal")
    assert account.due() == (6, 0)
    account.use("GET", 15)
    assert account.due() == (3, 0)
    assert [account.claimed() is None for _ in range(4)] == [False, False, False, True]
    assert account.due() == (0, WINDOW + 600)


def test_a_locked_out_account_has_no_due_lanes_and_says_until_when(account: LaneAccount) -> None:
    for ticket in range(1, 50):
        account.event(ticket, "interactive")
    account.use("GET", 1)
    account.store.run(account.governor.permit("GET", "the-429", "normal", 1_000))
    account.store.run(account.governor.release("GET", "the-429", "limited"))
    assert account.due() == (0, 605_000)
    assert account.claim() == NothingDue(605_000, "gate")


def commands(client: redis.Redis, script: Script[tuple[int, int]], store: Store) -> int:
    """How many commands of the store one run of a script costs."""
    before = client.info("commandstats")
    store.run(script)
    after = client.info("commandstats")
    return sum(after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after)


@pytest.mark.parametrize("state", ["exhausted", "locked"])
def test_counting_due_lanes_costs_the_same_with_many_lanes_as_with_few(account: LaneAccount, state: str) -> None:
    def cost() -> int:
        return commands(account.client, due(account.config, 8), account.store)

    account.event(1, "normal")
    if state == "locked":
        account.client.hset(P + "gate", mapping={"state": "locked", "until": START + 600_000})
    else:
        account.use("GET", 100)
    assert account.due()[0] == 0
    few = cost()
    account.client.zadd(P + "schedule", {str(ticket): START for ticket in range(2, 20_000)})
    account.client.zadd(P + "schedule:normal", {str(ticket): START for ticket in range(2, 20_000)})
    assert cost() <= few + 1
