"""Unusable stored data: one lane stops with a dead letter that names the problem, the others continue."""

from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from workers import Event, Retry, Router, Ticket
from workers.engine.plan import DeadLetter
from workers.plugins.invoke import Decide
from workers.store.records import replay
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"


def notes(*names: str) -> Router:
    router = Router("notes")
    for name in names:

        def note(ticket: Ticket, event: Event, name: str = name) -> None:
            ticket.note(f"Read by {name}, all of it.")

        note.__name__ = name
        router.on("ticket-created")(note)
    return router


def dead_letters(world: SimulatedDeployment) -> list[DeadLetter]:
    ids = [each.decode() for each in untyped(world.client).zrange(f"{P}dead_letters", 0, -1)]
    return [
        msgspec.json.decode(untyped(world.client).hget(f"{P}dead_letter:{each}", "evidence"), type=DeadLetter)
        for each in ids
    ]


def written(world: SimulatedDeployment, number: int) -> list[str]:
    updates = [update["message"] for update in world.ticket(number)["updates"]]
    return [said["text"].strip() for said in updates if said and said["message_type"] == "p"]


@pytest.mark.parametrize("key", ["lane", "turn", "snapshot"])
def test_a_key_of_the_wrong_type_stops_only_its_lane(store: redis.Redis, key: str) -> None:
    world = SimulatedDeployment(store, notes("a"))
    broken, sound = world.simulator.create_ticket().id, world.simulator.create_ticket().id
    world.deliver()
    store.delete(f"{P}{key}:{broken}")
    if key in ("lane", "turn"):
        store.set(f"{P}{key}:{broken}", "what is this")
    else:
        store.rpush(f"{P}{key}:{broken}", "what is this")

    world.work()
    world.now += 10
    world.work()

    assert written(world, sound) == ["Read by a, all of it."]
    assert [dead_letter.id for dead_letter in dead_letters(world)] == [f"lane-{broken}"]
    assert "WRONGTYPE" in dead_letters(world)[0].reason
    assert untyped(store).zscore(f"{P}schedule", broken) > world.now


@pytest.mark.parametrize(
    ("key", "field"),
    [("turn", "retry"), ("turn", "claims"), ("event", "at"), ("event", "update_id"), ("event", "since")],
)
def test_a_broken_number_stops_only_its_lane_and_is_named(store: redis.Redis, key: str, field: str) -> None:
    world = SimulatedDeployment(store, notes("a"))
    broken, sound = world.simulator.create_ticket().id, world.simulator.create_ticket().id
    world.deliver()
    [event] = untyped(store).lrange(f"{P}lane:{broken}", 0, -1)
    name = f"{P}turn:{broken}" if key == "turn" else f"{P}event:{event.decode()}"
    store.hset(name, field, "soon")

    world.work()
    world.now += 10
    world.work()

    assert written(world, sound) == ["Read by a, all of it."]
    assert [dead_letter.id for dead_letter in dead_letters(world)] == [f"lane-{broken}"]
    assert field in dead_letters(world)[0].reason or "not an integer" in dead_letters(world)[0].reason
    store.hdel(name, field)
    world.now += 600_000
    world.work()
    assert written(world, broken) == ["Read by a, all of it."]


@pytest.mark.parametrize("rubbish", [b"\xff\xfe", b"", "12 §".encode()])
def test_a_broken_event_id_stops_only_its_lane(store: redis.Redis, rubbish: bytes) -> None:
    world = SimulatedDeployment(store, notes("a"))
    broken, sound = world.simulator.create_ticket().id, world.simulator.create_ticket().id
    world.deliver()
    store.lpush(f"{P}lane:{broken}", rubbish)

    world.work()
    world.now += 10
    world.work()

    assert written(world, sound) == ["Read by a, all of it."]
    assert [dead_letter.id for dead_letter in dead_letters(world)] == [f"lane-{broken}"]


def test_text_that_is_not_unicode_stops_nothing(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a"))
    number = world.simulator.create_ticket().id
    world.deliver()
    [event] = untyped(store).lrange(f"{P}lane:{number}", 0, -1)
    store.hset(f"{P}event:{event.decode()}", mapping={"kind": b"\xff", "source": b"\xff"})

    assert [result.end for result in world.work()] == ["settled"]


def test_broken_json_stops_only_its_lane(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a"))
    broken, sound = world.simulator.create_ticket().id, world.simulator.create_ticket().id
    world.deliver()
    store.hset(f"{P}turn:{broken}", mapping={"id": "t", "plan": "{", "events": "[1,"})

    world.work()
    world.now += 10
    world.work()

    assert written(world, sound) == ["Read by a, all of it."]
    assert dead_letters(world)[0].reason.startswith("the lane cannot be read")


def test_a_schedule_that_names_no_ticket_stops_nothing(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a"))
    number = world.simulator.create_ticket().id
    world.deliver()
    store.zadd(f"{P}schedule", {"rubbish": 0})

    world.work()
    world.now += 10
    world.work()

    assert written(world, number) == ["Read by a, all of it."]


def test_a_history_of_the_wrong_type_starts_again(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a"))
    number = world.simulator.create_ticket().id
    world.deliver()
    store.set(f"{P}history:{number}", "what is this")

    assert [result.end for result in world.work()] == ["settled"]
    assert store.llen(f"{P}history:{number}") > 0


@pytest.mark.parametrize(
    "plan",
    [b"{", b"[]", b'{"format": 1, "effects": [{"kind": "telepathy"}]}'],
)
def test_an_unreadable_plan_is_dead_lettered_and_the_lane_continues(store: redis.Redis, plan: bytes) -> None:
    world = SimulatedDeployment(store, notes("a"))
    number = world.simulator.create_ticket().id
    world.deliver()
    events = msgspec.json.encode([each.decode() for each in untyped(store).lrange(f"{P}lane:{number}", 0, -1)])
    store.hset(f"{P}turn:{number}", mapping={"id": "t", "plan": plan, "events": events})

    world.settle_down()

    assert [dead_letter.evidence["plan"] for dead_letter in dead_letters(world)] == [plan.decode()]
    assert not store.exists(f"{P}turn:{number}", f"{P}lane:{number}")
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    assert {result.end for result in world.settle_down()} == {"settled"}


def test_a_broken_snapshot_counts_as_none(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a"))
    number = world.simulator.create_ticket().id
    store.set(f"{P}snapshot:{number}", "{")
    world.deliver()
    world.settle_down()

    assert written(world, number) == ["Read by a, all of it."]


def deadly(world: SimulatedDeployment, *killers: str) -> int:
    """Work until nothing is due, crashing the worker whenever one of the handlers runs; return how often."""
    deaths = 0

    def kill(step: Any) -> None:
        nonlocal deaths
        if isinstance(step, Decide) and step.bound.name in killers:
            deaths += 1
            raise Crash

    world.before = kill
    for _ in range(30):
        world.deliver()
        try:
            world.work()
        except Crash:
            world.now += world.lease
        else:
            world.now += 1_000
    return deaths


@pytest.mark.parametrize("killers", [("notes.b",), ("notes.a", "notes.c")])
def test_handlers_that_crash_the_worker_are_dead_lettered_and_the_others_run(
    store: redis.Redis, killers: tuple[str, ...]
) -> None:
    world = SimulatedDeployment(store, notes("a", "b", "c"))
    number = world.simulator.create_ticket().id

    assert deadly(world, *killers) == 2 + len(killers)
    assert [dead_letter.handler for dead_letter in dead_letters(world)] == list(killers)
    names = [name for name in "abc" if f"notes.{name}" not in killers]
    assert written(world, number) == [f"Read by {name}, all of it." for name in names]


def crashing(world: SimulatedDeployment, step: str, times: int, spare: int = 0) -> None:
    """Let the worker die this often before a step, after it was performed ``spare`` times, and then finish."""
    left = [spare]

    def kill(each: Any) -> None:
        if getattr(each, "name", "") == step:
            left[0] -= 1
            if left[0] < 0:
                raise Crash

    world.before = kill
    for _ in range(times):
        with pytest.raises(Crash):
            world.work()
        world.now += world.lease
    world.before = lambda _: None
    world.work()


def test_effects_of_a_turn_that_always_crashes_its_worker_are_dead_lettered(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a"))
    number = world.simulator.create_ticket().id
    world.deliver()
    crashing(world, "begin", 10)

    [dead] = dead_letters(world)
    assert (dead.handler, dead.reason[:25]) == ("notes.a", "this turn was interrupted")
    assert not store.exists(f"{P}turn:{number}")
    world.store.run(replay(ACCOUNT, dead.id))
    world.settle_down()
    assert written(world, number) == ["Read by a, all of it."]


def test_what_a_turn_did_before_it_was_given_up_is_not_done_again(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a", "b"))
    number = world.simulator.create_ticket().id
    world.deliver()
    crashing(world, "begin", 10, spare=1)
    assert [dead.handler for dead in dead_letters(world)] == ["notes.b"]

    world.simulator.contact_replies(number, "And another thing.")
    world.settle_down()

    assert written(world, number) == ["Read by a, all of it."]
    assert len(dead_letters(world)) == 1


def test_an_effect_that_may_have_happened_in_a_turn_that_was_given_up_is_checked(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a"))
    number = world.simulator.create_ticket().id
    world.deliver()
    crashing(world, "finish", 10)

    [dead] = dead_letters(world)
    assert dead.reason.startswith("it may or may not have happened: this turn was interrupted")
    world.store.run(replay(ACCOUNT, dead.id))
    world.settle_down()
    assert written(world, number) == ["Read by a, all of it."]


def test_a_turn_that_cannot_even_be_given_up_in_parts_is_dead_lettered(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, notes("a"))
    number = world.simulator.create_ticket().id
    world.deliver()
    crashing(world, "settle", 20)

    assert [dead.reason[:25] for dead in dead_letters(world)] == ["this turn was interrupted"]
    assert "plan" in dead_letters(world)[0].evidence
    assert not store.exists(f"{P}turn:{number}")


def test_pending_work_of_a_turn_that_is_given_up_can_be_replayed(store: redis.Redis) -> None:
    router = Router("notes")

    @router.on("ticket-created")
    def fails(ticket: Ticket, event: Event) -> None:
        raise Retry("not yet", after="1h")

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()
    store.hset(f"{P}turn:{number}", "plan", "{")
    world.now += 3_700_000
    world.work()

    assert [dead_letter.handler for dead_letter in dead_letters(world)] == ["notes.fails", ""]
    assert [change.kind for change in dead_letters(world)[0].changes] == ["ticket-created"]
