import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator

LAPTOP = {
    "name": "Macbook pro v1",
    "display_id": "macbook_pro_v1",
    "contact_ids": ["1"],
    "contact_group_ids": ["1"],
    "contacts": [{"email": "john@new.example"}],
    "created_by": 1,
    "custom_fields": {"1": "1", "2": "Text", "3": "C034234ZHY", "4": 4, "5": [3, 1], "6": "2020-11-15"},
}


def put(api: Caller, body: Any, status: int = 200) -> Any:
    response = api.send("PUT", "asset/1/", body)
    assert response.status == status, response.body
    return json.loads(response.body)


def test_an_asset_is_created_with_contacts_groups_and_fields(api: Caller) -> None:
    made = api.posted("assets/", LAPTOP)
    assert (made["id"], made["created_by"], made["updated_by"]) == (3, 1, None)
    assert made["created_at"] == made["updated_at"] == "2023-11-14T22:13:20Z"
    assert "asset_type" not in made
    assert [one["email"] for one in made["contacts"]] == ["sam@bigcorp.example", "john@new.example"]
    assert made["contact_groups"] == [{"id": 1, "name": "Big Corp"}]
    assert [field["value"] for field in made["custom_fields"]] == [1, "Text", "C034234ZHY", 4, [3, 1], "2020-11-15"]
    assert made["custom_fields"][1] == {"id": 2, "name": "Description", "type": "textarea", "value": "Text", "order": 2}
    shown = api.got("asset/3/")
    assert shown["asset_type"] == {"id": 1, "name": "General"}
    assert "created_at" not in shown


def test_a_list_has_one_type_by_default_the_first(api: Caller) -> None:
    assert [one["id"] for one in api.got("assets/")["data"]] == [1]
    assert [one["id"] for one in api.got("assets/", "asset_type=2")["data"]] == [2]
    assert api.get("assets/", "asset_type=9").status == 404
    assert [one["id"] for one in api.got("asset_custom_fields/", "asset_type=2&size=1")["data"]] == [7]
    assert api.got("asset_custom_fields/")["data"][0]["choices"][0] == {"id": 1, "text": "Laptop"}


def test_an_update_changes_only_what_is_given(api: Caller, clock: FakeClock) -> None:
    clock.now += 60
    changed = put(api, {"updated_by": 2, "contact_ids": [2], "custom_fields": {"4": 2}})
    assert (changed["name"], changed["display_id"], changed["updated_by"]) == ("Sam's laptop", "LT-1", 2)
    assert changed["updated_at"] == "2023-11-14T22:14:20Z"
    assert [one["id"] for one in changed["contacts"]] == [2]
    assert [field["value"] for field in changed["custom_fields"]] == [1, None, "C034", 2, None, None]


def test_a_deleted_asset_is_gone(api: Caller) -> None:
    response = api.send("DELETE", "asset/1/", query="deleted_by=1")
    assert (response.status, response.body) == (200, b"")
    assert api.get("asset/1/").status == 404
    assert api.send("DELETE", "asset/1/", query="deleted_by=1").status == 404


def test_a_deletion_needs_a_permitted_staff_member(api: Caller) -> None:
    assert api.send("DELETE", "asset/1/").status == 400
    assert api.send("DELETE", "asset/1/", query="deleted_by=4").status == 403


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"display_id": ""}, {"display_id": ["This field is required."]}),
        ({"contact_ids": 1}, {"contact_ids": "Enter a list of values."}),
        (
            {"custom_fields": {"1": 5}},
            {"custom_fields": {"1": "Provide a valid choice. 5 is not one of the available choices."}},
        ),
        ({"contact_ids": [99]}, {"contact_ids": ["Provide a valid choice. 99 is not one of the available choices."]}),
        ({"created_by": None}, {"created_by": ["This field is required."]}),
        ({"name": "x" * 201}, {"name": ["Ensure this field has no more than 200 characters."]}),
        ({"contacts": [{"name": "x"}]}, {"contacts": ["This field is required."]}),
        ({"custom_fields": {"4": "many"}}, {"custom_fields": {"4": "A valid integer is required."}}),
    ],
)
def test_errors_are_an_object_of_texts_lists_and_objects(api: Caller, change: Any, error: Any) -> None:
    before = dict(api.simulator.account.contacts)
    assert api.refused("assets/", LAPTOP | change) == {"error": error}
    assert api.simulator.account.contacts == before


def test_all_errors_are_reported_at_once(api: Caller) -> None:
    wrong = api.refused("assets/", {"created_by": 1, "contact_ids": 1, "custom_fields": {"1": 5}})["error"]
    assert wrong.keys() == {"name", "display_id", "contact_ids", "custom_fields"}


def test_assets_need_their_permission(api: Caller) -> None:
    api.refused("assets/", LAPTOP | {"created_by": 4}, status=403)


def test_which_path_one_field_has_is_a_switch(clock: FakeClock) -> None:
    for switch, singular, plural in (("both", 200, 200), ("singular", 200, 404), ("plural", 404, 200)):
        api = Caller(Simulator(clock, asset_field_path=switch))
        assert api.get("asset_custom_field/1/").status == singular
        assert api.get("asset_custom_fields/1/").status == plural


def test_whether_an_update_needs_the_names_is_a_switch(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, asset_names_required=True))
    assert put(api, {"updated_by": 1}, status=400)["error"].keys() == {"name", "display_id"}
