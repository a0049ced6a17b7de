"""What is wrong with the running system: each trouble with its level and its fix."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

from workers.settings import Budget, ShownSetting
from workers.store.client import Store, store_time
from workers.store.completeness import MissedChanges
from workers.store.fleet import Presence, Process, RunningAccount, read_fleet
from workers.store.keys import FLEET, FLEET_SEEN, WORKER_LIFE, WORKERS, Keys
from workers.store.pauses import Pause, pause
from workers.store.permits import Governor
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


def run_handler(store: redis.Redis, verdict: str, ago: int, times: int, handler: str = "vip.reopen") -> None:
    """Count runs of a handler in a past minute."""
    key = f"{KEYS.prefix}stats:minute:{store_time(store) // MINUTE - ago}"
    store.hset(key, f"handler {verdict} {handler}", times)


def wait(store: redis.Redis, milliseconds: int) -> None:
    """Make two lanes due; the first one is due for this long."""
    now = store_time(store)
    store.zadd(KEYS.schedule, {"7": now - milliseconds, "8": now})


def miss(store: redis.Redis, ago: int) -> None:
    """Let a sweep find two changes that happened some minutes ago; the last delivery came 5 minutes ago."""
    now = store_time(store)
    store.hset(KEYS.counts, mapping={"accepted": 3, "accepted:at": now - 5 * MINUTE})
    missed = MissedChanges(now, now - ago * MINUTE, 7, "a-turn", ("contact-replied", "tags-changed"))
    store.lpush(KEYS.missed, msgspec.json.encode(missed))


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
        (lambda store: run_handler(store, "retrying", 20, 5), "handlers-fail", True, "vip.reopen (5 of 5 runs)"),
        (lambda store: run_handler(store, "dead", 0, 1), "handlers-fail", True, "vip.reopen (1 of 1 runs)"),
        (lambda store: wait(store, 3 * MINUTE), "backlog", False, "acme: 2 tickets are due, the oldest for 3 min"),
        (lambda store: miss(store, 2), "unannounced", False, "sweeps have found 2 later changes"),
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


def test_a_lockout_says_how_many_calls_foxhooks_made_in_its_minute(store: redis.Redis) -> None:
    start(store)
    close(store, "limited")
    for ago, calls in ((1, {"get done": 3}), (2, {"get done": 40, "post done": 9, "get limited": 1})):
        fields: dict[Any, Any] = {f"call {name}": count for name, count in calls.items()}
        store.hset(f"{KEYS.prefix}stats:minute:{store_time(store) // MINUTE - ago}", mapping=fields)
    (found,) = find(store)
    assert found.text.endswith("too many calls were made; foxhooks itself made 50 in that minute")


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


def test_a_handler_that_works_again_is_no_trouble(store: redis.Redis) -> None:
    start(store)
    run_handler(store, "retrying", 20, 5)
    run_handler(store, "decided", 10, 1)
    assert find(store) == []
    run_handler(store, "retrying", 2, 1)  # the minute of a success hides no failure that is new
    run_handler(store, "decided", 1, 4)
    (found,) = find(store)
    assert (found.is_error, found.about) == (False, "vip.reopen")
    assert "a handler fails: vip.reopen (6 of 11 runs) in the last hour" in found.text


def test_many_handlers_that_fail_are_one_trouble(store: redis.Redis) -> None:
    start(store)
    for number in range(5):
        run_handler(store, "retrying", 1, 9 - number, f"crm.part{number}")
    (found,) = find(store)
    assert "handlers fail: crm.part0 (9 of 9 runs), " in found.text
    assert found.text.endswith(" and 2 more in the last hour")


@pytest.mark.parametrize("used", [0, 18])
def test_a_backlog_says_which_limit_holds_it(store: redis.Redis, used: int) -> None:
    budget = Budget(gets=20, posts=20, window=60.0, lockout=600.0, share=0.9, in_flight=8)
    start(store, accounts={"acme": RunningAccount(budget=budget)})
    wait(store, 2 * MINUTE)
    with Store(store) as run:
        for number in range(used):
            assert run.run(Governor("acme", budget).permit("POST", f"call{number}", "interactive", 60_000)).wait == 0
            run.run(Governor("acme", budget).release("POST", f"call{number}", "answered"))
    (found,) = find(store)
    expected = "writes (18 of 18) are used up" if used else "the limits of HappyFox allow more calls"
    assert expected in found.text


@pytest.mark.parametrize(
    "explain",
    [
        lambda store: close(store, "limited"),
        lambda store: store.delete(FLEET, FLEET_SEEN),
        lambda store: Store(store).run(pause("acme", "account", "", Pause(store_time(store), "ada"))),
    ],
)
def test_a_backlog_with_another_cause_is_not_named(store: redis.Redis, explain: Callable[[redis.Redis], None]) -> None:
    start(store)
    wait(store, 3 * MINUTE)
    store.set(KEYS.store_epoch, 1)
    explain(store)
    assert "backlog" not in [each.kind for each in find(store)]
    assert find(store)


def test_changes_before_the_last_delivery_say_nothing_about_webhooks(store: redis.Redis) -> None:
    start(store)
    miss(store, 30)
    assert find(store) == []
    store.delete(KEYS.counts)
    (found,) = find(store)
    assert "HappyFox has sent no webhook so far" in found.text
