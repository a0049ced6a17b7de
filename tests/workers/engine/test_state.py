"""State across tickets: each change once, with the plan of its turn, and never on what has changed meanwhile."""

from collections.abc import Callable
from typing import Any

import msgspec
import redis

from tests.support.turns import finish
from workers import Context, Event, GiveUp, Retry, Router, Ticket
from workers.engine.steps import Step
from workers.plugins.invoke import Inner
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, START, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"
AGENTS = ("Ada King", "Lin Wu", "Max Roe", "Foxhooks Bot")


def router(handle: Callable[[Ticket, Context], None], name: str = "team") -> Router:
    made = Router(name)

    @made.on("ticket-created")
    def route(ticket: Ticket, event: Event, ctx: Context) -> None:
        handle(ticket, ctx)

    return made


def opened(world: SimulatedDeployment, several: int = 1) -> list[int]:
    """Let contacts open tickets."""
    numbers = [world.simulator.create_ticket(f"sam{n}@example.com").id for n in range(several)]
    world.deliver()
    return numbers


def at_once(world: SimulatedDeployment) -> None:
    """Work on all due tickets so that each turn decides before the others store their plans."""

    def before(step: Step | Inner) -> None:
        if isinstance(step, Script) and step.name == "plan" and (lane := world.claim()) is not None:
            world.drive(lane)

    world.before = before
    world.work()
    world.before = lambda step: None
    finish(world)


def stored(store: Any, entry: str) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in store.hgetall(f"{P}state:{entry}").items()}


def history(store: Any, number: int) -> str:
    return "\n".join(msgspec.json.decode(line)["text"] for line in store.lrange(f"{P}history:{number}", 0, -1))


def test_four_simultaneous_tickets_go_to_four_people(store: redis.Redis) -> None:
    world = SimulatedDeployment(
        store, router(lambda ticket, ctx: ticket.add_tags(f"for {ctx.choose('agents', AGENTS)}"))
    )
    numbers = opened(world, 4)
    at_once(world)
    assert sorted(tag for number in numbers for tag in world.ticket(number)["tags"].split(", ")) == sorted(
        f"for {agent}" for agent in AGENTS
    )


def test_a_counter_counts_every_simultaneous_turn(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, router(lambda ticket, ctx: ctx.store.increment("tickets")))
    opened(world, 5)
    at_once(world)
    assert stored(store, "team:counter:tickets")["value"] == "5"


def test_of_simultaneous_duplicates_exactly_one_is_first(store: redis.Redis) -> None:
    def handle(ticket: Ticket, ctx: Context) -> None:
        if ctx.store.contains("orders", "4711"):
            ticket.add_tags("duplicate")
        ctx.store.add("orders", "4711")

    world = SimulatedDeployment(store, router(handle))
    numbers = opened(world, 3)
    at_once(world)
    assert sorted(world.ticket(number)["tags"] for number in numbers) == ["", "duplicate", "duplicate"]


def test_other_members_of_a_set_are_no_reason_to_decide_again(store: redis.Redis) -> None:
    calls: list[int] = []

    def handle(ticket: Ticket, ctx: Context) -> None:
        calls.append(ticket.id)
        if not ctx.store.contains("seen", str(ticket.id)):
            ctx.store.add("seen", str(ticket.id))

    world = SimulatedDeployment(store, router(handle))
    opened(world, 3)
    at_once(world)
    assert sorted(calls) == [1, 2, 3]


def test_a_handler_that_fails_changes_nothing(store: redis.Redis) -> None:
    def handle(ticket: Ticket, ctx: Context) -> None:
        ctx.store.increment("tickets")
        if ctx.now.timestamp() * 1000 < START + 4_000:
            raise Retry("not yet")

    world = SimulatedDeployment(store, router(handle))
    opened(world)
    world.work()
    assert stored(store, "team:counter:tickets") == {}
    finish(world)
    assert stored(store, "team:counter:tickets")["value"] == "1"


def test_a_name_that_does_not_exist_discards_the_changes(store: redis.Redis) -> None:
    def handle(ticket: Ticket, ctx: Context) -> None:
        ctx.store.set("last", ticket.id)
        ticket.set(assignee="Nobody")

    world = SimulatedDeployment(store, router(handle))
    opened(world)
    finish(world)
    assert stored(store, "team:value:last") == {}


def test_later_handlers_of_a_turn_see_the_changes_of_earlier_ones(store: redis.Redis) -> None:
    one, seen = Router("team"), []

    @one.on("ticket-created")
    def first(ticket: Ticket, ctx: Context) -> None:
        ctx.store.set("who", "first")
        ctx.store.increment("count", 2)

    @one.on("ticket-created")
    def second(ticket: Ticket, ctx: Context) -> None:
        seen.append((ctx.store.get("who"), ctx.store.count("count")))
        ctx.store.increment("count")

    world = SimulatedDeployment(store, one, router(lambda _, ctx: seen.append(ctx.store.get("who")), "other"))
    opened(world)
    finish(world)
    assert seen == [("first", 2), None]
    assert stored(store, "team:counter:count")["value"] == "3"


def test_an_effect_in_another_system_is_not_repeated_when_a_handler_decides_again(store: redis.Redis) -> None:
    calls: list[int] = []

    def handle(ticket: Ticket, ctx: Context) -> None:
        ctx.effect("lead", lambda: calls.append(ticket.id))
        ticket.add_tags(ctx.choose("agents", ["a", "b", "c"]))

    world = SimulatedDeployment(store, router(handle))
    numbers = opened(world, 3)
    at_once(world)
    assert sorted(calls) == numbers
    assert sorted(world.ticket(number)["tags"] for number in numbers) == ["a", "b", "c"]


def test_a_dry_run_shows_the_changes_and_makes_none(store: redis.Redis) -> None:
    def handle(ticket: Ticket, ctx: Context) -> None:
        ticket.add_tags(ctx.choose("agents", ["ada", "ben"]))
        ctx.store.increment("open-ada")

    world = SimulatedDeployment(store, router(handle), dry_run=True)
    [number] = opened(world)
    finish(world)
    assert not store.keys(f"{P}state:*".replace("[", "\\["))
    assert "team.route store: agents: chose ada, counter open-ada +1: not made (dry run)" in history(store, number)


def test_the_history_shows_what_was_changed_but_no_value(store: redis.Redis) -> None:
    def handle(ticket: Ticket, ctx: Context) -> None:
        ctx.store.set("last", "a secret")
        ctx.store.add("seen", "x", "y")

    world = SimulatedDeployment(store, router(handle))
    [number] = opened(world)
    finish(world)
    assert "team.route store: value last set, set seen +x +y: done" in history(store, number)
    assert "a secret" not in history(store, number)


def test_an_entry_is_kept_for_as_long_as_the_handler_says(store: redis.Redis) -> None:
    seen: list[Any] = []

    def handle(ticket: Ticket, ctx: Context) -> None:
        seen.append((ctx.store.get("last"), sorted(ctx.store.members("seen"))))
        if ticket.id == 1:
            ctx.store.set("last", 1, keep="2h")
            ctx.store.add("seen", "short", keep="1h")
            ctx.store.add("seen", "long", keep="5h")

    world = SimulatedDeployment(store, router(handle))
    for hours in (0, 1, 1):
        world.now += hours * 3_600_000
        opened(world)
        finish(world)
    assert seen == [(None, []), (1, ["long"]), (None, ["long"])]
    assert 0 < store.pttl(f"{P}state:team:value:last") <= 2 * 3_600_000


def test_a_key_of_another_type_is_replaced(store: redis.Redis) -> None:
    store.set(f"{P}state:team:counter:tickets", "x")
    store.hset(f"{P}state:team:counter:odd", mapping={"value": "x", "until": START * 2})

    def handle(ticket: Ticket, ctx: Context) -> None:
        assert (ctx.store.count("tickets"), ctx.store.count("odd")) == (0, 0)
        ctx.store.increment("tickets")
        ctx.store.increment("odd")

    world = SimulatedDeployment(store, router(handle))
    opened(world)
    finish(world)
    assert [stored(store, f"team:counter:{name}")["value"] for name in ("tickets", "odd")] == ["1", "1"]


def test_a_turn_that_others_overtake_again_and_again_waits_a_moment(store: redis.Redis) -> None:
    decided: list[int] = []

    def handle(ticket: Ticket, ctx: Context) -> None:
        decided.append(ticket.id)
        ctx.store.set("last", [ctx.store.get("last"), ticket.id][-1])

    world = SimulatedDeployment(store, router(handle))
    opened(world)

    def overtake(step: Step | Inner) -> None:
        if isinstance(step, Script) and step.name == "plan" and len(decided) < 15:
            store.hset(f"{P}state:team:value:last", mapping={"version": f"other-{len(decided)}", "until": START * 2})

    world.before = overtake
    [parked] = world.work()
    assert (parked.end, parked.why) == ("parked", "other turns keep changing the store of its handlers")
    finish(world)
    assert len(decided) == 15
    assert stored(store, "team:value:last")["value"] == "1"


def test_a_dead_letter_of_a_handler_that_gave_up_has_changed_nothing(store: redis.Redis) -> None:
    def handle(ticket: Ticket, ctx: Context) -> None:
        ctx.store.increment("tickets")
        raise GiveUp("no")

    world = SimulatedDeployment(store, router(handle))
    opened(world)
    finish(world)
    assert stored(store, "team:counter:tickets") == {}
