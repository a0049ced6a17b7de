"""How requests about contacts look."""

import pytest

from workers.happyfox import contacts
from workers.happyfox.exchange import Request


def test_a_contact_is_read_by_id_or_address() -> None:
    assert contacts.contact(5).path == "/user/5/"
    assert contacts.contact("sam+x/y@acme.example").path == "/user/sam%2Bx%2Fy@acme.example/"


def test_contacts_are_searched_page_by_page() -> None:
    assert contacts.contacts().query == {"size": "50", "page": "1"}
    assert contacts.contacts(q="email:sam@acme.example", page=2).query["q"] == "email:sam@acme.example"


def test_contacts_are_saved_one_by_one_or_by_the_hundred() -> None:
    one = {"name": "Sam", "email": "sam@acme.example"}
    assert contacts.save_contact(one) == Request("POST", "/users/", body=one)
    assert contacts.save_contacts([one, one]).body == [one, one]
    with pytest.raises(ValueError, match="100"):
        contacts.save_contacts([one] * 101)
    assert contacts.change_contact(5, {"name": "Sam"}) == Request("POST", "/user/5/", body={"name": "Sam"})


def test_groups_have_a_plural_and_a_singular_path() -> None:
    assert contacts.groups().path == "/contact_groups/"
    assert contacts.group(3).path == "/contact_group/3/"
    assert contacts.create_group("VIP", tagged_domains=["a.example", "b.example"]).body == {
        "name": "VIP",
        "tagged_domains": "a.example,b.example",
    }
    assert contacts.change_group(3, description="d") == Request("POST", "/contact_group/3/", body={"description": "d"})


def test_members_join_by_a_bare_array_and_leave_by_an_object() -> None:
    assert contacts.add_to_group(3, [5], access_tickets=True).body == [{"contact": 5, "access_tickets": True}]
    assert contacts.remove_from_group(3, [5]).body == {"contacts": [5]}
