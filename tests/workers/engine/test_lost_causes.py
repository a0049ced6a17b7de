"""What an action reacts to decides whether the time that the store has lost may have done it already."""

import dataclasses
from collections.abc import Callable

import pytest
import redis

from tests.support.restored import World
from workers import Context, Event, GiveUp, Retry, Router, Ticket
from workers.plugins.invoke import Bound
from workers.store.memory import Seen
from workers.store.records import AccountRecords, replay
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash

Words = Callable[[], str]

DAY = 86_400_000


@pytest.fixture(params=["the same words", "other words"])
def words(request: pytest.FixtureRequest) -> Words:
    """Return a function for the text of an answer: always the same, or different each time."""
    count = iter(range(1, 100))
    return lambda: "We are on it." if request.param == "the same words" else f"Answer {next(count)}."


def clerk(words: Words, fail: Callable[[], None] = lambda: None) -> Router:
    """Return a router that answers contacts, unless ``fail`` raises."""
    router = Router("clerk")

    @router.on("contact-replied")
    def answer(ticket: Ticket) -> None:
        fail()
        ticket.reply(words())

    return router


def failing(*errors: Exception) -> Callable[[], None]:
    """Return a function that raises each of these errors once."""
    left = list(errors)

    def fail() -> None:
        if left:
            raise left.pop(0)

    return fail


def opened(store: redis.Redis, router: Router, tickets: int = 1, *, once: bool = False) -> World:
    allow = frozenset((router.name, each) for each in ("reply", "forward", "create"))
    world = World(store, router, allow=allow)
    if once:
        bound = tuple(Bound(dataclasses.replace(each.handler, once=True)) for each in world.world.config.handlers)
        world.world.config = dataclasses.replace(world.world.config, handlers=bound)
    for _ in range(tickets):
        world.world.simulator.create_ticket()
    world.work(600)
    return world


def reasons(world: World) -> list[str]:
    return [each.reason for each in AccountRecords(world.store, ACCOUNT).dead_letters()]


def linker(act: Callable[[Ticket, Context], None], fail: Callable[[], None] = lambda: None) -> Router:
    """Return a router that acts on what contacts write on the first ticket."""
    router = Router("linker")

    @router.on("contact-replied", when=lambda ticket: ticket.id == 1)
    def link(ticket: Ticket, ctx: Context) -> None:
        fail()
        act(ticket, ctx)

    return router


@pytest.mark.parametrize("action", ["reply", "forward"])
def test_new_actions_for_another_ticket_are_not_taken_for_lost_ones(store: redis.Redis, action: str) -> None:
    def act(ticket: Ticket, ctx: Context) -> None:
        ticket.note("Linked.")
        if action == "reply":
            ctx.on_ticket(2).reply("We are on it.")
        else:
            ctx.on_ticket(2).forward(["ops@bigcorp.example"], "For you", "Look.")

    world = opened(store, linker(act), tickets=2)
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    world.restore()
    world.change_priority(2)
    world.change_priority(1)
    world.keep_working()
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.keep_working()
    assert reasons(world) == []
    assert world.texts(2) == ["We are on it."] * (2 if action == "reply" else 0)
    assert "forward: done" in world.history(2) or action == "reply"


def test_actions_for_another_ticket_with_an_old_and_a_new_cause_are_held(store: redis.Redis) -> None:
    router = linker(lambda _, ctx: ctx.on_ticket(2).reply("We are on it."), failing(Retry("not yet", after="60s")))
    world = opened(store, router, tickets=2)
    world.world.simulator.contact_replies(1, "Hello?")
    world.take_turns()
    world.back_up()
    world.keep_working()
    assert world.texts(2) == ["We are on it."]
    world.restore()
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.keep_working()
    assert world.texts(2) == ["We are on it."]
    [reason] = reasons(world)
    assert "in other words" in reason


def test_a_note_with_an_old_and_a_new_cause_is_not_written_twice(store: redis.Redis) -> None:
    fail, router = failing(Retry("not yet", after="60s")), Router("clerk")

    @router.on("contact-replied")
    def file(ticket: Ticket, event: Event) -> None:
        fail()
        for change in event.matched:
            ticket.note(f"Filed: {change.text}")

    world = opened(store, router)
    world.world.simulator.contact_replies(1, "Hello?")
    world.take_turns()
    world.back_up()
    world.keep_working()
    world.restore()
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.keep_working()
    assert world.texts() == ["Filed: Hello?", "Filed: Is anybody there?"]


def test_a_handler_that_runs_once_is_not_in_doubt_on_a_newer_ticket(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created")
    def copy(ticket: Ticket) -> None:
        ticket.forward(["ops@bigcorp.example"], "For you", "Look.")

    world = opened(store, router, once=True)
    world.back_up()
    world.restore()
    world.work(60)
    world.world.now += 3 * DAY
    number = world.world.simulator.create_ticket().id
    world.keep_working()
    assert reasons(world) == []
    assert "forward: done" in world.history(number)


def test_a_handler_that_runs_once_forwards_no_ticket_twice(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def copy(ticket: Ticket) -> None:
        ticket.forward(["ops@bigcorp.example"], "For you", "Look.")

    world = opened(store, router, once=True)
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    world.restore()
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.keep_working()
    assert "forward: done" not in world.history()


def test_what_a_handler_was_shown_before_the_loss_is_not_answered_again(store: redis.Redis, words: Words) -> None:
    router, calls = Router("clerk"), list[str]()

    @router.on("contact-replied")
    def answer(ticket: Ticket, ctx: Context) -> None:
        ctx.effect("crm", lambda: calls.append("crm"))
        ticket.reply(words())

    def crash(step: object) -> None:
        if isinstance(step, Script) and step.name == "plan":
            raise Crash

    world = opened(store, router)
    world.world.simulator.contact_replies(1, "Hello?")
    world.world.deliver()
    lane = world.world.claim()
    assert lane is not None
    world.world.before = crash
    with pytest.raises(Crash):
        world.world.drive(lane)
    world.world.before = lambda _: None
    world.back_up()
    world.keep_working()
    [answered] = world.texts()
    world.restore()
    world.change_priority()
    world.keep_working()
    assert (world.texts(), calls) == ([answered], ["crm"])


@pytest.mark.parametrize("merged", ["in the lost time", "afterwards"])
@pytest.mark.parametrize("ids", ["kept", "copied"])
def test_a_merge_hides_no_answer(store: redis.Redis, words: Words, merged: str, ids: str) -> None:
    world = opened(store, clerk(words), tickets=2)
    if ids == "copied":
        account = world.world.simulator.account
        account.options = dataclasses.replace(account.options, merged_updates="copied")
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    [answer] = world.texts()
    if merged == "in the lost time":
        world.world.simulator.merge(2, 1)
        world.work()
    world.restore()
    if merged == "afterwards":
        world.world.simulator.merge(2, 1)
    world.change_priority()
    world.keep_working()
    assert world.texts() == [answer]


def test_a_message_from_before_a_timer_is_answered(store: redis.Redis, words: Words) -> None:
    router = clerk(words)

    @router.on("ticket-created")
    def wait(ticket: Ticket, ctx: Context) -> None:
        ctx.later("11m", name="remind")

    @router.on("later", name="remind")
    def remind(ticket: Ticket) -> None:
        ticket.note("Nobody has answered.")

    world = World(store, router)
    world.world.simulator.create_ticket()
    world.take_turns()
    world.world.now += 600_000
    world.take_turns()
    world.back_up()
    world.world.now += 55_000
    world.world.simulator.contact_replies(1, "Hello?")
    world.take_turns()
    [first] = world.texts()
    world.world.now += 3_000
    world.take_turns()
    world.world.simulator.contact_replies(1, "Is anybody there?")
    world.world.simulator.take_deliveries()
    world.world.now += 1_000
    world.restore()
    died = world.world.now
    claim = dataclasses.replace(
        world.world.config.claim, seen=lambda: Seen("the server that was copied", world.world.now - died)
    )
    world.world.config = dataclasses.replace(world.world.config, claim=claim)
    world.keep_working()
    answers = [text for text in world.texts() if text != "Nobody has answered."]
    assert (answers[0], len(answers)) == (first, 2)


@pytest.mark.parametrize("ahead", [900, -900])
def test_a_timer_runs_once_whatever_the_clock_of_happyfox_says(store: redis.Redis, words: Words, ahead: int) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def wait(ticket: Ticket, ctx: Context) -> None:
        ticket.note("Noted.")
        ctx.later("10m", name="remind")

    @router.on("later", name="remind")
    def remind(ticket: Ticket) -> None:
        ticket.reply(words())

    world = World(store, router)
    simulator, clock = world.world.simulator, world.world.clock
    simulator.clock = simulator.account.clock = lambda: clock.seconds() + ahead

    def work(seconds: int) -> None:
        for _ in range(seconds // 30):
            world.world.now += 30_000
            for delivery in simulator.take_deliveries():
                world.world.receive(delivery.body)
            world.world.work()

    simulator.create_ticket()
    work(600)
    simulator.contact_replies(1, "Hello?")
    work(60)
    world.back_up()
    if ahead > 0:
        simulator.contact_replies(1, "Are you there?")
        work(60)
    else:
        work(600)
    world.restore()
    simulator.staff_updates(1, 1, priority="High")
    work(1_200)
    assert len([text for text in world.texts() if text != "Noted."]) == 1


def test_a_replay_that_the_copy_was_waiting_for_answers_nobody_twice(store: redis.Redis, words: Words) -> None:
    world = opened(store, clerk(words, failing(GiveUp("no"))))
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    [dead_letter] = AccountRecords(world.store, ACCOUNT).dead_letters()
    world.world.store.run(replay(ACCOUNT, dead_letter.id))
    world.back_up()
    world.keep_working()
    [answer] = world.texts()
    world.restore()
    world.change_priority()
    world.keep_working()
    assert world.texts() == [answer]


@pytest.mark.parametrize("days", [0, 2])
def test_a_ticket_that_only_the_lost_time_knew_is_remembered_for_long(store: redis.Redis, days: int) -> None:
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def greet(ticket: Ticket) -> None:
        ticket.reply("Welcome.")

    world = opened(store, router, once=True)
    world.back_up()
    greeted = world.world.simulator.create_ticket().id
    world.work(60)
    assert world.texts(greeted) == ["Welcome."]
    forgotten = world.world.simulator.create_ticket().id
    world.world.simulator.take_deliveries()
    world.restore()
    world.work(60)
    world.world.now += days * DAY
    for number in (greeted, forgotten):
        world.world.simulator.contact_replies(number, "Thank you.")
    world.keep_working()
    assert (world.texts(greeted), world.texts(forgotten)) == (["Welcome."], ["Welcome."])
    assert "ticket-created" in world.history(forgotten)
