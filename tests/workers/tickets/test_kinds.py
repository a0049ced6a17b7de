import pytest

from workers.tickets.change import CALLS, KINDS, check


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_returned_as_it_is(kind: str) -> None:
    assert check(kind) == kind


@pytest.mark.parametrize("kind", CALLS)
def test_the_error_for_timers_and_schedules_says_how_to_register_for_them(kind: str) -> None:
    with pytest.raises(ValueError, match=r"is not allowed here; .*write @router") as caught:
        check(kind)
    assert CALLS[kind] in str(caught.value)


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("contact-reply", "contact-replied"),
        ("contact_replied", "contact-replied"),
        ("Ticket Created", "ticket-created"),
        ("ticket-create", "ticket-created"),
        ("status-change", "status-changed"),
        ("tag-changed", "tags-changed"),
        ("note-add", "note-added"),
        ("smartrule", "smart-rule"),
        ("assign", "assigned"),
        ("schedule", "scheduled"),
    ],
)
def test_the_error_for_a_misspelt_kind_names_the_nearest(misspelt: str, nearest: str) -> None:
    with pytest.raises(ValueError, match="no kind") as caught:
        check(misspelt)
    assert str(caught.value) == f"no kind {misspelt!r}; did you mean {nearest!r}?"


@pytest.mark.parametrize("word", ["", "zzz", "banana"])
def test_if_no_kind_is_similar_the_error_lists_all(word: str) -> None:
    with pytest.raises(ValueError, match="no kind") as caught:
        check(word)
    assert all(kind in str(caught.value) for kind in KINDS)
