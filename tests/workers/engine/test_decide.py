"""The outcomes of handlers: actions, retries, dead letters."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from tests.support.turns import finish
from workers import Event, GiveUp, Retry, Router, Ticket
from workers.engine.handlers import RETRY_DELAYS
from workers.engine.plan import DeadLetter
from workers.testing.desk import ACCOUNT, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"


def dead_letters(world: SimulatedDeployment) -> list[DeadLetter]:
    ids = [each.decode() for each in untyped(world.client).zrange(f"{P}dead_letters", 0, -1)]
    return [
        msgspec.json.decode(untyped(world.client).hget(f"{P}dead_letter:{each}", "evidence"), type=DeadLetter)
        for each in ids
    ]


def failing(error: Exception, runs: list[tuple[float, int]]) -> Router:
    router = Router("fails")

    @router.on("ticket-created", "ticket-updated")
    def always(ticket: Ticket, event: Event, ctx: Any) -> None:
        runs.append((ctx.now.timestamp(), len(event.changes)))
        raise error

    return router


def play(world: SimulatedDeployment) -> int:
    number = world.simulator.create_ticket().id
    finish(world)
    return number


def test_a_failing_handler_is_retried_on_schedule_and_then_dead_lettered(store: redis.Redis) -> None:
    runs: list[tuple[float, int]] = []
    world = SimulatedDeployment(store, failing(ValueError(), runs))

    play(world)

    waits = [(later - sooner) * 1000 for (sooner, _), (later, _) in pairwise(runs)]
    assert len(waits) == len(RETRY_DELAYS)
    assert all(least <= wait <= least * 1.2 + 10 for least, wait in zip(RETRY_DELAYS, waits, strict=True))
    assert [
        (dead_letter.handler, dead_letter.attempts, dead_letter.last_error) for dead_letter in dead_letters(world)
    ] == [("fails.always", len(RETRY_DELAYS) + 1, "ValueError at test_decide.py:35")]


@pytest.mark.parametrize("after", ["90s", 90, timedelta(seconds=90)])
def test_a_handler_may_choose_when_it_runs_again(store: redis.Redis, after: str | float | timedelta) -> None:
    runs: list[tuple[float, int]] = []

    play(SimulatedDeployment(store, failing(Retry("later", after=after), runs)))

    assert round(runs[1][0] - runs[0][0]) == 90


def test_a_handler_that_gives_up_is_dead_lettered_at_once(store: redis.Redis) -> None:
    runs: list[tuple[float, int]] = []
    world = SimulatedDeployment(store, failing(GiveUp("no use"), runs))

    play(world)

    assert len(runs) == 1
    assert [
        (dead_letter.reason, dead_letter.attempts, len(dead_letter.changes)) for dead_letter in dead_letters(world)
    ] == [("no use", 1, 1)]


def test_only_the_failing_handler_waits_and_it_sees_every_change_in_order(store: redis.Redis) -> None:
    slow, quick = Router("slow"), Router("quick")
    snapshot: list[list[str]] = []

    @slow.on("ticket-created", "ticket-updated")
    def fails_first(ticket: Ticket, event: Event) -> None:
        snapshot.append([change.kind for change in event.changes])
        if len(snapshot) == 1:
            raise Retry("later", after="60s")

    @quick.on("contact-replied")
    def answers(ticket: Ticket, event: Event) -> None:
        ticket.note("Read at once by the quick one.")

    world = SimulatedDeployment(store, slow, quick)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()
    world.now += 10_000
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    world.work()

    assert "quick one" in world.ticket(number)["updates"][-1]["message"]["text"]
    assert len(snapshot) == 1
    finish(world)
    assert snapshot == [["ticket-created"], ["ticket-created", "contact-replied"]]


def test_an_action_without_permission_is_left_out_and_the_others_are_sent(store: redis.Redis) -> None:
    router = Router("bold")

    @router.on("ticket-created")
    def wants_all(ticket: Ticket, event: Event) -> None:
        ticket.delete()
        ticket.note("Not deleted, though.")

    world = SimulatedDeployment(store, router)
    number = play(world)

    assert "Not deleted" in world.ticket(number)["updates"][-1]["message"]["text"]
    history = b"\n".join(untyped(store).lrange(f"{P}history:{number}", 0, -1)).decode()
    assert "FOXHOOKS_ALLOW=bold:delete" in history


def test_an_unknown_name_dead_letters_its_handler_and_lists_what_exists(store: redis.Redis) -> None:
    one, two = Router("one"), Router("two")

    @one.on("ticket-created")
    def misspelt(ticket: Ticket, event: Event) -> None:
        ticket.set(status="In Progres")

    @two.on("ticket-created")
    def sound(ticket: Ticket, event: Event) -> None:
        ticket.set(priority="High")

    world = SimulatedDeployment(store, one, two)
    number = play(world)

    assert world.ticket(number)["priority"]["name"] == "High"
    assert [dead_letter.handler for dead_letter in dead_letters(world)] == ["one.misspelt"]
    assert "did you mean 'In Progress'" in dead_letters(world)[0].reason
