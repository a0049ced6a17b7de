from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from workers.errors import GiveUp, Retry
from workers.plugins.actions import Note, Set, Tags, Ticket
from workers.plugins.context import Context
from workers.plugins.invoke import decide, refusal
from workers.plugins.router import Handler, Router
from workers.rules.checks import ConditionResult
from workers.testing import NOON, ticket
from workers.tickets.change import Change, Event
from workers.tickets.model import TicketRead

CHANGE = Change(kind="ticket-created", at=NOON)
EVENT = Event(account="test", kind="ticket-created", at=NOON, changes=(CHANGE,), matched=(CHANGE,))
UNUSED: Any = None
CONTEXT = Context(ticket=1, now=NOON, settings="the settings", log=UNUSED, happyfox=UNUSED, act=UNUSED, store=UNUSED)


def handler(function: Callable[..., Any], when: Callable[..., object] | None = None) -> Handler:
    router = Router("test")
    router.on("ticket-created", when=when)(function)
    return router.handlers[0]


def why_not(when: Callable[..., object] | None) -> str:
    return refusal(handler(lambda ticket: None, when), ticket(), EVENT, NOON)


def test_a_handler_without_when_always_runs() -> None:
    assert why_not(None) == ""


def test_when_gets_the_event_and_the_time_if_it_names_them() -> None:
    def never(event: Event, now: datetime, ticket: TicketRead) -> bool:
        return (event.kind, now) != ("ticket-created", NOON) and ticket.id == 1

    assert why_not(never) == "its `when` does not hold"
    assert why_not(lambda ticket: ticket.subject) == ""


def test_the_reason_in_the_result_of_when_is_returned() -> None:
    assert why_not(lambda ticket: ConditionResult(False, "it is New")) == "it is New"
    assert why_not(lambda ticket: ConditionResult(True, "status is New")) == ""


def test_when_gets_the_settings_if_it_names_them() -> None:
    def vip(ticket: TicketRead, settings: str) -> bool:
        return settings == "vip"

    asked = handler(lambda ticket: None, vip)
    assert refusal(asked, ticket(), EVENT, NOON, "vip") == ""
    assert refusal(asked, ticket(), EVENT, NOON, "all") == "its `when` does not hold"


def test_when_cannot_record_actions() -> None:
    with pytest.raises(AttributeError):
        why_not(lambda ticket: ticket.delete())


def test_actions_keep_the_order_in_which_they_were_recorded() -> None:
    def record(ctx: Context, event: Event, ticket: Ticket) -> None:
        ticket.note(f"{event.kind} {ctx.settings}")
        ticket.add_tags("a")
        ticket.set(status="Closed")

    read = ticket()
    expected = (Note("ticket-created the settings"), Tags(add=("a",)), Set({"status": "Closed"}, {}))
    assert decide(handler(record), read, EVENT, CONTEXT) == expected
    assert decide(handler(record), read, EVENT, CONTEXT) == expected, "a second run begins with an empty record"


@pytest.mark.parametrize("error", [Retry("later"), GiveUp("never"), KeyError("x")])
def test_exceptions_of_a_handler_are_raised(error: Exception) -> None:
    def fail(ticket: Ticket) -> None:
        ticket.note("void")
        raise error

    with pytest.raises(type(error)) as raised:
        decide(handler(fail), ticket(), EVENT, CONTEXT)
    assert raised.value is error


async def wait(ticket: Ticket) -> None:
    """A coroutine function that the router cannot see behind a lambda."""


@pytest.mark.parametrize("returned", [lambda _: "secret", lambda _: False, lambda _: (x for x in "secret"), wait])
def test_a_returned_value_is_an_error_that_does_not_quote_it(returned: Callable[[Ticket], object]) -> None:
    with pytest.raises(GiveUp, match="a handler returns None: record actions on the ticket") as raised:
        decide(handler(lambda ticket: returned(ticket)), ticket(), EVENT, CONTEXT)  # noqa: PLW0108 - hides a coroutine
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (lambda it: it.set(fields={"Reason": object()}), "a value cannot be sent"),
        (lambda it: it.note("half \ud83d"), "half a character"),
        (lambda it: it.actions.append("close it"), "use the methods of the ticket"),
        (lambda it: [it.note("x" * 1_000_000) for _ in range(6)], "record at most 5000000"),
    ],
)
def test_actions_that_no_plan_can_store_fail_the_handler(record: Callable[[Ticket], Any], words: str) -> None:
    def bad(ticket: Ticket) -> None:
        record(ticket)

    with pytest.raises(GiveUp, match=words):
        decide(handler(bad), ticket(), EVENT, CONTEXT)
