from typing import Any

import pytest

from tests.support.happyfox import Caller
from workers.simulator import Simulator

DRAFT = {
    "name": "Kim Ito",
    "email": "kim@bigcorp.example",
    "subject": "Printer",
    "text": "It burns.",
    "category": 1,
}


def test_the_first_update_is_by_the_contact_and_has_priority_and_status(
    api: Caller,
) -> None:
    ticket = api.posted("tickets/", DRAFT | {"due_date": "31/12/2023"})
    (update,) = ticket["updates"]
    assert update["by"] == {"id": 4, "name": "Kim Ito", "email": "kim@bigcorp.example", "type": "user"}
    assert update["status_change"] == {"new": 1, "new_name": "New", "old": None, "old_name": None}
    assert update["priority_change"] == {"new": 1, "new_name": "Medium", "old": None, "old_name": None}
    assert update["due_date_change"] == {"new": "2023-12-31", "old": None}
    assert update["message"]["text"] == ticket["first_message"] == "It burns.\n\n"
    assert update["message"]["html"] == "<p>It burns.</p>"
    assert (ticket["display_id"], ticket["source"]) == ("#DC00000001", "TKT_CREATION_API")
    assert (ticket["messages_count"], ticket["unresponded"]) == (1, True)
    assert ticket["created_at"] == ticket["last_modified"] == "2023-11-14 22:13:20"


def test_a_new_contact_joins_the_groups_of_its_domain_and_is_found_again(api: Caller) -> None:
    first = api.posted("tickets/", DRAFT)
    second = api.posted("tickets/", DRAFT | {"email": "KIM@bigcorp.example", "name": "Other"})
    assert [group["name"] for group in first["user"]["contact_groups"]] == ["Big Corp"]
    assert second["user"]["id"] == first["user"]["id"]
    assert second["user"]["tickets_count"] == second["user"]["pending_tickets_count"] == 2


def test_an_existing_contact_is_given_by_client(api: Caller) -> None:
    ticket = api.posted("tickets/", {"client": 1, "subject": "S", "html": "<b>Hi &amp; bye</b>", "category": 2})
    assert (ticket["user"]["name"], ticket["first_message"]) == ("Sam Reed", "Hi & bye\n\n")


def test_custom_fields_are_stored_by_choice_id_and_shown_with_their_labels(api: Caller) -> None:
    fields = {
        "t-cf-1": "late",
        "t-cf-2": 12.5,
        "t-cf-3": 3,
        "t-cf-4": [1, "4"],
        "t-cf-5": "2023-12-20",
        "c-cf-3": 2,
    }
    ticket = api.posted("tickets/", DRAFT | fields)
    shown = {field["name"]: (field["value"], field["value_id"]) for field in ticket["custom_fields"]}
    assert shown == {
        "Refund reason": ("late", None),
        "Amount": (12.5, None),
        "Product": ("Café machine ☕", 3),
        "Regions": ("North, West", [1, 4]),
        "Delivery date": ("2023-12-20", None),
    }
    assert ticket["user"]["custom_fields"][2]["value"] == "Standard"


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"category": None}, "category", "This field is required."),
        ({"subject": ""}, "subject", "This field is required."),
        ({"text": ""}, "text", "This field is required."),
        ({"email": ""}, "email", "This field is required."),
        (
            {"category": 9},
            "category",
            "Select a valid choice. That choice is not one of the available choices.",
        ),
        (
            {"priority": "x"},
            "priority",
            "Select a valid choice. That choice is not one of the available choices.",
        ),
        ({"category": 3}, "t-cf-6", "This field is required"),  # no full stop
        ({"t-cf-3": 77}, "t-cf-3", "Select a valid choice. That choice is not one of the available choices"),
        ({"due_date": "soon"}, "due_date", "Enter a valid date."),
    ],
)
def test_validation_uses_the_texts_of_the_article(api: Caller, change: dict[str, Any], field: str, text: str) -> None:
    assert api.refused("tickets/", DRAFT | change) == {"error": [{"field": field, "errors": [text]}]}
    assert api.simulator.account.tickets == {}


def test_a_refused_ticket_creates_no_contact(api: Caller) -> None:
    api.refused("tickets/", DRAFT | {"subject": ""})
    assert api.simulator.account.contact_by_email("kim@bigcorp.example") is None


def test_a_list_has_a_result_and_a_webhook_for_each_ticket(api: Caller, simulator: Simulator) -> None:
    made, refused, second = api.posted("tickets/", [DRAFT, DRAFT | {"category": None}, DRAFT])
    assert made == {"display_id": "#DC00000001", "id": 1, "success": True}
    assert refused["success"] is False
    assert refused["error"][0]["field"] == "category"
    assert second["id"] == 2
    assert [delivery.label for delivery in simulator.take_deliveries()] == ["ticket-created"] * 2


def test_a_list_of_more_than_a_hundred_is_refused(api: Caller) -> None:
    api.refused("tickets/", [DRAFT] * 101)
    assert api.simulator.account.tickets == {}


def test_a_form_and_a_multipart_body_with_a_file_create_the_same(api: Caller) -> None:
    form = b"client=1&subject=S&text=T&category=1&t-cf-4=1&t-cf-4=2&visible_only_staff=true"
    response = api.post("tickets/", form, "application/x-www-form-urlencoded")
    assert response.status == 200
    parts = b"".join(
        b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % pair
        for pair in ((b"client", b"1"), (b"subject", b"S"), (b"text", b"T"), (b"category", b"1"))
    )
    parts += b'--B\r\nContent-Disposition: form-data; name="attachments"; filename="a.png"\r\n\r\n'
    parts += b"\x89\r\n--B--\r\n"
    response = api.post("tickets/", parts, "multipart/form-data; boundary=B")
    assert response.status == 200
    ticket = api.got("ticket/2/")
    assert ticket["attachments_count"] == 1
    assert ticket["updates"][0]["message"]["attachments"][0]["filename"] == "a.png"
    assert api.simulator.log[1].files == ("a.png",)
    assert api.got("ticket/1/")["visible_only_staff"] is True
