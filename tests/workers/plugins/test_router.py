"""Routers: what is wrong with a timer's or a schedule's registration is told when the module is loaded."""

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
    ("kinds", "options", "complaint"),
    [
        (
            ("later",),
            {},
            'kind \'later\' is not allowed here; a timer has a name: write @router.on("later", name="...")',
        ),
        (("scheduled",), {}, 'kind \'scheduled\' is not allowed here; write @router.every("1h", find="...")'),
        (("contact-replied",), {"name": "x"}, "name='x' is for timers; write on(\"later\", name='x')"),
        (("latr",), {}, "no kind 'latr'; did you mean 'later'?"),
    ],
)
def test_a_timer_is_asked_for_by_its_name(kinds: tuple[str, ...], options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Router("vip").on(*kinds, **options)(note)


def test_a_handler_may_ask_for_a_timer_and_for_changes() -> None:
    router = Router("vip")
    router.on("contact-replied", "later", name="remind")(note)
    (handler,) = router.handlers
    assert handler.kinds == {"contact-replied", "later vip remind"}
    assert handler.receives == {"remind"}


@pytest.mark.parametrize(
    ("period", "options", "complaint"),
    [
        ("1h", {"find": " "}, "find is empty"),
        ("often", {"find": "x"}, "a period 'often' cannot be read; write it as 30m, 1h or 14d"),
        ("59s", {"find": "x"}, "a period of '59s' cannot be; it is 1m at least and 366d at most"),
        (float("nan"), {"find": "x"}, "cannot be"),
        (None, {"find": "x"}, "cannot be read"),
        ("1h", {"find": "x", "older_than": "-1d"}, "older_than: '-1d' cannot be; write it as 14d"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(period: Any, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match="router 'vip', every: .*" + re.escape(complaint)):
        Router("vip").every(period, **options)


def test_a_schedule_belongs_to_its_handler() -> None:
    router = Router("vip")
    router.every(timedelta(hours=1), find="tag:x", older_than="14d")(note)
    (handler,) = router.handlers
    assert handler.every == Schedule(3_600_000, "tag:x", 14 * 86_400_000)
    assert handler.kinds == {"scheduled vip.note"}


def test_the_search_is_narrowed_by_whole_days_with_one_to_spare() -> None:
    schedule = Schedule(3_600_000, "tag:x", 14 * 86_400_000)
    assert schedule.query(1_780_000_000_000) == 'tag:x last-modified-on-or-before:"2026/05/15"'
    assert Schedule(3_600_000, "tag:x").query(1_780_000_000_000) == "tag:x"


def positional(ticket: Ticket, event: Event, /) -> None: ...


def yields(ticket: Ticket) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("register", "complaint"),
    [
        (lambda router: router.on(note), 'on stands without its kinds; write @router.on("ticket-created")'),
        (lambda router: router.on(["moved", "assigned"])(note), "list is not a kind; pass each kind as a string"),
        (lambda router: router.on(None)(note), "NoneType is not a kind"),
        (lambda router: router.on("moved")(yields), "vip.yields has a `yield`"),
        (lambda router: router.on("moved")(positional), "vip.positional takes parameters by their place"),
        (lambda router: router.on("moved")(partial(note)), "a partial has no name; write a def"),
        (lambda router: router.on("moved")(None), "a NoneType has no name; write a def"),
        (lambda router: router.on("moved", when="vip")(note), "when of vip.note is a str; give a function"),
        (lambda router: router.on("later", name="x" * 65)(note), "the name of a timer is a text of 64"),
        (lambda router: router.on("later", name=5)(note), "the name of a timer is a text of 64"),
        (lambda router: router.every("1h", find="a\nb")(note), "a search has one line"),
        (lambda router: router.every(True, find="x")(note), "a period True cannot be read"),
        (lambda router: Router(cast(str, None)), "router name None"),
        (lambda router: Router("crm", settings=cast(Any, Crm())), "settings must be a dataclass, the class itself"),
    ],
)
def test_a_slip_of_the_author_is_told_when_the_module_is_loaded(
    register: Callable[[Router], object], complaint: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(complaint)):
        register(Router("vip"))


def test_a_parameter_that_is_named_is_given_also_if_it_could_do_without() -> None:
    def logs(ticket: Ticket, ctx: Context | None = None, greeting: str = "Hello") -> None:
        assert ctx is not None
        ticket.note(f"{greeting} at {ctx.now:%H:%M}")

    router = Router("vip")
    router.on("ticket-created")(logs)
    assert run(router, ticket(), "ticket-created").notes == ("Hello at 12:00",)
