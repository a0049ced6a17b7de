"""Timers: set by a handler, kept with the ticket, ended by what happens, handed to the router that set them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
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
from workers.testing import NOON
from workers.testing.desk import ACCOUNT, BOT, SimulatedDeployment
from workers.tickets.snapshot import decode

P = f"foxhooks:{{{ACCOUNT}}}:"
HOUR = 3_600_000

Rang = list[tuple[int, tuple[str, ...]]]
"""Who was called by a timer: ms of the turn, and the kinds of all changes it was shown."""


def reminder(rang: Rang, wait: Any = "2h", unless: tuple[str, ...] = ("staff-replied",)) -> Router:
    router = Router("vip")

    @router.on("contact-replied")
    def wait_for_staff(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later(wait, "remind", unless=unless)

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event, ctx: Context) -> None:
        rang.append((int(ctx.now.timestamp() * 1000), tuple(change.kind for change in event.changes)))
        ticket.note("Nobody has answered.")

    return router


class Play:
    """A ticket that the engine knows, and what happens to it."""

    def __init__(self, store: redis.Redis, *routers: Router, **config: Any) -> None:
        self.world = SimulatedDeployment(store, *routers, **config)
        self.number = self.world.simulator.create_ticket().id
        self.settle()

    def settle(self, wait: int = 0) -> None:
        """Lets ``wait`` ms pass, then delivers and works what is due."""
        self.world.now += wait
        for _ in range(4):  # echoes come two seconds behind
            self.world.deliver()
            self.world.work()
            self.world.now += 2_500

    def contact(self) -> int:
        """The contact replies; gives when that was worked."""
        self.world.simulator.contact_replies(self.number, "Hello?")
        self.world.deliver()
        at = self.world.now
        self.settle()
        return at

    def staff(self) -> None:
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
    def trail(self) -> list[str]:
        lines = self.world.client.lrange(f"{P}history:{self.number}", 0, -1)
        return [msgspec.json.decode(line)["text"] for line in lines]

    @property
    def alone(self) -> list[str]:
        """The lanes noted as waiting for a timer alone and for nothing else."""
        return [
            lane.decode()
            for lane in untyped(self.world.client).zrangebyscore(P + "schedule:timers", self.world.now, "+inf")
        ]


def test_a_timer_fires_once_when_it_is_due(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))

    at = play.contact()
    assert play.due == at + 2 * HOUR
    assert play.alone == [str(play.number)]
    play.settle(HOUR)
    assert rang == []
    play.world.now = at + 2 * HOUR - 1
    assert play.world.work() == []
    play.settle(1)

    assert rang == [(at + 2 * HOUR, ("later",))]
    assert play.notes == ["Nobody has answered."]
    assert play.due is None
    assert play.alone == []
    assert any(line.startswith("timer remind of vip: due 2026-") for line in play.trail)
    assert "later: the timer remind of vip is due" in play.trail


def test_it_survives_turns_that_do_not_concern_it(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))
    at = play.contact()

    play.world.simulator.staff_updates(play.number, priority="High", staff=1)
    play.settle(HOUR)

    assert rang == []
    assert play.due == at + 2 * HOUR
    assert play.alone == [str(play.number)]
    play.settle(HOUR)
    assert len(rang) == 1


def test_a_new_one_replaces_the_old(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))

    play.contact()
    play.settle(HOUR)
    again = play.contact()
    play.settle(3 * HOUR)

    assert len(rang) == 1
    assert rang[0][0] >= again + 2 * HOUR


def test_a_change_of_an_unless_kind_ends_the_timer(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))
    play.contact()

    play.staff()
    play.settle(HOUR)

    assert play.due is None
    assert play.alone == []
    play.settle(2 * HOUR)
    assert rang == []
    assert "timer remind of vip: ended by staff-replied" in play.trail


def test_a_reply_that_came_while_no_worker_looked_ends_it_too(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))
    play.contact()

    play.world.now += 3 * HOUR
    play.staff()  # its webhook is not there yet: only the read shows it
    play.world.work()

    assert rang == []
    assert play.due is None


def test_a_reply_behind_the_one_that_sets_it_ends_it_in_the_same_turn(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))

    play.world.simulator.contact_replies(play.number, "Hello?")
    play.staff()
    play.settle()

    assert play.due is None
    assert "timer remind of vip: not set, ended by staff-replied" in play.trail


def test_a_reply_before_the_one_that_sets_it_does_not(store: redis.Redis) -> None:
    play = Play(store, reminder([]))

    play.staff()
    play.world.simulator.contact_replies(play.number, "That does not help.")
    play.settle()

    assert play.alone == [str(play.number)]


def test_our_own_writes_do_not_end_it(store: redis.Redis) -> None:
    rang: list[Any] = []
    router = reminder(rang, unless=("staff-replied", "note-added", "tags-changed"))

    @router.on("contact-replied", "status-changed")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply("We are on it.")
        ticket.add_tags("open")
        ticket.note("Somebody should look.")

    play = Play(store, router)
    play.contact()
    play.settle(2 * HOUR)

    assert len(rang) == 1


def test_what_else_happened_shows_and_is_for_other_handlers_as_ever(store: redis.Redis) -> None:
    rang: Rang = []
    router = reminder(rang)
    snapshot: list[tuple[str, ...]] = []

    @router.on("ticket-updated")
    def any_change(ticket: Ticket, event: Event) -> None:
        snapshot.append(tuple(change.kind for change in event.changes))

    play = Play(store, router)
    play.contact()
    snapshot.clear()
    play.world.now += 3 * HOUR
    play.world.simulator.staff_updates(play.number, priority="High", staff=1)
    play.world.work()

    assert [kinds for _, kinds in rang] == [("priority-changed", "later")]
    assert snapshot == [("priority-changed",)]


def test_only_the_router_that_set_it_is_called(store: redis.Redis) -> None:
    called: list[str] = []
    one, other = reminder([]), Router("crm")

    @other.on("later", name="remind")
    def mine(ticket: Ticket, event: Event) -> None:
        called.append("crm")

    play = Play(store, one, other)
    play.contact()
    play.settle(2 * HOUR)

    assert called == []
    assert play.notes == ["Nobody has answered."]


@pytest.mark.parametrize("error", [GiveUp("no"), Retry("not yet", after="10m"), ValueError()])
def test_a_handler_that_fails_sets_none(store: redis.Redis, error: Exception) -> None:
    router = Router("vip")

    @router.on("contact-replied")
    def fails(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("1h", "remind")
        raise error

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        raise AssertionError

    play = Play(store, router)
    play.contact()

    stored = decode(untyped(play.world.client).get(f"{P}snapshot:{play.number}"))
    assert stored is not None
    assert stored.timers == ()


def test_a_handler_whose_call_failed_keeps_its_pending_timer_event(store: redis.Redis) -> None:
    rang: list[str] = []
    router = Router("vip")

    @router.on("contact-replied")
    def set_(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("1h", "remind")

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event, ctx: Context) -> None:
        rang.append(event.kind)
        if len(rang) == 1:
            raise Retry("not yet", after="10m")

    play = Play(store, router)
    play.contact()
    play.settle(HOUR)
    assert rang == ["later"]
    assert play.alone == []
    play.settle(HOUR)

    assert rang == ["later", "later"]
    assert play.due is None


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

    play = Play(store, router)
    play.contact()

    (dead_letter,) = (
        msgspec.json.decode(untyped(play.world.client).hget(f"{P}dead_letter:{each.decode()}", "evidence"))
        for each in untyped(play.world.client).zrange(P + "dead_letters", 0, -1)
    )
    assert dead_letter["handler"] == "vip.wrong"
    assert fix in dead_letter["reason"]
    assert play.alone == [str(play.number)]  # the other handler's timer


@pytest.mark.parametrize("wait", [7200, "2h", "120m", timedelta(hours=2)])
def test_a_wait_is_written_as_that_of_a_retry(wait: Any) -> None:
    unused: Any = None
    ctx = Context(ticket=1, now=NOON, settings=None, log=unused, happyfox=unused, act=unused, timers=("remind",))
    ctx.later(wait, "remind")
    assert ctx.actions == [Later("remind", 2 * HOUR)]


def test_in_a_dry_run_a_timer_fires_and_nothing_is_sent(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang), dry_run=True)
    play.contact()
    play.settle(2 * HOUR)

    assert len(rang) == 1
    assert play.notes == []


def test_last_seen_is_kept_as_long_as_its_timers_run(store: redis.Redis) -> None:
    play = Play(store, reminder([], wait="200d"), snapshot_ttl=90 * 86_400_000)
    play.contact()
    life = play.world.client.pttl(f"{P}snapshot:{play.number}")
    assert life > 200 * 86_400_000


def test_a_turn_that_could_not_read_the_ticket_keeps_the_timers_to_come(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))
    at = play.contact()
    world = play.world
    world.simulator.contact_replies(play.number, "And?")
    world.deliver()
    lane = world.claim()
    assert lane is not None
    world.client.hset(f"{P}turn:{play.number}", "plan", b"{}")  # a plan of a version nobody knows
    world.now += world.lease
    world.work()

    assert play.due == at + 2 * HOUR


def test_what_rang_while_the_ticket_was_paused_is_handled_when_the_pause_ends(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang, unless=()), off_tag="off")
    play.contact()
    play.world.simulator.staff_updates(play.number, staff=1, add_tags=["off"])
    play.settle(3 * HOUR)
    assert rang == []

    play.world.simulator.staff_updates(play.number, staff=1, remove_tags=["off"])
    play.settle()
    assert len(rang) == 1
    assert not any("gets our own changes" in line for line in play.trail)


def test_the_history_reports_a_timer_that_no_handler_receives_any_more(store: redis.Redis) -> None:
    play = Play(store, reminder([]))
    play.contact()
    play.world.config = replace(play.world.config, handlers=play.world.config.handlers[:1])
    play.settle(3 * HOUR)

    assert play.due is None
    assert "later: the timer remind of vip is due, and no handler receives it any more" in play.trail


@pytest.mark.parametrize("kept", [1, 0])
def test_it_waits_for_a_worker_that_knows_it(store: redis.Redis, kept: int) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))
    play.contact()
    new = play.world.config
    claim = replace(new.claim, read=bool(kept))
    play.world.config = replace(new, handlers=new.handlers[:kept], claim=claim)
    play.settle(2 * HOUR)
    play.settle(5 * 60_000)
    assert not rang
    assert play.due is not None
    play.world.config = new
    play.settle(60_000)
    play.settle(HOUR)

    assert len(rang) == 1
    assert play.notes == ["Nobody has answered."]
    assert play.due is None


def test_what_ends_it_ends_it_also_while_it_waits_for_a_worker(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))
    play.contact()
    new = play.world.config
    play.world.config = replace(new, handlers=new.handlers[:1])
    play.settle(2 * HOUR)
    play.staff()
    play.settle()
    play.world.config = new
    play.settle(HOUR)

    assert not rang
    assert play.due is None


def test_of_two_workers_only_one_has_it_ring(store: redis.Redis) -> None:
    rang: Rang = []
    play = Play(store, reminder(rang))
    world = play.world
    play.contact()
    world.now += 2 * HOUR
    slow = world.claim()
    assert slow is not None
    turn = take_turn(slow, world.config)
    step = next(turn)
    while not isinstance(step, Decide):
        step = turn.send(world.perform(step))

    world.now += world.lease  # frozen: another worker takes the lane
    play.settle()
    assert play.notes == ["Nobody has answered."]
    assert _end(turn, world, step) == "lost"
    assert play.notes == ["Nobody has answered."]
    assert play.due is None


def _end(turn: Steps[TurnResult], world: SimulatedDeployment, step: Step) -> str:
    """Drives a turn on from a step; gives how it ended."""
    try:
        while True:
            step = turn.send(world.perform(step))
    except StopIteration as stop:
        return str(stop.value.end)


def test_a_lane_that_waits_for_a_timer_does_not_keep_another_waiting(store: redis.Redis) -> None:
    play = Play(store, reminder([]))
    play.contact()
    other = play.world.simulator.create_ticket().id
    play.world.deliver()
    assert [result.plan.ticket["id"] for result in play.world.work() if result.plan] == [other]
