"""Names become ids, in any case; the error for an unknown name lists the names."""

from datetime import date
from typing import Any

import pytest

from workers.errors import GiveUp, UnknownName
from workers.happyfox.directory import Directory

LISTS: dict[str, Any] = {
    "staff": [
        {"id": 1, "name": "Ann Lee", "email": "Ann@acme.example", "active": True},
        {"id": 2, "name": "Bo", "email": "bo@acme.example"},
        {"id": 3, "name": "Bo", "email": "other.bo@acme.example"},
        {"id": 4, "name": "Gone", "email": "gone@acme.example", "active": False},
    ],
    "statuses": [{"id": 1, "name": "New"}, {"id": 2, "name": "In Progress"}, {"id": 5, "name": "in progress"}],
    "priorities": [{"id": 1, "name": "Medium"}, {"id": 3, "name": "Straße"}],
    "categories": [{"id": 1, "name": "Billing"}, {"id": 2, "name": None}, {"name": "without id"}, "rubbish"],
    "fields": [
        {
            "id": 1,
            "name": "Reason",
            "type": "choice",
            "choices": [{"id": 11, "text": "Late"}, {"id": 12, "text": "Lost"}],
        },
        {
            "id": 2,
            "name": "Sizes",
            "type": "multiple_choice",
            "choices": [{"id": 21, "text": "S"}, {"id": 22, "text": "M"}],
        },
        {"id": 3, "name": "Amount", "type": "number", "choices": None},
        {"id": 4, "name": "Day", "type": "date", "choices": None},
        {"id": 5, "name": "Words", "type": "text", "choices": None},
    ],
}


@pytest.fixture
def directory() -> Directory:
    return Directory(**LISTS)


def test_names_are_found_in_any_case_and_ids_stay_ids(directory: Directory) -> None:
    assert directory.status("new") == directory.status(1) == directory.status("  NEW ") == 1
    assert directory.priority("STRASSE") == 3
    assert directory.category("billing") == 1
    assert directory.staff_member("ann lee") == directory.staff_member("ann@ACME.example") == 1
    assert directory.field("reason").id == 1


def test_names_that_differ_in_case_only_are_found_by_their_own_case(directory: Directory) -> None:
    assert (directory.status("In Progress"), directory.status("in progress")) == (2, 5)


@pytest.mark.parametrize(("what", "name"), [("staff_member", "Bo"), ("status", "IN PROGRESS")])
def test_an_ambiguous_name_is_refused(directory: Directory, what: str, name: str) -> None:
    with pytest.raises(UnknownName, match="more than one"):
        getattr(directory, what)(name)


def test_the_error_for_an_unknown_name_suggests_and_lists_names(directory: Directory) -> None:
    with pytest.raises(UnknownName) as caught:
        directory.status("Nwe")
    assert "did you mean 'New'?" in str(caught.value)
    assert "In Progress" in str(caught.value)


@pytest.mark.parametrize(
    ("what", "name"), [("status", 99), ("status", True), ("staff_member", "Gone"), ("category", "")]
)
def test_an_unknown_name_or_id_is_refused(directory: Directory, what: str, name: Any) -> None:
    with pytest.raises(UnknownName):
        getattr(directory, what)(name)


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        ("Reason", "late", 11),
        ("Reason", 12, 12),
        ("Sizes", ["s", "M"], [21, 22]),
        ("Sizes", "S", [21]),
        ("Amount", "3", 3),
        ("Amount", 2.456, 2.46),
        ("Day", date(2026, 3, 1), "2026-03-01"),
        ("Day", "2026-03-01", "2026-03-01"),
        (5, "anything", "anything"),
        ("Words", None, None),
    ],
)
def test_values_are_converted_for_their_field(directory: Directory, field: str | int, value: Any, sent: Any) -> None:
    assert directory.field_value(field, value) == sent


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Reason", "Stolen"),
        ("Reason", 99),
        ("Amount", "many"),
        ("Amount", "nan"),
        ("Words", float("nan")),
        ("Words", ["a"]),
    ],
)
def test_invalid_values_of_a_field_are_refused(directory: Directory, field: str, value: Any) -> None:
    with pytest.raises(GiveUp):
        directory.field_value(field, value)


CITIES: dict[str, Any] = {
    **LISTS,
    "categories": [{"id": 1, "name": "Billing"}, {"id": 2, "name": "Orders"}, {"id": 3, "name": "Sales"}],
    "fields": [
        {"id": 12, "name": "City", "type": "text", "categories": [{"category": 1, "order": 1}]},
        {"id": 15, "name": "City", "type": "text", "categories": [{"category": 2}, {"category": 3}]},
        {"id": 16, "name": "Size (EU)", "type": "text", "categories": [{"category": 1}]},
        {"id": 17, "name": "15", "type": "text", "categories": [{"category": 1}]},
    ],
}


def test_fields_with_one_name_are_found_by_id_or_category() -> None:
    directory = Directory(**CITIES)
    assert directory.field(12).id == directory.field("12").id == directory.field("city (BILLING)").id == 12
    assert directory.field("City (Sales)").id == directory.field("City (Orders)").id == 15
    assert directory.field("Size (EU)").id == 16
    assert directory.field("15").id == 17
    for unknown in ("Size (US)", "99", "City (Nowhere)"):
        with pytest.raises(UnknownName):
            directory.field(unknown)


def test_the_error_for_a_name_of_several_fields_names_them_all() -> None:
    with pytest.raises(GiveUp) as caught:
        Directory(**CITIES).field("City")
    assert str(caught.value) == (
        "2 fields are named 'City': 12 (Billing) and 15 (Orders, Sales); write the id in place of the name, "
        'for example "12", or its category, for example "City (Billing)"'
    )


def test_the_calls_that_fill_a_directory_are_its_arguments() -> None:
    assert Directory.LISTS.keys() == LISTS.keys()
    assert {request.method for request in Directory.LISTS.values()} == {"GET"}


def test_a_list_inside_an_envelope_and_a_missing_one_are_read_too() -> None:
    directory = Directory({"data": LISTS["staff"]}, None, [], [], [])
    assert directory.staff_member("Ann Lee") == 1
    with pytest.raises(UnknownName, match="none"):
        directory.status("New")


def test_fields_of_contacts_and_names_of_ids_are_known_too(directory: Directory) -> None:
    plan = {"id": 3, "name": "Plan", "type": "choice", "choices": [{"id": 7, "text": "Gold"}]}
    complete = Directory(**LISTS, contact_fields=[plan])
    assert complete.contact_field("plan").id == 3
    assert complete.contact_field_value("Plan", "gold") == 7
    assert complete.choice("Reason", "lost") == 12
    assert (complete.name("staff", 1), complete.name("contact_field", 3)) == ("Ann Lee", "Plan")
    with pytest.raises(UnknownName, match="did you mean 'Gold'"):
        complete.contact_field_value("Plan", "Golf")
    with pytest.raises(UnknownName):
        directory.contact_field("Plan")
