"""The timers of a ticket in a turn."""

from datetime import UTC, datetime

import pytest

from workers.tickets.change import Actor, Change, describe, event_for, matches, schedule_kind, timer_kind
from workers.tickets.snapshot import Timer, replace_timer, split_due

NOW = 1_780_000_000_000
AT = datetime.fromtimestamp(NOW / 1000, UTC)
REPLY = Change(kind="staff-replied", at=AT, update_id=3, actor=Actor("staff", 8))


def timer(name: str = "remind", due: int = NOW, unless: tuple[str, ...] = (), dry: bool = False) -> Timer:
    return Timer("vip", name, due, NOW - 7_200_000, unless, dry)


def live(_: str) -> bool:
    return False


def test_a_due_timer_becomes_a_change_for_its_router_only() -> None:
    split = split_due([timer()], [], NOW, live)

    (change,) = split.changes
    assert split.left == ()
    assert split.remarks == ()
    assert change == Change(kind="later", name="remind", to="vip", at=AT)
    assert matches(frozenset({timer_kind("vip", "remind")}), change)
    for others in ({timer_kind("crm", "remind")}, {timer_kind("vip", "close")}, {"ticket-updated"}, {"later"}):
        assert not matches(frozenset(others), change)


def test_a_timer_that_is_not_due_keeps_running() -> None:
    assert split_due([timer(due=NOW + 1)], [], NOW, live).left == (timer(due=NOW + 1),)


@pytest.mark.parametrize("due", [NOW - 1, NOW + 1])
def test_a_change_named_in_unless_ends_a_timer_even_if_it_is_due(due: int) -> None:
    split = split_due([timer(due=due, unless=("staff-replied",))], [REPLY], NOW, live)

    assert (split.changes, split.left) == ((), ())
    assert split.remarks == ("timer remind of vip: ended by staff-replied",)


def test_other_changes_do_not_end_a_timer() -> None:
    kept = timer(due=NOW + 1, unless=("contact-replied",))
    assert split_due([kept], [REPLY], NOW, live).left == (kept,)


def test_unless_ticket_updated_means_any_change_but_timers_and_schedules() -> None:
    running = timer(unless=("ticket-updated",))
    other = Change(kind="later", at=AT, to="crm", name="x")
    assert running.ended_by([REPLY]) == "staff-replied"
    assert running.ended_by([other, Change(kind="scheduled", at=AT, to="vip.close")]) == ""


def test_due_timers_come_in_the_order_of_their_times() -> None:
    split = split_due([timer("late", NOW - 1), timer("early", NOW - 2)], [], NOW, live)
    assert [change.name for change in split.changes] == ["early", "late"]


def test_a_timer_set_in_a_dry_run_ends_with_it() -> None:
    dry = timer(due=NOW + 1, dry=True)
    assert split_due([dry], [], NOW, lambda router: router == "vip").left == (dry,)
    ended = split_due([dry], [], NOW, live)
    assert ended.left == ()
    assert ended.remarks == ("timer remind of vip: ended with the dry run in which it was set",)


def test_a_new_timer_replaces_the_one_with_the_same_router_and_name() -> None:
    old, new, other = timer(), timer(due=NOW + 5), Timer("crm", "remind", NOW, NOW)
    assert replace_timer((old, other), new) == (other, new)


def test_an_event_shows_all_changes_except_timers_and_schedules_for_others() -> None:
    mine, others = Change(kind="later", at=AT, to="vip", name="remind"), Change(kind="later", at=AT, to="crm", name="x")
    found = Change(kind="scheduled", at=AT, to="vip.close")
    event = event_for("acme", frozenset({timer_kind("vip", "remind")}), (REPLY, others, mine, found))
    assert event is not None
    assert (event.kind, event.changes, event.matched) == ("later", (REPLY, mine), (mine,))
    other = event_for("acme", frozenset({"staff-replied"}), (REPLY, others, mine, found))
    assert other is not None
    assert other.changes == (REPLY,)
    scheduled = event_for("acme", frozenset({schedule_kind("vip.close")}), (others, found))
    assert scheduled is not None
    assert (scheduled.kind, scheduled.changes) == ("scheduled", (found,))


def test_timers_and_schedules_are_described_in_plain_words() -> None:
    assert describe(Change(kind="later", at=AT, to="vip", name="remind")) == "later: the timer remind of vip is due"
    assert describe(Change(kind="scheduled", at=AT, to="vip.close")) == "scheduled: found by vip.close"
    assert describe(REPLY) == ""
