"""Timers: set by a handler, stored with the ticket, ended by changes, received by the router that set them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from workers import Context, Event, GiveUp, Retry, Router, Ticket
from workers.engine.steps import Step, Steps
from workers.engine.turn import TurnResult, take_turn
from workers.plugins.actions import Later
from workers.plugins.invoke import Decide
from workers.testing import NOON, run, ticket
from workers.testing.desk import ACCOUNT, BOT, SimulatedDeployment
from workers.tickets.change import Kind
from workers.tickets.snapshot import decode

P = f"foxhooks:{{{ACCOUNT}}}:"
HOUR = 3_600_000

TimerCalls = list[tuple[int, tuple[str, ...]]]
"""The calls by a timer: the time of the turn in ms, and the kinds of all changes."""


def reminder(calls: TimerCalls, wait: Any = "2h", unless: tuple[Kind, ...] = ("staff-replied",)) -> Router:
    router = Router("vip")

    @router.on("contact-replied")
    def wait_for_staff(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later(wait, "remind", unless=unless)

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event, ctx: Context) -> None:
        calls.append((int(ctx.now.timestamp() * 1000), tuple(change.kind for change in event.changes)))
        ticket.note("Nobody has answered.")

    return router


class Scenario:
    """A ticket that the engine has seen, and what happens to it."""

    def __init__(self, store: redis.Redis, *routers: Router, **config: Any) -> None:
        self.world = SimulatedDeployment(store, *routers, **config)
        self.number = self.world.simulator.create_ticket().id
        self.advance()

    def advance(self, wait: int = 0) -> None:
        """Wait some ms, then deliver and do all work that is due."""
        self.world.now += wait
        for _ in range(4):  # echoes arrive two seconds later
            self.world.deliver()
            self.world.work()
            self.world.now += 2_500

    def contact_replies(self) -> int:
        """Let the contact reply, and return the time at which that was handled."""
        self.world.simulator.contact_replies(self.number, "Hello?")
        self.world.deliver()
        at = self.world.now
        self.advance()
        return at

    def staff_replies(self) -> None:
        self.world.simulator.staff_updates(self.number, text="Here I am.", staff=1)

    @property
    def notes(self) -> list[str]:
        updates = self.world.ticket(self.number)["updates"]
        return [
            update["message"]["text"].strip() for update in updates if update["message"] and update["by"]["id"] == BOT
        ]

    @property
    def due(self) -> int | None:
        score = self.world.client.zscore(P + "schedule", str(self.number))
        return None if score is None else int(score)

    @property
    def history(self) -> list[str]:
        lines = self.world.client.lrange(f"{P}history:{self.number}", 0, -1)
        return [msgspec.json.decode(line)["text"] for line in lines]

    @property
    def waiting_lanes(self) -> list[str]:
        """The lanes that wait only for a timer."""
        return [
            lane.decode()
            for lane in untyped(self.world.client).zrangebyscore(P + "schedule:timers", self.world.now, "+inf")
        ]


def test_a_timer_fires_once_when_it_is_due(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))

    at = scenario.contact_replies()
    assert scenario.due == at + 2 * HOUR
    assert scenario.waiting_lanes == [str(scenario.number)]
    scenario.advance(HOUR)
    assert calls == []
    scenario.world.now = at + 2 * HOUR - 1
    assert scenario.world.work() == []
    scenario.advance(1)

    assert calls == [(at + 2 * HOUR, ("later",))]
    assert scenario.notes == ["Nobody has answered."]
    assert scenario.due is None
    assert scenario.waiting_lanes == []
    assert any(line.startswith("timer remind of vip: due 2026-") for line in scenario.history)
    assert "later: the timer remind of vip is due" in scenario.history


def test_a_timer_survives_unrelated_turns(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))
    at = scenario.contact_replies()

    scenario.world.simulator.staff_updates(scenario.number, priority="High", staff=1)
    scenario.advance(HOUR)

    assert calls == []
    assert scenario.due == at + 2 * HOUR
    assert scenario.waiting_lanes == [str(scenario.number)]
    scenario.advance(HOUR)
    assert len(calls) == 1


def test_a_new_timer_replaces_the_old_one(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))

    scenario.contact_replies()
    scenario.advance(HOUR)
    again = scenario.contact_replies()
    scenario.advance(3 * HOUR)

    assert len(calls) == 1
    assert calls[0][0] >= again + 2 * HOUR


def test_a_change_of_an_unless_kind_ends_the_timer(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))
    scenario.contact_replies()

    scenario.staff_replies()
    scenario.advance(HOUR)

    assert scenario.due is None
    assert scenario.waiting_lanes == []
    scenario.advance(2 * HOUR)
    assert calls == []
    assert "timer remind of vip: ended by staff-replied" in scenario.history


def test_a_reply_while_no_worker_ran_ends_the_timer(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))
    scenario.contact_replies()

    scenario.world.now += 3 * HOUR
    scenario.staff_replies()  # its webhook is not there yet: only the read shows it
    scenario.world.work()

    assert calls == []
    assert scenario.due is None


def test_a_later_reply_ends_a_new_timer_in_the_same_turn(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))

    scenario.world.simulator.contact_replies(scenario.number, "Hello?")
    scenario.staff_replies()
    scenario.advance()

    assert scenario.due is None
    assert "timer remind of vip: not set, ended by staff-replied" in scenario.history


def test_an_earlier_reply_does_not_end_a_new_timer(store: redis.Redis) -> None:
    scenario = Scenario(store, reminder([]))

    scenario.staff_replies()
    scenario.world.simulator.contact_replies(scenario.number, "That does not help.")
    scenario.advance()

    assert scenario.waiting_lanes == [str(scenario.number)]


def test_our_own_writes_do_not_end_a_timer(store: redis.Redis) -> None:
    calls: list[Any] = []
    router = reminder(calls, unless=("staff-replied", "note-added", "tags-changed"))

    @router.on("contact-replied", "status-changed")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply("We are on it.")
        ticket.add_tags("open")
        ticket.note("Somebody should look.")

    scenario = Scenario(store, router)
    scenario.contact_replies()
    scenario.advance(2 * HOUR)

    assert len(calls) == 1


def test_other_changes_of_the_turn_are_handled_as_usual(store: redis.Redis) -> None:
    calls: TimerCalls = []
    router = reminder(calls)
    snapshot: list[tuple[str, ...]] = []

    @router.on("ticket-updated")
    def any_change(ticket: Ticket, event: Event) -> None:
        snapshot.append(tuple(change.kind for change in event.changes))

    scenario = Scenario(store, router)
    scenario.contact_replies()
    snapshot.clear()
    scenario.world.now += 3 * HOUR
    scenario.world.simulator.staff_updates(scenario.number, priority="High", staff=1)
    scenario.world.work()

    assert [kinds for _, kinds in calls] == [("priority-changed", "later")]
    assert snapshot == [("priority-changed",)]


def test_only_the_router_that_set_the_timer_is_called(store: redis.Redis) -> None:
    called: list[str] = []
    one, other = reminder([]), Router("crm")

    @other.on("later", name="remind")
    def mine(ticket: Ticket, event: Event) -> None:
        called.append("crm")

    scenario = Scenario(store, one, other)
    scenario.contact_replies()
    scenario.advance(2 * HOUR)

    assert called == []
    assert scenario.notes == ["Nobody has answered."]


@pytest.mark.parametrize("error", [GiveUp("no"), Retry("not yet", after="10m"), ValueError()])
def test_a_failed_handler_sets_no_timer(store: redis.Redis, error: Exception) -> None:
    router = Router("vip")

    @router.on("contact-replied")
    def fails(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("1h", "remind")
        raise error

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        raise AssertionError

    scenario = Scenario(store, router)
    scenario.contact_replies()

    stored = decode(untyped(scenario.world.client).get(f"{P}snapshot:{scenario.number}"))
    assert stored is not None
    assert stored.timers == ()


def test_a_handler_whose_call_failed_keeps_its_pending_timer_event(store: redis.Redis) -> None:
    calls: list[str] = []
    router = Router("vip")

    @router.on("contact-replied")
    def set_(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("1h", "remind")

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event, ctx: Context) -> None:
        calls.append(event.kind)
        if len(calls) == 1:
            raise Retry("not yet", after="10m")

    scenario = Scenario(store, router)
    scenario.contact_replies()
    scenario.advance(HOUR)
    assert calls == ["later"]
    assert scenario.waiting_lanes == []
    scenario.advance(HOUR)

    assert calls == ["later", "later"]
    assert scenario.due is None


@pytest.mark.parametrize(
    ("ask", "fix"),
    [
        (lambda ctx: ctx.later("2h", "remnd"), "no handler receives the timer 'remnd'; did you mean 'remind'?"),
        (lambda ctx: ctx.later("2h", "x"), "no handler receives the timer 'x'; write @router.on(\"later\", name='x')"),
        (lambda ctx: ctx.later("2h", "remind", unless="staff-reply"), "did you mean 'staff-replied'?"),
        (lambda ctx: ctx.later("2h", "remind", unless=["later"]), "kind 'later' is not allowed here"),
        (lambda ctx: ctx.later("2h", "remind", unless=None), "unless is None; pass a list"),
        (lambda ctx: ctx.later("2h", "remind", unless=[["moved"]]), "list is not a kind"),
        (lambda ctx: ctx.later("2h", None), "no handler receives the timer None"),
        (lambda ctx: ctx.later("soon", "remind"), "'soon' is not a duration; write it as 10m, 2h or 3d"),
        (lambda ctx: ctx.later(0, "remind"), "a wait of 0 is out of range"),
        (lambda ctx: ctx.later("400d", "remind"), "use 1s to 366d"),
    ],
)
def test_an_invalid_timer_fails_its_handler_with_the_fix(
    store: redis.Redis, ask: Callable[[Context], None], fix: str
) -> None:
    router = reminder([])

    @router.on("contact-replied")
    def wrong(ticket: Ticket, event: Event, ctx: Context) -> None:
        ask(ctx)

    scenario = Scenario(store, router)
    scenario.contact_replies()

    (dead_letter,) = (
        msgspec.json.decode(untyped(scenario.world.client).hget(f"{P}dead_letter:{each.decode()}", "evidence"))
        for each in untyped(scenario.world.client).zrange(P + "dead_letters", 0, -1)
    )
    assert dead_letter["handler"] == "vip.wrong"
    assert fix in dead_letter["reason"]
    assert scenario.waiting_lanes == [str(scenario.number)]  # the other handler's timer


@pytest.mark.parametrize("wait", [7200, "2h", "120m", timedelta(hours=2)])
def test_a_wait_can_be_a_number_a_text_or_a_timedelta(wait: Any) -> None:
    unused: Any = None
    ctx = Context(
        ticket=1, now=NOON, settings=None, log=unused, happyfox=unused, act=unused, store=unused, timers=("remind",)
    )
    ctx.later(wait, "remind")
    assert ctx.actions == [Later("remind", 2 * HOUR)]


def test_in_a_dry_run_a_timer_fires_and_nothing_is_sent(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls), dry_run=True)
    scenario.contact_replies()
    scenario.advance(2 * HOUR)

    assert len(calls) == 1
    assert scenario.notes == []


def test_the_snapshot_is_kept_while_timers_run(store: redis.Redis) -> None:
    scenario = Scenario(store, reminder([], wait="200d"), snapshot_ttl=90 * 86_400_000)
    scenario.contact_replies()
    life = scenario.world.client.pttl(f"{P}snapshot:{scenario.number}")
    assert life > 200 * 86_400_000


def test_a_turn_that_cannot_read_the_ticket_keeps_future_timers(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))
    at = scenario.contact_replies()
    world = scenario.world
    world.simulator.contact_replies(scenario.number, "And?")
    world.deliver()
    lane = world.claim()
    assert lane is not None
    world.client.hset(f"{P}turn:{scenario.number}", "plan", b"{}")  # a plan of a version nobody knows
    world.now += world.lease
    world.work()

    assert scenario.due == at + 2 * HOUR


def test_a_timer_due_during_a_pause_is_handled_after_the_pause(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls, unless=()), off_tag="off")
    scenario.contact_replies()
    scenario.world.simulator.staff_updates(scenario.number, staff=1, add_tags=["off"])
    scenario.advance(3 * HOUR)
    assert calls == []

    scenario.world.simulator.staff_updates(scenario.number, staff=1, remove_tags=["off"])
    scenario.advance()
    assert len(calls) == 1
    assert not any("gets our own changes" in line for line in scenario.history)


def test_the_history_reports_a_timer_without_a_handler(store: redis.Redis) -> None:
    scenario = Scenario(store, reminder([]))
    scenario.contact_replies()
    scenario.world.config = replace(scenario.world.config, handlers=scenario.world.config.handlers[:1])
    scenario.advance(3 * HOUR)

    assert scenario.due is None
    assert "later: the timer remind of vip is due, and no handler receives it any more" in scenario.history


@pytest.mark.parametrize("kept", [1, 0])
def test_a_due_timer_waits_for_a_worker_that_has_its_handler(store: redis.Redis, kept: int) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))
    scenario.contact_replies()
    new = scenario.world.config
    claim = replace(new.claim, read=bool(kept))
    scenario.world.config = replace(new, handlers=new.handlers[:kept], claim=claim)
    scenario.advance(2 * HOUR)
    scenario.advance(5 * 60_000)
    assert not calls
    assert scenario.due is not None
    scenario.world.config = new
    scenario.advance(60_000)
    scenario.advance(HOUR)

    assert len(calls) == 1
    assert scenario.notes == ["Nobody has answered."]
    assert scenario.due is None


def test_a_timer_that_waits_for_a_worker_can_be_ended(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))
    scenario.contact_replies()
    new = scenario.world.config
    scenario.world.config = replace(new, handlers=new.handlers[:1])
    scenario.advance(2 * HOUR)
    scenario.staff_replies()
    scenario.advance()
    scenario.world.config = new
    scenario.advance(HOUR)

    assert not calls
    assert scenario.due is None


def test_a_timer_fires_in_only_one_of_two_workers(store: redis.Redis) -> None:
    calls: TimerCalls = []
    scenario = Scenario(store, reminder(calls))
    world = scenario.world
    scenario.contact_replies()
    world.now += 2 * HOUR
    slow = world.claim()
    assert slow is not None
    turn = take_turn(slow, world.config)
    step = next(turn)
    while not isinstance(step, Decide):
        step = turn.send(world.perform(step))

    world.now += world.lease  # frozen: another worker takes the lane
    scenario.advance()
    assert scenario.notes == ["Nobody has answered."]
    assert _end(turn, world, step) == "lost"
    assert scenario.notes == ["Nobody has answered."]
    assert scenario.due is None


def _end(turn: Steps[TurnResult], world: SimulatedDeployment, step: Step) -> str:
    """Continue a turn from a step, and return how it ended."""
    try:
        while True:
            step = turn.send(world.perform(step))
    except StopIteration as stop:
        return str(stop.value.end)


def test_a_lane_with_a_timer_does_not_delay_another(store: redis.Redis) -> None:
    scenario = Scenario(store, reminder([]))
    scenario.contact_replies()
    other = scenario.world.simulator.create_ticket().id
    scenario.world.deliver()
    assert [result.plan.ticket["id"] for result in scenario.world.work() if result.plan] == [other]


def test_a_wait_can_count_working_hours_only() -> None:
    router = Router("vip")

    @router.on("contact-replied")
    def wait(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("2h", "remind", hours="Mon-Fri 09:00-17:00 Europe/Berlin")

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        """Receive the timer."""

    friday = datetime(2026, 1, 9, 15, tzinfo=UTC)  # 16:00 in Berlin
    waits = [run(router, ticket(), "contact-replied", now=at).timers["remind"] for at in (NOON, friday)]
    assert waits == [timedelta(hours=2), timedelta(days=2, hours=18)]


def test_hours_that_cannot_be_read_are_an_invalid_action() -> None:
    router = Router("vip")

    @router.on("contact-replied", "later", name="remind")
    def wait(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("2h", "remind", hours="9 to 5")

    [error] = run(router, ticket(), "contact-replied").failed.values()
    assert "'9 to 5' cannot be read as hours; write them as Mon-Fri" in str(error)
