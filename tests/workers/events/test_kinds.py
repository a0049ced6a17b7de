import pytest

from workers.events.kinds import KINDS, LATER, check


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_returned_as_it_is(kind: str) -> None:
    assert check(kind) == kind


@pytest.mark.parametrize("kind", LATER)
def test_a_kind_not_built_yet_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="not available yet"):
        check(kind)


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
