"""What the store has lost proves later, too, what was done: after a retry, a pause, or on another ticket."""

import dataclasses
from collections.abc import Callable

import pytest
import redis

from tests.support.restored import World
from workers import Context, Event, Retry, Router, Ticket
from workers.store.memory import Seen
from workers.store.pauses import Pause, Scope, pause, resume
from workers.store.records import AccountRecords
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash

Words = Callable[[], str]


@pytest.fixture(params=["the same words", "other words"])
def words(request: pytest.FixtureRequest) -> Words:
    """Return a function for the text of an answer: always the same, or different each time."""
    count = iter(range(1, 100))
    return lambda: "We are on it." if request.param == "the same words" else f"Answer {next(count)}."


def clerk(words: Words, failures: list[str]) -> Router:
    """Return a router that answers contacts, and fails while ``failures`` has entries."""
    router = Router("clerk")

    @router.on("contact-replied")
    def answer(ticket: Ticket) -> None:
        if failures:
            failures.pop()
            raise Retry("not yet", after="60s")
        ticket.reply(words())

    return router


def opened(store: redis.Redis, router: Router, tickets: int = 1, **config: object) -> World:
    world = World(store, router, **config)
    for _ in range(tickets):
        world.world.simulator.create_ticket()
    world.work(600)
    return world


def test_a_retry_after_the_first_turn_answers_nobody_twice(store: redis.Redis, words: Words) -> None:
    failures: list[str] = []
    world = opened(store, clerk(words, failures))
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    [answer] = world.texts()
    failures.append("once")
    world.restore()
    died = world.world.now
    claim = dataclasses.replace(
        world.world.config.claim, seen=lambda: Seen("the server that was copied", world.world.now - died)
    )
    world.world.config = dataclasses.replace(world.world.config, claim=claim)
    world.change_priority()
    world.keep_working()
    assert failures == []
    assert world.texts() == [answer]


def test_a_loss_in_the_middle_of_a_backlog_loses_no_message(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def note(ticket: Ticket, event: Event) -> None:
        for change in event.matched:
            ticket.note(f"Noted: {change.text.strip()}")

    world = opened(store, router)
    for number in range(5):
        world.world.simulator.contact_replies(1, f"Message {number}.")
    world.world.deliver()
    world.back_up()
    world.world.now += 600_000  # all workers were busy for ten minutes
    begun = 0

    def crash(step: object) -> None:
        nonlocal begun
        begun += isinstance(step, Script) and step.name == "begin"
        if begun == 3:
            raise Crash

    world.world.before = crash
    lane = world.world.claim()
    assert lane is not None
    with pytest.raises(Crash):
        world.world.drive(lane)
    world.world.before = lambda _: None
    assert world.texts() == ["Noted: Message 0.", "Noted: Message 1."]
    world.restore()
    died = world.world.now
    claim = dataclasses.replace(
        world.world.config.claim, seen=lambda: Seen("the server that was copied", world.world.now - died)
    )
    world.world.config = dataclasses.replace(world.world.config, claim=claim)
    world.keep_working()
    assert world.texts() == [f"Noted: Message {number}." for number in range(5)]


def test_a_retry_that_the_copy_was_waiting_for_answers_nobody_twice(store: redis.Redis, words: Words) -> None:
    failures = ["once"]
    world = opened(store, clerk(words, failures))
    world.world.simulator.contact_replies(1, "Hello?")
    world.take_turns()
    assert (failures, world.texts()) == ([], [])
    world.back_up()
    world.keep_working()
    [answer] = world.texts()
    world.restore()
    world.change_priority()
    world.keep_working()
    assert world.texts() == [answer]


def test_a_retry_together_with_a_new_message_answers_nobody_twice(store: redis.Redis) -> None:
    count, failures = iter(range(1, 100)), ["once"]
    world = opened(store, clerk(lambda: f"Answer {next(count)}.", failures))
    world.world.simulator.contact_replies(1, "Hello?")
    world.take_turns()
    world.back_up()
    world.keep_working()
    assert world.texts() == ["Answer 1."]
    world.restore()
    world.world.simulator.contact_replies(1, "Thank you, and one more thing.")
    world.keep_working()
    assert world.texts() == ["Answer 1."]
    [held] = AccountRecords(world.store, ACCOUNT).dead_letters()
    assert "in other words" in held.reason


@pytest.mark.parametrize(("scope", "name"), [("account", ""), ("router", "clerk"), ("ticket", "1")])
def test_a_pause_in_the_copy_answers_nobody_twice(store: redis.Redis, words: Words, scope: Scope, name: str) -> None:
    world = opened(store, clerk(words, []))
    world.world.store.run(pause(ACCOUNT, scope, name, Pause(world.world.now, "ada")))
    world.world.simulator.contact_replies(1, "Hello?")
    world.work(5)
    world.back_up()
    world.world.store.run(resume(ACCOUNT, scope, name))
    world.keep_working()
    [answer] = world.texts()
    world.restore()
    world.change_priority()
    world.world.store.run(resume(ACCOUNT, scope, name))
    world.keep_working()
    assert world.texts() == [answer]


def linker(words: Words) -> Router:
    """Return a router that answers on the second ticket what is asked on the first."""
    router = Router("linker")

    @router.on("contact-replied", when=lambda ticket: ticket.id == 1)
    def link(ticket: Ticket, ctx: Context) -> None:
        ctx.on_ticket(2).reply(words())

    return router


@pytest.mark.parametrize("copy", ["before the message", "with the actions handed over"])
@pytest.mark.parametrize("first", [1, 2])
def test_actions_for_another_ticket_answer_nobody_twice(
    store: redis.Redis, words: Words, copy: str, first: int
) -> None:
    world = opened(store, linker(words), tickets=2)
    if copy == "before the message":
        world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    if copy != "before the message":
        world.world.deliver()
        lane = world.world.claim()
        assert lane is not None
        world.world.drive(lane)
        world.back_up()
    world.work()
    [answer] = world.texts(2)
    world.restore()
    for number in (first, 3 - first):
        world.change_priority(number)
    world.keep_working()
    assert world.texts(2) == [answer]


def test_a_new_message_for_another_ticket_is_answered(store: redis.Redis) -> None:
    world = opened(store, linker(lambda: "We are on it."), tickets=2)
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    world.restore()
    world.change_priority(2)
    world.change_priority(1)
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.keep_working()
    assert world.texts(2) == ["We are on it."] * 2


@pytest.mark.parametrize("waits", ["retry", "pause"])
def test_a_ticket_that_we_created_is_not_created_again_later(store: redis.Redis, waits: str) -> None:
    router, failures = Router("clerk"), ["once"] if waits == "retry" else []

    @router.on("contact-replied")
    def copy(ticket: Ticket, ctx: Context) -> None:
        if failures:
            failures.pop()
            raise Retry("not yet", after="60s")
        ctx.create_ticket(subject="Copy", text="A copy.", category=1, email="sam@bigcorp.example")

    world = opened(store, router, allow=frozenset({("clerk", "create")}))
    if waits == "pause":
        world.world.store.run(pause(ACCOUNT, "router", "clerk", Pause(world.world.now, "ada")))
    world.world.simulator.contact_replies(1, "Hello?")
    world.take_turns()
    world.back_up()
    world.world.store.run(resume(ACCOUNT, "router", "clerk"))
    world.keep_working()
    assert len(world.world.simulator.account.tickets) == 2
    world.restore()
    world.change_priority()
    world.world.store.run(resume(ACCOUNT, "router", "clerk"))
    world.keep_working()
    assert len(world.world.simulator.account.tickets) == 2


def test_a_lost_reminder_does_not_stand_for_the_next_one(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def wait(ticket: Ticket, ctx: Context) -> None:
        ctx.later("1h", name="remind")

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        ticket.note("Nobody has answered for an hour.")

    world = opened(store, router)
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    world.work(3_700)
    assert len(world.texts()) == 1
    world.restore()
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.work()
    world.work(3_700)
    assert world.texts() == ["Nobody has answered for an hour."] * 2


def test_an_answer_to_a_new_message_may_have_the_words_of_a_lost_one(store: redis.Redis) -> None:
    failures: list[str] = []
    world = opened(store, clerk(lambda: "We are on it.", failures))
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    world.restore()
    world.change_priority()
    failures.append("once")
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.keep_working()
    assert world.texts() == ["We are on it."] * 2
