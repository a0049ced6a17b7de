"""Custom fields are read by name, or by id and category if two have one name; never silently the last one."""

import json
from typing import Any

import pytest

from workers.errors import AmbiguousField
from workers.tickets.fields import FieldValue, FieldValues
from workers.tickets.model import read_ticket

TWO = [
    {"id": 12, "name": "City", "type": "text", "value": "Berlin"},
    {"id": 15, "name": "City", "type": "text", "value": "Paris"},
    {"id": 3, "name": "Plan", "type": "choice", "value": "Gold", "value_id": 7},
]


def test_fields_are_a_mapping_in_which_case_does_not_matter() -> None:
    fields = FieldValues([FieldValue(3, "Plan", "Gold"), FieldValue(4, "Note", "")])
    assert fields == {"Plan": "Gold", "Note": ""}
    assert (fields["plan"], fields[3], fields["3"], fields.get("Nothing", "?")) == ("Gold", "Gold", "Gold", "?")
    assert "PLAN" in fields
    assert json.dumps(fields) == '{"Plan": "Gold", "Note": ""}'
    assert "Nothing" not in fields
    with pytest.raises(KeyError):
        fields["Nothing"]


def test_a_name_of_two_fields_is_an_error_that_names_both() -> None:
    ticket = read_ticket({"id": 1, "custom_fields": TWO, "user": {"id": 5, "custom_fields": TWO}})
    for fields in (ticket.fields, ticket.contact.fields):
        with pytest.raises(AmbiguousField, match="2 fields are named 'City': 12 and 15; write the id"):
            fields["City"]
        with pytest.raises(AmbiguousField):
            fields.get("city")
        assert (fields["12"], fields[15], fields["Plan"]) == ("Berlin", "Paris", "Gold")
        assert dict(fields) == {"12": "Berlin", "15": "Paris", "Plan": "Gold"}


def test_a_field_can_be_read_with_the_category_of_the_ticket() -> None:
    ticket = read_ticket({"id": 1, "custom_fields": TWO[1:], "category": {"id": 2, "name": "Billing"}})
    assert ticket.fields["City (Billing)"] == "Paris"
    assert "City (Orders)" not in ticket.fields


def test_several_choices_are_known_in_every_form_that_happyfox_may_use() -> None:
    forms: list[dict[str, Any]] = [
        {"type": "multiple_choice", "value": "North, South", "value_id": [1, 2]},
        {"type": "multiple_choice", "value": ["North", "South"], "value_id": ["1", "2"]},
        {"type": "", "value": [{"id": 1, "text": "North"}, {"id": 2, "text": "South"}], "value_id": [1, 2]},
    ]
    for form in forms:
        (value,) = read_ticket({"id": 1, "custom_fields": [{"id": 4, "name": "Regions", **form}]}).field_values
        assert (value.value, value.choices, value.choice_ids) == ("North, South", ("North", "South"), (1, 2))
