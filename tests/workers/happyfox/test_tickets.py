"""Calls on tickets look as in the articles."""

from datetime import date

import pytest

from tests.support.happyfox import asked
from workers.happyfox import tickets
from workers.happyfox.messages import Request


def test_a_ticket_is_read_with_the_changes_of_its_fields() -> None:
    assert tickets.ticket(12) == Request("GET", "/ticket/12/", {"show_cf_changes": "true"})


def test_a_list_of_tickets_always_sends_a_status() -> None:
    assert tickets.tickets().query == {"size": "50", "page": "1", "status": "_all", "sort": "ticketa"}
    query = tickets.tickets(updates=True, numbers_only=True, category=3, q="tag:x").query
    assert (query["show_updates"], query["minify_response"], query["category"], query["q"]) == (
        "1",
        "true",
        ("3",),
        "tag:x",
    )


def test_an_update_has_only_the_given_members() -> None:
    assert tickets.staff_update(3, staff=7) == Request("POST", "/ticket/3/staff_update/", body={"staff": 7})


def test_an_update_uses_the_names_of_the_article() -> None:
    request = tickets.staff_update(
        3,
        staff=7,
        text="Hello",
        update_customer=True,
        cc=["a@x.example", "b@x.example"],
        bcc=["c@x.example"],
        status=2,
        priority=1,
        assignee=9,
        due_date=date(2026, 3, 1),
        fields={tickets.ticket_field(4): 11, "ccf-5": "x"},
        last_staff_message=80,
    )
    assert request.body == {
        "staff": 7,
        "plaintext": "Hello",
        "update_customer": True,
        "cc": "a@x.example,b@x.example",
        "bcc": "c@x.example",
        "status": 2,
        "priority": 1,
        "assignee": 9,
        "due_date": "2026-03-01",
        "t-cf-4": 11,
        "ccf-5": "x",
        "last_staff_message": 80,
    }


def test_none_clears_assignee_and_due_date() -> None:
    assert tickets.staff_update(3, staff=7, assignee=None, due_date=None).body == {
        "staff": 7,
        "assignee": None,
        "due_date": None,
    }
    assert tickets.private_note(3, staff=7, status=None).body == {"staff": 7}


def test_html_is_used_instead_of_plain_text() -> None:
    assert tickets.private_note(3, staff=7, text="a", html="<p>b</p>").body == {"staff": 7, "html": "<p>b</p>"}


def test_a_note_may_alert() -> None:
    assert tickets.private_note(3, staff=7, text="a", alert="s").body == {"staff": 7, "plaintext": "a", "alert": "s"}


def test_each_call_has_its_own_name_for_the_staff_member() -> None:
    bodies = {
        request.path: request.body
        for request in (
            tickets.update_tags(3, ["a", "b"], ["c"], 7),
            tickets.update_tags(4, [], ["c"], 7),
            asked(lambda hf: hf.update_custom_fields(3, {"t-cf-1": 2})),
            asked(lambda hf: hf.contact_reply(3, contact=5, text="Hi")),
            tickets.move(3, staff_id=7, target_category_id=2, note="why", assign_to=8),
            tickets.forward(3, staff_id=7, to=["a@x.example"], subject="S", message="M"),
            tickets.subscribe(3, staff_id=7, others=[8]),
            asked(lambda hf: hf.unsubscribe(3, 7)),
            tickets.delete(3, staff_id=7),
        )
    }
    assert bodies == {
        "/ticket/3/update_tags/": {"staff_id": 7, "add": "a,b", "remove": "c"},
        "/ticket/4/update_tags/": {"staff_id": 7, "remove": "c"},
        "/ticket/3/update_custom_fields/": {"staff": 7, "t-cf-1": 2},
        "/ticket/3/user_reply/": {"user": 5, "text": "Hi"},
        "/ticket/3/move/": {"staff_id": 7, "target_category_id": 2, "move_note": "why", "assign_to": 8},
        "/ticket/3/forward/": {"staff_id": 7, "to": "a@x.example", "subject": "S", "message": "M"},
        "/ticket/3/subscribe/": {"staff_id": 7, "data": [8]},
        "/ticket/3/unsubscribe/": {"staff_id": 7},
        "/ticket/3/delete/": {"staff_id": 7},
    }


def test_a_comma_inside_a_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="comma"):
        tickets.update_tags(3, ["a,b"], [], 7)


def test_a_request_does_not_show_its_body() -> None:
    assert "secret words" not in repr(tickets.staff_update(3, staff=7, text="secret words"))
