"""Merged tickets: nothing happens on the ticket that is gone, and nothing twice on the one that stays."""

from typing import Any

import pytest
import redis

from tests.support.stores import untyped
from tests.support.turns import dead_letters
from workers import Context, Event, Retry, Router, Ticket
from workers.simulator import HookFault
from workers.store.records import AccountRecords
from workers.testing.desk import ACCOUNT, BOT, SimulatedDeployment
from workers.tickets.snapshot import decode

READS = ["itself", "survivor"]
ROWS = ["kept", "copied"]


class Desk:
    """A world whose handler answers every message; ``runs`` has the ticket, kinds and texts of each run."""

    def __init__(self, store: redis.Redis, *, fails: int = 0, **options: Any) -> None:
        self.runs: list[tuple[int, list[str], list[str]]] = []
        self.events: list[Event] = []
        router = Router("clerk")

        @router.on("ticket-created", "ticket-updated")
        def answer(ticket: Ticket, event: Event) -> None:
            self.events.append(event)
            kinds = [change.kind for change in event.changes]
            self.runs.append((ticket.id, kinds, [change.text.strip() for change in event.changes if change.text]))
            if len(self.runs) <= fails:
                raise Retry("later", after="1m")
            for change in event.changes:
                if change.kind in ("ticket-created", "contact-replied"):
                    ticket.reply(f"Answer to: {change.text.strip()}")

        self.world = SimulatedDeployment(store, router, options=options)

    def told(self) -> None:
        self.world.deliver()
        self.world.settle_down()

    def opened(self, *texts: str) -> None:
        for text in texts:
            self.world.simulator.create_ticket(text=text)
            self.told()

    def later(self, seconds: int = 3600) -> None:
        self.world.now += seconds * 1000

    def history(self, number: int) -> list[str]:
        return [line.text for line in AccountRecords(self.world.client, ACCOUNT).history(number)]

    def posts(self) -> list[str]:
        return [call.path for call in self.world.simulator.log if call.method == "POST"]


@pytest.mark.parametrize("merged_reads", READS)
def test_nothing_runs_and_nothing_is_written_on_a_merged_ticket(store: redis.Redis, merged_reads: str) -> None:
    desk = Desk(store, merged_reads=merged_reads)
    desk.opened("First.", "Second.")
    before, posts = decode(untyped(store).get(f"foxhooks:{{{ACCOUNT}}}:snapshot:1")), desk.posts()
    desk.later()
    desk.world.simulator.contact_replies(1, "Hello?")
    desk.world.simulator.merge(1, into=2)
    desk.told()

    assert [number for number, _, _ in desk.runs] == [1, 2, 2]
    assert not [path for path in desk.posts()[len(posts) :] if "ticket/1/" in path]
    assert "the ticket was merged into #2" in desk.history(1)
    assert decode(untyped(store).get(f"foxhooks:{{{ACCOUNT}}}:snapshot:1")) == before
    assert dead_letters(store) == {}


@pytest.mark.parametrize("merged_reads", READS)
def test_pending_work_of_a_merged_ticket_is_dead_lettered(store: redis.Redis, merged_reads: str) -> None:
    desk = Desk(store, fails=1, merged_reads=merged_reads)
    desk.world.simulator.create_ticket(text="First.")
    desk.world.simulator.create_ticket(text="Second.")
    desk.world.deliver()
    desk.world.work()
    desk.world.simulator.merge(1, into=2)
    desk.told()

    [dead] = dead_letters(store).values()
    assert (dead["handler"], dead["reason"]) == ("clerk.answer", "the ticket was merged into #2")
    assert [change["text"].strip() for change in dead["changes"]] == ["First."]
    assert "clerk.answer failed for good: the ticket was merged into #2" in desk.history(1)
    assert not store.zcard(f"foxhooks:{{{ACCOUNT}}}:schedule")


def test_the_timers_of_a_merged_ticket_end(store: redis.Redis) -> None:
    router, rung = Router("clerk"), []

    @router.on("ticket-created")
    def wait(ticket: Ticket, event: Event, ctx: Context[None]) -> None:
        ctx.later("2h", "remind")

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        rung.append(ticket.id)

    world = SimulatedDeployment(store, router)
    for _ in range(2):
        world.simulator.create_ticket()
        world.deliver()
        world.work()
    world.simulator.merge(1, into=2)
    world.deliver()
    world.settle_down(most=10_800_000, step=60_000)

    assert rung == [2]
    told = [line.text for line in AccountRecords(store, ACCOUNT).history(1)]
    assert "timer remind of clerk: ended, because the ticket was merged into #2" in told


@pytest.mark.parametrize("merged_updates", ROWS)
@pytest.mark.parametrize("seconds", [1, 3600])
def test_messages_answered_on_the_merged_ticket_are_not_answered_again(
    store: redis.Redis, merged_updates: str, seconds: int
) -> None:
    desk = Desk(store, merged_updates=merged_updates)
    desk.opened("First.", "Second.")
    desk.world.simulator.contact_replies(1, "More.")
    desk.told()
    desk.later(seconds)
    posts = desk.posts()
    desk.world.simulator.merge(1, into=2)
    desk.told()

    assert desk.runs[3:] == [(2, ["ticket-updated"], [])]
    [change] = desk.events[-1].changes
    assert (change.name, change.new and change.new.id) == ("merged", 1)
    assert desk.posts() == posts
    assert "ticket-updated: #1 was merged into this ticket" in desk.history(2)


@pytest.mark.parametrize("merged_updates", ROWS)
def test_a_merge_is_shown_once_and_later_changes_as_usual(store: redis.Redis, merged_updates: str) -> None:
    desk = Desk(store, merged_updates=merged_updates)
    desk.opened("First.", "Second.")
    desk.later()
    desk.world.simulator.merge(1, into=2)
    desk.told()
    desk.world.simulator.contact_replies(2, "Hello?")
    desk.told()

    assert desk.runs[-1] == (2, ["contact-replied"], ["Hello?"])


def test_an_older_survivor_gets_its_own_new_reply_in_the_same_turn(store: redis.Redis) -> None:
    desk = Desk(store)
    desk.opened("First.", "Second.")
    desk.later()
    desk.world.simulator.merge(2, into=1)
    desk.world.simulator.contact_replies(1, "Hello?")
    desk.told()

    assert desk.runs[2:] == [(1, ["contact-replied", "ticket-updated"], ["Hello?"])]


def test_unanswered_messages_are_answered_on_the_surviving_ticket(store: redis.Redis) -> None:
    desk = Desk(store)
    desk.opened("First.", "Second.")
    desk.later()
    desk.world.simulator.contact_replies(1, "Anybody?")
    desk.later(600)
    desk.world.simulator.merge(1, into=2)
    desk.told()

    assert desk.runs[2:] == [(2, ["contact-replied", "ticket-updated"], ["Anybody?"])]
    assert desk.world.ticket(2)["updates"][-1]["message"]["text"].strip() == "Answer to: Anybody?"


def test_only_recent_updates_of_an_unknown_merged_ticket_are_new(store: redis.Redis) -> None:
    desk = Desk(store)
    desk.opened("First.", "Second.")
    store.delete(f"foxhooks:{{{ACCOUNT}}}:snapshot:1")
    desk.later()
    desk.world.simulator.contact_replies(1, "Anybody?")
    desk.world.simulator.merge(1, into=2)
    desk.told()

    assert desk.runs[2:] == [(2, ["contact-replied", "ticket-updated"], ["Anybody?"])]


def test_properties_of_a_merged_ticket_do_not_change_the_surviving_one(store: redis.Redis) -> None:
    desk = Desk(store)
    desk.opened("First.", "Second.")
    desk.later()
    desk.world.simulator.staff_updates(1, status="Closed", text="Goes on in the other ticket.")
    desk.world.simulator.merge(1, into=2)
    desk.told()

    assert desk.runs[2:] == [(2, ["staff-replied", "ticket-updated"], ["Goes on in the other ticket."])]


def test_an_unknown_survivor_gets_no_answers_that_the_merged_ticket_got(store: redis.Redis) -> None:
    desk = Desk(store)
    desk.world.simulator.hook_faults.add(HookFault("drop"))
    desk.opened("First.")
    desk.later()
    desk.opened("Second.")
    desk.world.simulator.merge(2, into=1)
    desk.told()

    assert desk.runs == [(2, ["ticket-created"], ["Second."]), (1, ["ticket-updated"], [])]


@pytest.mark.parametrize("merged_reads", READS)
def test_a_merge_ends_a_stored_plan_at_the_next_read(store: redis.Redis, merged_reads: str) -> None:
    desk = Desk(store, merged_reads=merged_reads)
    desk.opened("First.", "Second.")
    desk.world.simulator.contact_replies(1, "Hello?")
    desk.world.deliver()
    lane = desk.world.claim()
    assert lane is not None

    def merge(step: Any, result: Any) -> Any:
        if getattr(step, "name", "") == "plan":
            desk.world.simulator.merge(1, into=2)
        return result

    desk.world.after = merge
    desk.world.drive(lane)
    desk.told()

    [dead] = dead_letters(store).values()
    assert dead["reason"] == "the ticket was merged into #2"
    assert "reply: not sent, the ticket was merged into #2" in desk.history(1)
    assert not [
        update for update in desk.world.simulator.account.tickets[1].updates[2:] if update.shown["by"]["id"] == BOT
    ]


def test_a_merged_ticket_that_answers_404_is_treated_as_deleted(store: redis.Redis) -> None:
    desk = Desk(store, merged_reads="missing")
    desk.opened("First.", "Second.")
    desk.later()
    desk.world.simulator.contact_replies(1, "Hello?")
    desk.world.simulator.merge(1, into=2)
    desk.told()

    assert desk.history(1)[-1] == "the ticket is gone"
    assert [number for number, _, _ in desk.runs] == [1, 2, 2]
