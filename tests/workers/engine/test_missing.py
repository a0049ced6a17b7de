"""Missing tickets and handlers: accepted work waits, and is dead-lettered in the end."""

from typing import Any

import pytest
import redis

from tests.support.turns import dead_letters, noting, put_back
from workers import Context, Event, Retry, Router, Ticket
from workers.simulator import ApiFault
from workers.store.records import replay
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment


def reader(runs: list[list[str]], *, fails: int = 0) -> Router:
    """Return a router whose handler fails a number of times, then notes what it is shown."""
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def file(ticket: Ticket, event: Event) -> None:
        runs.append([change.kind for change in event.matched])
        if len(runs) <= fails:
            raise Retry("later", after="1m")

    return router


def snapshot(store: redis.Redis, router: Router) -> SimulatedDeployment:
    """Return a world in which ticket 1 has had a turn."""
    world = SimulatedDeployment(store, router)
    world.simulator.create_ticket()
    world.deliver()
    world.work()
    return world


def lost(world: SimulatedDeployment, seconds: int) -> None:
    """Make HappyFox answer 404 for the ticket for this long."""
    world.simulator.faults.add(ApiFault("status", method="GET", path="ticket/*", status=404, count=None))
    until = world.now + seconds * 1000
    while world.now < until:
        world.now += 1_000
        world.work()
    world.simulator.faults.clear()


@pytest.mark.parametrize("known", [True, False])
def test_an_event_waits_for_a_ticket_that_is_temporarily_not_found(store: redis.Redis, known: bool) -> None:
    runs: list[list[str]] = []
    world = snapshot(store, reader(runs)) if known else SimulatedDeployment(store, reader(runs))
    if known:
        world.simulator.contact_replies(1, "Hello?")
    else:
        world.simulator.create_ticket()
    world.deliver()
    world.now += 700_000  # the time it waited before does not count
    lost(world, 170)
    world.settle_down()

    assert runs[-1] == (["contact-replied"] if known else ["ticket-created"])
    assert dead_letters(store) == {}


def test_pending_work_waits_for_a_ticket_that_is_temporarily_not_found(store: redis.Redis) -> None:
    runs: list[list[str]] = []
    world = snapshot(store, reader(runs, fails=1))
    world.now += 60_000
    lost(world, 170)
    world.settle_down()

    assert runs == [["ticket-created"]] * 2
    assert dead_letters(store) == {}


def test_pending_work_is_dead_lettered_when_its_ticket_is_gone_and_replayable(store: redis.Redis) -> None:
    runs: list[list[str]] = []
    world = snapshot(store, reader(runs, fails=1))
    lost(world, 1_000)

    [dead] = dead_letters(store).values()
    assert (dead["handler"], dead["reason"][:18], runs) == ("clerk.file", "the ticket is gone", [["ticket-created"]])
    assert not store.zcard(f"foxhooks:{{{ACCOUNT}}}:schedule")
    put_back(world)
    assert runs == [["ticket-created"]] * 2


def test_a_replay_waits_for_a_ticket_not_found_and_happens_once(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        ticket.note("Written once and for all.")

    world = SimulatedDeployment(store, router)
    world.simulator.faults.add(ApiFault("status", method="POST", status=400))
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    [id] = dead_letters(store)
    world.store.run(replay(ACCOUNT, id))
    lost(world, 170)
    world.settle_down()

    assert str(world.ticket(1)["updates"]).count("'text': 'Written once and for all.") == 1
    assert dead_letters(store) == {}


def writer() -> Router:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        ticket.note("Written once and for all.")
        ticket.add_tags("vip")

    return router


def test_an_effect_survives_a_wrong_404(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, writer())
    world.simulator.faults.add(ApiFault("status", method="POST", path="ticket/*/staff_pvtnote", status=404, count=2))
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()

    assert world.ticket(1)["tags"] == "vip"
    assert str(world.ticket(1)["updates"]).count("'text': 'Written once and for all.") == 1
    assert dead_letters(store) == {}


def test_an_effect_answered_404_each_time_is_dead_lettered_if_its_ticket_exists(
    store: redis.Redis,
) -> None:
    world = SimulatedDeployment(store, writer())
    world.simulator.faults.add(ApiFault("status", method="POST", path="ticket/*/update_tags", status=404, count=None))
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()

    assert "Written once and for all." in str(world.ticket(1)["updates"])
    [dead] = dead_letters(store).values()
    assert dead["reason"] == "HappyFox answered 404 to it, sent 3 times, although the ticket exists"
    assert dead["effect"]["add"] == ["vip"]


def test_effects_of_a_ticket_that_is_gone_are_dead_lettered_and_replayable(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, writer())
    world.simulator.create_ticket()
    world.deliver()
    world.simulator.faults.add(ApiFault("status", method="POST", status=404, count=None))
    world.work()
    world.simulator.faults.add(ApiFault("status", path="ticket/*", status=404, count=None))
    world.settle_down()
    world.simulator.faults.clear()

    assert {dead["reason"] for dead in dead_letters(store).values()} == {"the ticket is gone"}
    assert len(dead_letters(store)) == 2
    for id in dead_letters(store):
        world.store.run(replay(ACCOUNT, id))
    world.settle_down()
    assert world.ticket(1)["tags"] == "vip"
    assert str(world.ticket(1)["updates"]).count("'text': 'Written once and for all.") == 1
    assert dead_letters(store) == {}


def test_a_ticket_that_is_gone_is_forgotten_without_a_dead_letter(store: redis.Redis) -> None:
    runs: list[list[str]] = []
    world = snapshot(store, reader(runs))
    world.simulator.contact_replies(1, "Hello?")
    world.deliver()
    del world.simulator.account.tickets[1]
    world.settle_down()

    assert (runs, dead_letters(store)) == ([["ticket-created"]], {})
    assert not store.zcard(f"foxhooks:{{{ACCOUNT}}}:schedule")


def other(*names: str) -> tuple[Router, ...]:
    """Return routers without the handler, or none at all."""
    routers = tuple(map(Router, names))
    for router in routers:

        @router.on("contact-replied")
        def file(ticket: Ticket, event: Event) -> None:
            pass

    return routers


def handed(world: SimulatedDeployment, *routers: Router) -> SimulatedDeployment:
    """Return the same deployment with a worker that has other handlers."""
    then = SimulatedDeployment(world.client, *routers)
    then.simulator, then.now = world.simulator, world.now
    then._nonce = world._nonce + 1000
    return then


@pytest.mark.parametrize("names", [("older",), ()])
def test_work_for_an_unknown_handler_waits_for_a_worker_that_has_it(store: redis.Redis, names: tuple[str, ...]) -> None:
    runs: list[list[str]] = []
    router = reader(runs, fails=1)
    world = snapshot(store, router)
    world.now += 70_000
    old = handed(world, *other(*names))
    for _ in range(5):
        old.work()
        old.now += 60_000
    new = handed(old, router)
    new.work()

    assert runs == [["ticket-created"]] * 2
    assert dead_letters(store) == {}


@pytest.mark.parametrize("fails", [0, 1])
@pytest.mark.parametrize("names", [("older",), ()])
def test_its_external_effects_are_not_repeated_after_a_crash(
    store: redis.Redis, names: tuple[str, ...], fails: int
) -> None:
    router, runs, calls = Router("clerk"), list[str](), list[str]()

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        runs.append(event.kind)
        if len(runs) <= fails:
            raise Retry("later", after="1m")
        ticket.note(str(ctx.effect("crm-1", noting(calls, "called", "Filed."))))

    world = SimulatedDeployment(store, router)
    world.simulator.create_ticket()
    world.deliver()

    def die(step: Any) -> None:
        if isinstance(step, Script) and step.name == "plan":
            raise Crash

    world.before = die
    with pytest.raises(Crash):
        world.settle_down()
    old = handed(world, *other(*names))
    old.now += old.lease
    old.work()
    new = handed(old, router)
    new.settle_down()

    assert (len(runs), calls) == (fails + 2, ["called"])
    assert str(new.ticket(1)["updates"]).count("'text': 'Filed.") == 1
    assert dead_letters(store) == {}


@pytest.mark.parametrize("names", [("older",), ()])
def test_work_that_no_worker_takes_in_time_is_dead_lettered(store: redis.Redis, names: tuple[str, ...]) -> None:
    world = snapshot(store, reader([], fails=9))
    old = handed(world, *other(*names))
    old.settle_down()

    [dead] = dead_letters(store).values()
    assert (dead["handler"], dead["reason"][:26]) == ("clerk.file", "no handler with this name ")
    assert [change["kind"] for change in dead["changes"]] == ["ticket-created"]
    assert not store.zcard(f"foxhooks:{{{ACCOUNT}}}:schedule")
