"""The changes between a snapshot and a read."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from tests.support.turns import ADA, BOT, RULE, SAM, ticket, update
from workers.tickets.change import Actor
from workers.tickets.diff import FirstSight, ReadDiff, diff_read
from workers.tickets.model import TicketRead
from workers.tickets.snapshot import Fingerprint, Snapshot, add_own_writes, take_snapshot

NOW = datetime(2026, 3, 1, 11, tzinfo=UTC)
OPENED = datetime(2026, 3, 1, 10, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)


def snapshot(read: TicketRead) -> Snapshot:
    return add_own_writes(take_snapshot(read))


def compare(
    read: TicketRead,
    before: Snapshot | None,
    since: datetime = OPENED,
    created: bool = False,
    created_since: datetime = OPENED,
) -> ReadDiff:
    return diff_read(read, before, FirstSight(since, created_since if created else None), NOW, staff=7)


def kinds(found: ReadDiff) -> list[tuple[str, int | None]]:
    return [(change.kind, change.update_id) for change in found.changes]


def test_each_new_update_is_a_change_once_in_order() -> None:
    before = snapshot(ticket())
    read = ticket(update(2, SAM, "Hello?"), update(3, ADA, "On it."), update(4, ADA, "Hm.", note=True), update(5, RULE))

    found = compare(read, before)

    assert kinds(found) == [("contact-replied", 2), ("staff-replied", 3), ("note-added", 4), ("smart-rule", 5)]
    assert kinds(compare(read, found.snapshot)) == []


def test_an_update_with_a_lower_id_that_becomes_visible_late_is_a_change() -> None:
    found = compare(ticket(update(3, SAM, "Second.")), snapshot(ticket()))

    assert kinds(compare(ticket(update(2, SAM, "First."), update(3, SAM, "Second.")), found.snapshot)) == [
        ("contact-replied", 2)
    ]


def test_an_update_below_the_floor_is_no_change() -> None:
    found = compare(
        ticket(update(3, SAM, "Much later.", minute=40), update(4, ADA, "Later still.", minute=58)), snapshot(ticket())
    )

    assert found.snapshot.floor == 3
    assert kinds(compare(ticket(update(2, SAM, "Old."), update(4, ADA, "x")), found.snapshot)) == []


def test_changed_tags_are_found_by_comparison() -> None:
    found = compare(ticket(tags="a, c"), snapshot(ticket(tags="a,b")))

    assert [(change.added, change.removed) for change in found.changes] == [(frozenset("c"), frozenset("b"))]


def test_changed_tags_come_in_the_place_of_the_update_made_with_them() -> None:
    found = compare(ticket(update(2, ADA), update(3, SAM, "Hello?"), tags="a"), snapshot(ticket()))

    assert kinds(found) == [("tags-changed", 2), ("contact-replied", 3)]


def test_our_own_tags_are_no_change() -> None:
    before = add_own_writes(take_snapshot(ticket()), ids=[2], tags_added=["vip"])

    assert kinds(compare(ticket(update(2, BOT), tags="vip"), before)) == []


def test_a_changed_field_is_found_by_comparison() -> None:
    found = compare(ticket(fields={3: "Scanner"}), snapshot(ticket(fields={3: ""})))

    assert [(change.kind, change.field, change.new and change.new.name) for change in found.changes] == [
        ("field-changed", "field 3", "Scanner")
    ]


def test_a_field_we_set_that_happyfox_shows_in_another_form_is_no_change() -> None:
    before = add_own_writes(take_snapshot(ticket(fields={3: ""})), unread={"3": "2026-03-04"})

    found = compare(ticket(fields={3: "04 Mar 2026"}), before)

    assert kinds(found) == []
    assert found.snapshot.fields == {"3": "04 Mar 2026"}
    assert found.snapshot.unread == {}


def test_a_field_we_set_that_a_person_set_before_the_next_read_is_a_change() -> None:
    before = add_own_writes(take_snapshot(ticket(fields={3: ""})), unread={"3": "5th"})

    (change,) = compare(ticket(fields={3: "8th"}), before).changes

    assert (change.kind, change.old and change.old.name, change.new and change.new.name) == (
        "field-changed",
        "5th",
        "8th",
    )


def test_a_property_is_compared_only_if_there_is_no_new_update() -> None:
    before = snapshot(ticket(status=1))

    assert kinds(compare(ticket(update(2, ADA, status=(1, 4)), status=4), before)) == [("status-changed", 2)]
    assert kinds(compare(ticket(status=4), before)) == [("status-changed", None)]


def test_a_change_announced_early_is_not_repeated_by_its_late_update() -> None:
    first = compare(ticket(status=4), snapshot(ticket(status=1)))
    assert kinds(first) == [("status-changed", None)]
    late = update(2, ADA, status=(1, 4), priority=(1, 3))
    second = compare(ticket(late, status=4), first.snapshot)
    assert kinds(second) == [("priority-changed", 2)]
    third = compare(
        ticket(late, update(3, ADA, status=(4, 1)), update(4, ADA, status=(1, 4)), status=4), second.snapshot
    )
    assert kinds(third) == [("status-changed", 3), ("status-changed", 4)]


def test_a_late_update_that_shows_only_what_was_announced_is_no_change() -> None:
    first = compare(ticket(status=4), snapshot(ticket(status=1)))
    found = compare(ticket(update(2, ADA, status=(1, 4)), status=4), first.snapshot)
    assert kinds(found) == []
    assert found.snapshot.announced_early == ()


def test_an_early_announcement_covers_all_updates_between_its_ends() -> None:
    first = compare(ticket(status=4), snapshot(ticket(status=1)))
    one = update(2, ADA, status=(1, 2))
    second = compare(ticket(one, status=4), first.snapshot)
    third = compare(
        ticket(one, update(3, ADA, status=(2, 4)), update(4, ADA, status=(4, 2)), status=2), second.snapshot
    )
    assert (kinds(second), kinds(third)) == ([], [("status-changed", 4)])


def test_two_early_announcements_of_a_property_are_both_remembered() -> None:
    first = compare(ticket(status=4), snapshot(ticket(status=1)))
    second = compare(ticket(status=2), first.snapshot)
    assert kinds(second) == [("status-changed", None)]
    one, two = update(2, ADA, status=(1, 4)), update(3, ADA, status=(4, 2))
    assert kinds(compare(ticket(one, two, status=2), second.snapshot)) == []
    late = compare(ticket(two, status=2), second.snapshot)
    assert kinds(late) == []
    assert kinds(compare(ticket(one, two, status=2), late.snapshot)) == []


def test_the_parts_of_an_early_announcement_may_become_visible_in_any_order() -> None:
    first = compare(ticket(status=4), snapshot(ticket(status=1)))
    one, two = update(2, ADA, status=(1, 2)), update(3, ADA, status=(2, 4))
    second = compare(ticket(two, status=4), first.snapshot)
    third = compare(ticket(one, two, status=4), second.snapshot)
    assert (kinds(second), kinds(third)) == ([], [])
    assert third.snapshot.announced_early == ()


def test_a_change_there_and_back_after_an_early_announcement_is_shown() -> None:
    first = compare(ticket(status=4), snapshot(ticket(status=1)))
    away, back = update(3, ADA, status=(4, 2)), update(4, ADA, status=(2, 4))
    second = compare(ticket(away, back, status=4), first.snapshot)
    assert kinds(second) == [("status-changed", 3), ("status-changed", 4)]
    third = compare(ticket(update(2, ADA, status=(1, 4)), away, back, status=4), second.snapshot)
    assert kinds(third) == []


def test_the_same_change_long_after_an_early_announcement_is_a_change() -> None:
    first = compare(ticket(status=4), snapshot(ticket(status=1)))
    afterwards = {**update(2, ADA, status=(1, 4)), "timestamp": "2026-03-01 11:03:00"}
    later = compare(ticket(afterwards, status=4), first.snapshot)
    assert kinds(later) == [("status-changed", 2)]


def test_an_expected_update_is_ours() -> None:
    fingerprint = Fingerprint("staff", 7, message="note", words=("seen", "by", "us"))
    before = add_own_writes(take_snapshot(ticket()), expected=[(MS, fingerprint)])

    found = compare(ticket(update(2, BOT, "Seen by us", note=True)), before)

    assert (kinds(found), found.unattributed, found.snapshot.expected) == ([], (), ())


def test_an_expected_update_that_never_shows_up_is_forgotten() -> None:
    old = MS - int(timedelta(minutes=16).total_seconds() * 1000)
    before = add_own_writes(
        take_snapshot(ticket()), expected=[(old, Fingerprint("staff", 7)), (MS, Fingerprint("staff", 7))]
    )

    assert [at for at, _ in compare(ticket(), before).snapshot.expected] == [MS]


def test_a_found_update_removes_its_own_effect_also_when_an_older_one_expires() -> None:
    old = MS - int(timedelta(minutes=16).total_seconds() * 1000)
    lost = Fingerprint("staff", 7, message="note", words=("never", "shown"))
    found = Fingerprint("staff", 7, message="note", words=("seen", "by", "us"))
    before = add_own_writes(take_snapshot(ticket()), expected=[(old, lost), (MS, found)])

    assert compare(ticket(update(2, BOT, "Seen by us", note=True)), before).snapshot.expected == ()


def test_an_update_like_a_recent_effect_of_ours_is_unattributed_and_no_change() -> None:
    before = add_own_writes(
        take_snapshot(ticket()),
        fingerprints=[(MS, Fingerprint("staff", 7, message="note", words=("seen", "by", "us")))],
    )
    found = compare(ticket(update(2, BOT, "Seen by us", note=True)), before)

    assert kinds(found) == []
    assert [each.id for each in found.unattributed] == [2]


def test_other_updates_by_our_staff_member_are_by_a_person() -> None:
    fingerprint = Fingerprint("staff", 7, message="note", words=("seen", "by", "us"))
    before = add_own_writes(take_snapshot(ticket()), fingerprints=[(MS, fingerprint)])
    found = compare(ticket(update(2, BOT, "I take over", note=True), update(3, BOT, status=(1, 4)), status=4), before)

    assert kinds(found) == [("note-added", 2), ("status-changed", 3)]
    assert {change.actor for change in found.changes} == {Actor("staff", 7, "Foxhooks Bot")}
    assert found.unattributed == ()


def test_a_silent_update_by_our_staff_member_shows_only_who_changed_the_tags() -> None:
    assert kinds(compare(ticket(update(2, BOT)), snapshot(ticket()))) == []

    [change] = compare(ticket(update(2, BOT), tags="vip"), snapshot(ticket())).changes
    assert (change.kind, change.actor.id, change.added) == ("tags-changed", 7, {"vip"})


def test_another_spelling_of_a_tag_is_no_change() -> None:
    before = add_own_writes(take_snapshot(ticket(tags="Old\u00a0Tag")), tags_added=("VIP",))

    assert kinds(compare(ticket(update(2, ADA), tags="old tag, vip"), before)) == [("ticket-updated", 2)]


def test_an_update_long_after_an_effect_with_equal_words_is_by_a_person() -> None:
    fingerprint = Fingerprint("staff", 7, message="note", words=("seen", "by", "us"))
    long_ago = MS - int(timedelta(hours=2).total_seconds() * 1000)
    found = compare(
        ticket(update(2, BOT, "Seen by us", note=True, minute=50)),
        add_own_writes(take_snapshot(ticket()), fingerprints=[(long_ago, fingerprint)]),
    )

    assert kinds(found) == [("note-added", 2)]


def test_while_untrusted_updates_by_our_staff_member_are_no_changes() -> None:
    before = replace(take_snapshot(ticket()), untrusted_until=MS)

    assert kinds(compare(ticket(update(2, BOT, "Ours, perhaps.", minute=10)), before)) == []


def test_on_first_sight_older_updates_are_history() -> None:
    read = ticket(update(2, SAM, "Long ago.", minute=1), update(3, SAM, "Now.", minute=50))

    assert kinds(compare(read, None, OPENED + timedelta(minutes=40))) == [("contact-replied", 3)]
    assert kinds(compare(read, None, OPENED + timedelta(minutes=40), created=True))[0] == ("ticket-created", 1)
    assert kinds(compare(read, None, NOW)) == [("ticket-updated", None)]


def test_on_first_sight_our_own_updates_are_no_changes() -> None:
    assert (
        kinds(compare(ticket(update(2, BOT, "Ours", note=True, minute=50)), None, OPENED + timedelta(minutes=40))) == []
    )


def test_a_creation_announced_after_an_update_is_a_change_once() -> None:
    first = compare(ticket(update(2, SAM, "Now.", minute=50)), None, OPENED + timedelta(minutes=40))

    late = compare(ticket(update(2, SAM, "Now.", minute=50)), first.snapshot, created=True)

    assert kinds(late) == [("ticket-created", 1)]
    assert kinds(compare(ticket(update(2, SAM, "Now.", minute=50)), late.snapshot, created=True)) == []


def test_a_ticket_that_was_opened_long_before_its_creation_was_announced_is_not_new() -> None:
    read = ticket(update(2, SAM, "Now.", minute=50))
    late = OPENED + timedelta(seconds=1)
    first = compare(read, None, OPENED + timedelta(minutes=40), created=True, created_since=late)
    assert kinds(first) == [("contact-replied", 2)]
    assert not first.snapshot.created
    assert kinds(compare(read, first.snapshot, created=True, created_since=late)) == []
