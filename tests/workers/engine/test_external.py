"""Effects in other systems: each happens once, whatever crashes, fails or is replayed."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest
import redis

from tests.support.turns import noting
from workers import Context, Event, GiveUp, Retry, Router, Ticket
from workers.engine.steps import Step
from workers.plugins.invoke import ExternalCall, Inner
from workers.store.records import replay
from workers.store.scripts import Script
from workers.testing import run, ticket
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"


class Crm:
    """Another system that counts its calls and knows what has landed there."""

    def __init__(self) -> None:
        self.calls = 0
        self.updates: list[int] = []
        self.asked = 0

    def add(self) -> dict[str, int]:
        self.calls += 1
        self.updates.append(self.calls)
        return {"row": self.calls}

    def find(self) -> dict[str, int] | None:
        self.asked += 1
        return {"row": self.updates[-1]} if self.updates else None


def clerk(handle: Callable[[Ticket, Event, Context], None]) -> Router:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        handle(ticket, event, ctx)

    return router


def opened(
    store: "redis.Redis", handle: Callable[[Ticket, Event, Context], None], **config: Any
) -> SimulatedDeployment:
    """Return a world in which a ticket was opened and its webhook has arrived."""
    world = SimulatedDeployment(store, clerk(handle), **config)
    world.simulator.create_ticket()
    world.deliver()
    return world


def dies(world: SimulatedDeployment, step: Callable[[Step | Inner], bool], after: bool = True) -> None:
    """Crash a worker at the first matching step; ten minutes later another one has done everything."""

    def die(each: Step | Inner, result: Any = None) -> Any:
        if step(each):
            raise Crash
        return result

    setattr(world, "after" if after else "before", die)
    with pytest.raises(Crash):
        world.work()
    world.before, world.after = (lambda step: None), (lambda step, result: result)
    world.now += 600_000
    world.settle_down()


def external(step: Step | Inner) -> bool:
    return isinstance(step, ExternalCall)


def journal(nth: int) -> Callable[[Step | Inner], bool]:
    """Return a filter for the nth script that journals an effect in another system."""
    snapshot: list[object] = []

    def pick(step: Step | Inner) -> bool:
        if isinstance(step, Script) and step.name == "external":
            snapshot.append(step)
            return len(snapshot) == nth
        return False

    return pick


def dead_letters(store: Any) -> dict[str, dict[str, Any]]:
    found = {
        id.decode(): store.hget(f"{P}dead_letter:{id.decode()}", "evidence")
        for id in store.zrange(f"{P}dead_letters", 0, -1)
    }
    return {id: msgspec.json.decode(evidence) for id, evidence in found.items()}


def history(store: Any) -> str:
    return "\n".join(line.decode() for line in store.lrange(f"{P}history:1", 0, -1))


def texts(world: SimulatedDeployment) -> str:
    return str(world.ticket(1)["updates"])


def put_back(world: SimulatedDeployment) -> None:
    [id] = dead_letters(world.client)
    world.store.run(replay(ACCOUNT, id))
    world.settle_down()


def test_an_effect_returns_the_value_of_its_call_as_json(store: redis.Redis) -> None:
    got: list[Any] = []

    world = opened(store, lambda ticket, event, ctx: got.append(ctx.effect("x", lambda: {"a": (1, None), "b": "é"})))
    world.settle_down()

    assert got == [{"a": [1, None], "b": "é"}]
    assert "clerk.file effect x: done" in history(store)


def test_after_a_crash_after_done_the_value_is_returned_again(store: redis.Redis) -> None:
    crm = Crm()

    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', crm.add)}"))
    dies(world, journal(2))

    assert (crm.calls, dead_letters(store)) == (1, {})
    assert "CRM {'row': 1}" in texts(world)


def test_a_crash_before_begun_has_called_nothing(store: redis.Redis) -> None:
    crm = Crm()

    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', crm.add)}"))
    dies(world, journal(1), after=False)

    assert (crm.calls, dead_letters(store)) == (1, {})


@pytest.mark.parametrize("after", [False, True])
def test_landed_settles_the_doubt_after_a_crash(store: redis.Redis, after: bool) -> None:
    crm = Crm()

    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', crm.add, crm.find)}"))
    dies(world, external, after)

    assert (crm.calls, dead_letters(store)) == (1, {})
    assert "CRM {'row': 1}" in texts(world)


@pytest.mark.parametrize("after", [False, True])
def test_doubt_without_landed_is_dead_lettered_and_never_called_again(store: redis.Redis, after: bool) -> None:
    crm = Crm()

    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', crm.add)}"))
    dies(world, external, after)

    assert crm.calls == int(after)
    [dead_letter] = dead_letters(store).values()
    assert (
        dead_letter["reason"]
        == "effect 'add' may or may not have happened: check the other system; a replay repeats it"
    )
    assert "CRM" not in texts(world)


def test_a_replay_by_a_person_repeats_an_effect_in_doubt(store: redis.Redis) -> None:
    crm = Crm()

    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', crm.add)}"))
    dies(world, external, after=False)
    put_back(world)

    assert (crm.calls, dead_letters(store)) == (1, {})
    assert "CRM {'row': 1}" in texts(world)


def test_an_effect_is_not_repeated_while_the_first_call_may_still_land(store: redis.Redis) -> None:
    crm, times = Crm(), []

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.effect("add", lambda: times.append(world.now), crm.find)

    world = opened(store, file)
    began = world.now

    def die(step: Step | Inner) -> None:
        if external(step):
            world.before = lambda step: None
            raise Crash

    world.before = die
    with pytest.raises(Crash):
        world.work()
    world.now += world.lease
    world.settle_down()

    assert crm.asked >= 2
    assert [at >= began + world.config.handler_ms + world.config.doubt_ms for at in times] == [True]


def test_a_retry_gets_the_value_of_an_effect_already_done(store: redis.Redis) -> None:
    crm, runs = Crm(), []

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        value = ctx.effect("add", crm.add)
        runs.append(value)
        if len(runs) < 3:
            raise Retry("not yet", after="1m")
        ticket.note(f"CRM {value}")

    world = opened(store, file)
    world.settle_down()

    assert runs == [{"row": 1}] * 3
    assert crm.calls == 1
    assert "clerk.file effect add: done in an earlier attempt" in history(store)


def test_a_replay_gets_the_value_of_an_effect_done_before_giving_up(store: redis.Redis) -> None:
    crm, runs = Crm(), []

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        runs.append(ctx.effect("add", crm.add))
        if len(runs) == 1:
            raise GiveUp("no")

    world = opened(store, file)
    world.settle_down()
    put_back(world)

    assert (runs, crm.calls) == ([{"row": 1}] * 2, 1)


def test_a_replay_gets_the_value_of_an_effect_done_before_a_refusal(
    store: redis.Redis,
) -> None:
    crm, runs = Crm(), []

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        runs.append(ctx.effect("add", crm.add))
        ticket.set(status="Nowhere" if len(runs) == 1 else "Closed")

    world = opened(store, file)
    world.settle_down()
    put_back(world)

    assert (len(runs), crm.calls, world.ticket(1)["status"]["name"]) == (2, 1, "Closed")


def test_retry_raised_by_the_call_means_that_it_did_not_happen(store: redis.Redis) -> None:
    crm, tries = Crm(), []

    def add() -> dict[str, int]:
        tries.append(1)
        if len(tries) == 1:
            raise Retry("the CRM is down")
        return crm.add()

    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', add)}"))
    world.settle_down()

    assert (len(tries), crm.calls, dead_letters(store)) == (2, 1, {})


def test_any_other_error_of_the_call_leaves_doubt(store: redis.Redis) -> None:
    crm = Crm()

    def add() -> dict[str, int]:
        crm.add()
        raise TimeoutError

    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', add)}"))
    world.settle_down()

    [dead_letter] = dead_letters(store).values()
    assert re.match(r"TimeoutError at test_external\.py:\d+; effect 'add' may or may not have", dead_letter["reason"])
    assert crm.calls == 1


def test_the_next_attempt_settles_an_error_of_a_call_that_can_be_checked(store: redis.Redis) -> None:
    crm = Crm()

    def add() -> dict[str, int]:
        crm.add()
        raise TimeoutError

    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', add, crm.find)}"))
    world.settle_down()

    assert (crm.calls, dead_letters(store)) == (1, {})
    assert "CRM {'row': 1}" in texts(world)


def test_no_attempt_is_made_while_the_first_call_may_still_land(store: redis.Redis) -> None:
    crm, runs = Crm(), []

    def add() -> None:
        raise TimeoutError

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        runs.append(world.now)
        ctx.effect("add", add if len(runs) == 1 else crm.add, crm.find)

    world = opened(store, file)
    world.settle_down()

    assert (len(runs), crm.calls) == (2, 1)
    assert runs[1] >= runs[0] + world.config.doubt_ms


def test_a_handler_may_handle_the_error_of_its_call(store: redis.Redis) -> None:
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        def add() -> None:
            raise TimeoutError

        try:
            ctx.effect("add", add)
        except TimeoutError:
            ticket.note("The CRM did not answer.")

    world = opened(store, file)
    world.settle_down()

    assert dead_letters(store) == {}
    assert "The CRM did not answer." in texts(world)
    assert "clerk.file effect add: may or may not have happened" in history(store)


def test_a_second_effect_with_the_same_name_returns_the_first_value(store: redis.Redis) -> None:
    got: list[Any] = []

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        got.extend((ctx.effect("add", lambda: 1), ctx.effect("add", lambda: 2), ctx.effect("add-2", lambda: 2)))

    opened(store, file).settle_down()

    assert got == [1, 1, 2]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({1, 2}, "a set that is not JSON"),
        (float("nan"), "a float that is not JSON"),
        ("\ud800", "a str that is not JSON"),
        ("x" * 70_000, "70002 bytes, more than 64000"),
    ],
)
def test_a_value_that_cannot_be_stored_is_reported_and_not_called_again(
    store: redis.Redis, value: Any, problem: str
) -> None:
    calls: list[int] = []
    got: list[Any] = []

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        got.append(ctx.effect("add", noting(calls, 1, value)))

    world = opened(store, file)
    world.settle_down()
    [dead_letter] = dead_letters(store).values()
    put_back(world)

    assert problem in dead_letter["reason"]
    assert (calls, got, dead_letters(store)) == ([1], [None], {})


@pytest.mark.parametrize("name", ["", "Add", "add it", "x" * 65, "é", 7])
def test_a_bad_name_is_refused(store: redis.Redis, name: Any) -> None:
    calls: list[int] = []

    opened(store, lambda ticket, event, ctx: ctx.effect(name, lambda: calls.append(1))).settle_down()

    assert calls == []
    assert "the name of an effect" in next(iter(dead_letters(store).values()))["reason"]


async def waits() -> int:
    return 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (None, "call is not a function; write lambda: ..."),
        (waits, "call is `async def`; write `def` and use a synchronous client"),
        (lambda: waits(), "call returned a coroutine; use a client that is not async"),  # noqa: PLW0108 - not async itself
    ],
)
def test_an_impossible_call_is_not_reported_as_done(store: redis.Redis, call: Any, words: str) -> None:
    world = opened(store, lambda ticket, event, ctx: ctx.effect("add", call))
    world.settle_down()

    [dead_letter] = dead_letters(store).values()
    assert words in dead_letter["reason"]
    assert "may or may not" not in dead_letter["reason"]


def test_a_handler_may_have_at_most_a_hundred_effects(store: redis.Redis) -> None:
    calls: list[int] = []

    def many(ticket: Ticket, event: Event, ctx: Context) -> None:
        for number in range(200):
            ctx.effect(f"row-{number}", partial(calls.append, number))

    opened(store, many).settle_down()

    assert calls == list(range(100))
    assert "more than 100 effects" in next(iter(dead_letters(store).values()))["reason"]


@pytest.mark.parametrize("config", [{"dry_run": True}, {"dry_routers": frozenset({"clerk"})}])
def test_a_dry_run_calls_nothing_and_returns_the_dry_value(store: redis.Redis, config: dict[str, Any]) -> None:
    crm, got = Crm(), []

    world = opened(
        store, lambda ticket, event, ctx: got.append(ctx.effect("add", crm.add, crm.find, dry={"row": 0})), **config
    )
    world.settle_down()

    assert (got, crm.calls, crm.asked) == ([{"row": 0}], 0, 0)
    assert "clerk.file effect add: not made (dry run)" in history(store)


def test_the_test_kit_calls_nothing_and_shows_the_requested_effects() -> None:
    crm = Crm()
    router = clerk(lambda ticket, event, ctx: ticket.note(str(ctx.effect("add", crm.add, dry={"row": 5}))))

    result = run(router, ticket(), "ticket-created")

    assert (result.effects, result.notes, crm.calls) == ({"add": {"row": 5}}, ("{'row': 5}",), 0)


def test_the_first_effect_stores_the_turns_reading(store: redis.Redis) -> None:
    shown: list[tuple[str, int]] = []

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        shown.append((ticket.message, len(event.changes)))
        ctx.effect("add", lambda: None)

    world = opened(store, file)

    def die(step: Step | Inner, result: Any) -> Any:
        if journal_says_done(step):
            world.simulator.contact_replies(1, "One more thing.")
            world.deliver()
            raise Crash
        return result

    journal_says_done = journal(2)
    world.after = die
    with pytest.raises(Crash):
        world.work()
    world.after = lambda step, result: result
    world.now += world.lease
    results = world.work()

    assert shown[0] == shown[1]
    world.now += 5_000
    results += world.work()
    kinds = [[change.kind for change in result.plan.changes] for result in results if result.plan]
    assert kinds == [["ticket-created"], ["contact-replied"]]


def test_a_worker_that_lost_its_lease_calls_nothing(store: redis.Redis) -> None:
    crm = Crm()
    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', crm.add)}"))
    lane = world.claim()
    assert lane is not None
    world.now += world.lease + 1
    assert world.claim() is not None

    assert world.drive(lane).end == "lost"
    assert crm.calls == 0


def test_a_lost_lease_ends_the_turn_even_if_the_handler_swallows_it(store: redis.Redis) -> None:
    crm = Crm()

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        for name in ("one", "two"):
            with suppress(BaseException):
                ctx.effect(name, crm.add)
        ticket.note("Went on.")

    world = opened(store, file)
    lane = world.claim()
    assert lane is not None
    world.now += world.lease + 1
    world.claim()

    assert world.drive(lane).end == "lost"
    assert (crm.calls, "Went on." in texts(world)) == (0, False)


def test_doubt_ends_the_run_even_if_the_handler_swallows_it(store: redis.Redis) -> None:
    crm = Crm()

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        try:
            ctx.effect("add", crm.add)
        except BaseException as error:
            ticket.note("Went on.")
            if isinstance(error, Crash):
                raise

    world = opened(store, file)
    dies(world, external)

    assert "may or may not have happened" in next(iter(dead_letters(store).values()))["reason"]
    assert "Went on." not in texts(world)


def test_external_effects_run_after_a_dry_run_ends(store: redis.Redis) -> None:
    crm, runs = Crm(), []

    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        runs.append(ctx.effect("add", crm.add, dry={"row": 0}))
        if len(runs) == 1:
            raise Retry("later", after="1m")

    world = opened(store, file, dry_run=True)
    world.work()
    world.config = replace(world.config, dry_run=False)
    world.settle_down()

    assert (runs, crm.calls) == ([{"row": 0}, {"row": 1}], 1)


def test_a_turn_that_is_given_up_does_not_repeat_its_external_effects(store: redis.Redis) -> None:
    crm = Crm()
    world = opened(store, lambda ticket, event, ctx: ticket.note(f"CRM {ctx.effect('add', crm.add)}"))

    def die(step: Step | Inner, result: Any) -> Any:
        if isinstance(step, Script) and step.name == "plan":
            raise Crash
        return result

    world.after = die
    with pytest.raises(Crash):
        world.work()
    world.after = lambda step, result: result
    store.hset(f"{P}turn:1", "plan", "{")
    world.now += world.lease
    world.work()
    assert [dead_letter["reason"][:23] for dead_letter in dead_letters(store).values()] == ["the stored plan cannot "]

    world.simulator.contact_replies(1, "Hello?")
    world.settle_down()

    assert crm.calls == 1
    assert "CRM {'row': 1}" in texts(world)
