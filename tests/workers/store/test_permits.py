"""The rules of permits, on both stores and a given clock."""

from uuid import uuid4

import pytest
import redis

from workers.settings import Budget
from workers.store.client import Store
from workers.store.permits import COUNT_GRACE, Forecast, Governor, Grant, PermitOutcome, argument

START = 1_700_000_000_000
LIFE = 15_000
WINDOW, GUARD = 60_000, 600
LOCKOUT = 600_000 + 5_000
HOUR = 3_600_000
GRANTED = Grant(0, "")


class Account:
    """One account of ten calls of each method a minute, and the clock of its store."""

    def __init__(self, client: redis.Redis, **changed: float) -> None:
        budget = {"gets": 10, "posts": 10, "window": 60.0, "lockout": 600.0, "share": 1.0, "in_flight": 100}
        self.governor = Governor("acme", Budget(**{**budget, **changed}))  # type: ignore[arg-type]
        self.now = START
        self.store = Store(client, lambda: self.now)

    def ask(self, method: str, id: str, priority: str = "interactive") -> Grant:
        return self.store.run(self.governor.permit(method, id, priority, LIFE))  # type: ignore[arg-type]

    def settle(self, method: str, id: str, outcome: PermitOutcome = "answered", age: int = 0, wait: int = 0) -> None:
        self.store.run(self.governor.release(method, id, outcome, age, wait))

    def forecast(self) -> Forecast:
        return self.store.run(self.governor.forecast())

    def call(self, method: str, id: str, outcome: PermitOutcome = "answered") -> Grant:
        grant = self.ask(method, id)
        if not grant.wait:
            self.settle(method, id, outcome)
        return grant

    def lock(self) -> None:
        """A 429 to a write."""
        assert self.ask("POST", "the-429") == GRANTED
        self.settle("POST", "the-429", "limited")

    def reopen(self) -> None:
        """Lets the lockout pass and a probe succeed."""
        self.now += LOCKOUT
        assert self.call("GET", "the-probe") == GRANTED


@pytest.fixture
def account(either_store: redis.Redis) -> Account:
    return Account(either_store)


def test_a_slot_is_free_one_window_and_a_guard_after_the_answer(account: Account) -> None:
    for n in range(10):
        assert account.call("POST", f"p{n}") == GRANTED
    assert account.ask("POST", "more") == Grant(WINDOW + GUARD, "budget")
    account.now += WINDOW + GUARD - 1
    assert account.ask("POST", "more") == Grant(1, "budget")
    account.now += 1
    assert account.ask("POST", "more") == GRANTED


def test_the_age_of_an_answer_counts_from_its_arrival(account: Account) -> None:
    account.ask("POST", "p")
    account.now += 9_000
    account.settle("POST", "p", age=4_000)
    account.now += WINDOW + GUARD - 4_000 - 1
    assert account.forecast().posts_used == 1
    account.now += 1
    assert account.forecast().posts_used == 0


def test_a_permit_asked_for_twice_takes_one_slot(account: Account) -> None:
    assert [account.ask("GET", "same") for _ in range(20)] == [GRANTED] * 20
    assert (account.forecast().gets_used, account.forecast().in_flight) == (1, 1)


def test_reads_have_their_own_slots_and_every_other_method_is_a_write(account: Account) -> None:
    for n in range(10):
        account.call(("POST", "PUT", "DELETE")[n % 3], f"w{n}")
    assert account.ask("PUT", "more").why == "budget"
    assert account.ask("GET", "read") == GRANTED


def test_an_unsent_call_frees_its_slot_at_once(account: Account) -> None:
    account.call("POST", "p", "unsent")
    assert (account.forecast().posts_used, account.forecast().in_flight) == (0, 0)


@pytest.mark.parametrize("settled", [True, False])
def test_a_call_without_an_answer_keeps_its_slot_past_its_deadline(account: Account, settled: bool) -> None:
    account.ask("POST", "p")
    account.now += LIFE
    if settled:
        account.settle("POST", "p", "doubt")
    account.now += COUNT_GRACE + WINDOW + GUARD - 1
    assert account.forecast().posts_used == 1
    account.now += 1
    assert account.forecast().posts_used == 0


def test_a_late_answer_adds_a_deleted_permit_again(account: Account) -> None:
    account.ask("POST", "p")
    account.now += LIFE + COUNT_GRACE + WINDOW + GUARD + 1
    account.ask("POST", "another")
    assert account.forecast().posts_used == 1
    account.settle("POST", "p")
    assert account.forecast().posts_used == 2


def test_settling_twice_is_harmless(account: Account) -> None:
    account.ask("POST", "p")
    for _ in range(3):
        account.settle("POST", "p")
    assert (account.forecast().posts_used, account.forecast().in_flight) == (1, 0)
    account.ask("POST", "q")
    for _ in range(3):
        account.settle("POST", "q", "failed")
    assert account.forecast().gate == "open", "one failure, reported three times"


def test_a_failure_of_happyfox_frees_the_slot_like_an_answer(account: Account) -> None:
    account.call("POST", "p", "failed")
    account.now += WINDOW + GUARD
    assert account.forecast().posts_used == 0


def test_normal_calls_leave_a_tenth_and_bulk_calls_three_tenths(account: Account) -> None:
    def granted(priority: str) -> int:
        return sum(account.ask("POST", f"{priority}{n}", priority) == GRANTED for n in range(20))

    assert [granted("bulk"), granted("normal"), granted("interactive")] == [7, 2, 1]


@pytest.mark.parametrize(("priority", "share"), [("interactive", 72), ("normal", 64), ("bulk", 56)])
def test_calls_of_clients_are_spread_over_the_window_and_leave_slots_to_turns(
    either_store: redis.Redis, priority: str, share: int
) -> None:
    account, part = Account(either_store, gets=80), WINDOW // 8

    def granted(number: int) -> int:
        """Make calls until one has to wait; return how many did not."""
        for n in range(100):
            grant = account.ask("GET", f"{number}-{n}", f"client-{priority}")
            if grant != GRANTED:
                assert (0 < grant.wait <= part + GUARD, grant.why) == (True, "budget")
                return n
            account.settle("GET", f"{number}-{n}")
        raise AssertionError("the calls of clients have no limit")

    for number in range(8):
        assert granted(number) == share // 8
        account.now += part
    assert account.forecast().gets_used == share
    assert all(account.call("GET", f"turn {n}") == GRANTED for n in range(80 - share))


def test_one_slot_is_for_every_class(either_store: redis.Redis) -> None:
    for priority in ("bulk", "normal", "interactive"):
        account = Account(either_store, posts=1)
        assert account.ask("POST", priority, priority) == GRANTED
        account.settle("POST", priority, "unsent")


def test_calls_in_flight_are_limited_and_those_of_a_dead_process_end(
    either_store: redis.Redis,
) -> None:
    account = Account(either_store, in_flight=2)
    assert [account.ask("GET", f"g{n}").why for n in range(3)] == ["", "", "flight"]
    account.settle("GET", "g0")
    assert account.ask("POST", "p") == GRANTED
    account.now += LIFE
    assert account.ask("GET", "later") == GRANTED


def test_a_429_closes_both_methods_for_the_lockout_and_its_guard(account: Account) -> None:
    account.lock()
    assert account.ask("GET", "g") == account.ask("POST", "p") == Grant(LOCKOUT, "gate")
    account.now += LOCKOUT - 1
    assert account.ask("GET", "g") == Grant(1, "gate")


@pytest.mark.parametrize(("asked", "closed"), [(30_000, LOCKOUT), (900_000, 900_000), (HOUR, HOUR), (86_400_000, HOUR)])
def test_a_longer_retry_after_wins_up_to_an_hour_and_a_shorter_one_is_ignored(
    account: Account, asked: int, closed: int
) -> None:
    account.ask("GET", "g")
    account.settle("GET", "g", "limited", wait=asked)
    assert account.forecast().reopens == closed / 1000


def test_a_503_with_a_wait_closes_like_a_429(account: Account) -> None:
    account.call("GET", "g", "throttled")
    assert (account.forecast().gate, account.forecast().why) == ("locked", "throttled")
    assert account.ask("POST", "p") == Grant(LOCKOUT, "gate")


def test_a_429_to_a_call_still_in_flight_prolongs_the_lockout(account: Account) -> None:
    account.ask("POST", "slow")
    account.lock()
    account.now += 10_000
    account.settle("POST", "slow", "limited")
    assert account.forecast().reopens == LOCKOUT / 1000
    assert account.forecast().share == 0.5, "one lockout halves the share once"


def test_a_429_reported_long_after_it_closes_nothing(account: Account) -> None:
    account.ask("POST", "frozen")
    account.now += 2 * LOCKOUT
    account.settle("POST", "frozen", "limited", age=2 * LOCKOUT - 1000)
    assert account.forecast().gate == "open"
    assert account.forecast().share == 1


def test_one_read_probes_after_the_lockout_and_writes_wait_for_it(account: Account) -> None:
    account.lock()
    account.now += LOCKOUT
    assert account.ask("POST", "p").why == "gate"
    assert account.ask("GET", "probe") == GRANTED
    assert {account.ask("GET", f"g{n}").why for n in range(5)} | {account.ask("POST", "p").why} == {"probe"}
    assert account.ask("GET", "probe") == GRANTED, "asked for twice, as a lost answer makes redis-py do"
    account.settle("GET", "probe")
    assert account.forecast().gate == "open"


def test_a_write_probes_when_no_read_comes(account: Account) -> None:
    account.lock()
    account.now += LOCKOUT + 2_000
    assert account.ask("POST", "p") == GRANTED
    assert account.ask("POST", "q").why == "probe"
    account.settle("POST", "p")
    assert account.forecast().gate == "open"


def test_only_the_probe_opens_the_gate(account: Account) -> None:
    account.ask("GET", "old")
    account.lock()
    account.settle("GET", "old")
    assert account.forecast().gate == "locked"
    account.now += LOCKOUT
    account.ask("GET", "probe")
    account.settle("GET", "old")
    assert account.forecast().gate == "probing"


@pytest.mark.parametrize("outcome", ["doubt", "failed"])
def test_a_probe_without_a_good_answer_is_followed_by_another_after_15_s(
    account: Account, outcome: PermitOutcome
) -> None:
    account.lock()
    account.now += LOCKOUT
    account.ask("GET", "probe")
    account.now += 1_000
    account.settle("GET", "probe", outcome)
    assert account.ask("GET", "second") == Grant(15_000, "gate")
    account.now += 15_000
    assert account.ask("GET", "second") == GRANTED


def test_a_probe_whose_process_died_is_replaced_and_can_no_longer_open(account: Account) -> None:
    account.lock()
    account.now += LOCKOUT
    account.ask("GET", "dead")
    account.now += LIFE
    assert account.ask("GET", "second") == GRANTED
    account.settle("GET", "dead")
    assert account.forecast().gate == "probing"
    account.settle("GET", "second")
    assert account.forecast().gate == "open"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_after_an_unsent_probe_the_next_call_may_try_at_once(account: Account, method: str) -> None:
    account.lock()
    account.now += LOCKOUT
    account.call("GET", "probe", "unsent")
    assert account.forecast().reopens == 0
    assert account.call(method, "second") == GRANTED
    assert account.forecast().gate == "open"


def test_a_429_to_the_probe_locks_again_without_halving_again(account: Account) -> None:
    account.lock()
    account.now += LOCKOUT
    account.call("GET", "probe", "limited")
    forecast = account.forecast()
    assert (forecast.gate, forecast.reopens, forecast.share) == ("locked", LOCKOUT / 1000, 0.5)


def test_the_first_write_after_the_reopening_goes_alone(account: Account) -> None:
    account.lock()
    account.reopen()
    account.now += WINDOW
    assert account.ask("POST", "first") == GRANTED
    assert account.ask("POST", "second").why == "probe"
    assert account.ask("GET", "read") == GRANTED
    account.settle("POST", "first")
    assert [account.ask("POST", f"p{n}") for n in range(3)] == [GRANTED] * 3


def test_a_first_write_without_an_outcome_is_replaced(account: Account) -> None:
    account.lock()
    account.reopen()
    account.now += WINDOW
    account.ask("POST", "dead")
    account.now += LIFE
    assert account.ask("POST", "second") == GRANTED
    assert account.ask("POST", "third").why == "probe"
    account.settle("POST", "second", "doubt")
    assert account.ask("POST", "third") == GRANTED
    assert account.ask("POST", "fourth").why == "probe"


def test_the_limits_grow_for_a_window_after_the_reopening(account: Account) -> None:
    account.lock()
    account.now += HOUR  # the halved share is over
    account.call("GET", "probe")
    assert account.forecast().gets == 1
    account.now += WINDOW // 2
    assert account.forecast().gets == 5
    account.now += WINDOW // 2
    assert account.forecast().gets == 10


def test_a_429_to_the_first_write_locks_again_without_halving_again(account: Account) -> None:
    account.lock()
    account.reopen()
    account.now += WINDOW
    account.call("POST", "first", "limited")
    assert (account.forecast().gate, account.forecast().share) == ("locked", 0.5)


def test_a_429_halves_the_share_for_an_hour_and_a_second_one_again(account: Account) -> None:
    account.lock()
    account.reopen()
    account.now += WINDOW
    assert account.forecast().posts == 5
    account.call("POST", "first")
    account.call("POST", "again", "limited")
    assert account.forecast().share == 0.25
    account.now += HOUR
    assert (account.forecast().posts, account.forecast().share) == (10, 1)


def test_the_lowest_share_leaves_a_second_read_to_a_running_turn(account: Account) -> None:
    account.lock()
    account.reopen()
    for number in range(3):
        account.now += WINDOW
        account.call("POST", f"alone-{number}")
        account.call("POST", f"again-{number}", "limited")
        account.now += LOCKOUT
        account.call("GET", f"probe-{number}")
    account.now += 2 * WINDOW
    assert account.forecast().share == 0.125
    assert [account.call("GET", f"read-{number}").wait > 0 for number in range(3)] == [False, False, True]


def test_wrong_credentials_close_the_gate_until_a_rare_probe_succeeds(account: Account) -> None:
    account.call("POST", "p", "denied")
    assert account.forecast().gate == "denied"
    assert account.ask("GET", "g") == Grant(60_000, "denied")
    account.now += 60_000
    assert account.call("GET", "probe", "denied") == GRANTED
    assert account.ask("GET", "g") == Grant(60_000, "denied")
    account.now += 60_000
    account.call("GET", "probe-2", "forbidden")
    assert account.ask("GET", "g") == Grant(60_000, "denied")
    account.now += 60_000
    account.call("GET", "probe-3")
    assert account.forecast().gate == "open"


def test_forbidden_tickets_close_nothing_and_open_no_gate_that_is_closed_for_the_key(account: Account) -> None:
    for n in range(10):
        account.call("GET", f"forbidden-{n}", "forbidden")
    assert account.forecast().gate == "open"
    account.lock()
    account.now += LOCKOUT
    account.call("GET", "probe", "forbidden")
    assert account.forecast().gate == "open", "HappyFox answers, so the lockout is over"


@pytest.mark.parametrize("outcome", ["forbidden", "failed", "doubt"])
def test_a_probe_that_may_have_failed_because_of_its_ticket_is_checked_at_once(
    account: Account, outcome: PermitOutcome
) -> None:
    account.call("POST", "p", "denied")
    account.now += 60_000
    account.call("GET", "probe", outcome)
    assert account.ask("GET", "another").why == "denied"
    assert account.ask("GET", "another-check").why == "denied", "only the probe is checked"
    assert account.ask("GET", "probe-check") == GRANTED
    account.settle("GET", "probe-check")
    assert account.forecast().gate == "open"


def test_a_check_that_is_denied_closes_the_gate_again(account: Account) -> None:
    account.call("POST", "p", "denied")
    account.now += 60_000
    account.call("GET", "probe", "forbidden")
    account.call("GET", "probe-check", "denied")
    assert account.ask("GET", "g") == Grant(60_000, "denied")
    assert account.ask("GET", "probe-check-check").why == "denied"


def fail(account: Account, times: int = 3) -> None:
    """Leave calls without an answer, in the three possible ways."""
    outcomes: list[PermitOutcome] = ["failed", "doubt", "unreachable"]
    for n in range(times):
        account.call("GET", f"failure-{uuid4()}", outcomes[n % 3])


def test_three_calls_in_a_row_without_an_answer_close_the_gate(account: Account) -> None:
    fail(account, 2)
    account.call("POST", "works")
    fail(account, 2)
    assert account.forecast().gate == "open"
    fail(account, 1)
    forecast = account.forecast()
    assert (forecast.gate, forecast.why, forecast.silent_since) == ("unreachable", "unreachable", START)
    assert account.ask("GET", "g") == account.ask("POST", "p") == Grant(5_000, "unreachable")


def test_what_was_not_sent_for_another_reason_is_no_failure_of_happyfox(account: Account) -> None:
    for n in range(10):
        account.call("GET", f"g{n}", "unsent")
    assert account.forecast().gate == "open"


def test_a_call_that_could_not_reach_happyfox_frees_its_slot_at_once(account: Account) -> None:
    account.call("POST", "p", "unreachable")
    assert (account.forecast().posts_used, account.forecast().in_flight) == (0, 0)


def test_probes_of_a_silent_happyfox_become_rare_up_to_a_minute(account: Account) -> None:
    fail(account)
    pauses = []
    for n in range(6):
        pauses.append(account.ask("GET", "g").wait)
        account.now += pauses[-1]
        assert account.ask("GET", f"probe-{n}") == GRANTED
        assert account.ask("GET", "another") == Grant(2_000, "unreachable")
        account.settle("GET", f"probe-{n}", "doubt")
    assert pauses == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]
    assert account.forecast().silent_since == START


def test_a_good_probe_opens_the_gate_with_all_limits_and_leaves_nothing_behind(
    account: Account, either_store: redis.Redis
) -> None:
    fail(account)
    account.now += 5_000
    assert account.call("GET", "probe", "forbidden") == GRANTED
    forecast = account.forecast()
    assert (forecast.gate, forecast.gets, forecast.posts, forecast.silent_since) == ("open", 10, 10, 0)
    assert [account.ask("POST", f"p{n}") for n in range(3)] == [GRANTED] * 3
    assert not either_store.exists("foxhooks:{acme}:gate")


def test_a_late_answer_opens_the_gate_unless_it_is_older_than_the_silence(account: Account) -> None:
    account.ask("GET", "slow")
    account.ask("GET", "older")
    account.now += 1_000
    fail(account)
    account.now += 1_000
    account.settle("GET", "older", age=1_500)
    assert account.forecast().gate == "unreachable"
    account.settle("GET", "slow", age=500)
    assert account.forecast().gate == "open"


def test_calls_in_flight_when_the_gate_closes_make_no_pause_longer(account: Account) -> None:
    for n in range(5):
        account.ask("GET", f"in-flight-{n}")
    fail(account)
    for n in range(5):
        account.settle("GET", f"in-flight-{n}", "failed")
    assert account.forecast().reopens == 5


def test_a_429_while_happyfox_seems_unreachable_locks(account: Account) -> None:
    fail(account)
    account.now += 5_000
    account.call("GET", "probe", "limited")
    assert (account.forecast().gate, account.forecast().silent_since) == ("locked", 0)
    account.now += LOCKOUT
    assert account.call("GET", "second") == GRANTED
    assert account.forecast().gets == 1, "the limits grow again, as after every lockout"


def test_a_lockout_with_failing_probes_stays_a_lockout(account: Account) -> None:
    account.lock()
    account.now += LOCKOUT
    for n in range(5):
        assert account.call("GET", f"probe-{n}", "failed") == GRANTED
        assert account.forecast().gate == "locked"
        account.now += 15_000


def test_a_lockout_outweighs_wrong_credentials(account: Account) -> None:
    account.ask("GET", "g")
    account.lock()
    account.settle("GET", "g", "denied")
    assert (account.forecast().gate, account.forecast().reopens) == ("locked", LOCKOUT / 1000)


def test_close_gates_closes_for_a_window_and_empties_the_slots(account: Account) -> None:
    for n in range(10):
        account.call("GET", f"g{n}")
    account.store.run(account.governor.close_gates())
    assert account.ask("GET", "g") == Grant(WINDOW + GUARD, "clock")
    assert account.forecast().gets_used == 0
    assert (account.forecast().gate, account.forecast().locked_out) == ("locked", False)
    account.now += WINDOW + GUARD
    account.call("GET", "probe")
    assert (account.forecast().gate, account.forecast().share) == ("open", 1)


def test_close_gates_keeps_the_end_of_a_lockout_unless_the_clock_was_set_back(account: Account) -> None:
    account.lock()
    account.store.run(account.governor.close_gates())
    assert account.forecast().reopens == LOCKOUT / 1000
    account.now -= 24 * HOUR
    account.store.run(account.governor.close_gates())
    assert account.forecast().reopens == (WINDOW + GUARD) / 1000


def test_the_gate_survives_another_process_and_short_windows_scale(either_store: redis.Redis) -> None:
    account = Account(either_store, window=6.0, lockout=2.0)
    account.lock()
    other = Account(either_store, window=6.0, lockout=2.0)
    assert other.ask("GET", "g") == Grant(2_500, "gate")
    other.now += 2_500
    assert other.call("GET", "probe", "doubt") == GRANTED
    assert other.ask("GET", "g") == Grant(2_000, "gate")


def test_accounts_do_not_touch_each_other(either_store: redis.Redis) -> None:
    one, other = Account(either_store), Account(either_store)
    other.governor = Governor("beta", Budget(10, 10, 60, 600, 1.0, 100))
    one.lock()
    assert other.ask("POST", "p") == GRANTED


def test_the_forecast_is_complete_and_changes_nothing(account: Account, either_store: redis.Redis) -> None:
    account.ask("GET", "g")
    account.call("POST", "p")
    before = {key: either_store.dump(key) for key in either_store.scan_iter()}
    forecast = account.forecast()
    assert forecast == Forecast(1, 10, 1, 10, 1, "open", "", 0.0, 0, 1.0)
    assert (forecast.gets_free, forecast.posts_free) == (9, 9)
    assert {key: either_store.dump(key) for key in either_store.scan_iter()} == before


def test_the_forecast_says_when_a_backlog_is_processed() -> None:
    forecast = Forecast(400, 450, 0, 270, 0, "locked", "limited", 300.0, 1, 1.0)
    assert forecast.drained(5, 243, 60) == 300
    assert forecast.drained(6, 0, 60) == 360
    assert forecast.drained(0, 243 + 487, 60) == 300 + 3 * 60


def test_the_budget_is_scaled_by_the_share_and_never_to_nothing() -> None:
    assert argument(Budget(500, 300, 60, 600, 0.9, 8)) == (
        b'{"get":450,"post":270,"window":60000,"guard":600,"lockout":600000,"lockguard":5000,'
        b'"in_flight":8,"grace":30000}'
    )
    assert b'"post":1,' in argument(Budget(1, 1, 60, 600, 0.1, 8))
    assert b'"window":500,"guard":50,"lockout":1000,"lockguard":500,' in argument(Budget(1, 1, 0.5, 1, 0.1, 8))
