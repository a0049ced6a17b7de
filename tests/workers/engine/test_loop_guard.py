"""The loop guard: loops on a ticket are stopped until somebody outside the loop writes to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from tests.support.turns import finish
from workers import Context, Event, Router, Ticket
from workers.engine.guards import LAST_ANSWER, MAX_TURNS, TURNS_SPAN
from workers.engine.plan import DeadLetter
from workers.engine.steps import Call
from workers.happyfox.messages import Answer
from workers.simulator import ApiFault
from workers.store.audit import read_audit
from workers.store.keys import prefix
from workers.store.pauses import Pause, Scope, pause, resume
from workers.store.records import AccountRecords, replay
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.tickets.change import Kind
from workers.tickets.snapshot import HOUR

#: The brakes on email would stop these loops too.
NO_BRAKES: dict[str, Any] = {"unanswered_replies": 1000, "replies_per_contact": 1000}

P = f"foxhooks:{{{ACCOUNT}}}:"


def dead_letters(world: SimulatedDeployment) -> list[DeadLetter]:
    ids = [each.decode() for each in untyped(world.client).zrange(f"{P}dead_letters", 0, -1)]
    return [
        msgspec.json.decode(untyped(world.client).hget(f"{P}dead_letter:{each}", "evidence"), type=DeadLetter)
        for each in ids
    ]


def notes(world: SimulatedDeployment, number: int) -> int:
    updates = world.ticket(number)["updates"]
    return sum((update["message"] or {"text": ""})["text"].startswith("Our answer") for update in updates)


def answering(*kinds: Kind) -> Router:
    """Return a router that answers every change."""
    router = Router("loop")

    @router.on(*kinds)
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply(f"Our answer to update {event.changes[-1].update_id}.")

    return router


def opened(world: SimulatedDeployment) -> int:
    number = world.simulator.create_ticket().id
    finish(world)
    return number


def play_loop(world: SimulatedDeployment, number: int, most: int, seconds: int = 30, rule: bool = False) -> int:
    """Answer each of our answers, as a machine does; return how many answers we sent."""
    heard = 0
    for _ in range(most):
        if notes(world, number) == heard:
            break
        heard = notes(world, number)
        world.now += seconds * 1000
        if rule:
            world.simulator.fire_rule(number, "Ping-pong", note=f"Round {heard}")
        else:
            world.simulator.contact_replies(number, f"I am out of office, thank you for mail {heard}.")
        finish(world)
    return heard


def test_an_auto_responder_is_answered_no_more_than_the_limit_allows(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=12, **NO_BRAKES)
    number = opened(world)

    assert play_loop(world, number, most=40) == 12

    [dead_letter] = dead_letters(world)
    assert dead_letter.handler == "*"
    why = "12 writes by us within an hour (FOXHOOKS_LOOP_GUARD)"
    assert dead_letter.reason.startswith(f"the loop guard tripped: {why}. Last turns:")
    assert "contact-replied by contact -> loop.answer: reply (10 times)" in dead_letter.reason
    assert len(dead_letter.evidence["turns"]) == 10
    assert "out of office" not in dead_letter.reason
    history = b"\n".join(untyped(store).lrange(f"{P}history:{number}", 0, -1)).decode()
    assert "the loop guard tripped: 12 writes by us within an hour" in history
    assert "loop.answer skipped: the loop guard of this ticket tripped, until a colleague" in history


def test_two_rules_that_answer_each_other_are_stopped_sooner(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "smart-rule"), loop_guard=1000, **NO_BRAKES)
    number = opened(world)

    # The opening update is a contact's: the turn that it started does not count.
    assert play_loop(world, number, most=40, rule=True) == MAX_TURNS + 1

    [dead_letter] = dead_letters(world)
    assert dead_letter.reason.startswith(
        "the loop guard tripped: 8 acting turns within 10 minutes, with updates by nobody else"
    )
    assert "smart-rule by rule 'Ping-pong', note-added by rule -> loop.answer: reply (8 times)" in dead_letter.reason


def test_slow_turns_or_turns_with_people_between_them_are_no_loop(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "smart-rule"), loop_guard=1000, **NO_BRAKES)
    number = opened(world)

    for turn in range(3 * MAX_TURNS):
        if turn % 3 == 0:
            world.now += 60_000  # nobody is faster
            world.simulator.contact_replies(number, "And another thing.")
        play_loop(world, number, most=1, seconds=10, rule=True)
    world.now += TURNS_SPAN
    for _ in range(2 * MAX_TURNS):
        play_loop(world, number, most=1, seconds=TURNS_SPAN // 1000 // MAX_TURNS + 1, rule=True)

    assert dead_letters(world) == []


def test_routers_that_answer_each_other_through_our_changes_are_stopped(store: redis.Redis) -> None:
    ping, pong = Router("ping", echoes=True), Router("pong", echoes=True)

    @ping.on("ticket-created", "note-added")
    def first(ticket: Ticket, event: Event) -> None:
        if event.kind == "ticket-created" or event.matched[-1].text.startswith("Pong"):
            ticket.note(f"Ping after {event.matched[-1].update_id}.")

    @pong.on("note-added")
    def second(ticket: Ticket, event: Event) -> None:
        if event.matched[-1].text.startswith("Ping"):
            ticket.note(f"Pong after {event.matched[-1].update_id}.")

    world = SimulatedDeployment(store, ping, pong, loop_guard=1000, **NO_BRAKES)
    number = opened(world)

    assert len(world.ticket(number)["updates"]) == 1 + 1 + MAX_TURNS
    [dead_letter] = dead_letters(world)
    assert "note-added by us -> pong.second: private note" in dead_letter.reason


@pytest.mark.parametrize("rule", [False, True])
def test_a_tripped_loop_guard_makes_one_dead_letter(store: redis.Redis, rule: bool) -> None:
    world = SimulatedDeployment(
        store,
        answering("ticket-created", "contact-replied", "smart-rule"),
        loop_guard=3 if not rule else 1000,
        **NO_BRAKES,
    )
    number = opened(world)
    answers = play_loop(world, number, most=40, rule=rule)
    for _ in range(3):
        world.now += 5_000
        world.simulator.fire_rule(number, "Ping-pong", note="Once more")
        finish(world)

    assert notes(world, number) == answers
    assert len(dead_letters(world)) == 1


def resets(world: SimulatedDeployment) -> list[tuple[str, str]]:
    """Return who has reset the loop guard of which tickets, by the audit log."""
    lines = read_audit(world.client, [ACCOUNT], what="reset loop guard").items
    return [(line.who, line.object) for line in lines]


def test_a_replay_of_its_dead_letter_resets_it_and_is_in_the_audit_log(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=3, **NO_BRAKES)
    number = opened(world)
    play_loop(world, number, most=40)
    [tripped] = dead_letters(world)
    world.store.run(replay(ACCOUNT, tripped.id))
    finish(world)
    assert resets(world) == [("a replay", f"ticket {number}")]
    finish(world)
    assert len(resets(world)) == 1


def test_an_audit_log_of_the_wrong_type_stops_no_turn(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=3, **NO_BRAKES)
    number = opened(world)
    play_loop(world, number, most=40)
    [tripped] = dead_letters(world)
    world.store.run(replay(ACCOUNT, tripped.id))
    store.set(f"{prefix(ACCOUNT)}audit", "no stream")
    finish(world)
    assert notes(world, number) == 4


def test_a_colleague_resets_the_write_limit_and_a_contact_does_not(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=3, **NO_BRAKES)
    number = opened(world)
    play_loop(world, number, most=40)

    world.now += 2 * LAST_ANSWER
    world.simulator.contact_replies(number, "I am still out of office.")
    world.simulator.staff_updates(number, staff=1, text="So am I.", subject="Out of office")
    finish(world)
    assert notes(world, number) == 3
    assert resets(world) == []
    world.simulator.staff_updates(number, staff=1, text="I have a look.", private=True)
    finish(world)
    assert resets(world) == [("a colleague", f"ticket {number}")]
    world.simulator.contact_replies(number, "Here I am again.")
    finish(world)

    assert notes(world, number) == 4


def test_a_webhook_that_comes_late_does_not_make_the_last_answer_of_a_tool_a_reset(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=3, **NO_BRAKES)
    number = opened(world)
    play_loop(world, number, most=40)

    world.now += 2_000
    world.simulator.staff_updates(number, staff=2, text="Noted by the other tool.", private=True)
    world.now += 2 * LAST_ANSWER
    finish(world)
    world.simulator.contact_replies(number, "Here I am again.")
    finish(world)

    assert notes(world, number) == 3


def test_a_tool_that_writes_as_a_colleague_does_not_reset_its_own_loop(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "staff-replied"), loop_guard=5, **NO_BRAKES)
    number = opened(world)
    heard = 0
    while notes(world, number) > heard:
        heard = notes(world, number)
        for _ in range(2):  # it always writes twice, the second time when the loop guard may have tripped already
            world.now += 2_000
            world.simulator.staff_updates(number, staff=2, text=f"Noted by the other tool at {world.now}.")
            finish(world)

    assert heard == 5


def test_no_time_resets_it(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=3, **NO_BRAKES)
    number = opened(world)
    play_loop(world, number, most=40)
    for days in (1, 30):
        world.now += days * 24 * 3_600_000
        world.simulator.contact_replies(number, f"Here I am again after {days} days.")
        finish(world)

    assert notes(world, number) == 3


def test_replaying_its_dead_letter_resets_it_and_shows_handlers_the_changes(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=3, **NO_BRAKES)
    number = opened(world)
    play_loop(world, number, most=40)
    [dead_letter] = dead_letters(world)

    world.store.run(replay(ACCOUNT, dead_letter.id))
    finish(world)

    assert notes(world, number) == 4
    assert dead_letters(world) == []


def test_it_stays_tripped_when_the_worker_dies(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=3, **NO_BRAKES)
    number = opened(world)
    play_loop(world, number, most=40)

    other = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=3, **NO_BRAKES)
    other.simulator, other.now = world.simulator, world.now + 10_000
    other.config = replace(other.config, clock=lambda: other.now)
    other.simulator.contact_replies(number, "Hello?")
    finish(other)

    assert notes(other, number) == 3


def test_an_emptied_store_counts_our_updates(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, answering("ticket-created", "contact-replied"), loop_guard=5, **NO_BRAKES)
    number = opened(world)
    play_loop(world, number, most=4)
    store.flushdb()
    store.set(f"{P}store_epoch", world.now - 60_000)

    assert play_loop(world, number, most=40) == 5
    assert "Last turns: " in dead_letters(world)[0].reason


def test_a_dry_run_never_trips_it(store: redis.Redis) -> None:
    world = SimulatedDeployment(
        store, answering("ticket-created", "contact-replied"), loop_guard=2, dry_run=True, **NO_BRAKES
    )
    number = opened(world)
    for _ in range(5):
        world.simulator.contact_replies(number, "Hello?")
        finish(world)

    assert dead_letters(world) == []
    told: Any = b"\n".join(untyped(store).lrange(f"{P}history:{number}", 0, -1))
    assert told.count(b"not sent (dry run)") == 6


def test_its_dead_letter_has_the_changes_queued_by_a_pause_that_just_ended(store: redis.Redis) -> None:
    shown = list[str]()
    world = paused_in_a_loop(store, shown, "ticket", "1")
    replies(world, "three", "four")
    world.store.run(resume(ACCOUNT, "ticket", "1"))
    finish(world, hours=1)
    assert shown == ["one", "two"]
    [dead_letter] = dead_letters(world)
    assert [change.text.strip() for change in dead_letter.changes] == ["three", "four"]

    world.store.run(replay(ACCOUNT, dead_letter.id))
    finish(world, hours=1)

    assert shown == ["one", "two", "three", "four"]
    history = b"\n".join(untyped(store).lrange(f"{P}history:1", 0, -1)).decode()
    assert "the loop guard of this ticket was reset: a person replayed its dead letter" in history


def test_changes_queued_for_a_router_get_a_dead_letter_while_it_is_tripped(store: redis.Redis) -> None:
    shown, other = list[str](), list[str]()
    world = paused_in_a_loop(store, shown, "router", "loop", other)
    replies(world, "three", "four")
    assert (shown, len(other), len(dead_letters(world))) == (["one", "two"], 2, 1)
    world.store.run(resume(ACCOUNT, "router", "loop"))
    finish(world, hours=1)
    assert shown == ["one", "two"]
    [kept] = [dead_letter for dead_letter in dead_letters(world) if dead_letter.handler == "loop.*"]
    assert [change.text.strip() for change in kept.changes] == ["three", "four"]
    assert "the loop guard of this ticket tripped" in kept.reason
    assert "replay this then" in kept.reason

    world.now += 2 * LAST_ANSWER
    world.simulator.staff_updates(1, staff=1, text="I have a look.", private=True)
    finish(world, hours=1)
    world.store.run(replay(ACCOUNT, kept.id))
    finish(world, hours=1)

    assert shown == ["one", "two", "three", "four"]


def test_a_loop_through_another_ticket_names_that_ticket(store: redis.Redis) -> None:
    router = Router("pair", echoes=True)

    @router.on("note-added")
    def pass_on(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.on_ticket(3 - ticket.id).note(f"To you, after {len(ticket.history)} updates.")

    world = SimulatedDeployment(store, router)
    assert (opened(world), opened(world)) == (1, 2)
    world.simulator.staff_updates(1, staff=1, text="Begin.", private=True)
    finish(world)

    [dead_letter] = dead_letters(world)
    assert (
        "from ticket 2 -> pair.pass_on: private note (" in dead_letter.reason
        or "from ticket 1 ->" in dead_letter.reason
    )


def noting(count: int, name: str = "flood", on_ticket: int = 0, text: str = "") -> Router:
    """Return a router that writes this many notes in one turn, on its ticket or another one."""
    router = Router(name)

    @router.on("ticket-created")
    def flood(ticket: Ticket, event: Event, ctx: Context) -> None:
        for number in range(count):
            (ctx.on_ticket(on_ticket) if on_ticket else ticket).note(f"Our answer {number}, {text or name}.")

    return router


def test_a_plan_with_more_calls_than_the_limit_is_not_carried_out(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting(400), noting(2, "small"))
    number = opened(world)

    assert notes(world, number) == 2
    [dead_letter] = dead_letters(world)
    assert (dead_letter.handler, dead_letter.changes[0].kind) == ("flood.flood", "ticket-created")
    assert dead_letter.reason == (
        "400 calls planned, 402 in this turn, after 0 writes within an hour: more than FOXHOOKS_LOOP_GUARD=20 allows, "
        "so none of them was made"
    )


def test_handlers_that_ask_for_the_same_notes_are_all_left_out(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting(60, "one", text="equal"), noting(60, "two", text="equal"))
    number = opened(world)

    assert notes(world, number) == 0
    assert [each.handler for each in dead_letters(world)] == ["one.flood", "two.flood"]


def test_a_call_that_handlers_share_counts_once(store: redis.Redis) -> None:
    def tagging(name: str) -> Router:
        router = Router(name)

        @router.on("ticket-created")
        def tag(ticket: Ticket, event: Event) -> None:
            ticket.add_tags(name)
            ticket.set(fields={"Amount": len(name)})

        return router

    names = {f"rule-{number}" for number in range(30)}
    world = SimulatedDeployment(store, *map(tagging, sorted(names)), noting(20))
    number = opened(world)

    assert {*world.ticket(number)["tags"].split(",")} == names
    assert [each.handler for each in dead_letters(world)] == ["flood.flood"]


def test_writes_of_the_last_hour_and_calls_on_other_tickets_count(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting(3, "near"), noting(3, "far", on_ticket=1), loop_guard=5)
    opened(world)

    assert [each.handler for each in dead_letters(world)] == ["near.flood"]
    opened(world)
    # On ticket 1, the three notes of the second ticket's turn would come after three of its own.
    assert sorted(each.handler for each in dead_letters(world)) == ["far.flood", "near.flood", "near.flood"]


def test_a_person_may_replay_a_plan_that_exceeds_the_limit(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting(30))
    number = opened(world)
    [dead_letter] = dead_letters(world)

    world.store.run(replay(ACCOUNT, dead_letter.id))
    finish(world)

    assert notes(world, number) == 30
    assert dead_letters(world) == []


def test_a_replayed_effect_does_not_free_its_handler_from_the_limit(store: redis.Redis) -> None:
    router = Router("flood")

    @router.on("ticket-created", "contact-replied")
    def flood(ticket: Ticket, event: Event) -> None:
        if event.kind == "ticket-created":
            ticket.reply("Thank you.")
        else:
            for number in range(60):
                ticket.note(f"Our answer {number}.")

    allow = frozenset({("flood", "reply")})
    world = SimulatedDeployment(store, router, allow=allow, replies_per_contact=0)
    number = opened(world)
    [held] = AccountRecords(world.client, ACCOUNT).dead_letters()

    world.simulator.contact_replies(number, "Another question.")
    world.deliver()
    world.store.run(replay(ACCOUNT, held.id))
    finish(world)

    texts = [(update["message"] or {"text": ""})["text"].strip() for update in world.ticket(number)["updates"]]
    assert "Thank you." in texts
    assert notes(world, number) == 0
    assert [each.handler for each in dead_letters(world)] == ["flood.flood"]


def writes(world: SimulatedDeployment, number: int = 0) -> int:
    """Count the write calls that HappyFox got, on all tickets or one."""
    return sum(call.method == "POST" and (not number or f"/{number}/" in call.path) for call in world.simulator.log)


def refusing(world: SimulatedDeployment, text: bytes) -> list[Call]:
    """Let HappyFox refuse every write that contains a text; return these calls, as they come."""
    answer, refused = world.answer, list[Call]()

    def refuse(step: Call) -> Any:
        if step.request.method == "POST" and text in msgspec.json.encode(step.request.body):
            refused.append(step)
            return Answer(400, {}, b'{"errors": {"text": ["Not today."]}}')
        return answer(step)

    world.answer = refuse  # type: ignore[method-assign]
    return refused


def test_a_plan_that_is_refused_again_and_again_trips_it(store: redis.Redis) -> None:
    router = Router("closer")

    @router.on("smart-rule")
    def close(ticket: Ticket, event: Event) -> None:
        ticket.set(status="Closed")

    world = SimulatedDeployment(store, router, loop_guard=5, **NO_BRAKES)
    world.simulator.faults.add(ApiFault("status", method="POST", status=400, count=None))
    number = opened(world)
    for turn in range(20):
        world.now += 120_000
        world.simulator.fire_rule(number, "Overdue", note=f"Round {turn}")
        finish(world)

    assert writes(world) == 5
    assert sum("the loop guard tripped: 5 writes by us" in each.reason for each in dead_letters(world)) == 1


def test_a_person_who_replays_a_refused_plan_again_and_again_does_not_trip_it(store: redis.Redis) -> None:
    shown = list[str]()
    world = SimulatedDeployment(store, noting(1), hearing("loop", shown), loop_guard=3, **NO_BRAKES)
    world.simulator.faults.add(ApiFault("status", method="POST", status=400, count=None))
    number = opened(world)
    for _ in range(8):
        [refused] = dead_letters(world)
        world.store.run(replay(ACCOUNT, refused.id))
        finish(world)
    assert writes(world) == 9
    world.simulator.faults.clear()

    world.simulator.contact_replies(number, "Hello?")
    finish(world)
    assert shown == ["Hello?"]


def test_what_a_person_replays_does_not_count(store: redis.Redis) -> None:
    shown = list[str]()
    world = SimulatedDeployment(
        store, noting(30), noting(30, "far", on_ticket=1), hearing("loop", shown), loop_guard=20, **NO_BRAKES
    )
    assert opened(world) == 1
    number = opened(world)
    for _ in range(2):
        for each in dead_letters(world):
            world.store.run(replay(ACCOUNT, each.id))
        finish(world)
    assert dead_letters(world) == []
    assert (writes(world, number), writes(world, 1)) == (30, 90)

    for where in (1, number):
        world.simulator.contact_replies(where, f"Hello from {where}?")
        finish(world)
    assert shown == ["Hello from 1?", f"Hello from {number}?"]


@pytest.mark.parametrize("kind", ["tags", "set", "move", "subscribe", "forward", "create"])
def test_no_kind_of_effect_that_a_person_replays_counts(store: redis.Redis, kind: str) -> None:
    router, shown = Router("clerk"), list[str]()

    @router.on("ticket-created")
    def act(ticket: Ticket, event: Event, ctx: Context) -> None:
        acts: dict[str, Callable[[], object]] = {
            "tags": lambda: ticket.add_tags("vip"),
            "set": lambda: ticket.set(priority="High"),
            "move": lambda: ticket.move("Billing"),
            "subscribe": lambda: ticket.subscribe("Lin Wu"),
            "forward": lambda: ticket.forward("a@b.example", "Look", "Please look."),
            "create": lambda: ctx.create_ticket(subject="Copy", text="Look.", category=1, client=ticket.contact.id),
        }
        acts[kind]()

    allow = frozenset({("clerk", each) for each in ("move", "subscribe", "forward", "create")})
    world = SimulatedDeployment(store, router, hearing("loop", shown), loop_guard=1, allow=allow, **NO_BRAKES)
    world.simulator.faults.add(ApiFault("status", method="POST", status=400))
    number = opened(world)
    world.now += HOUR
    [refused] = dead_letters(world)
    world.store.run(replay(ACCOUNT, refused.id))
    finish(world)
    assert writes(world) == 2

    world.simulator.contact_replies(number, "Hello?")
    finish(world)
    assert shown == ["Hello?"]


@pytest.mark.parametrize("others", [0, 1])
def test_a_plan_that_is_split_makes_no_more_calls_than_the_limit(store: redis.Redis, others: int) -> None:
    router, other = Router("vip"), Router("other")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        for number in range(4 - others):
            ticket.note(f"Our answer {number}.")
        ticket.reply("Refuse this.", status="In Progress")
        if not others:
            ticket.set(priority="High")

    @other.on("ticket-created")
    def mark(ticket: Ticket, event: Event) -> None:
        ticket.set(priority="High")

    world = SimulatedDeployment(store, router, *[other] * others, loop_guard=5, **NO_BRAKES)
    refused = refusing(world, b"Refuse this.")
    number = opened(world)

    assert notes(world, number) == 4 - others
    assert writes(world) + len(refused) == 5
    reasons = [each.reason for each in dead_letters(world)]
    assert any("5 calls on this ticket within an hour (FOXHOOKS_LOOP_GUARD=5)" in reason for reason in reasons)
    for each in dead_letters(world):
        world.store.run(replay(ACCOUNT, each.id))
    finish(world)
    assert world.ticket(number)["priority"]["name"] == "High"


def test_calls_that_are_repeated_because_their_result_is_unknown_count(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting(4), loop_guard=5, **NO_BRAKES)
    world.simulator.faults.add(ApiFault("status", method="POST", status=500, count=3))
    number = opened(world)

    assert writes(world) == 5
    assert notes(world, number) + len(dead_letters(world)) == 4


def paused_in_a_loop(
    store: redis.Redis, shown: list[str], scope: Scope, name: str, other: list[str] | None = None
) -> SimulatedDeployment:
    """Pause something after two of our writes (four of two routers), with a loop guard of as many."""
    routers = [hearing("loop", shown)] + ([hearing("other", other)] if other is not None else [])
    world = SimulatedDeployment(store, *routers, loop_guard=2 * len(routers), **NO_BRAKES)
    opened(world)
    replies(world, "one", "two")
    world.store.run(pause(ACCOUNT, scope, name, Pause(world.now, "ada")))
    return world


def hearing(name: str, shown: list[str]) -> Router:
    """Return a router that notes what it is shown."""
    router = Router(name)

    @router.on("contact-replied")
    def hear(ticket: Ticket, event: Event) -> None:
        shown.extend(change.text.strip() for change in event.matched)
        ticket.note(f"{name} heard {len(shown)}.")

    return router


def replies(world: SimulatedDeployment, *texts: str) -> None:
    for text in texts:
        world.simulator.contact_replies(1, text)
        world.now += 3_000
        world.deliver()
        world.work()
