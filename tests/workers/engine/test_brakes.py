"""The brakes on email: silent people and programs that answer by themselves get few emails, conversations get all."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis

from tests.support.stores import untyped
from tests.support.turns import P, finish
from workers import Context, Event, Router, Ticket
from workers.engine.brakes import address_key, recipients
from workers.engine.effect import Effect
from workers.simulator import ApiFault
from workers.store.keys import Keys
from workers.store.pauses import Pause, pause, resume
from workers.store.records import AccountRecords, DeadLetterEntry, discard, replay
from workers.testing.desk import ACCOUNT, BOT, Crash, SimulatedDeployment
from workers.tickets.change import Kind
from workers.tickets.fields import FieldValues
from workers.tickets.model import Contact

HOUR = 3_600_000
ALLOW = ("reply", "forward", "create")
AWAY = "I am out of the office until Monday and will answer your message then."
SAM = "sam@bigcorp.example"


def world(store: redis.Redis, *routers: Router, **config: Any) -> SimulatedDeployment:
    allow = frozenset((router.name, permission) for router in routers for permission in ALLOW)
    return SimulatedDeployment(store, *routers, allow=allow, **{"loop_guard": 1000, **config})


def answering(*kinds: Kind, name: str = "thanks") -> Router:
    """Return a router that answers each of these kinds with an email, a note and a tag."""
    router = Router(name)

    @router.on(*kinds)
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply(f"Thank you, {name}. We have got update {event.changes[-1].update_id}.", status="In Progress")
        ticket.add_tags(name)

    return router


def opened(world: SimulatedDeployment, email: str = SAM, **draft: Any) -> int:
    number = world.simulator.create_ticket(email, **draft).id
    finish(world)
    return number


def replies(world: SimulatedDeployment, number: int) -> int:
    updates = [update for update in world.ticket(number)["updates"] if update["by"]["type"] == "staff"]
    return sum((update["message"] or {"text": ""})["text"].startswith("Thank you") for update in updates)


def dead_letters(world: SimulatedDeployment) -> dict[str, DeadLetterEntry]:
    return {each.id: each for each in AccountRecords(world.client, ACCOUNT).dead_letters()}


def counted(world: SimulatedDeployment, address: str = SAM) -> int:
    return int(untyped(world.client).zcard(Keys(ACCOUNT).emails(address_key(b"", address))))


def converse(world: SimulatedDeployment, number: int, rounds: int, pause: int, speak: Callable[[int], object]) -> None:
    for turn in range(rounds):
        world.now += pause
        speak(turn)
        finish(world, hours=1)


def test_an_email_that_follows_an_unread_message_counts_for_the_emails_in_a_row(store: redis.Redis) -> None:
    router = Router("thanks")

    @router.on("contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        if "First" in event.changes[-1].text:
            desk.simulator.contact_replies(number, "Second.")  # after the ticket was read, before the answer
            ticket.reply("Thank you for the first.")
        else:
            for part in "abc":
                ticket.reply(f"Thank you for the second, part {part}.")

    desk = world(store, router)
    number = opened(desk)
    desk.simulator.contact_replies(number, "First.")
    finish(desk)
    assert replies(desk, number) == 3
    [held] = dead_letters(desk).values()
    assert held.id.startswith("unanswered-")


def test_a_silent_contact_gets_three_emails_and_then_none(store: redis.Redis) -> None:
    router = answering("ticket-created", "note-added")
    desk = world(store, router)
    number = opened(desk)

    def rule(turn: int) -> None:
        desk.simulator.fire_rule(number, "Hourly", note=f"Still waiting, {turn}.")

    converse(desk, number, 73, HOUR, rule)

    assert replies(desk, number) == 3
    [held] = dead_letters(desk).values()
    assert (held.id, held.ticket, held.handler, held.held) == (f"unanswered-{number}", number, "thanks.answer", 71)
    assert held.reason.startswith(
        "71 emails held back: 3 emails in a row from this ticket without an update by a person "
        "(FOXHOOKS_UNANSWERED_REPLIES=3). Loop: "
    )
    assert "smart-rule by rule 'Hourly', note-added by rule -> thanks.answer: tag +thanks" not in held.reason
    assert "Still waiting" not in held.reason
    assert "thanks" in desk.ticket(number)["tags"]


def test_an_update_by_a_person_lets_email_go_on(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "smart-rule", "contact-replied"), replies_per_contact=1000)
    number = opened(desk)

    def rule(turn: int) -> None:
        desk.simulator.fire_rule(number, "Hourly", note=f"Still waiting, {turn}.")

    converse(desk, number, 5, HOUR, rule)
    assert replies(desk, number) == 3
    desk.simulator.contact_replies(number, "I am still here.")
    finish(desk)
    assert replies(desk, number) == 4
    desk.simulator.staff_updates(number, staff=1, priority="High")
    converse(desk, number, 5, HOUR, rule)
    assert replies(desk, number) == 7


def test_a_colleagues_auto_responder_is_no_colleague(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "staff-replied"))
    number = opened(desk)

    def respond(turn: int) -> None:
        away = f"I am away, {turn} days to go."
        desk.simulator.staff_updates(number, staff=1, text=away, subject="Automatic reply: Help")

    converse(desk, number, 20, 300_000, respond)
    assert replies(desk, number) == counted(desk) == 3
    assert list(dead_letters(desk)) == [f"unanswered-{number}"]

    desk.simulator.staff_updates(number, staff=1, text="I am back.", subject="Help")
    finish(desk)
    assert replies(desk, number) == 4


def test_an_auto_responder_on_the_ticket_is_no_person(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "contact-replied"))
    number = opened(desk)
    converse(desk, number, 50, 300_000, lambda _: desk.simulator.contact_replies(number, AWAY))

    assert replies(desk, number) == 4  # the first answer might have been a person's
    [held] = dead_letters(desk).values()
    assert "contact-replied by contact (automatic) -> thanks.answer: reply" in held.reason


def test_a_program_with_a_new_text_each_time_gets_ten_emails_a_day(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "contact-replied"))
    number = opened(desk)
    converse(
        desk, number, 40, 20 * 60_000, lambda turn: desk.simulator.contact_replies(number, f"Case {turn} is open.")
    )

    assert replies(desk, number) == 10
    [held] = dead_letters(desk).values()
    assert held.id == f"address-{address_key(b'', SAM)}"
    assert held.reason.startswith(
        "31 emails held back: 10 automatic emails to this address within 24 hours (FOXHOOKS_REPLIES_PER_CONTACT=10), "
        f"from ticket {number}. Loop: "
    )


def test_an_auto_responder_that_opens_a_ticket_per_email_gets_ten_a_day(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"))
    numbers = [opened(desk, subject=f"Your message {turn}") for turn in range(30)]

    assert sum(replies(desk, number) for number in numbers) == 10
    [held] = dead_letters(desk).values()
    assert held.held == 20
    assert "from tickets " in held.reason
    assert all("thanks" in desk.ticket(number)["tags"] for number in numbers)
    desk.now += 24 * HOUR
    assert replies(desk, opened(desk)) == 1


def test_a_conversation_with_an_agent_is_never_braked(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "contact-replied"))
    number = opened(desk)

    def speak(turn: int) -> None:
        if turn % 2:
            desk.simulator.contact_replies(number, f"Thank you for the details, here is number {turn}.")
        else:
            desk.simulator.staff_updates(number, staff=1, text=f"Please send me details {turn} of your order.")

    converse(desk, number, 2 * 12 * 4, HOUR, speak)

    assert replies(desk, number) == 1 + 12 * 4
    assert dead_letters(desk) == {}


def test_an_agent_who_works_as_our_staff_member_is_in_the_conversation(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "contact-replied"), replies_per_contact=3)
    number = opened(desk)

    def speak(turn: int) -> None:
        if turn % 2:
            desk.simulator.contact_replies(number, f"I have sent you the details, this is number {turn}.")
        else:
            desk.simulator.staff_updates(number, staff=BOT, text=f"Please send me details {turn} of your order.")

    converse(desk, number, 2 * 12, HOUR, speak)

    assert replies(desk, number) == 1 + 12
    assert dead_letters(desk) == {}


@pytest.mark.parametrize("private", [False, True])
def test_a_message_by_a_person_who_works_as_our_staff_member_is_a_persons(store: redis.Redis, private: bool) -> None:
    desk = world(store, answering("ticket-created", "smart-rule"), replies_per_contact=1000)
    number = opened(desk)

    def rule(turn: int) -> None:
        desk.simulator.fire_rule(number, "Hourly", note=f"Still waiting, {turn}.")

    converse(desk, number, 5, HOUR, rule)
    assert replies(desk, number) == 3
    desk.simulator.staff_updates(number, staff=BOT, text="I am looking into this myself.", private=private)
    finish(desk)
    converse(desk, number, 5, HOUR, rule)
    assert replies(desk, number) == 6


@pytest.mark.parametrize("form", ["Acme support: {} Yours, Acme", "{}", "Hello!\n{}"])
def test_our_own_message_that_appears_again_is_no_persons(store: redis.Redis, form: str) -> None:
    desk = world(store, answering("ticket-created", "smart-rule"), replies_per_contact=1000)
    number = opened(desk)
    for turn in range(6):
        desk.now += HOUR
        desk.simulator.fire_rule(number, "Hourly", note=f"Still waiting, {turn}.")
        finish(desk)
        last = desk.ticket(number)["updates"][-1]["message"]["text"].strip()
        if last.startswith("Thank you"):
            desk.simulator.staff_updates(number, staff=BOT, text=form.format(last))
            finish(desk)

    sent = [call for call in desk.simulator.log if call.path.endswith("/staff_update/")]
    assert len(sent) == 3


def test_two_replies_to_one_event_count_twice(store: redis.Redis) -> None:
    routers = answering("ticket-created", name="one"), answering("ticket-created", name="two")
    desk = world(store, *routers, unanswered_replies=1)
    number = opened(desk)

    assert replies(desk, number) == 1
    assert [each.handler for each in dead_letters(desk).values()] == ["two.answer"]


def test_forwards_and_created_tickets_count_as_email(store: redis.Redis) -> None:
    router = Router("mail")

    @router.on("ticket-created")
    def spread(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.forward(["boss@bigcorp.example"], "Look", "Please look.")
        ctx.create_ticket(subject="Copy", text="Please look.", category=1, email="boss@bigcorp.example", name="Boss")
        ticket.reply("Thank you.", cc=["boss@bigcorp.example"])

    desk = world(store, router, unanswered_replies=100, replies_per_contact=4)
    opened(desk)

    assert (counted(desk), counted(desk, "boss@bigcorp.example")) == (1, 3)
    opened(desk)
    assert counted(desk, "boss@bigcorp.example") == 4
    assert dead_letters(desk)[f"address-{address_key(b'', 'boss@bigcorp.example')}"].held == 2


def test_what_another_handler_sets_with_a_held_reply_is_set(store: redis.Redis) -> None:
    urgent = Router("urgent")

    @urgent.on("ticket-created")
    def mark(ticket: Ticket, event: Event) -> None:
        ticket.set(priority="High")

    desk = world(store, urgent, answering("ticket-created"), replies_per_contact=1)
    opened(desk)
    number = opened(desk)

    assert replies(desk, number) == 0
    assert desk.ticket(number)["priority"]["name"] == "High"
    assert desk.ticket(number)["status"]["name"] == "New"  # asked for together with the reply


def test_a_replay_sends_what_was_held_and_is_never_held(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"), replies_per_contact=1)
    numbers = [opened(desk) for _ in range(4)]
    [held] = dead_letters(desk)

    assert desk.store.run(replay(ACCOUNT, held)) == numbers[-1]
    assert desk.store.run(replay(ACCOUNT, held)) == numbers[-1]  # repeated, because the answer was lost
    finish(desk)

    assert [replies(desk, number) for number in numbers] == [1, 1, 1, 1]
    assert dead_letters(desk) == {}
    assert untyped(store).keys(f"{P}held:*") == []


def test_a_replay_that_a_pause_interrupts_is_not_held_at_its_end(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"), replies_per_contact=1)
    numbers = [opened(desk) for _ in range(2)]
    [held] = dead_letters(desk)

    def halt(step: Any) -> None:
        if getattr(step, "name", "") == "begin" and not scopes:
            scopes.append(desk.store.run(pause(ACCOUNT, "ticket", str(numbers[1]), Pause(desk.now, "ada"))))

    scopes = list[bool]()
    desk.before = halt
    desk.store.run(replay(ACCOUNT, held))
    desk.settle_down()
    assert (replies(desk, numbers[1]), len(scopes)) == (0, 1)
    desk.store.run(resume(ACCOUNT, "ticket", str(numbers[1])))
    desk.settle_down()

    assert replies(desk, numbers[1]) == 1
    assert dead_letters(desk) == {}


def test_a_replay_while_an_earlier_one_waits_sends_each_email_on_its_own_ticket(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"), replies_per_contact=1)
    numbers = [opened(desk) for _ in range(2)]
    [held] = dead_letters(desk)
    desk.store.run(replay(ACCOUNT, held))
    waiting = desk.claim()  # a worker that is slow, or dies
    assert waiting is not None
    numbers.append(desk.simulator.create_ticket(SAM).id)
    desk.deliver()
    desk.work()
    assert desk.store.run(replay(ACCOUNT, held)) == numbers[2]
    desk.now += desk.lease
    finish(desk)

    for number in numbers:
        opening, *own = desk.ticket(number)["updates"]
        texts = [update["message"]["text"].strip() for update in own if update["message"]]
        assert texts == [f"Thank you, thanks. We have got update {opening['update_id']}."]


def test_discarding_drops_what_was_held(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"), replies_per_contact=1)
    numbers = [opened(desk) for _ in range(3)]
    [held] = dead_letters(desk)

    assert desk.store.run(discard(ACCOUNT, held))
    finish(desk)

    assert [replies(desk, number) for number in numbers] == [1, 0, 0]
    assert untyped(store).keys(f"{P}held:*") == []


def test_of_many_held_emails_the_latest_are_kept(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"), replies_per_contact=1)
    numbers = [opened(desk) for _ in range(110)]
    [held] = dead_letters(desk).values()
    assert held.held == 109

    desk.store.run(replay(ACCOUNT, held.id))
    finish(desk, hours=24)

    assert [number for number in numbers if not replies(desk, number)] == numbers[1:10]


@pytest.mark.parametrize(("status", "count"), [(400, 0), (404, 0), (500, 1)])
def test_an_email_that_happyfox_refused_does_not_count_for_its_address(
    store: redis.Redis, status: int, count: int
) -> None:
    desk = world(store, answering("ticket-created"))
    desk.simulator.faults.add(
        ApiFault("status", method="POST", path="ticket/*/staff_update", status=status, count=None)
    )
    desk.simulator.create_ticket(SAM)
    desk.deliver()
    desk.work()

    assert counted(desk) == count, "one that may have been sent counts"


def test_a_limit_used_up_by_another_ticket_meanwhile_holds_the_email(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"), replies_per_contact=2)
    first = opened(desk)
    key = Keys(ACCOUNT).emails(address_key(b"", SAM))

    def fill(step: Any) -> None:
        if getattr(step, "name", "") == "plan":
            store.zadd(key, {"77 other.0": desk.now})

    desk.before = fill
    second = opened(desk)

    assert (replies(desk, first), replies(desk, second)) == (1, 0)
    [held] = dead_letters(desk).values()
    assert f"from tickets {first}, 77. Loop: ticket-created by contact -> thanks.answer: reply" in held.reason
    assert "thanks" in desk.ticket(second)["tags"]


def test_a_dry_run_sends_and_counts_nothing(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "smart-rule"), dry_run=True)
    number = opened(desk)
    converse(desk, number, 6, HOUR, lambda turn: desk.simulator.fire_rule(number, "Hourly", note=f"Waiting {turn}."))

    assert (replies(desk, number), counted(desk), dead_letters(desk)) == (0, 0, {})


def test_what_a_router_in_dry_run_would_send_does_not_count(store: redis.Redis) -> None:
    routers = answering("ticket-created", name="dry"), answering("ticket-created", name="live")
    desk = world(store, *routers, unanswered_replies=1, dry_routers=frozenset({"dry"}))
    number = opened(desk)

    assert (replies(desk, number), counted(desk), dead_letters(desk)) == (1, 1, {})


def test_crashes_neither_lose_nor_repeat_what_is_counted(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"), replies_per_contact=2)
    crashed = set[tuple[int, str]]()

    def crash(step: Any, result: Any) -> Any:
        where = desk.simulator.account.last_ticket, getattr(step, "name", "") or "call"
        if where[1] in ("plan", "begin", "finish", "settle") and where not in crashed:
            crashed.add(where)
            raise Crash
        return result

    desk.after = crash
    numbers = []
    for _ in range(5):
        numbers.append(desk.simulator.create_ticket(SAM).id)
        finish(desk)

    assert sum(replies(desk, number) for number in numbers) == counted(desk) == 2
    assert [each.held for each in dead_letters(desk).values()] == [3]
    assert len(crashed) > 15


def test_a_store_that_lost_its_data_counts_what_the_ticket_shows(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "smart-rule"))
    number = opened(desk)
    converse(desk, number, 5, HOUR, lambda turn: desk.simulator.fire_rule(number, "Hourly", note=f"Waiting {turn}."))
    assert replies(desk, number) == 3
    store.flushdb()
    store.set(Keys(ACCOUNT).store_epoch, desk.now)

    converse(desk, number, 2, HOUR, lambda turn: desk.simulator.fire_rule(number, "Again", note=f"Waiting {turn}."))

    assert replies(desk, number) == 3


def spreading(*addresses: str) -> Router:
    """Return a router that creates a ticket for each of these addresses, in turn."""
    router, left = Router("spread"), list(addresses)

    @router.on("ticket-created")
    def spread(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.create_ticket(subject="Copy", text=f"Please look at {ticket.id}.", category=1, email=left.pop(0))

    return router


def created(world: SimulatedDeployment, subject: str = "Copy") -> int:
    return sum(ticket.subject == subject for ticket in world.simulator.account.tickets.values())


def test_all_spellings_of_an_address_are_counted_together(store: redis.Redis) -> None:
    spellings = "anna@bücher.example", "Anna+orders@Bücher.example", "ANNA+1@xn--bcher-kva.example"
    desk = world(store, spreading(*spellings), replies_per_contact=2)
    for _ in spellings:
        opened(desk)

    assert created(desk) == 2
    [held] = dead_letters(desk).values()
    assert held.id == f"address-{address_key(b'', 'anna@xn--bcher-kva.example')}"


def test_a_program_that_answers_from_another_address_each_time_is_counted_together(store: redis.Redis) -> None:
    addresses = [f"bounce-{number}@list.example" for number in range(123, 127)]
    desk = world(store, spreading(*addresses), replies_per_contact=2)
    for _ in addresses:
        opened(desk)

    assert created(desk) == 2
    assert [each.held for each in dead_letters(desk).values()] == [2]


def test_people_of_one_domain_are_never_counted_together(store: redis.Redis) -> None:
    people = [f"{each}@school.example" for each in ("anna", "ben", "user1", "user2", "s1001", "s1002")]
    desk = world(store, spreading(*people), replies_per_contact=1)
    for _ in people:
        opened(desk)

    assert created(desk) == len(people)
    assert dead_letters(desk) == {}


@pytest.mark.parametrize("by_id_first", [False, True])
def test_a_contact_named_by_id_is_counted_with_the_address(store: redis.Redis, by_id_first: bool) -> None:
    router, ways = Router("spread"), [by_id_first, not by_id_first]

    @router.on("ticket-created")
    def spread(ticket: Ticket, event: Event, ctx: Context) -> None:
        who: dict[str, Any] = {"client": anna} if ways.pop(0) else {"email": "anna+desk@bigcorp.example"}
        ctx.create_ticket(subject="Copy", text="Please look.", category=1, **who)

    desk = world(store, router, replies_per_contact=1)
    anna = desk.simulator.account.new_contact("Anna", "Anna@bigcorp.example").id
    opened(desk)
    opened(desk)

    assert created(desk) == 1
    assert [each.held for each in dead_letters(desk).values()] == [1]


def test_a_contact_whose_address_is_changed_is_still_the_same(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created", "contact-replied"), replies_per_contact=2)
    number = opened(desk)
    for turn in range(3):
        account = desk.simulator.account
        account.put_contact(replace(account.contacts[1], email=f"sam{turn}@bigcorp.example"))
        desk.simulator.contact_replies(number, f"And another thing, number {turn}.")
        finish(desk)

    assert replies(desk, number) == 2
    assert [each.held for each in dead_letters(desk).values()] == [2]


def test_no_address_can_be_read_from_what_is_counted(store: redis.Redis) -> None:
    desk = world(store, answering("ticket-created"), address_secret=b"key")
    opened(desk)

    names = [key.decode() for key in untyped(store).keys(f"{P}emails:*")]
    assert {*names} == {f"{P}emails:{address_key(b'key', each)}" for each in (SAM, "contact 1")}
    assert not any("sam" in name or "bigcorp" in name for name in names)
    assert 0 < untyped(store).pttl(names[0]) <= 24 * HOUR


@pytest.mark.parametrize(
    ("effect", "addresses"),
    [
        (Effect(kind="reply"), ()),
        (Effect(kind="reply", notify=True), (SAM, "contact 5")),
        (Effect(kind="reply", survey=True), (SAM, "contact 5")),
        (Effect(kind="contact reply", contact=5), ()),
        (Effect(kind="contact reply", contact=5, cc=("a@b.example",)), ("a@b.example",)),
        (Effect(kind="forward", to=("a@b.example",), notify=True), (SAM, "contact 5", "a@b.example")),
        (Effect(kind="create", draft={"client": 5, "email": "a@b.example"}), (SAM, "contact 5", "a@b.example")),
        (
            Effect(kind="reply", notify=True, cc=(" Sam+x@BigCorp.example",), bcc=("a@b.example",)),
            (SAM, "contact 5", "a@b.example"),
        ),
        (Effect(kind="reply", bcc=("a@b.example",)), ("a@b.example",)),
        (Effect(kind="forward", to=("A@b.example",)), ("a@b.example",)),
        (Effect(kind="create", draft={"email": "a@b.example", "cc": ("c@d.example",)}), ("a@b.example", "c@d.example")),
        (Effect(kind="create", draft={"client": 5}), (SAM, "contact 5")),
        (Effect(kind="create", draft={"client": 6}), ("ann@b.example", "contact 6")),
        (Effect(kind="create", draft={"client": 7}), ("contact 7",)),
        (Effect(kind="note"), ()),
        (Effect(kind="tags", add=("x",)), ()),
    ],
)
def test_who_gets_an_effect_as_email(effect: Effect, addresses: tuple[str, ...]) -> None:
    contact = Contact(id=5, name="Sam", email="Sam@bigcorp.example", phones=(), groups=(), fields=FieldValues(()))
    assert recipients(effect, contact, {6: "Ann <ann@b.example>"}) == addresses


def test_what_a_held_reply_sets_does_not_happen_with_another_router_s_note(store: redis.Redis) -> None:
    closer, noter = Router("closer"), Router("noter")

    @closer.on("ticket-created")
    def close(ticket: Ticket, event: Event) -> None:
        ticket.reply("Thank you.", status="Closed")

    @noter.on("ticket-created")
    def mark(ticket: Ticket, event: Event) -> None:
        ticket.set(priority="High")
        ticket.note("Seen.")

    desk = world(store, closer, noter, replies_per_contact=1)
    numbers = opened(desk), opened(desk)

    assert [replies(desk, number) for number in numbers] == [1, 0]
    assert [desk.ticket(number)["status"]["name"] for number in numbers] == ["Closed", "New"]
    assert [desk.ticket(number)["priority"]["name"] for number in numbers] == ["High", "High"]


def test_what_a_handler_sets_apart_from_its_held_reply_is_set(store: redis.Redis) -> None:
    router = Router("apart")

    @router.on("ticket-created")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply("Thank you.", status="Closed")
        ticket.set(priority="High")

    desk = world(store, router, replies_per_contact=0)
    number = opened(desk)

    assert replies(desk, number) == 0
    assert desk.ticket(number)["status"]["name"] == "New"
    assert desk.ticket(number)["priority"]["name"] == "High"
