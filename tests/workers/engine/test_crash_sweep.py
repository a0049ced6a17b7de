"""Crash at every step, repeat every script, break every answer: the ticket always ends the same.

The steps are those of an undisturbed run; none is listed here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from tests.support.turns import finish, vip
from tests.support.witness import Witness
from workers import Context, Event, Retry, Router, Ticket
from workers.engine.steps import Call, Step
from workers.plugins.invoke import ExternalCall, Inner
from workers.simulator import ApiFault
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, START, Crash, SimulatedDeployment

PREFIX = f"foxhooks:{{{ACCOUNT}}}:"


@dataclass(frozen=True)
class Scenario:
    """Something that happens to a ticket and the handlers that react; ``ready`` runs before, undisturbed."""

    routers: Callable[[], tuple[Router, ...]]
    ready: Callable[[SimulatedDeployment], int]
    happens: Callable[[SimulatedDeployment, int], object]
    config: dict[str, Any] = field(default_factory=dict)


def twins() -> tuple[Router, ...]:
    one, two = Router("one"), Router("two")

    @one.on("contact-replied")
    def first(ticket: Ticket, event: Event) -> None:
        ticket.note("The contact has replied.")
        ticket.note("Ok")

    @two.on("contact-replied")
    def second(ticket: Ticket, event: Event) -> None:
        ticket.note("The contact has replied.")
        ticket.note("Ok then")
        ticket.reply("We have read it.")

    return one, two


def after_rules() -> tuple[Router, ...]:
    router = Router("rules")

    @router.on("smart-rule")
    def note(ticket: Ticket, event: Event) -> None:
        ticket.note(f"The rule {event.matched[0].actor.name} has fired.")
        ticket.remove_tags("late")

    return (router,)


def debtor() -> tuple[Router, ...]:
    one, two = Router("one"), Router("two")

    @one.on("contact-replied")
    def prompt(ticket: Ticket, event: Event) -> None:
        ticket.note("Done at once.")

    @two.on("ticket-updated")
    def fails(ticket: Ticket, event: Event, ctx: Any) -> None:
        if ctx.now.timestamp() * 1000 < START + 4_000:
            raise Retry("not yet")
        ticket.note(f"Done at last, for {len(event.changes)}.")

    return one, two


def refused() -> tuple[Router, ...]:
    one, two, three = Router("one"), Router("two"), Router("three")

    @one.on("contact-replied")
    def close(ticket: Ticket, event: Event) -> None:
        ticket.set(status="Closed")

    @two.on("contact-replied")
    def raise_(ticket: Ticket, event: Event) -> None:
        ticket.set(priority="High")

    @three.on("contact-replied")
    def note(ticket: Ticket, event: Event) -> None:
        ticket.note("Read by the third.")

    return one, two, three


def fields() -> tuple[Router, ...]:
    router = Router("fields")

    @router.on("contact-replied", "field-changed")
    def fill(ticket: Ticket, event: Event) -> None:
        ticket.set(fields={"Amount": 12.5, "Product": "Scanner", "Delivery date": "2026-03-01"})

    return (router,)


def mover() -> tuple[Router, ...]:
    router = Router("mover")

    @router.on("contact-replied")
    def away(ticket: Ticket, event: Event) -> None:
        ticket.note("To the colleagues.")
        ticket.move("Billing", "They know more.")
        ticket.subscribe("Lin Wu")

    return (router,)


def outside(looks: bool = True) -> tuple[Router, ...]:
    """Write into another system, which remembers it, then a note that says what was there already."""
    router = Router("outside")
    updates: list[str] = []

    @router.on("contact-replied")
    def tell(ticket: Ticket, event: Event, ctx: Context) -> None:
        name = f"row-{event.matched[-1].update_id}"

        def call() -> str:
            updates.append(name)
            return f"{name} of {len(updates)}"

        told = ctx.effect(
            name, call, (lambda: f"{name} of {len(updates)}" if name in updates else None) if looks else None
        )
        ticket.note(f"Told the others: {told}.")
        ctx.effect(
            "bye", lambda: updates.append("bye"), (lambda: "bye" if "bye" in updates else None) if looks else None
        )

    return (router,)


def waiter() -> tuple[Router, ...]:
    router = Router("wait")

    @router.on("contact-replied")
    def begin(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.add_tags("waits")
        ctx.later("10m", "remind", unless=["staff-replied"])

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.note("Nobody has answered.")
        ctx.later("20m", "close")

    @router.on("later", name="close")
    def close(ticket: Ticket, event: Event) -> None:
        ticket.set(status="On Hold")

    return (router,)


def linker() -> tuple[Router, ...]:
    """Write on another ticket, whose own handler writes on this one."""
    router = Router("linker")

    @router.on("contact-replied", "tags-changed")
    def link(ticket: Ticket, event: Event, ctx: Context) -> None:
        other = ctx.on_ticket(2 if ticket.id == 1 else 1)
        other.add_tags(f"from-{ticket.id}")
        other.note(f"See ticket {ticket.id}.")
        ticket.note("Linked.")

    return (router,)


def remembering() -> tuple[Router, ...]:
    """Count, choose and remember, after an effect in another system."""
    router = Router("team")

    @router.on("contact-replied")
    def route(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.effect("told", lambda: "yes", lambda: "yes")
        known = ctx.store.contains("replies", str(event.matched[-1].update_id))
        ctx.store.add("replies", str(event.matched[-1].update_id))
        ctx.store.increment("replies")
        ctx.store.set("last", [ticket.id])
        ticket.note(
            f"For {ctx.choose('people', ['ada', 'ben'])}, known: {known}, before: {ctx.store.count('replies')}."
        )

    return (router,)


def two(world: SimulatedDeployment) -> int:
    first = world.simulator.create_ticket(subject="One").id
    world.simulator.create_ticket(subject="Two")
    finish(world)
    return first


def creator() -> tuple[Router, ...]:
    """Create a ticket for each that a contact opens or answers; with its own it would never end."""
    router = Router("creator")

    @router.on("ticket-created", "contact-replied")
    def create(ticket: Ticket, event: Event, ctx: Context) -> None:
        updates = "-".join(str(change.update_id) for change in event.matched)
        ctx.create_ticket(client=ticket.contact.id, subject=f"After {updates}", text="Call them.", category="Billing")
        ticket.note(f"Another ticket for {updates}.")

    return (router,)


def waits(world: SimulatedDeployment) -> int:
    number = known(world)
    replies(world, number)
    world.deliver()
    world.work()
    world.now += 3_000
    return number


def known(world: SimulatedDeployment, **draft: Any) -> int:
    number = world.simulator.create_ticket(**draft).id
    finish(world)
    return number


def closed(world: SimulatedDeployment) -> int:
    number = known(world)
    world.simulator.staff_updates(number, status="Closed")
    finish(world)
    return number


def replies(world: SimulatedDeployment, number: int) -> object:
    return world.simulator.contact_replies(number, "It is broken again.")


SCENARIOS = {
    "created": Scenario(lambda: (vip(),), lambda world: 1, lambda world, number: world.simulator.create_ticket()),
    "reopened": Scenario(lambda: (vip(),), closed, replies),
    "equal notes": Scenario(twins, known, replies),
    "smart rule": Scenario(
        after_rules,
        lambda world: known(world, tags=("late",)),
        lambda world, number: world.simulator.fire_rule(number, "Overdue", status="On Hold", note="Too late."),
    ),
    "pending": Scenario(debtor, known, replies),
    "refused and split": Scenario(refused, lambda world: known(world, category=3), replies),
    "another system": Scenario(outside, known, replies),
    "timers": Scenario(waiter, known, replies),
    "a timer that ends": Scenario(
        waiter, waits, lambda world, number: world.simulator.staff_updates(number, text="Here I am.", staff=1)
    ),
    "created by us": Scenario(creator, known, replies, {"allow": frozenset({("creator", "create")})}),
    "handed over": Scenario(linker, two, replies),
    "state": Scenario(remembering, known, replies),
    "dry run": Scenario(lambda: (vip(),), closed, replies, {"dry_run": True}),
    "fields": Scenario(fields, known, replies),
    "moved": Scenario(
        mover,
        known,
        replies,
        {"allow": frozenset({("mover", "move"), ("mover", "subscribe")})},
    ),
}


class Run:
    """One run of a scenario to its end, with a witness and hooks before and after each step."""

    def __init__(self, client: "redis.Redis", scenario: Scenario) -> None:
        client.flushdb()
        self.world = SimulatedDeployment(client, *scenario.routers(), **scenario.config)
        self.number = scenario.ready(self.world)
        self.world.now = max(self.world.now, START + 1_000)
        self.scenario = scenario
        self.witness = Witness({bound.name: bound.handler.kinds for bound in self.world.config.handlers})
        self.steps: list[Step | Inner] = []
        self.world.before = self._before
        self.world.after = self._after
        self.before: Callable[[int, Step | Inner], None] = lambda index, step: None
        self.after: Callable[[int, Step | Inner], None] = lambda index, step: None

    def _before(self, step: Step | Inner) -> None:
        self.steps.append(step)
        self.before(len(self.steps) - 1, step)

    def _after(self, step: Step | Inner, result: Any) -> Any:
        if not isinstance(step, ExternalCall):
            self.witness.saw(self, step, result)
        # While a handler runs, its effects in other systems take steps of their own.
        self.after(next(n for n in range(len(self.steps) - 1, -1, -1) if self.steps[n] is step), step)
        return result

    def play(self) -> "Run":
        self.scenario.happens(self.world, self.number)
        finish(self.world, self.witness, self)
        self.world.now += 60_000  # rows that become visible late are visible now
        return self

    def end(self) -> dict[str, Any]:
        """Return everything that must not depend on crashes on the way."""
        ticket = self.world.ticket(self.number)
        return {
            "tags": ticket["tags"],
            "properties": [ticket[name] and ticket[name]["name"] for name in ("status", "priority", "category")],
            "fields": [field["value"] for field in ticket["custom_fields"]],
            "subscribers": [each["id"] for each in ticket["subscribers"]],
            "rows": [_row(update) for update in ticket["updates"]],
            "others": [
                (other.subject, sorted(other.tags), len(other.updates))
                for number, other in sorted(self.world.simulator.account.tickets.items())
                if number != self.number
            ],
            "shown": {
                handler: [
                    [(change.kind, change.update_id) for change in shown.changes]
                    for shown in self.witness.shown
                    if shown.handler == handler
                ]
                for handler in self.witness.kinds
            },
            "dead": sorted(dead_letter.handler for turn in self.witness.settled for dead_letter in turn.dead_letters),
            "state": _state(self.world.client),
            "left over": [
                key
                for name in ("lane:*", "turn:*", "joins:*", "leases")
                for key in self.world.client.keys(PREFIX.replace("[", "\\[") + name)
            ]
            + self.world.client.zrange(f"{PREFIX}schedule", 0, -1),
        }


def _state(client: Any) -> dict[str, Any]:
    """Return the state of the routers without what depends on times and turns."""
    keys = sorted(client.keys(PREFIX.replace("[", "\\[") + "state:*"))
    return {
        key.decode(): sorted(
            (name.decode(), b"" if name.startswith(b"m:") else value)
            for name, value in client.hgetall(key).items()
            if name not in (b"version", b"until")
        )
        for key in keys
    }


def _row(update: dict[str, Any]) -> tuple[Any, ...]:
    said = update["message"]
    changes = {name: update[name]["new"] for name in update if name.endswith("_change") and update[name]}
    return update["update_id"], update["by"]["name"], said and (said["text"], said["message_type"]), changes


def test_each_scenario_does_what_it_is_meant_to_test(store: redis.Redis) -> None:
    ends = {name: Run(store, scenario).play().end() for name, scenario in SCENARIOS.items()}

    assert all(not end["left over"] for end in ends.values())
    assert {name: len(end["rows"]) for name, end in ends.items()} == {
        "created": 3,
        "reopened": 6,
        "equal notes": 6,
        "another system": 3,
        "created by us": 4,
        "handed over": 3,
        "state": 3,
        "smart rule": 4,
        "pending": 4,
        "refused and split": 4,
        "timers": 5,
        "a timer that ends": 4,
        "dry run": 3,
        "fields": 3,
        "moved": 4,
    }
    assert ends["refused and split"]["dead"] == ["one.close"]
    assert ends["pending"]["shown"] == {
        "one.prompt": [[("contact-replied", 2)]],
        "two.fails": [[("contact-replied", 2)]],
    }


def crashed_runs(store: redis.Redis, scenario: Scenario) -> Iterator[tuple[str, Run]]:
    """Play a scenario with a crash just before and just after each step of an undisturbed run."""
    for point, crash_at in enumerate(Run(store, scenario).play().steps):
        for moment in ("before", "after"):
            run = Run(store, scenario)

            def die(index: int, step: Step | Inner, point: int = point) -> None:
                if index == point:
                    raise Crash

            setattr(run, moment, die)
            yield f"died {moment} step {point}, {crash_at}", run.play()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_worker_may_die_just_before_and_just_after_every_step(store: redis.Redis, name: str) -> None:
    expected = Run(store, SCENARIOS[name]).play().end()
    for where, run in crashed_runs(store, SCENARIOS[name]):
        assert run.end() == expected, where


def test_an_uncheckable_external_effect_happens_once_or_becomes_a_dead_letter(store: redis.Redis) -> None:
    dead = 0
    for where, run in crashed_runs(store, Scenario(lambda: outside(looks=False), known, replies)):
        end = run.end()
        happened_once = "row-2 of 1" in str(end["rows"])
        assert happened_once != bool(end["dead"]), where
        assert not end["left over"]
        dead += bool(end["dead"])
    # At either effect: after its journal said begun, before and after the call, before its journal said done.
    assert dead == 8


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_script_may_run_twice(store: redis.Redis, name: str) -> None:
    scenario = SCENARIOS[name]
    undisturbed = Run(store, scenario).play()
    expected = undisturbed.end()

    for point, step in enumerate(undisturbed.steps):
        if not isinstance(step, Script):
            continue
        run = Run(store, scenario)

        def repeat(index: int, step: Step | Inner, run: Run = run, point: int = point) -> None:
            if index == point and isinstance(step, Script):
                run.world.store.run(step)

        run.before = repeat
        assert run.play().end() == expected, f"ran twice: step {point}, {step}"


FAULTS = {
    "cut before it was applied": ApiFault("cut", before=True),
    "cut after it was applied": ApiFault("cut", before=False),
    "500 before": ApiFault("status", status=500),
    "500 after": ApiFault("status", status=500, before=False),
    "503 with a wait": ApiFault("status", status=503, seconds=7),
    "a page of html": ApiFault("html", status=200, before=False),
    "an error page": ApiFault("html", status=502),
    "an empty success": ApiFault("empty"),
    "broken JSON": ApiFault("broken"),
    "a wrong 404": ApiFault("status", path="ticket/*", status=404),
    "429": ApiFault("status", status=429),
    "a late row": ApiFault("late-update", seconds=20),
}


#: Each scenario with each fault; the suite has a quarter of them, in which every scenario and every fault occurs.
ANSWERED_BADLY = [
    pytest.param(name, fault, marks=[pytest.mark.e2e] if (row + column) % 4 else [])
    for row, name in enumerate(SCENARIOS)
    for column, fault in enumerate(FAULTS)
]


@pytest.mark.parametrize(("name", "fault"), ANSWERED_BADLY)
def test_every_call_may_be_answered_badly(store: redis.Redis, name: str, fault: str) -> None:
    scenario = SCENARIOS[name]
    undisturbed = Run(store, scenario).play()
    expected = undisturbed.end()

    for point, step in enumerate(undisturbed.steps):
        if not isinstance(step, Call):
            continue
        run = Run(store, scenario)

        def spoil(index: int, step: Step | Inner, run: Run = run, point: int = point) -> None:
            if index == point:
                run.world.simulator.faults.add(FAULTS[fault])

        run.before = spoil
        assert run.play().end() == expected, f"{fault} at step {point}, {step}"
