"""Calls for which no article has a sample, and calls that are refused."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.happyfox import asked
from workers.errors import Unfit
from workers.happyfox import tickets
from workers.happyfox.contacts import ContactMembers, PhoneMembers, read_contact
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import File, Request
from workers.happyfox.tickets import ForwardMembers


def test_a_contact_is_read_by_id_or_address() -> None:
    assert asked(lambda hf: hf.contact(5)).path == "/user/5/"
    assert asked(lambda hf: hf.contact("sam+x/y@acme.example")).path == "/user/sam%2Bx%2Fy@acme.example/"


def test_contacts_are_searched_page_by_page() -> None:
    assert asked(lambda hf: hf.contacts()).query == {"size": "50", "page": "1"}
    assert asked(lambda hf: hf.contacts(q="email:sam@acme.example", page=2)).query["q"] == "email:sam@acme.example"


def test_contacts_are_saved_one_by_one_or_by_the_hundred() -> None:
    one: ContactMembers = {"name": "Sam", "email": "sam@acme.example"}
    assert asked(lambda hf: hf.create_or_edit_contact(reset=True, **one)) == Request("POST", "/users/", body=one)
    assert asked(lambda hf: hf.create_or_edit_contacts([one, one], reset=True)).body == [one, one]
    with pytest.raises(Unfit, match="100"):
        asked(lambda hf: hf.create_or_edit_contacts([one] * 101, reset=True))
    edit = asked(lambda hf: hf.edit_contact(5, name="Sam"))
    assert edit == Request("POST", "/user/5/", body={"name": "Sam"})


def test_a_login_is_sent_as_text() -> None:
    assert asked(lambda hf: hf.set_login(5, True)).body == {"is_login_enabled": "TRUE"}
    request = asked(lambda hf: hf.set_login("a@x.example", False))
    assert request == Request("POST", "/user/a@x.example/", body={"is_login_enabled": "FALSE"})


def test_a_phone_is_changed_by_the_call_that_keeps_fields() -> None:
    phone: PhoneMembers = {"id": 20, "type": "mo", "number": "987654321"}
    sam = read_contact({"id": 5, "email": "a@x.example"})
    assert sam
    body = {"email": "a@x.example", "phones": [phone]}
    assert asked(lambda hf: hf.change_phone(sam, phone)) == Request("POST", "/user/5/", body=body)


def test_groups_have_a_plural_and_a_singular_path() -> None:
    assert asked(lambda hf: hf.contact_groups()).path == "/contact_groups/"
    assert asked(lambda hf: hf.contact_group(3)).path == "/contact_group/3/"
    assert asked(lambda hf: hf.create_contact_group("VIP", tagged_domains=["a.example", "b.example"])).body == {
        "name": "VIP",
        "tagged_domains": "a.example,b.example",
    }
    edit = asked(lambda hf: hf.edit_contact_group(3, description="d", tagged_domains=[]))
    assert edit == Request("POST", "/contact_group/3/", body={"description": "d", "tagged_domains": ""})


def test_members_are_added_by_an_array_and_removed_by_an_object() -> None:
    joining = asked(lambda hf: hf.add_contacts_to_group(3, [5], access_tickets=True))
    assert joining.body == [{"contact": 5, "access_tickets": True}]
    assert asked(lambda hf: hf.remove_contacts_from_group(3, [5])).body == {"contacts": [5]}


def test_a_new_ticket_is_sent_as_happyfox_expects_it() -> None:
    request = tickets.create_ticket(
        {
            "subject": "s",
            "category": 1,
            "client": 5,
            "text": "t",
            "assignee": None,
            "tags": ["a", "b"],
            "cc": ["x@x.example"],
            "created_at": datetime(2026, 3, 1, 9, 30),
            "due_date": date(2026, 3, 2),
            "fields": {"t-cf-1": (1, 2), "t-cf-4": date(2026, 3, 3)},
        },
        files=["/tmp/a picture.png"],
    )
    assert request.body == {
        "subject": "s",
        "category": 1,
        "client": 5,
        "text": "t",
        "assignee": None,
        "tags": "a,b",
        "cc": "x@x.example",
        "created_at": "2026-03-01T09:30:00",
        "due_date": "2026-03-02",
        "t-cf-1": [1, 2],
        "t-cf-4": "2026-03-03",
    }
    assert request.files == (File("a picture.png", Path("/tmp/a picture.png"), content_type="image/png"),)


def test_a_list_of_tickets_takes_several_categories_and_some_members() -> None:
    query = tickets.tickets(category=[1, 2], fields=["subject"], sort="created", updates=True).query
    assert (query["category"], query["fields"], query["sort"], query["show_updates"]) == (
        ("1", "2"),
        "id,subject",
        "created",
        "1",
    )
    with pytest.raises(Unfit, match="ticketa"):
        tickets.tickets(sort="newest")  # type: ignore[arg-type]


def test_only_images_are_uploaded_inline() -> None:
    assert asked(lambda hf: hf.inline_attachment("/tmp/a.png")).files[0].member == "file"
    with pytest.raises(Unfit, match="not an image"):
        asked(lambda hf: hf.inline_attachment("/tmp/a.pdf"))


def test_choices_are_replaced_as_a_whole() -> None:
    request = asked(lambda hf: hf.update_choices(3, [{"id": 11, "text": "Late"}, {"id": None, "text": "Lost"}]))
    assert request.body["choices"][1] == {"dependant_fields": [], "id": None, "text": "Lost"}
    with pytest.raises(Unfit, match="id"):
        asked(lambda hf: hf.update_choices(3, [{"text": "Late"}]))


def test_a_forward_may_have_no_message() -> None:
    more: ForwardMembers = {"cc": ["c@x.example"], "include_pvt_notes": False, "ticket_attachments": [22]}
    assert tickets.forward(3, staff_id=1, to=["a@x.example"], subject="s", message="m", **more).body == {
        "staff_id": 1,
        "to": "a@x.example",
        "subject": "s",
        "message": "m",
        "cc": "c@x.example",
        "include_pvt_notes": False,
        "ticket_attachments": [22],
    }
    silent = tickets.forward(3, staff_id=1, to="james@example.com, john@example.com", subject="test", message=None)
    assert silent.body == {"staff_id": 1, "to": "james@example.com, john@example.com", "subject": "test"}


def test_an_asset_is_checked_before_it_is_sent() -> None:
    request = asked(lambda hf: hf.create_asset(1, name="Laptop", display_id="L-1", custom_fields={3: "C034"}))
    assert request == Request(
        "POST",
        "/assets/",
        {"asset_type": "1"},
        {"created_by": 7, "name": "Laptop", "display_id": "L-1", "custom_fields": {"3": "C034"}},
    )
    with pytest.raises(Unfit, match="display_id"):
        asked(lambda hf: hf.create_asset(1, name="Laptop"))
    with pytest.raises(Unfit, match="200"):
        asked(lambda hf: hf.update_asset(1, name="x" * 201))
    assert asked(lambda hf: hf.delete_asset(5)) == Request("DELETE", "/asset/5/", {"deleted_by": "7"})


def test_a_period_has_both_ends() -> None:
    start, end = date(2026, 1, 1), date(2026, 1, 31)
    query = asked(lambda hf: hf.staff_activity(1, period_type="cr", start=start, end=end, sort_dir="d")).query
    assert query == {
        "size": "50",
        "page": "1",
        "period_type": "cr",
        "period_date_range_type": "sr",
        "period_start": "2026-01-01",
        "period_end": "2026-01-31",
        "sort_dir": "d",
    }
    assert asked(lambda hf: hf.sla_entries(1, period="l7d")).query == {"period_date_range_type": "l7d"}
    with pytest.raises(Unfit, match="both"):
        asked(lambda hf: hf.sla_entries(1, start=start))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tickets.create_ticket({"subjct": "s", "category": 1}), "'subjct' here; did you mean 'subject'"),
        (
            lambda: asked(lambda hf: hf.create_tickets([{"subject": "s", "category": 1, "assigne": 1}])),
            "did you mean 'assignee'",
        ),
        (lambda: tickets.create_ticket({"subject": "s", "category": 1, "fields": {"t_cf_1": 1}}), "begins with t-cf-"),
        (lambda: asked(lambda hf: hf.update_custom_fields(3, {"Product": 1})), "'Product' is not a custom field"),
        (lambda: tickets.staff_update(3, staff=7, fields={"1": 1}), "'1' is not a custom field"),
        (lambda: asked(lambda hf: hf.edit_contact(3, phones=cast(Any, [{"nummer": "1"}]))), "did you mean 'number'"),
        (
            lambda: asked(lambda hf: hf.add_contacts_to_group(3, cast(Any, [{"contact": 1, "acces_tickets": True}]))),
            "mean 'access_tickets'",
        ),
    ],
)
def test_a_misspelt_member_is_refused_with_the_nearest_name(make: Callable[[], Request], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        make()


def test_a_new_ticket_may_name_its_custom_fields_beside_its_members() -> None:
    body = tickets.create_ticket({"subject": "s", "category": 1, "t-cf-1": "x", "c-cf-2": "y"}).body
    assert (body["t-cf-1"], body["c-cf-2"]) == ("x", "y")


@pytest.mark.parametrize(
    "ask",
    [Client.tickets, Client.contacts, Client.assets, Client.reports, lambda hf, **at: hf.tabular_data(1, **at)],
)
def test_impossible_pages_and_sizes_are_refused(ask: Callable[..., object]) -> None:
    assert asked(lambda hf: ask(hf, page=2, size=50)).query["page"] == "2"
    for at, said in (({"page": 0}, "page 0"), ({"size": 51}, "1 to 50 rows, not 51"), ({"size": 0}, "not 0")):
        with pytest.raises(Unfit, match=said):
            asked(lambda hf: ask(hf, **at))  # noqa: B023


@pytest.mark.parametrize(
    ("period", "said"),
    [
        ({"period": "year"}, "no period 'year'; use one of sr, tod"),
        ({"period_type": "xx"}, "no period_type 'xx'"),
        ({"period": "sr"}, "it needs them"),
        ({"period": "tod", "start": date(2026, 1, 1), "end": date(2026, 1, 2)}, "are for the period 'sr'"),
        ({"start": date(2026, 2, 1), "end": date(2026, 1, 1)}, "ends before it starts"),
        ({"sort_key": "ticket"}, "no sort_key of this report 'ticket'; use one of name"),
        ({"sort_dir": "up"}, "no sort_dir 'up'"),
    ],
)
def test_an_invalid_period_is_refused(period: Any, said: str) -> None:
    with pytest.raises(Unfit, match=said):
        asked(lambda hf: hf.staff_activity(1, **period))


def test_tabular_data_has_its_own_sort_keys() -> None:
    assert asked(lambda hf: hf.tabular_data(1, sort_key="duedate")).query["sort_key"] == "duedate"
    with pytest.raises(Unfit, match="sort_key"):
        asked(lambda hf: hf.tabular_data(1, sort_key="name"))


@pytest.mark.parametrize("id", ["3/delete", "3?q=1", "3#x", "%2e", "", ".", "..", "../staff", "3\\..", None, True, 1.5])
def test_what_is_no_id_is_refused_in_every_path(id: Any) -> None:
    calls: list[Callable[[Client], object]] = [
        *(lambda hf: hf.ticket(id), lambda hf: hf.delete_ticket(id), lambda hf: hf.contact(id)),
        *(lambda hf: hf.contact_group(id), lambda hf: hf.asset(id), lambda hf: hf.report(id)),
        *(lambda hf: hf.article(id), lambda hf: hf.update_choices(id, [])),
    ]
    for call in calls:
        with pytest.raises(Unfit, match="is not an id"):
            asked(call)


@pytest.mark.parametrize("address", ["a/../../staff@b.example", "..\\@x/..", "a@b/.."])
def test_an_address_that_leads_to_another_path_is_refused(address: str) -> None:
    with pytest.raises(Unfit, match="is not an id"):
        asked(lambda hf: hf.contact(address))


def test_an_address_stays_a_part_of_its_path() -> None:
    assert asked(lambda hf: hf.contact("a/b?c#d@x.example")).path == "/user/a%2Fb%3Fc%23d@x.example/"
