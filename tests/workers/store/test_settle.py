"""Claiming and settling keep what they promise when an answer is lost, a lease runs out, or a turn is frozen."""

import pytest
import redis

from tests.support.lanes import LaneAccount, P
from workers.store.lanes import ClaimedLane, NothingDue, ReadPermit, Settlement, claim, settle, store_plan

LEASE = 600_000


@pytest.fixture
def account(either_store: redis.Redis) -> LaneAccount:
    return LaneAccount(either_store)


def claimed(account: LaneAccount, nonce: str) -> ClaimedLane:
    got = account.store.run(claim(account.config, nonce))
    assert isinstance(got, ClaimedLane)
    return got


Answer = tuple[bool, ClaimedLane | NothingDue | None]


def settled(account: LaneAccount, lane: ClaimedLane, nonce: str | None = None) -> Answer:
    handled = tuple(event.id for event in lane.events)
    settlement = Settlement(lane=lane.name, token=lane.token, turn=lane.turn, handled=handled)
    return account.store.run(settle("acme", settlement, b"", b"", b"", account.config, nonce))


def following(answer: Answer) -> ClaimedLane:
    assert isinstance(answer[1], ClaimedLane)
    return answer[1]


def waiting(account: LaneAccount, ticket: int) -> int:
    return account.client.llen(f"{P}lane:{ticket}")


def test_a_repeated_settlement_returns_the_lane_that_was_claimed_with_it(account: LaneAccount) -> None:
    account.event(1, "normal")
    lane = claimed(account, "first")
    account.event(2, "normal")
    account.event(3, "normal")
    answers = [settled(account, lane, "second") for _ in range(3)]
    assert (answers[0][0], following(answers[0]).ticket) == (True, 2)
    assert answers == [answers[0]] * 3
    assert (waiting(account, 1), waiting(account, 2), waiting(account, 3)) == (0, 1, 1)


def test_settling_again_finds_its_own_lane_claimed_with_it(account: LaneAccount) -> None:
    account.event(1, "normal")
    lane = claimed(account, "first")
    account.event(1, "interactive")
    answers = [settled(account, lane, "second") for _ in range(2)]
    assert answers == [answers[0]] * 2
    assert following(answers[0]).turn == "second"
    assert waiting(account, 1) == 1


@pytest.mark.parametrize("nonce", ["second", None])
def test_settling_again_without_another_lane_gets_the_same_answer(account: LaneAccount, nonce: str | None) -> None:
    account.event(1, "normal")
    lane = claimed(account, "first")
    assert [settled(account, lane, nonce)[0] for _ in range(3)] == [True] * 3


def test_settling_again_may_claim_a_lane_that_became_due_meanwhile(account: LaneAccount) -> None:
    account.event(1, "normal")
    lane = claimed(account, "first")
    assert settled(account, lane, "second") == (True, NothingDue(-1, "idle"))
    account.event(2, "normal")
    answers = [settled(account, lane, "second") for _ in range(2)]
    assert answers == [answers[0]] * 2
    assert (answers[0][0], following(answers[0]).ticket) == (True, 2)


def test_a_worker_that_lost_its_lease_settles_nothing(account: LaneAccount) -> None:
    account.event(1, "normal")
    late = claimed(account, "late")
    account.now += LEASE
    now = claimed(account, "now")
    account.event(2, "normal")
    answers = [settled(account, late, "second") for _ in range(3)]
    assert (answers[0][0], following(answers[0]).ticket) == (False, 2)
    assert answers == [answers[0]] * 3
    assert waiting(account, 1) == 1
    assert settled(account, now)[0]


def test_a_turn_keeps_its_id_and_counts_its_claims_until_it_is_settled(account: LaneAccount) -> None:
    account.event(1, "normal")
    turns = []
    for nonce in ("a", "b", "c"):
        lane = claimed(account, nonce)
        turns.append((lane.turn, lane.claims))
        account.now += LEASE
    assert turns == [("a", 1), ("a", 2), ("a", 3)]
    account.give_back(claimed(account, "d"))
    once, again = claimed(account, "e"), claimed(account, "e")
    assert once == again
    assert (once.turn, once.claims) == ("a", 1)


def test_a_turn_released_after_its_first_claim_keeps_its_id(account: LaneAccount) -> None:
    account.event(1, "normal")
    account.give_back(claimed(account, "a"))
    lane = claimed(account, "b")
    assert (lane.turn, lane.claims) == ("a", 1)


def test_a_claim_repeated_after_its_lease_expired_renews_the_same_lane(account: LaneAccount) -> None:
    account.event(1, "normal")
    first = claimed(account, "same")
    account.event(2, "interactive")
    account.now += LEASE + 1
    again = claimed(account, "same")
    assert (again.ticket, again.token, again.turn, again.claims) == (1, first.token, "same", 1)
    other = claimed(account, "other")
    assert (other.ticket, other.turn) == (2, "other")


def test_a_claim_repeated_after_another_claimed_its_lane_gets_another_lane(account: LaneAccount) -> None:
    account.event(1, "normal")
    first = claimed(account, "same")
    account.now += LEASE + 1
    taken = claimed(account, "thief")
    account.event(2, "normal")
    assert (taken.ticket, taken.claims, claimed(account, "same").ticket) == (1, 2, 2)
    assert not settled(account, first)[0]


def test_leases_leave_nothing_behind(account: LaneAccount) -> None:
    account.event(1, "normal")
    claimed(account, "crashed")
    account.now += LEASE
    lane: ClaimedLane | NothingDue | None = claimed(account, "a")
    account.event(2, "interactive")
    account.event(3, "bulk")
    for nonce in ("b", "c", "d"):
        assert isinstance(lane, ClaimedLane)
        lane = settled(account, lane, nonce)[1]
    assert lane == NothingDue(-1, "idle")
    left = [key.decode().removeprefix(P).partition(":")[0] for key in account.client.scan_iter(P + "*")]
    assert not {"leases", "lane", "joins", "turn", "schedule"} & set(left)


def test_a_frozen_turn_keeps_its_events_and_takes_no_later_ones(account: LaneAccount) -> None:
    account.event(1, "normal")
    lane = claimed(account, "a")
    assert account.store.run(store_plan(lane, b"{}", 0, account.config.budget, ReadPermit(None)))
    account.event(1, "normal")
    account.now += LEASE
    again = claimed(account, "b")
    assert (again.plan, again.events) == (b"{}", lane.events)
    account.now += LEASE
    settled(account, claimed(account, "c"))
    assert waiting(account, 1) == 1


def test_a_turn_that_is_not_frozen_takes_all_waiting_events(account: LaneAccount) -> None:
    account.event(1, "normal")
    claimed(account, "a")
    account.event(1, "normal")
    account.now += LEASE
    assert len(claimed(account, "b").events) == 2


def test_a_lane_whose_lease_expired_keeps_its_class(account: LaneAccount) -> None:
    account.event(1, "interactive")
    assert claimed(account, "a").priority == "interactive"
    account.now += LEASE
    assert claimed(account, "b").priority == "interactive"
