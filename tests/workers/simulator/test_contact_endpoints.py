import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator, admin

REQUIRED = ["This field is required."]


def test_a_new_contact_joins_the_group_of_its_domain(api: Caller) -> None:
    phones = [{"type": "mo", "number": "987654321", "is_primary": False}, {"number": "876543219", "is_primary": True}]
    made = api.posted("users/", {"name": "Kim", "email": "kim@bigcorp.example", "phones": phones, "c-cf-1": "Big"})
    assert [(phone["type"], phone["number"]) for phone in made["phones"]] == [("mo", "987654321"), ("o", "876543219")]
    assert made["primary_phone"]["number"] == "876543219"
    assert [group["name"] for group in made["contact_groups"]] == ["Big Corp"]
    assert made["custom_fields"][0]["value"] == "Big"
    assert made["updated_at"] is None
    assert made == api.got(f"user/{made['id']}/") == api.got("user/KIM@bigcorp.example/")


def test_an_edit_by_address_resets_missing_fields_and_one_by_id_does_not(api: Caller, clock: FakeClock) -> None:
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


def test_a_contact_may_have_only_a_phone(api: Caller) -> None:
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
def test_an_invalid_contact_is_refused_and_changes_nothing(api: Caller, body: dict[str, Any], field: str) -> None:
    before = dict(api.simulator.account.contacts)
    assert [wrong["field"] for wrong in api.refused("users/", body)["error"]] == [field]
    assert api.simulator.account.contacts == before


def test_the_error_of_a_required_field_has_no_full_stop(api: Caller, simulator: Simulator) -> None:
    admin.change_table(simulator.account, "contact_fields", [{"id": 1, "required": True}])
    refusal = api.refused("users/", {"name": "X", "email": "x@new.example"})
    assert refusal == {"error": [{"field": "c-cf-1", "errors": ["This field is required"]}]}


def test_an_address_of_another_contact_is_refused(api: Caller) -> None:
    assert api.refused("user/1/", {"email": "mia@smallshop.example"})["error"][0]["field"] == "email"


def test_a_list_has_a_result_for_each_contact(api: Caller) -> None:
    body = [{"name": "A", "email": "a@new.example"}, {"email": "b@new.example"}, {"email": "sam@bigcorp.example"}]
    made, refused, edited = api.posted("users/", body)
    assert made == {"email": "a@new.example", "success": True, "id": 4}
    assert refused == {"success": False, "error": [{"field": "name", "errors": REQUIRED}]}
    assert edited["id"] == 1
    api.refused("users/", [{"name": "A", "email": "a@new.example"}] * 101)


@pytest.mark.parametrize(("value", "allowed"), [("FALSE", False), ("TRUE", True), (False, False), (True, True)])
def test_login_can_be_set_by_texts_and_booleans(api: Caller, simulator: Simulator, value: Any, allowed: bool) -> None:
    api.posted("user/sam@bigcorp.example/", {"is_login_enabled": value})
    assert admin.contacts(simulator.account)[0]["is_login_enabled"] is allowed
    assert admin.contacts(simulator.account)[1]["is_login_enabled"] is True


def test_undocumented_responses_may_be_empty(clock: FakeClock) -> None:
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


NOT_A_CHOICE = "Select a valid choice. That choice is not one of the available choices."


def test_a_group_is_created_listed_and_edited(api: Caller) -> None:
    made = api.posted("contact_groups/", {"name": "VIP", "tagged_domains": "vip.example, Gold.example"})
    group = {"id": 2, "name": "VIP", "description": "", "tagged_domains": "vip.example, Gold.example"}
    assert made == group | {"contacts": []}
    assert api.got("contact_groups/")[1] == group
    edited = api.posted("contact_group/2/", {"description": "our best"})
    assert (edited["name"], edited["description"], edited["tagged_domains"]) == (
        "VIP",
        "our best",
        group["tagged_domains"],
    )


def test_new_contacts_join_groups_by_their_domain(api: Caller) -> None:
    api.posted("contact_groups/", {"name": "VIP", "tagged_domains": "vip.example, Gold.example"})
    made = api.posted("users/", {"name": "A", "email": "a@gold.EXAMPLE"})
    assert [group["name"] for group in made["contact_groups"]] == ["VIP"]
    assert [one["id"] for one in api.got("contact_group/2/")["contacts"]] == [made["id"]]


def test_the_name_of_a_group_is_unique_and_required(api: Caller) -> None:
    assert api.refused("contact_groups/", {"name": "Big Corp"})["error"][0]["field"] == "name"
    assert api.refused("contact_groups/", {})["error"][0]["errors"] == ["This field is required."]


def test_contacts_are_added_and_removed_with_a_result_for_each(api: Caller) -> None:
    added = api.posted("contact_group/1/update_contacts/", [{"contact": 2, "access_tickets": True}, {"contact": 99}])
    assert added == [
        {"data": {"access_tickets": True, "contact": 2}, "success": True},
        {"errors": [{"field": "contact", "errors": [NOT_A_CHOICE]}], "success": False},
    ]
    assert api.got("user/2/")["contact_groups"][0]["access_all_tickets_in_group"] is True
    removed = api.posted("contact_group/1/delete_contacts/", {"contacts": [1, 3, 100]})
    assert [(one["data"]["message"], one["success"]) for one in removed] == [
        ("Successfully removed contact from group", True),
        ("Contact not part of the contact group", False),
        ("Contact does not exist", False),
    ]
    assert [one["id"] for one in api.got("contact_group/1/")["contacts"]] == [2]


def test_a_hundred_contacts_at_once_and_no_more(api: Caller) -> None:
    assert len(api.posted("contact_group/1/update_contacts/", [{"contact": 2}] * 100)) == 100
    api.refused("contact_group/1/update_contacts/", [{"contact": 2}] * 101)
    api.refused("contact_group/1/delete_contacts/", {"contacts": [1] * 101})


def test_the_other_shape_of_update_contacts_is_a_switch(api: Caller, clock: FakeClock) -> None:
    api.refused("contact_group/1/update_contacts/", {"contacts": [{"id": 2}]})
    lenient = Caller(Simulator(clock, members_as_objects=True))
    assert lenient.posted("contact_group/1/update_contacts/", {"contacts": [{"id": 2}]})[0]["success"] is True


@pytest.mark.parametrize(("switch", "shown"), [("ids", [1]), ("contacts", ["Sam Reed"])])
def test_how_members_are_shown_is_a_switch(clock: FakeClock, switch: str, shown: list[object]) -> None:
    contacts = Caller(Simulator(clock, members_of_groups=switch)).got("contact_group/1/")["contacts"]
    assert [one if switch == "ids" else one["name"] for one in contacts] == shown
