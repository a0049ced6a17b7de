"""A dry run of one router: its actions are stored and shown, and override nothing of the others."""

from dataclasses import replace
from typing import Any

import pytest
import redis

from workers import Event, Router, Ticket
from workers.engine.plan import Record, decode_record
from workers.store.records import AccountRecords
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment

DRY = frozenset({"trial"})


def routers() -> tuple[Router, Router]:
    """Return two routers that disagree; the later one, in dry run, would win."""
    proven, trial = Router("proven"), Router("trial")

    @proven.on("ticket-created")
    def files(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("kept")
        ticket.note("Both say this.")
        ticket.set(priority="High")

    @trial.on("ticket-created")
    def tries(ticket: Ticket, event: Event) -> None:
        ticket.remove_tags("kept")
        ticket.add_tags("tried")
        ticket.note("Both say this.")
        ticket.set(priority="Low", status="In Progress")

    return proven, trial


def opened(world: SimulatedDeployment) -> int:
    number = world.simulator.create_ticket().id
    world.deliver()
    return number


def record(store: redis.Redis) -> Record:
    return next(each for each in map(decode_record, AccountRecords(store, ACCOUNT).records()) if each.effects)


def test_only_its_own_effects_are_not_sent_and_it_overrides_nothing(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, *routers(), dry_routers=DRY)
    number = opened(world)
    world.settle_down()

    ticket = world.ticket(number)
    assert (ticket["tags"], ticket["priority"]["name"]) == ("kept", "High")
    assert ticket["status"]["name"] == "New"
    assert str(ticket["updates"]).count("Both say this.") == 2  # the text and the html of one note
    found = record(store)
    assert {(effect.summary, found.journal[str(at)].state) for at, effect in enumerate(found.effects)} == {
        ("tag +kept", "done"),
        ("private note, priority = High", "done"),
        ("tag +tried", "dry"),
        ("private note, status = In Progress, priority = Low", "dry"),
    }
    told = [line.text for line in AccountRecords(store, ACCOUNT).history(number)]
    assert "tag +tried: not sent (dry run)" in told


def test_a_turn_with_only_dry_effects_stores_no_plan(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, routers()[1], dry_routers=DRY)
    scripts: list[str] = []

    def before(step: Any) -> None:
        if isinstance(step, Script):
            scripts.append(step.name)

    world.before = before
    opened(world)
    world.settle_down()

    assert "plan" not in scripts
    assert [call for call in world.simulator.log if call.method == "POST"] == []


def test_a_handler_that_runs_once_may_still_run_after_the_dry_run(store: redis.Redis) -> None:
    trial = routers()[1]
    trial.handlers[0] = replace(trial.handlers[0], once=True, kinds=frozenset({"ticket-created", "contact-replied"}))
    world = SimulatedDeployment(store, trial, dry_routers=DRY)
    number = opened(world)
    world.settle_down()
    world.config = replace(world.config, dry_routers=frozenset())
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    world.settle_down()

    assert world.ticket(number)["tags"] == "tried"


def test_a_plan_stored_before_the_dry_run_sends_the_parts_of_others(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, *routers())

    def after(step: Any, result: Any) -> Any:
        if isinstance(step, Script) and step.name == "plan":
            raise Crash
        return result

    number = opened(world)
    world.after = after
    with pytest.raises(Crash):
        world.work()
    world.after = lambda step, result: result
    world.config = replace(world.config, dry_routers=DRY)
    world.settle_down()

    ticket = world.ticket(number)
    assert "Both say this." in str(ticket["updates"])
    assert (ticket["tags"], ticket["status"]["name"]) == ("", "New")
