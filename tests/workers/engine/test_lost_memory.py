"""An older copy of the store: what we did since is ours, is not done twice, and nothing of others is lost."""

import contextlib
import dataclasses

import pytest
import redis

from tests.support import stores
from tests.support.restored import World
from tests.support.turns import P, finish
from workers import Context, Event, Router, Ticket
from workers.plugins.invoke import Bound
from workers.store.audit import By
from workers.store.memory import Seen, doubt
from workers.store.records import AccountRecords
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash


def clerk(runs: list[list[str]]) -> Router:
    """Return a router whose texts differ each time, so that nothing is recognized by its words alone."""
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied", "staff-replied", "note-added", "status-changed", "tags-changed")
    def file(ticket: Ticket, event: Event) -> None:
        runs.append([f"{change.kind} by {change.actor.kind}" for change in event.matched])
        ticket.note(f"Run {len(runs)} read it.")
        if any(change.kind in ("ticket-created", "contact-replied") for change in event.matched):
            ticket.reply(f"Answer {len(runs)}.", status="In Progress")
            ticket.add_tags(f"run-{len(runs)}")

    return router


@pytest.fixture
def runs() -> list[list[str]]:
    return []


@pytest.fixture
def world(store: redis.Redis, runs: list[list[str]]) -> World:
    world = World(store, clerk(runs))
    world.world.simulator.create_ticket()
    world.work()
    return world


@pytest.fixture(params=[1, 600, 100_000])
def restored(request: pytest.FixtureRequest, world: World, runs: list[list[str]]) -> World:
    """Return a world that answered a message, and lost all memory of it."""
    world.work(600)
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    world.world.now += request.param * 1000
    world.restore()
    runs.clear()
    return world


def test_our_own_webhooks_do_nothing_again(restored: World, runs: list[list[str]]) -> None:
    before = restored.texts()
    for update in restored.world.ticket(1)["updates"]:
        restored.receive(update["update_id"])
        restored.work(5)
    assert (runs, restored.texts()) == ([], before)


def test_a_new_message_is_answered_and_the_old_one_is_not_answered_again(
    restored: World, runs: list[list[str]]
) -> None:
    before = restored.texts()
    restored.world.simulator.contact_replies(1, "Are you there?")
    restored.work()
    assert runs == [["contact-replied by contact"]]
    assert restored.texts() == [*before, "Run 1 read it.", "Answer 1."]
    assert "memory is in doubt" in restored.history()


def test_a_colleague_is_seen_and_we_are_not_taken_for_one(restored: World, runs: list[list[str]]) -> None:
    before = restored.texts()
    restored.world.simulator.staff_updates(1, 1, text="I take over.", status="On Hold")
    restored.work()
    assert runs == [["staff-replied by staff", "status-changed by staff"]]
    assert restored.texts() == [*before, "Run 1 read it."]


@pytest.mark.parametrize("answered", [False, True], ids=["nothing answered", "one answered"])
def test_a_message_that_the_lost_time_did_not_answer_is_answered(
    world: World, runs: list[list[str]], answered: bool
) -> None:
    world.back_up()
    if answered:
        world.world.simulator.contact_replies(1, "Hello?")
        world.work()
    world.world.now += 5_000
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.world.simulator.take_deliveries()
    world.world.now += 60_000
    world.restore()
    runs.clear()
    before = world.texts()
    world.world.simulator.staff_updates(1, 1, priority="High")
    world.work()
    assert runs == [["contact-replied by contact"]]
    assert world.texts() == [*before, "Run 1 read it.", "Answer 1."]


@pytest.mark.parametrize("seconds", [1, 600, 20_000])
def test_a_ticket_that_the_copy_does_not_know_is_not_greeted_again(
    store: redis.Redis, runs: list[list[str]], seconds: int
) -> None:
    world = World(store, clerk(runs))
    world.world.simulator.create_ticket()
    world.work()
    world.back_up()
    world.world.simulator.create_ticket()
    world.work()
    world.world.simulator.create_ticket()  # nobody has greeted this contact
    world.world.simulator.take_deliveries()
    world.world.now += seconds * 1000
    world.restore()
    runs.clear()
    before = world.texts(2)
    for number in (2, 3):
        world.world.simulator.contact_replies(number, "Are you there?")
        world.work()
    assert world.texts(2) == [*before, "Run 1 read it.", "Answer 1."]
    assert runs == [["contact-replied by contact"], ["ticket-created by contact", "contact-replied by contact"]]


def test_the_second_of_two_restores_is_noticed_too(restored: World, runs: list[list[str]]) -> None:
    before = restored.texts()
    for message in ("Are you there?", "Still there?"):
        restored.world.simulator.contact_replies(1, message)
        restored.work(5)
        restored.restore()
    restored.world.simulator.staff_updates(1, 1, priority="High")
    restored.work(5)
    assert runs == [["contact-replied by contact"]] * 2
    assert restored.texts() == [*before, "Run 1 read it.", "Answer 1.", "Run 2 read it.", "Answer 2."]


def test_a_restart_without_loss_changes_nothing(world: World, runs: list[list[str]]) -> None:
    world.world.simulator.contact_replies(1, "Hello?")
    world.world.simulator.staff_updates(1, 1, add_tags=["vip"])
    world.world.deliver()
    runs.clear()
    world.back_up()
    world.restore()
    world.work()
    assert runs == [["contact-replied by contact", "tags-changed by staff"]]
    world.back_up()
    world.restore()
    world.world.simulator.staff_updates(1, 1, text="Done.", status="Closed")
    world.work(5)
    assert runs[1:] == [["staff-replied by staff", "status-changed by staff"]]


@pytest.mark.parametrize("done", range(4))
def test_what_the_lost_time_did_of_a_stored_plan_is_not_done_again(
    world: World, runs: list[list[str]], done: int
) -> None:
    calls = 0

    def crash(step: object) -> None:
        nonlocal calls
        if isinstance(step, Script) and step.name == "begin":
            calls += 1
            if calls == done:
                raise Crash

    world.world.simulator.contact_replies(1, "Hello?")
    world.world.deliver()
    world.world.before = crash
    lane = world.world.claim()
    assert lane is not None
    with contextlib.suppress(Crash):
        world.world.drive(lane)
    world.world.before = lambda _: None
    world.back_up()
    finish(world.world)
    complete = world.texts()
    world.restore()
    finish(world.world)
    world.world.simulator.contact_replies(1, "Are you there?")
    world.work(5)
    assert runs == [["ticket-created by contact"], ["contact-replied by contact"], ["contact-replied by contact"]]
    assert world.texts() == [*complete, "Run 3 read it.", "Answer 3."]


def test_a_plan_that_nobody_carried_out_is_carried_out(world: World, runs: list[list[str]]) -> None:
    def crash(step: object) -> None:
        if isinstance(step, Script) and step.name == "begin":
            raise Crash

    world.world.simulator.contact_replies(1, "Hello?")
    world.world.deliver()
    world.world.before = crash
    lane = world.world.claim()
    assert lane is not None
    with pytest.raises(Crash):
        world.world.drive(lane)
    world.world.before = lambda _: None
    before = world.texts()
    world.back_up()
    world.restore()
    finish(world.world)
    assert world.texts() == [*before, "Run 2 read it.", "Answer 2."]
    assert len(runs) == 2


def test_a_handler_that_runs_once_does_not_act_a_second_time(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def greet(ticket: Ticket) -> None:
        ticket.reply("Welcome.")

    world = World(store, router)
    [bound] = world.world.config.handlers
    once = Bound(dataclasses.replace(bound.handler, once=True))
    world.world.config = dataclasses.replace(world.world.config, handlers=(once,))
    world.world.simulator.create_ticket()
    world.work()
    world.back_up()
    world.world.simulator.create_ticket()
    world.work()
    world.restore()
    world.world.simulator.contact_replies(2, "Thank you.")
    world.work(5)
    assert world.texts(2) == ["Welcome."]


def test_a_timer_that_has_run_does_not_run_again(store: redis.Redis) -> None:
    router = Router("clerk")
    runs: list[str] = []

    @router.on("ticket-created")
    def wait(ticket: Ticket, ctx: Context) -> None:
        ctx.later("1h", name="remind")

    @router.on("later", name="remind")
    def remind(ticket: Ticket) -> None:
        runs.append("remind")
        ticket.reply(f"Reminder {len(runs)}.")

    world = World(store, router)
    world.world.simulator.create_ticket()
    world.world.deliver()
    world.world.work()
    world.back_up()
    world.work(3_600)
    assert world.texts() == ["Reminder 1."]
    world.restore()
    world.work(60)
    assert world.texts() == ["Reminder 1."]
    assert "has run in the time" in world.history()


def test_a_ticket_that_we_created_is_not_created_again(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created", when=lambda ticket: ticket.subject != "Copy")
    def copy(ticket: Ticket, ctx: Context) -> None:
        ctx.create_ticket(subject="Copy", text="A copy.", category=1, email="sam@bigcorp.example")

    world = World(store, router, allow=frozenset({("clerk", "create")}))
    world.world.simulator.create_ticket(subject="Copy")
    world.work()
    world.back_up()
    world.world.simulator.create_ticket()
    world.work()
    assert len(world.world.simulator.account.tickets) == 3
    world.world.now += 60_000
    world.restore()
    world.world.simulator.contact_replies(2, "Thank you.")
    world.work()
    assert len(world.world.simulator.account.tickets) == 3


def test_a_person_can_report_a_restore_that_keeps_the_server(world: World, runs: list[list[str]]) -> None:
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    before = world.texts()
    name = stores.untyped(world.store).hget(f"{P}memory", "server")
    world.restore()
    world.store.hset(f"{P}memory", "server", name)
    world.world.store.run(doubt(ACCOUNT, By("ada")))
    runs.clear()
    world.world.simulator.contact_replies(1, "Are you there?")
    world.work(5)
    assert runs == [["contact-replied by contact"]]
    assert world.texts() == [*before, "Run 1 read it.", "Answer 1."]


@pytest.mark.parametrize("first", ["a surviving worker", "a new worker"])
def test_an_answer_in_other_words_is_held_if_its_turn_may_be_incomplete(
    world: World, runs: list[list[str]], first: str
) -> None:
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    replies = [text for text in world.texts() if text.startswith("Answer")]
    world.restore()
    died = world.world.now
    world.world.simulator.contact_replies(1, "Are you there?")
    if first == "a new worker":  # it does not know until when the server worked, so it waits for one that does
        runs.clear()
        world.world.deliver()
        world.world.work()
        assert runs == []
    seen = dataclasses.replace(
        world.world.config.claim, seen=lambda: Seen("the server that was copied", world.world.now - died)
    )
    world.world.config = dataclasses.replace(world.world.config, claim=seen)
    world.work(5)
    assert runs[-2:] == [["contact-replied by contact"]] * 2
    assert [text for text in world.texts() if text.startswith("Answer")] == [*replies, f"Answer {len(runs)}."]
    [held] = AccountRecords(world.store, ACCOUNT).dead_letters()
    assert "in other words" in held.reason


def test_automatic_answers_that_the_copy_knew_do_not_reset_the_emails_in_a_row(world: World) -> None:
    def answer_automatically(times: int) -> None:
        for _ in range(times):
            world.world.simulator.contact_replies(1, "I am out of the office until next Monday morning, sorry.")
            world.work(600)

    answer_automatically(2)  # the first one might still be a person's
    world.back_up()
    answer_automatically(2)
    answers = [text for text in world.texts() if text.startswith("Answer")]
    assert len(answers) == 4  # one for the ticket, three in a row
    world.restore()
    answer_automatically(3)
    assert [text for text in world.texts() if text.startswith("Answer")] == answers


def test_nothing_is_written_while_a_call_from_the_lost_time_may_take_effect(world: World) -> None:
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.restore()
    before = world.texts()
    noticed = world.world.now
    world.world.deliver()
    world.world.work()
    assert world.texts() == before
    world.world.now = noticed + world.world.config.call_ms + world.world.config.doubt_ms
    world.world.work()
    assert len(world.texts()) == len(before) + 2
