"""Routers: invalid registrations are reported when the module is loaded."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest

from workers import Context, Event, Router, Ticket
from workers.plugins.router import Schedule
from workers.testing import run, ticket


@dataclass(frozen=True)
class Crm:
    url: str = ""


def note(ticket: Ticket, event: Event) -> None:
    ticket.note("Seen.")


@pytest.mark.parametrize(
    ("kinds", "options", "problem"),
    [
        (
            ("later",),
            {},
            'kind \'later\' is not allowed here; a timer has a name: write @router.on("later", name="...")',
        ),
        (("scheduled",), {}, 'kind \'scheduled\' is not allowed here; write @router.every("1h", find="...")'),
        (("contact-replied",), {"name": "x"}, "name='x' names a timer or a hook; write on(\"later\", name='x')"),
        (("hook",), {"name": "Not callable"}, "the hook 'Not callable' cannot be called"),
        (("latr",), {}, "no kind 'latr'; did you mean 'later'?"),
    ],
)
def test_a_timer_is_registered_by_its_name(kinds: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        Router("vip").on(*kinds, **options)(note)


def test_a_handler_can_receive_a_timer_and_changes() -> None:
    router = Router("vip")
    router.on("contact-replied", "later", name="remind")(note)
    (handler,) = router.handlers
    assert handler.kinds == {"contact-replied", "later vip remind"}
    assert handler.receives == {"remind"}


@pytest.mark.parametrize(
    ("period", "options", "problem"),
    [
        ("1h", {"find": " "}, "find is empty"),
        ("often", {"find": "x"}, "the period 'often' is not a duration; write it as 30m, 1h or 14d"),
        ("59s", {"find": "x"}, "the period '59s' is out of range; use 1m to 366d"),
        (float("nan"), {"find": "x"}, "is out of range"),
        (None, {"find": "x"}, "is not a duration"),
        ("1h", {"find": "x", "older_than": "-1d"}, "older_than '-1d' is out of range; write it as 14d"),
    ],
)
def test_an_invalid_schedule_is_refused(period: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="router 'vip', every: .*" + re.escape(problem)):
        Router("vip").every(period, **options)


def test_a_schedule_belongs_to_its_handler() -> None:
    router = Router("vip")
    router.every(timedelta(hours=1), find="tag:x", older_than="14d")(note)
    (handler,) = router.handlers
    assert handler.every == Schedule(3_600_000, "tag:x", 14 * 86_400_000)
    assert handler.kinds == {"scheduled vip.note"}


def test_the_search_covers_one_day_more_than_needed() -> None:
    schedule = Schedule(3_600_000, "tag:x", 14 * 86_400_000)
    assert schedule.query(1_780_000_000_000) == 'tag:x last-modified-on-or-before:"2026/05/15"'
    assert Schedule(3_600_000, "tag:x").query(1_780_000_000_000) == "tag:x"


def positional(ticket: Ticket, event: Event, /) -> None: ...


def yields(ticket: Ticket) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("register", "problem"),
    [
        (lambda router: router.on(note), 'on has no kind; write @router.on("ticket-created")'),
        (lambda router: router.on(["moved", "assigned"])(note), "list is not a kind; pass each kind as a string"),
        (lambda router: router.on(None)(note), "NoneType is not a kind"),
        (lambda router: router.on("moved")(yields), "vip.yields contains `yield`"),
        (lambda router: router.on("moved")(positional), "vip.positional has positional-only parameters"),
        (lambda router: router.on("moved")(partial(note)), "a partial has no name; write a def"),
        (lambda router: router.on("moved")(None), "a NoneType has no name; write a def"),
        (lambda router: router.on("moved", when="vip")(note), "when of vip.note is a str; pass a function"),
        (
            lambda router: router.on("later", name="x" * 65)(note),
            "the timer name is invalid; use a str of at most 64",
        ),
        (lambda router: router.on("later", name=5)(note), "the timer name is invalid; use a str of at most 64"),
        (lambda router: router.every("1h", find="a\nb")(note), "find is not one line of at most 1000"),
        (lambda router: router.every(True, find="x")(note), "the period True is not a duration"),
        (lambda router: Router(cast(str, None)), "router name None"),
        (lambda router: Router("crm", settings=cast(Any, Crm())), "settings is not a dataclass; pass the class itself"),
    ],
)
def test_an_invalid_registration_is_reported_when_the_module_is_loaded(
    register: Callable[[Router], object], problem: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(problem)):
        register(Router("vip"))


def test_a_known_parameter_is_passed_even_if_it_has_a_default() -> None:
    def logs(ticket: Ticket, ctx: Context | None = None, greeting: str = "Hello") -> None:
        assert ctx is not None
        ticket.note(f"{greeting} at {ctx.now:%H:%M}")

    router = Router("vip")
    router.on("ticket-created")(logs)
    assert run(router, ticket(), "ticket-created").notes == ("Hello at 12:00",)
