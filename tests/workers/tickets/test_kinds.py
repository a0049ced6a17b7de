import pytest

from workers.tickets.change import CALLS, KINDS, check


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_returned_as_it_is(kind: str) -> None:
    assert check(kind) == kind


@pytest.mark.parametrize("kind", CALLS)
def test_a_kind_that_nobody_does_is_refused_with_the_way_to_ask_for_it(kind: str) -> None:
    with pytest.raises(ValueError, match=r"cannot stand here; .*write @router") as caught:
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
def test_a_misspelt_kind_names_the_nearest(misspelt: str, nearest: str) -> None:
    with pytest.raises(ValueError, match="no kind") as caught:
        check(misspelt)
    assert str(caught.value) == f"no kind {misspelt!r}; did you mean {nearest!r}?"


@pytest.mark.parametrize("word", ["", "zzz", "webhook"])
def test_where_none_is_near_all_are_listed(word: str) -> None:
    with pytest.raises(ValueError, match="no kind") as caught:
        check(word)
    assert all(kind in str(caught.value) for kind in KINDS)
