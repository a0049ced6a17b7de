"""Routers: what is wrong with a timer's or a schedule's registration is told when the module is loaded."""

import re
from datetime import timedelta
from typing import Any

import pytest

from workers import Event, Router, Ticket
from workers.turns.schedule import Schedule


def note(ticket: Ticket, event: Event) -> None:
    ticket.note("Seen.")


@pytest.mark.parametrize(
    ("kinds", "options", "complaint"),
    [
        (("later",), {}, 'kind \'later\' cannot stand here; a timer has a name: write @router.on("later", name="...")'),
        (("scheduled",), {}, 'kind \'scheduled\' cannot stand here; write @router.every("1h", find="...")'),
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
