from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from workers import Actor, Change, Context, Event, GiveUp, Router, Ticket
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Answer, Request
from workers.plugins.actions import Forward, Later, Note
from workers.plugins.router import AskedKind
from workers.testing import NOON, Result, run, ticket
from workers.tickets.change import Kind


@dataclass(frozen=True)
class Settings:
    word: str = "default"


def router(function: Any, *kinds: AskedKind, settings: type | None = None, **options: Any) -> Router:
    made = Router("test", settings=settings)
    made.on(*(kinds or ("ticket-created",)), **options)(function)
    return made


def test_actions_are_folded_as_in_the_engine() -> None:
    def first(ticket: Ticket) -> None:
        ticket.add_tags("a", "there", "b")
        ticket.remove_tags("gone", "absent")
        ticket.note("Equal notes & such are one.")
        ticket.set(status="Open", fields={"Plan": "Gold"})
        ticket.move("Billing")

    def second(ticket: Ticket) -> None:
        ticket.remove_tags("b")
        ticket.note("Equal notes & such are one.")
        ticket.reply("Hello", priority="Low", status="Closed")
        ticket.forward("a@example.com", "s", "m")
        ticket.subscribe(7, "Ada King")
        ticket.delete()

    both = router(first)
    both.on("ticket-created")(second)
    result = run(
        both,
        ticket(tags=["there", "gone"]),
        "ticket-created",
        allow=("reply", "move", "forward", "subscribe", "delete"),
    )
    assert result.tags_added == {"a"}
    assert result.tags_removed == {"gone"}
    respelled = run(both, ticket(tags=["A", "THERE", "Gone"]), "ticket-created")
    assert (respelled.tags_added, respelled.tags_removed) == (set(), {"Gone"})
    assert result.notes == ("Equal notes &amp; such are one.",)
    assert result.replies == ("Hello",)
    assert result.properties == {"status": "Closed", "priority": "Low"}
    assert result.fields == {"Plan": "Gold"}
    assert result.moved == "Billing"
    assert result.forwards == (Forward(("a@example.com",), "s", "m"),)
    assert result.subscribed == {7, "Ada King"}
    assert result.deleted
    assert (result.denied, result.skipped, result.failed) == ({}, {}, {})


def test_handlers_of_other_kinds_are_not_called_and_not_skipped() -> None:
    def never(ticket: Ticket) -> None:
        raise AssertionError

    assert run(router(never, "smart-rule"), ticket(), "ticket-created") == Result()


def test_a_handler_whose_when_does_not_hold_is_skipped_with_a_reason() -> None:
    def wake(ticket: Ticket) -> None:
        ticket.add_tags("woken")

    closed = router(wake, when=lambda ticket: ticket.status.closed)
    assert run(closed, ticket(status="New"), "ticket-created").skipped == {"test.wake": "its `when` does not hold"}
    assert run(closed, ticket(status="Solved"), "ticket-created").tags_added == {"woken"}
    assert run(closed, ticket(status="Done", closed=True), "ticket-created").tags_added == {"woken"}


def test_actions_without_a_grant_are_denied_and_the_rest_is_recorded() -> None:
    def both(ticket: Ticket) -> None:
        ticket.reply("Hello", status="Open")
        ticket.delete()

    result = run(router(both), ticket(), "ticket-created", allow=["delete"])
    assert result.denied == {"test.both": ["FOXHOOKS_ALLOW=test:reply"]}
    assert (result.replies, result.deleted, result.properties) == ((), True, {})


def test_a_handler_that_raises_has_failed_without_actions() -> None:
    def fail(ticket: Ticket) -> None:
        ticket.note("void")
        raise GiveUp("no such customer")

    result = run(router(fail), ticket(), "ticket-created")
    assert str(result.failed["test.fail"]) == "no such customer"
    assert result.actions == ()


def test_the_message_of_the_change_is_in_the_history_of_the_ticket() -> None:
    snapshot = []

    def look(ticket: Ticket, event: Event) -> None:
        (change,) = event.matched
        update = ticket.history[-1]
        snapshot.append((ticket.message, change.text, change.actor.kind, update.id == change.update_id, event.kind))

    looks = router(look, "contact-replied", "note-added")
    run(looks, ticket(text="First"), "contact-replied", text="Second")
    run(looks, ticket(text="First"), "note-added", by=Actor("staff", 7, "Ada"), text="Second")
    assert snapshot == [
        ("Second", "Second", "contact", True, "contact-replied"),
        ("First", "Second", "staff", True, "note-added"),
    ]


@pytest.mark.parametrize(("kind", "author"), [("contact-replied", "contact"), ("note-added", "staff")])
def test_a_client_of_the_gateway_writes_in_the_name_of_a_person(kind: Kind, author: str) -> None:
    seen = []

    def look(ticket: Ticket, event: Event) -> None:
        update = ticket.history[-1]
        seen.append((event.matched[0].actor, update.author, update.client))

    run(router(look, kind), ticket(), kind, by=Actor("client", name="triage"), text="Hi")
    run(router(look, kind), ticket(), kind, by="client", text="Hi")
    assert seen == [(Actor("client", name="triage"), author, "triage"), (Actor("client"), author, "a client")]


def test_the_text_of_a_creation_is_the_first_message() -> None:
    def say(ticket: Ticket, event: Event) -> None:
        ticket.note(event.matched[0].text)

    assert run(router(say), ticket(text="It broke."), "ticket-created").notes == ("It broke.",)


def test_given_changes_are_the_only_changes() -> None:
    def count(ticket: Ticket, event: Event) -> None:
        ticket.note(f"{len(event.matched)} of {len(event.changes)}, {event.kind}")

    changes = [Change(kind=kind, at=NOON) for kind in ("contact-replied", "moved", "contact-replied")]
    result = run(router(count, "contact-replied"), ticket(), "contact-replied", changes=changes)
    assert result.actions == (Note("2 of 3, contact-replied"),)


def test_settings_are_an_instance_or_a_table_or_the_defaults() -> None:
    def write_word(ticket: Ticket, ctx: Context) -> None:
        ticket.note(ctx.settings.word)

    configured = router(write_word, settings=Settings)
    assert run(configured, ticket(), "ticket-created").notes == ("default",)
    assert run(configured, ticket(), "ticket-created", settings={"word": "table"}).notes == ("table",)
    assert run(configured, ticket(), "ticket-created", settings=Settings("mine")).notes == ("mine",)
    with pytest.raises(TypeError, match="pass Settings or a table to router 'test'"):
        run(configured, ticket(), "ticket-created", settings="x")
    with pytest.raises(ValueError, match="did you mean 'word'"):
        run(configured, ticket(), "ticket-created", settings={"wrod": "x"})


def test_a_handler_that_would_call_happyfox_fails() -> None:
    def call(ticket: Ticket, ctx: Context) -> None:
        ctx.happyfox.ticket(3)

    error = run(router(call), ticket(), "ticket-created").failed["test.call"]
    assert "the test kit has no network" in str(error)


def test_a_misspelled_kind_is_reported_with_the_nearest_kind() -> None:
    with pytest.raises(ValueError, match="did you mean 'ticket-created'"):
        run(Router("test"), ticket(), "ticket-creatd")  # type: ignore[arg-type]


def timed() -> Router:
    made = Router("waits")

    @made.on("contact-replied")
    def begin(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("2h", "remind", unless="staff-replied")

    @made.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        ticket.note(f"{event.kind} {event.matched[-1].name}")

    @made.every("1d", find="status:New", older_than="14d")
    def close(ticket: Ticket, event: Event) -> None:
        ticket.note(event.kind)

    return made


def test_timers_are_part_of_the_result() -> None:
    result = run(timed(), ticket(), "contact-replied", text="Hello?")
    assert result.timers == {"remind": timedelta(hours=2)}
    assert result.actions == (Later("remind", 7_200_000, ("staff-replied",)),)


def test_a_timer_and_a_schedule_call_their_handlers() -> None:
    assert run(timed(), ticket(), "later", name="remind").notes == ("later remind",)
    now = NOON + timedelta(days=14)
    assert run(timed(), ticket(), "scheduled", now=now).notes == ("scheduled",)
    assert run(timed(), ticket(), "scheduled").skipped == {
        "waits.close": "the ticket was changed 0 s ago, less than 14 d"
    }


def test_an_unknown_timer_or_a_missing_schedule_is_an_error() -> None:
    with pytest.raises(ValueError, match="no handler of router 'waits' receives the timer 'remnd'"):
        run(timed(), ticket(), "later", name="remnd")
    with pytest.raises(ValueError, match="no handler of router 'test' has a schedule"):
        run(router(lambda ticket: None), ticket(), "scheduled")


def test_no_client_writes_in_a_handler() -> None:
    sent: list[Request] = []

    def sneak(ticket: Ticket) -> None:
        def send(request: Request) -> Answer:
            sent.append(request)
            return Answer(200, {}, b"{}")

        Client(send, staff_id=7).private_note(ticket.id, text="Past the plan.")

    [error] = run(router(sneak), ticket(), "ticket-created").failed.values()
    assert "in a handler, HappyFox only reads" in str(error)
    assert sent == []


def test_a_misspelled_permission_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="unknown permission 'replly'; did you mean 'reply'"):
        run(Router("test"), ticket(), "ticket-created", allow=["replly"])


def test_a_misspelled_actor_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="by: no actor 'staf'; did you mean 'staff'"):
        run(Router("test"), ticket(), "ticket-created", by="staf")  # type: ignore[arg-type]


def test_a_field_cannot_be_a_table() -> None:
    def handler(ticket: Ticket) -> None:
        ticket.set(fields={"Region": {"name": "North"}})

    failed = run(router(handler), ticket(), "ticket-created").failed
    assert "the field 'Region' is a dict; pass a text, a number, a date or a list" in str(*failed.values())
