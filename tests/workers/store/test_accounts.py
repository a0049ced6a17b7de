"""Accounts: moving one to a new name loses nothing and repeats nothing, wherever it is interrupted."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import redis

from tests.support.sample_store import SampleAccount, dump
from tests.support.stores import untyped
from workers import Context, Event, Retry, Router, Ticket
from workers.store.accounts import (
    Moved,
    Mover,
    delete,
    describe,
    find_accounts,
    interrupted_move,
    is_worked_on,
    read_log,
)
from workers.store.client import Store, connect
from workers.store.cluster import slot_of
from workers.store.keys import KINDS, Keys, arriving, leaving, names, prefix
from workers.store.pauses import Pause, pause, read_all_pauses, resume
from workers.store.records import AccountRecords
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, BOT, SimulatedDeployment

OLD, NEW = "before", "after"
DAY = 86_400_000


def kind_of(name: str) -> str:
    """Return the row of the table of keys for a key without its prefix: the one with the fewest placeholders."""
    rows = [kind for kind in KINDS if re.fullmatch(re.sub("<.+?>", "[^ ]+", kind), name)]
    return min(rows, key=lambda kind: kind.count("<"))


def contents(client: redis.Redis, account: str) -> dict[str, Any]:
    """Return the keys of an account, without the prefix, with their values."""
    start = prefix(account)
    return {
        entry["key"].removeprefix(start): entry["value"] for entry in dump(client) if entry["key"].startswith(start)
    }


def lifetimes(client: redis.Redis, account: str) -> dict[str, bool]:
    start = prefix(account)
    keys = untyped(client).scan_iter(match=f"{start}*")
    return {key.decode().removeprefix(start): untyped(client).pttl(key) >= 0 for key in keys}


@pytest.fixture
def sample(store: redis.Redis) -> SampleAccount:
    """A store with one of everything, whose workers are dead."""
    return filled(store)


def filled(store: redis.Redis) -> SampleAccount:
    account = SampleAccount(store)
    account.run()
    account.world.now += account.world.lease
    return account


@pytest.fixture(params=["one server", pytest.param("a cluster", marks=[pytest.mark.e2e, pytest.mark.redis])])
def any_sample(request: pytest.FixtureRequest) -> Iterator[SampleAccount]:
    """The same on one server, and on a cluster, where the old and the new name are in two slots."""
    if request.param == "one server":
        yield filled(request.getfixturevalue("store"))
        return
    assert slot_of(prefix(ACCOUNT)) != slot_of(prefix(NEW))
    url = request.getfixturevalue("cluster_url").replace("redis://", "redis+cluster://")
    with connect(url) as client:
        yield filled(client)


def move(store: Store, old: str, new: str) -> None:
    moved = Mover(store, old, new, "ada on desk-1").run(0)
    assert (moved.refused, moved.stay) == ({}, ())


#: What means nothing after a move, or is made anew: the memory is in doubt, the turns of dead workers are unfinished.
RENEWED = {"memory", "leases", "lease_number", "schedule:<class>"}


def test_every_kind_of_key_is_moved(any_sample: SampleAccount) -> None:
    sample = any_sample
    sample.client.set(f"{prefix(ACCOUNT)}settled:t", "token", px=60_000)
    sample.client.hset(Keys(ACCOUNT).directory, "staff", "[]")
    before, limited = contents(sample.client, ACCOUNT), lifetimes(sample.client, ACCOUNT)
    assert {kind_of(name) for name in before} == {*KINDS}
    move(sample.world.store, ACCOUNT, NEW)
    after = contents(sample.client, NEW)
    assert contents(sample.client, ACCOUNT) == {}
    assert [name for name in before if name not in after and kind_of(name) not in RENEWED] == []
    for name, value in before.items():
        kind = kind_of(name)
        if kind in ("turn:<ticket>", "history:<ticket>"):
            lost = [each for each in value if each not in after[name]]
            assert lost == []
        elif kind not in RENEWED:
            assert after[name] == value, name
    assert {name: limited[name] for name in after if name in limited} == {
        name: limit for name, limit in lifetimes(sample.client, NEW).items() if name in limited
    }


def test_every_kind_of_key_is_dropped_and_no_other(store: redis.Redis) -> None:
    for key in (*names(OLD), *names(NEW)):
        store.set(key, 1)
    assert delete(store, OLD, "ada on desk-1") == len(KINDS)
    assert find_accounts(store) == {NEW: len(KINDS)}
    assert [(entry.action, entry.account, entry.keys) for entry in read_log(store)] == [
        ("drop", OLD, -1),
        ("drop", OLD, len(KINDS)),
    ]


def outcome(sample: SampleAccount) -> dict[str, Any]:
    """Let workers finish everything under the name of the desk, and return what HappyFox then has."""
    world = sample.world
    for scope, name in (("ticket", str(sample.tickets["paused"])), ("router", "quiet")):
        assert world.store.run(resume(ACCOUNT, scope, name))  # type: ignore[arg-type]
    for span in (3_600_000, 60_000, 1_800_000):
        world.settle_down(span, step=5_000)
        world.run_tasks()
    world.now += 2 * DAY
    world.settle_down(60_000)
    return {
        fate: [
            each["message"]["text"].strip()
            for each in world.ticket(number)["updates"]
            if each["message"] and each["by"].get("id") == BOT
        ]
        for fate, number in sample.tickets.items()
    }


EXPECTED = {
    "settled": ["noted: settled", "reminded"],
    "creating": ["noted: creating", "reminded"],
    "paused": ["noted: paused", "reminded"],
    "quiet": ["noted: quiet", "resumed", "reminded"],
    "unfinished": ["noted: unfinished", "reminded"],
    "external": ["noted: external", "reminded"],
    "locked": ["noted: locked", "reminded"],
    "waiting": ["noted: waiting", "reminded"],
    "in doubt": [],
    "dead": [],
}


def test_workers_finish_what_was_moved_and_repeat_nothing(sample: SampleAccount) -> None:
    move(sample.world.store, ACCOUNT, NEW)
    move(sample.world.store, NEW, ACCOUNT)
    found = outcome(sample)
    assert {fate: found[fate] for fate in EXPECTED} == EXPECTED
    tickets = sample.world.simulator.account.tickets.values()
    assert [ticket.subject for ticket in tickets].count("pick-up") == 2


class Killed(BaseException):
    """The process that moves is killed."""


class MortalStore(Store):
    """A store whose process is killed before or after one of its scripts."""

    left, after = 1_000_000, False

    def run(self, script: Script[Any]) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        answer = super().run(script)
        if self.left == 0:
            raise Killed
        return answer


def test_a_move_that_is_killed_anywhere_is_finished_by_the_next_one(any_sample: SampleAccount) -> None:
    """There and back, killed after each script in turn."""
    sample = any_sample
    store = MortalStore(sample.client, lambda: sample.world.now)
    kills = 0
    for old, new in ((ACCOUNT, NEW), (NEW, ACCOUNT)):
        for step in range(1, 200):
            store.left, store.after = step % 7 + 1, bool(step % 2)
            try:
                move(store, old, new)
                break
            except Killed:
                kills += 1
                assert interrupted_move(read_log(sample.client), old) == new
        store.left = 1_000_000
        if old in find_accounts(sample.client):
            move(store, old, new)
        assert contents(sample.client, old) == {}
    assert kills > 7
    found = outcome(sample)
    assert {fate: found[fate] for fate in EXPECTED} == EXPECTED
    store.close()


def test_a_move_between_slots_may_be_killed_between_two_keys(cluster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(cluster_url.replace("redis://", "redis+cluster://")) as client:
        sample = filled(client)
        sample.client.expire(Keys(ACCOUNT).calls_saved, 1_000)
        before = contents(client, ACCOUNT)
        send, left = client.execute_command, 0

        def mortal(*command: Any, **options: Any) -> Any:
            nonlocal left
            left -= command[0] in ("DUMP", "RESTORE", "DEL")
            if left == 0:
                raise Killed
            return send(*command, **options)

        monkeypatch.setattr(client, "execute_command", mortal)
        for kill in (2, 17, 2 * len(before)):
            left = kill
            with contextlib.suppress(Killed):
                move(sample.world.store, ACCOUNT, NEW)
        left = -1
        if ACCOUNT in find_accounts(client):
            move(sample.world.store, ACCOUNT, NEW)
        assert find_accounts(client).keys() == {NEW}
        after = contents(client, NEW)
        for name, value in before.items():
            if kind_of(name) not in {*RENEWED, "turn:<ticket>", "history:<ticket>"}:
                assert after[name] == value, name
        assert 0 < untyped(client).ttl(Keys(NEW).calls_saved) <= 1_000


def test_an_account_of_an_interrupted_move_between_slots_can_be_dropped(cluster_url: str) -> None:
    with connect(cluster_url.replace("redis://", "redis+cluster://")) as client:
        for name in (OLD, leaving(OLD, NEW), arriving(NEW, OLD), NEW):
            client.set(f"{prefix(name)}calls_saved", 1)
        assert find_accounts(client) == {OLD: 3, NEW: 1}
        assert delete(client, OLD, "ada") == 3
        assert find_accounts(client) == {NEW: 1}


class Renamed:
    """A desk whose account was renamed: what it did before is under OLD, what it does now under ACCOUNT."""

    def __init__(self, client: redis.Redis) -> None:
        self.down = True
        self.world = SimulatedDeployment(client, self.clerk())

    def clerk(self) -> Router:
        router = Router("clerk")

        @router.on("ticket-created")
        def welcome(ticket: Ticket, event: Event, ctx: Context) -> None:
            if ticket.subject == "pending" and self.down:
                raise Retry("the CRM is down", after="1h")
            ticket.note("welcome")
            ctx.later("2d", "remind")

        @router.on("contact-replied")
        def answer(ticket: Ticket, event: Event) -> None:
            if ticket.subject == "pending" and self.down:
                raise Retry("the CRM is down", after="1h")
            ticket.note(f"answer {sum(change.kind == 'contact-replied' for change in event.changes)}")

        @router.on("later", name="remind")
        def remind(ticket: Ticket, event: Event) -> None:
            ticket.note("reminded")

        return router

    def open(self, *subjects: str) -> list[int]:
        numbers = [self.world.simulator.create_ticket(subject=subject).id for subject in subjects]
        self.world.deliver()
        return numbers

    def rename(self) -> None:
        """Deploy with a new name; what is in the store stays under the old one."""
        for key in untyped(self.world.client).scan_iter(match=f"{prefix(ACCOUNT)}*"):
            name = key.decode().removeprefix(prefix(ACCOUNT))
            self.world.client.rename(key, prefix(OLD) + name)

    def reply(self, *tickets: int) -> None:
        for ticket in tickets:
            self.world.simulator.contact_replies(ticket, text=f"Message at {self.world.now}.")
        self.world.deliver()

    def move(self, patience: float = 0) -> Moved:
        return Mover(self.world.store, OLD, ACCOUNT, "ada on desk-1").run(patience)

    def notes(self, ticket: int) -> list[str]:
        updates = self.world.ticket(ticket)["updates"]
        return [each["message"]["text"].strip() for each in updates if each["message"] and each["by"].get("id") == BOT]


@pytest.fixture
def desk(store: redis.Redis) -> Renamed:
    return Renamed(store)


def test_what_both_names_know_of_a_ticket_is_joined(desk: Renamed) -> None:
    world = desk.world
    quiet, busy, waiting = desk.open("quiet", "busy", "waiting")
    world.settle_down(60_000)
    desk.reply(waiting)  # accepted under the old name, and not read
    desk.rename()
    world.now += 3_600_000
    desk.reply(busy)
    world.settle_down(60_000)
    assert desk.notes(busy) == ["welcome", "answer 1"]
    moved = desk.move()
    assert (moved.refused, moved.stay) == ({}, ())
    world.settle_down(600_000, step=2_000)
    assert [desk.notes(each) for each in (quiet, busy, waiting)] == [
        ["welcome"],
        ["welcome", "answer 1"],
        ["welcome", "answer 1"],
    ]
    desk.reply(quiet, busy, waiting)
    world.settle_down(600_000, step=2_000)
    world.now += 2 * DAY
    world.settle_down(600_000, step=2_000)
    assert [desk.notes(each) for each in (quiet, busy, waiting)] == [
        ["welcome", "answer 1", "reminded"],
        ["welcome", "answer 1", "answer 1", "reminded"],
        ["welcome", "answer 1", "answer 1", "reminded"],
    ]
    history = "\n".join(line.text for line in AccountRecords(world.client, ACCOUNT).history(busy))
    assert "moved from the account before to demo by ada on desk-1" in history


def test_pending_work_of_the_old_name_is_done_under_the_new_one(desk: Renamed) -> None:
    [ticket] = desk.open("pending")
    desk.world.settle_down(60_000)
    desk.rename()
    assert desk.move().refused == {}
    desk.down = False
    desk.world.settle_down(2 * 3_600_000, step=20_000)
    assert desk.notes(ticket) == ["welcome"]


def test_pending_work_on_both_sides_keeps_a_ticket_under_its_old_name(desk: Renamed) -> None:
    [ticket, _] = desk.open("pending", "other")
    desk.world.settle_down(60_000)
    desk.rename()
    desk.reply(ticket)
    desk.world.settle_down(60_000)
    before = contents(desk.world.client, OLD)
    moved = desk.move()
    assert (moved.refused, moved.tickets) == ({ticket: "unfinished"}, 1)
    left = contents(desk.world.client, OLD)
    assert left[f"turn:{ticket}"] == before[f"turn:{ticket}"]
    assert left["schedule"] == {str(ticket): before["schedule"][str(ticket)]}
    desk.down = False
    desk.world.settle_down(2 * 3_600_000, step=20_000)
    assert desk.notes(ticket) == ["answer 1"]
    assert desk.move().refused == {}
    desk.world.settle_down(2 * 3_600_000, step=20_000)
    assert desk.notes(ticket) == ["answer 1", "welcome"]
    assert contents(desk.world.client, OLD) == {}


@pytest.mark.parametrize(("side", "refusal"), [(OLD, "running-old"), (ACCOUNT, "running-new")])
def test_a_ticket_whose_turn_runs_stays_until_it_has_ended(desk: Renamed, side: str, refusal: str) -> None:
    [ticket] = desk.open("waiting")
    if side == OLD:
        running = desk.world.claim()
        desk.rename()
    else:
        desk.rename()
        desk.reply(ticket)
        running = desk.world.claim()
    assert running is not None
    assert desk.move().refused == {ticket: refusal}
    assert is_worked_on(desk.world.client, OLD) is False  # by the real clock, the lease is over
    if side == ACCOUNT:
        desk.world.drive(running)
    else:
        desk.world.now += desk.world.lease  # the worker with the old settings was stopped
    assert desk.move().refused == {}
    desk.world.settle_down(600_000, step=2_000)
    assert sorted(desk.notes(ticket)) == (["welcome"] if side == OLD else ["answer 1", "welcome"])


def test_values_of_both_accounts_are_joined(store: redis.Redis) -> None:
    old, new = Keys(OLD), Keys(NEW)
    both: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]] = {
        "counts": (
            {"accepted": 3, "accepted:at": 10, "duplicate": 1},
            {"accepted": 4, "accepted:at": 20},
            {"accepted": 7, "accepted:at": 20, "duplicate": 1},
        ),
        "stats:totals": ({"in accepted": 3}, {"in accepted": 4, "saved": 1}, {"in accepted": 7, "saved": 1}),
        "stats:hour:7": ({"in accepted": 3}, {"in accepted": 1}, {"in accepted": 4}),
        "refusals": ({"a": 1, "a@": 9}, {"a": 2, "a@": 5}, {"a": 3, "a@": 9}),
        "keys_used": ({"a1": 5}, {"a1": 9, "b2": 1}, {"a1": 9, "b2": 1}),
        "hosts": ({"x": 1}, {"y": 2}, {"x": 1, "y": 2}),
        "gate": ({"state": "locked", "until": 9}, {"state": "open"}, {"state": "open"}),
        "drafts": ({"e": "1"}, {"f": "2"}, {"e": "1", "f": "2"}),
    }
    for name, (before, after, _) in both.items():
        untyped(store).hset(old.prefix + name, mapping=before)
        untyped(store).hset(new.prefix + name, mapping=after)
    for name in ("permits:get", "turns", "creations", "emails:x"):
        store.zadd(old.prefix + name, {"a": 1, "both": 5})
        store.zadd(new.prefix + name, {"b": 2, "both": 3})
    store.set(f"{old.prefix}stats:new", "ab")
    store.set(f"{new.prefix}stats:new", "cd")
    store.set(old.calls_saved, 5)
    store.set(new.calls_saved, 6)
    store.rpush(old.quarantine, "q1", "q2")
    store.rpush(new.quarantine, "q3")
    store.rpush(old.held("h"), "one")
    store.expire(old.held("h"), 1_000)
    store.rpush(new.held("h"), "two")
    store.expire(new.held("h"), 100)
    store.hset(old.dead_letter("h"), mapping={"held": 1, "at": 1})
    store.hset(new.dead_letter("h"), mapping={"held": 1, "at": 2})
    store.hset(old.periodic_tasks, "main.close", '{"phase":"enqueue","scheduled_at":1,"period":9,"locked_until":5}')
    store.rpush(f"{old.prefix}matches:main.close", 3)
    store.hset(new.periodic_tasks, "main.close", '{"phase":"done","scheduled_at":2,"period":9,"locked_until":5}')
    with Store(store) as scripts:
        for account, what in ((OLD, ("account", "")), (OLD, ("router", "vip")), (NEW, ("ticket", "3"))):
            scripts.run(pause(account, what[0], what[1], Pause(1, "ada")))  # type: ignore[arg-type]
        scripts.run(pause(OLD, "ticket", "4", Pause(1, "ada")))
        scripts.run(pause(NEW, "router", "main", Pause(1, "ada")))
        move(scripts, OLD, NEW)
    found = contents(store, NEW)
    for name, (_, _, joined) in both.items():
        assert found[name] == {field: str(value) for field, value in joined.items()}, name
    for name in ("permits:get", "turns", "creations", "emails:x"):
        assert found[name] == {"a": 1, "b": 2, "both": 5}
    assert (found["calls_saved"], found["quarantine"]) == ("11", ["q1", "q2", "q3"])
    assert found["stats:new"] == "cdab"
    assert (found["held:h"], found["dead_letter:h"]) == (["one", "two"], {"held": "2", "at": "2"})
    assert untyped(store).ttl(new.held("h")) > 100
    assert '"phase":"enqueue"' in found["periodic_tasks"]["main.close"]
    assert found["matches:main.close"] == ["3"]
    assert set(read_all_pauses(untyped(store).hgetall(new.paused))) == {
        ("account", ""),
        *(("router", name) for name in ("main", "vip")),
        *(("ticket", number) for number in ("3", "4")),
    }
    assert found["paused"]["tickets"] == "2"
    assert contents(store, OLD) == {}


def test_a_key_of_another_type_stays_and_is_named(store: redis.Redis) -> None:
    store.hset(Keys(OLD).record("r"), "a", 1)
    store.set(Keys(NEW).record("r"), "record")
    with Store(store) as scripts:
        moved = Mover(scripts, OLD, NEW, "ada").run(0)
    assert moved.stay == ("record:r",)
    assert find_accounts(store) == {OLD: 1, NEW: 2}


@pytest.mark.parametrize("side", [OLD, NEW])
@pytest.mark.parametrize("kind", ["lane", "turn", "snapshot", "history", "joins", "created"])
def test_nothing_of_a_ticket_with_a_corrupt_key_is_moved(store: redis.Redis, side: str, kind: str) -> None:
    old = Keys(OLD)
    store.set(old.snapshot(3), b"[]")
    store.zadd(old.schedule, {"3": 1})
    store.rpush(old.lane(3), "e")
    store.delete(f"{prefix(side)}{kind}:3")
    store.xadd(f"{prefix(side)}{kind}:3", {"a": "b"})
    before = {key: untyped(store).dump(key) for key in untyped(store).scan_iter(match=f"{old.prefix}*")}
    with Store(store) as scripts:
        assert Mover(scripts, OLD, NEW, "ada").run(0).refused == {3: "corrupt"}
    assert {key: untyped(store).dump(key) for key in untyped(store).scan_iter(match=f"{old.prefix}*")} == before


def test_a_corrupt_key_of_an_account_ends_the_move_before_it_began(store: redis.Redis) -> None:
    store.set(Keys(NEW).paused, "x")
    store.set(Keys(OLD).calls_saved, 1)
    with Store(store) as scripts, pytest.raises(RuntimeError, match="paused is a string"):
        Mover(scripts, OLD, NEW, "ada").run(0)
    assert find_accounts(store) == {NEW: 1, OLD: 1}


@pytest.mark.parametrize("side", [OLD, NEW])
@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("paused", "routers", "no JSON"),
        ("periodic_tasks", "main.close", "no JSON"),
        ("memory", "doubts", "many"),
        ("counts", "accepted", "many"),
        ("refusals", "unknown", "1.5"),
        ("batches", "", "many"),
    ],
)
def test_a_value_that_cannot_be_joined_ends_the_move_before_it_began(
    store: redis.Redis, side: str, name: str, field: str, value: str
) -> None:
    for account in (OLD, NEW):
        store.hset(Keys(account).counts, "duplicate", "10")
        store.set(Keys(account).calls_saved, 1)
        store.rpush(f"{prefix(account)}matches:main.close", 3)
        store.hset(Keys(account).periodic_tasks, "main.close", "{}")
    if field:
        store.hset(f"{prefix(side)}{name}", field, value)
    else:
        store.set(f"{prefix(side)}{name}", value)
    before = contents(store, OLD), contents(store, NEW)
    key = re.escape(f"{prefix(side)}{name}")
    with Store(store) as scripts, pytest.raises(RuntimeError, match=f"CORRUPT {key} has an unreadable value"):
        Mover(scripts, OLD, NEW, "ada").run(0)
    assert (contents(store, OLD), contents(store, NEW)) == before


@pytest.mark.parametrize("name", ["a?c", "*", "a[b]c", "a\\bc"])
def test_a_name_that_looks_like_a_pattern_means_one_account(store: redis.Redis, name: str) -> None:
    store.set(f"{prefix('abc')}calls_saved", 1)
    store.set(f"{prefix(name)}calls_saved", 2)
    assert delete(store, name, "ada") == 1
    assert find_accounts(store) == {"abc": 1}

    store.set(f"{prefix(name)}record:r", "r")
    with Store(store) as scripts:
        Mover(scripts, name, NEW, "ada").run(0)
    assert {"abc", NEW} == find_accounts(store).keys()


def test_what_waits_is_counted(sample: SampleAccount) -> None:
    found = describe(sample.client, ACCOUNT, 17)
    assert (found.keys, found.dead_letters, found.quarantined, found.schedules) == (17, 2, 1, 1)
    assert found.lanes >= found.events > 0
    assert found.last is not None
