import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator

NOT_A_CHOICE = "Select a valid choice. That choice is not one of the available choices."


def test_a_group_is_made_listed_and_edited(api: Caller) -> None:
    made = api.posted("contact_groups/", {"name": "VIP", "tagged_domains": "vip.example, Gold.example"})
    group = {"id": 2, "name": "VIP", "description": "", "tagged_domains": "vip.example, Gold.example"}
    assert made == group | {"contacts": []}
    assert api.got("contact_groups/")[1] == group
    edited = api.posted("contact_group/2/", {"description": "our best", "name": "ignored"})
    assert (edited["name"], edited["description"], edited["tagged_domains"]) == (
        "VIP",
        "our best",
        group["tagged_domains"],
    )


def test_contacts_join_by_their_domain_when_they_are_made(api: Caller) -> None:
    api.posted("contact_groups/", {"name": "VIP", "tagged_domains": "vip.example, Gold.example"})
    made = api.posted("users/", {"name": "A", "email": "a@gold.EXAMPLE"})
    assert [group["name"] for group in made["contact_groups"]] == ["VIP"]
    assert [one["id"] for one in api.got("contact_group/2/")["contacts"]] == [made["id"]]


def test_a_name_is_unique_and_required(api: Caller) -> None:
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
