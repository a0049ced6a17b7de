"""What is stored about a ticket between two turns."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.support.turns import SAM, ticket, update
from workers.tickets.snapshot import (
    HOUR,
    VISIBILITY_LAG,
    Fingerprint,
    Snapshot,
    add_own_writes,
    carry_over,
    decode,
    encode,
    take_snapshot,
)


def test_a_snapshot_has_exactly_what_the_read_shows() -> None:
    found = take_snapshot(ticket(update(2, SAM, "Hello?"), tags="b, a", status=4, fields={3: "x"}))

    assert (found.ids, found.tags, found.fields, found.properties["status"]) == ((1, 2), ("a", "b"), {"3": "x"}, "4")


def test_the_floor_is_fifteen_minutes_behind_the_newest_update() -> None:
    found = take_snapshot(
        ticket(update(2, SAM, "a", minute=20), update(3, SAM, "b", minute=34), update(4, SAM, "c", minute=35))
    )

    assert (found.floor, found.ids) == (2, (3, 4))


def test_our_writes_are_added_to_the_snapshot() -> None:
    found = add_own_writes(
        take_snapshot(ticket(tags="a,b")),
        ids=[5],
        tags_added=["c"],
        tags_removed=["a"],
        properties={"status": "2"},
        writes=[9],
    )

    assert (found.ids, found.tags, found.properties["status"], found.writes) == ((1, 5), ("b", "c"), "2", (9,))


def test_a_new_snapshot_keeps_what_the_read_does_not_show() -> None:
    before = Snapshot(floor=3, ids=(4, 9), created=True, writes=(0, HOUR), expected=((HOUR, Fingerprint("staff", 7)),))

    after = carry_over(before, Snapshot(floor=2, ids=(3, 5)), HOUR + 1)

    assert (after.floor, after.ids, after.created, after.writes) == (3, (4, 5, 9), True, (HOUR,))
    assert len(after.expected) == 1
    assert carry_over(before, Snapshot(), HOUR + VISIBILITY_LAG).expected == ()


@given(
    st.builds(
        Snapshot,
        floor=st.integers(0, 2**53),
        ids=st.lists(st.integers(0, 2**53)).map(tuple),
        tags=st.lists(st.text()).map(tuple),
        fields=st.dictionaries(st.text(), st.text()),
        unread=st.dictionaries(st.text(), st.none() | st.text() | st.integers()),
        created=st.booleans(),
    )
)
def test_a_stored_snapshot_is_read_back(snapshot: Snapshot) -> None:
    assert decode(encode(snapshot)) == snapshot


@given(st.binary())
def test_an_unreadable_snapshot_counts_as_none(stored: bytes) -> None:
    assert decode(stored) is None


def test_a_snapshot_in_a_later_format_counts_as_none() -> None:
    assert decode(encode(msgspec.structs.replace(Snapshot(), format=2))) is None
