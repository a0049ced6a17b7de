from datetime import date
from typing import Any

import pytest

from workers.handlers.staff_update import router
from workers.testing import Result, run, ticket

REOPEN = {
    "on": ["contact-replied"],
    "status": ["Closed", "Solved"],
    "set": {
        "status": "In Progress",
        "assignee": "Ada King",
        "priority": 3,
        "due_date": date(2026, 2, 3),
        "fields": {"Plan": "Gold", "Count": 3},
    },
    "reply": "Thank you, we are on it again.",
}


def update(*match: dict[str, Any], allow: tuple[str, ...] = ("reply",), **members: Any) -> Result:
    return run(router, ticket(**members), "contact-replied", settings={"match": list(match)}, allow=allow)


def test_properties_are_set_and_the_contact_is_answered() -> None:
    result = update(REOPEN, status="Closed")
    expected = {"status": "In Progress", "assignee": "Ada King", "priority": 3, "due_date": "2026-02-03"}
    assert result.properties == expected
    assert result.fields == {"Plan": "Gold", "Count": 3}
    assert result.replies == ("Thank you, we are on it again.",)


def test_without_the_grant_properties_are_still_set() -> None:
    result = update(REOPEN, status="Closed", allow=())
    assert result.properties["status"] == "In Progress"
    assert result.replies == ()
    assert result.denied == {"staff-update.update": ["FOXHOOKS_ALLOW=staff-update:reply"]}


def test_nothing_happens_when_no_entry_holds() -> None:
    result = update(REOPEN, status="New")
    assert result.actions == ()
    assert result.skipped == {"staff-update.update": "match 1: status is New, expected Closed or Solved"}
    assert update().actions == ()


def test_an_empty_assignee_clears_it() -> None:
    assert update({"set": {"assignee": ""}}, assignee="Ada King").properties == {"assignee": None}


def test_the_last_entry_wins() -> None:
    assert update({"set": {"priority": "Low"}}, {"set": {"priority": "High"}}).properties == {"priority": "High"}


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"status": "New"}, "match 1: the entry does nothing; add set.status"),
        ({"set": {"statsu": "New"}}, "match 1, set: no setting 'statsu'; did you mean 'status'?"),
        ({"set": {"status": ""}}, "match 1: status or priority is empty; write a name or an id"),
        ({"set": {"due_date": "soon"}}, "match 1, set, due_date: invalid RFC3339 encoded date"),
        ({"set": {"status": []}}, "match 1, set, status: expected `int | str | null`, got `array`"),
        ({"set": "New"}, "match 1, set: is not a table"),
        ({"reply": 3}, "match 1, reply: expected `str`, got `int`"),
    ],
)
def test_an_invalid_entry_is_reported_at_start(entry: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match="match 1") as raised:
        update(entry)
    assert str(raised.value).startswith(f"router.staff-update, {complaint}")
