import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator, state

REQUIRED = ["This field is required."]


def test_a_contact_is_made_and_joins_the_group_of_its_domain(api: Caller) -> None:
    phones = [{"type": "mo", "number": "987654321", "is_primary": False}, {"number": "876543219", "is_primary": True}]
    made = api.posted("users/", {"name": "Kim", "email": "kim@bigcorp.example", "phones": phones, "c-cf-1": "Big"})
    assert [(phone["type"], phone["number"]) for phone in made["phones"]] == [("mo", "987654321"), ("o", "876543219")]
    assert made["primary_phone"]["number"] == "876543219"
    assert [group["name"] for group in made["contact_groups"]] == ["Big Corp"]
    assert made["custom_fields"][0]["value"] == "Big"
    assert made["updated_at"] is None
    assert made == api.got(f"user/{made['id']}/") == api.got("user/KIM@bigcorp.example/")


def test_an_edit_by_address_resets_the_fields_left_out_and_one_by_id_does_not(api: Caller, clock: FakeClock) -> None:
    clock.now += 60
    edited = api.posted("user/1/", {"name": "Sam R."})
    assert [field["value"] for field in edited["custom_fields"]] == ["Big Corp", None, "Gold", None, None]
    assert edited["updated_at"] == "2023-11-14 22:14:20"
    edited = api.posted("users/", {"email": "sam@bigcorp.example", "c-cf-2": 5})
    assert [field["value"] for field in edited["custom_fields"]] == [None, 5, None, None, None]
    assert (edited["name"], edited["id"]) == ("Sam R.", 1)


def test_a_phone_with_an_id_is_edited_and_one_without_is_added(api: Caller) -> None:
    edited = api.posted("user/1/", {"email": "", "phones": [{"id": 1, "number": "1"}, {"type": "w", "number": "2"}]})
    assert edited["phones"] == [
        {"id": 1, "type": "o", "number": "1"},
        {"id": 2, "type": "w", "number": "2"},
    ]
    assert edited["email"] == "sam@bigcorp.example"
    edited = api.posted("users/", {"email": "sam@bigcorp.example", "phones": [{"id": 2, "number": "3"}]})
    assert [phone["number"] for phone in edited["phones"]] == ["1", "3"]
    edited = api.posted("user/1/", {"phones": [{"id": 2, "type": "h"}, {"id": 2, "is_primary": True}]})
    assert edited["primary_phone"] == {"id": 2, "type": "h", "number": "3"}


def test_a_new_address_finds_the_contact_and_the_old_one_does_not(api: Caller) -> None:
    api.posted("user/1/", {"email": "sam.reed@bigcorp.example"})
    assert api.got("user/sam.reed@bigcorp.example/")["id"] == 1
    assert api.get("user/sam@bigcorp.example/").status == 404


def test_a_contact_may_have_a_phone_alone(api: Caller) -> None:
    made = api.posted("users/", {"name": "Pat", "email": None, "phones": [{"number": "+1 555 0199"}]})
    assert made["email"] is None
    assert [one["id"] for one in api.got("users/", "q=phone:15550199")["data"]] == [made["id"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "x@new.example"}, "name"),
        ({"name": "X"}, "email"),
        ({"name": "X", "email": None}, "email"),
        ({"name": "X", "email": "nobody"}, "email"),
        ({"name": "X", "email": "x@new.example", "phones": [{"type": "mo"}]}, "phones"),
        ({"name": "X", "email": "x@new.example", "phones": [{"type": "fax", "number": "1"}]}, "phones"),
        ({"email": "sam@bigcorp.example", "phones": [{"id": 99, "number": "1"}]}, "phones"),
        ({"name": "X", "email": "x@new.example", "c-cf-3": 99}, "c-cf-3"),
    ],
)
def test_a_wrong_contact_is_refused_and_changes_nothing(api: Caller, body: dict[str, Any], field: str) -> None:
    before = dict(api.simulator.world.contacts)
    assert [wrong["field"] for wrong in api.refused("users/", body)["error"]] == [field]
    assert api.simulator.world.contacts == before


def test_a_compulsory_field_is_asked_for_without_a_full_stop(api: Caller, simulator: Simulator) -> None:
    state.merge(simulator.world, "contact_fields", [{"id": 1, "required": True}])
    refusal = api.refused("users/", {"name": "X", "email": "x@new.example"})
    assert refusal == {"error": [{"field": "c-cf-1", "errors": ["This field is required"]}]}


def test_an_address_of_another_contact_is_refused(api: Caller) -> None:
    assert api.refused("user/1/", {"email": "mia@smallshop.example"})["error"][0]["field"] == "email"


def test_many_are_answered_one_by_one(api: Caller) -> None:
    body = [{"name": "A", "email": "a@new.example"}, {"email": "b@new.example"}, {"email": "sam@bigcorp.example"}]
    made, refused, edited = api.posted("users/", body)
    assert made == {"email": "a@new.example", "success": True, "id": 4}
    assert refused == {"success": False, "error": [{"field": "name", "errors": REQUIRED}]}
    assert edited["id"] == 1
    api.refused("users/", [{"name": "A", "email": "a@new.example"}] * 101)


@pytest.mark.parametrize(("value", "allowed"), [("FALSE", False), ("TRUE", True), (False, False), (True, True)])
def test_login_is_switched_by_texts_and_booleans(api: Caller, simulator: Simulator, value: Any, allowed: bool) -> None:
    api.posted("user/sam@bigcorp.example/", {"is_login_enabled": value})
    assert state.contacts(simulator.world)[0]["is_login_enabled"] is allowed
    assert state.contacts(simulator.world)[1]["is_login_enabled"] is True


def test_undocumented_answers_may_be_empty(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, bare_writes=True))
    api.simulator.create_ticket()
    for path, body in (
        ("user/1/", {"is_login_enabled": "TRUE"}),
        ("contact_group/1/", {"description": "d"}),
        ("ticket/1/staff_pvtnote/", {"staff": 7, "html": "x"}),
        ("ticket/1/user_reply/", {"user": 1, "text": "x"}),
        ("ticket/1/update_custom_fields/", {"staff": 7, "t-cf-1": "x"}),
    ):
        assert (path, api.post(path, body).body) == (path, b"")
    assert json.loads(api.post("user/1/", {"name": "N"}).body)["name"] == "N"
