"""Which due lane is claimed next: by class and age, within the reserves, however many others wait."""

import pytest
import redis

from workers.events.delivery import parse
from workers.governor.governor import Class, Governor
from workers.lanes.claims import ClaimTerms, Held, Nothing, claim, due
from workers.lanes.holding import ReadPermit, park
from workers.lanes.inbox import accept, receive
from workers.lanes.scripts import Script
from workers.lanes.store import Store
from workers.settings import Budget

START = 1_700_000_000_000
WINDOW = 60_000
P = "foxhooks:{acme}:"
SOURCES = {"interactive": "webhook", "normal": "webhook", "bulk": "sweep"}


class Account:
    """One account of a hundred calls of each method a minute, at a time of the test's own."""

    def __init__(self, client: redis.Redis, **changed: float) -> None:
        budget = {"gets": 100, "posts": 100, "window": 60.0, "lockout": 600.0, "share": 1.0, "in_flight": 1000}
        self.client, self.now = client, START
        self.governor = Governor("acme", Budget(**{**budget, **changed}))  # type: ignore[arg-type]
        self.terms = ClaimTerms("acme", 600_000, True, self.governor.budget, 20_000)
        self.store = Store(client, lambda: self.now)
        self._calls = 0

    def event(self, ticket: int, class_: Class) -> None:
        """Lets an event of a class arrive."""
        self._calls += 1
        body = b'{"ticket_id":%d,"n":%d}' % (ticket, self._calls)
        arrival = receive(parse(body), body, source=SOURCES[class_])
        told = {"kind": "created"} if class_ == "interactive" else {"kind": "updated"}
        arrival = type(arrival)(**{**{name: getattr(arrival, name) for name in arrival.__struct_fields__}, **told})
        self.store.run(accept("acme", [arrival], keep=3600))

    def claim(self) -> Held | Nothing:
        self._calls += 1
        return self.store.run(claim(self.terms, f"n{self._calls}"))

    def claimed(self) -> int | None:
        """Claims a lane and gives its ticket."""
        got = self.claim()
        return got.ticket if isinstance(got, Held) else None

    def give_back(self, held: Held) -> None:
        self.store.run(park(held, 0, self.terms.budget, ReadPermit(None), "", 1000))

    def use(self, method: str, calls: int) -> None:
        """Uses up so many slots."""
        for _ in range(calls):
            self._calls += 1
            assert not self.store.run(self.governor.permit(method, f"c{self._calls}", "interactive", 1_000)).wait
            self.store.run(self.governor.release(method, f"c{self._calls}", "answered"))

    def due(self, most: int = 1000) -> tuple[int, int]:
        return self.store.run(due(self.terms, most))


@pytest.fixture
def account(either_store: redis.Redis) -> Account:
    return Account(either_store)


def test_the_oldest_lane_is_claimed_first_within_a_class(account: Account) -> None:
    for ticket in (3, 1, 2):
        account.event(ticket, "normal")
        account.now += 1
    assert [account.claimed() for _ in range(4)] == [3, 1, 2, None]


def test_interactive_lanes_have_a_head_start_that_older_lanes_outgrow(account: Account) -> None:
    account.event(1, "bulk")
    account.event(2, "normal")
    account.now += 20_000
    account.event(3, "interactive")
    assert account.claimed() == 3
    account.now += 45_000
    account.event(4, "interactive")
    assert [account.claimed() for _ in range(3)] == [2, 1, 4]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_reserve_is_left_for_interactive_lanes_behind_any_number_of_others(account: Account, method: str) -> None:
    for ticket in range(1, 200):
        account.event(ticket, "bulk" if ticket % 2 else "normal")
    account.use(method, 90)
    account.now += 120_000 - WINDOW - 10_000
    assert account.due()[0] == 0
    assert account.claimed() is None
    account.event(1000, "interactive")
    assert account.due()[0] >= 1
    assert [account.claimed(), account.claimed()] == [1000, None]


def test_normal_lanes_pass_bulk_ones_that_have_used_their_part(account: Account) -> None:
    for ticket in range(1, 100):
        account.event(ticket, "bulk")
    account.now += 45_000
    account.use("GET", 70)
    account.event(1000, "normal")
    assert [account.claimed(), account.claimed()] == [1000, None]


def test_a_lane_that_waits_for_long_is_let_past_the_reserves_now_and_then(account: Account) -> None:
    account.event(1, "bulk")
    account.now += 5 * WINDOW + 1
    account.use("GET", 90)
    assert account.claimed() == 1
    for ticket in (2, 3):
        account.event(ticket, "bulk")
    account.now += 5 * WINDOW + 1
    account.use("GET", 90)
    assert account.claimed() is None, "only one of ten claims"


def test_a_lane_keeps_its_class_when_it_is_given_back_and_rises_with_a_more_urgent_event(account: Account) -> None:
    account.event(1, "interactive")
    held = account.claim()
    assert isinstance(held, Held)
    assert held.class_ == "interactive"
    account.give_back(held)
    account.event(1, "bulk")
    account.event(2, "bulk")
    account.event(2, "normal")
    account.use("GET", 90 - 1)
    assert account.claimed() == 1
    assert account.client.zscore(P + "sched:normal", "2") == START


def test_a_claim_repeated_after_a_lost_answer_is_answered_alike(account: Account) -> None:
    account.event(1, "interactive")
    account.event(2, "interactive")
    first, again = (account.store.run(claim(account.terms, "same")) for _ in range(2))
    assert first == again


def test_no_more_lanes_are_invited_than_there_is_room_for(either_store: redis.Redis) -> None:
    account = Account(either_store, gets=20, in_flight=6)
    for ticket in range(1, 50):
        account.event(ticket, "normal")
    assert account.due() == (6, 0)
    account.use("GET", 15)
    assert account.due() == (3, 0)
    assert [account.claimed() is None for _ in range(4)] == [False, False, False, True]
    assert account.due() == (0, WINDOW + 600)


def test_a_locked_account_hands_out_nothing_and_says_until_when(account: Account) -> None:
    for ticket in range(1, 50):
        account.event(ticket, "interactive")
    account.use("GET", 1)
    account.store.run(account.governor.permit("GET", "the-429", "normal", 1_000))
    account.store.run(account.governor.release("GET", "the-429", "limited"))
    assert account.due() == (0, 605_000)
    assert account.claim() == Nothing(605_000, "gate")


def commands(client: redis.Redis, script: Script[tuple[int, int]], store: Store) -> int:
    """How many commands of the store one run of a script costs."""
    before = client.info("commandstats")
    store.run(script)
    after = client.info("commandstats")
    return sum(after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after)


@pytest.mark.parametrize("state", ["exhausted", "locked"])
def test_asking_costs_as_much_with_many_lanes_as_with_few(account: Account, state: str) -> None:
    def cost() -> int:
        return commands(account.client, due(account.terms, 8), account.store)

    account.event(1, "normal")
    if state == "locked":
        account.client.hset(P + "gate", mapping={"state": "locked", "until": START + 600_000})
    else:
        account.use("GET", 100)
    assert account.due()[0] == 0
    few = cost()
    account.client.zadd(P + "sched", {str(ticket): START for ticket in range(2, 20_000)})
    account.client.zadd(P + "sched:normal", {str(ticket): START for ticket in range(2, 20_000)})
    assert cost() <= few + 1
