"""Every documented request is produced, every documented answer is read."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from tests.support import documented
from tests.support.happyfox import asked
from workers.errors import Refused
from workers.happyfox import tickets
from workers.happyfox.contacts import PhoneMembers
from workers.happyfox.endpoints import Client
from workers.happyfox.http import encoded
from workers.happyfox.messages import Answer, File, Request, read
from workers.simulator import http

DRAFT: tickets.NewTicket = {
    "name": "james",
    "email": "james@example.com",
    "category": 1,
    "subject": "test ticket",
    "text": "example ticket",
}
PHONES: list[PhoneMembers] = [
    {"type": "mo", "number": "987654321", "is_primary": True},
    {"type": "mo", "number": "876543219", "is_primary": False},
]

PRODUCED: dict[str, Request] = {
    "tickets/create": tickets.create_ticket(
        {
            **DRAFT,
            "fields": {
                "t-cf-3": [1, 2],
                "t-cf-1": "text field value",
                "t-cf-5": 200,
                "t-cf-4": date(2019, 12, 20),
                "c-cf-3": 1,
            },
        }
    ),
    "tickets/staff-update": tickets.staff_update(
        3,
        staff=1,
        status=4,
        html=documented.request("tickets/staff-update")["html"],
        fields={"t-cf-3": [1, 2], "c-cf-3": 1},
    ),
    "tickets/user-reply": asked(
        lambda hf: hf.contact_reply(
            3,
            contact=27662,
            text="This is a response sent by the user via API",
            cc="exampleaddress@example.com",
            bcc="exampleaddress-2@example.com",
        )
    ),
    "tickets/update-tags": tickets.update_tags(3, "test1, example", "test", None),
    "tickets/subscribe": tickets.subscribe(3, staff_id=1, others=[3, 2]),
    "tickets/unsubscribe": asked(lambda hf: hf.unsubscribe(3, 1)),
    "tickets/forward": tickets.forward(
        3, staff_id=1, to="james@example.com, john@example.com", subject="test", message=None
    ),
    "tickets/move": tickets.move(3, staff_id=1, target_category_id=2, note=" move note text ", assign_to=2),
    "tickets/delete": tickets.delete(3, staff_id=1),
    "users/create": asked(
        lambda hf: hf.create_or_edit_contact(
            reset=True,
            email="jamesmay@example1.com",
            name="dasdasd",
            phones=PHONES,
            fields={"c-cf-1": "example text field value"},
        )
    ),
    "users/edit-phone": asked(
        lambda hf: hf.edit_contact(
            5,
            email="jamesmay@example1.com",
            phones=[{"type": "mo", "number": "987654321", "is_primary": True, "id": 20}],
        )
    ),
    "users/primary-phone": asked(
        lambda hf: hf.edit_contact(5, email="georgen@happyfox-test", phones=[{"type": "w", "id": 31, "number": "55"}])
    ),
    "users/phones": asked(
        lambda hf: hf.edit_contact(5, phones=[{"type": "mo", "number": "1234567890", "is_primary": True}])
    ),
    "users/edit": asked(lambda hf: hf.edit_contact(5, name="John Smith", email="john.smith.new@example.com")),
    "users/enable-login": asked(lambda hf: hf.set_login(5, True)),
    "users/disable-login": asked(lambda hf: hf.set_login("a@example.com", False)),
    "users/many": asked(
        lambda hf: hf.create_or_edit_contacts(
            [
                {"email": "johnsmith@example.com", "name": "John Smith", "fields": {"c-cf-4": "XHR1234"}},
                {"email": "nathen@example.com", "name": "Nathan", "fields": {"c-cf-4": "LDA5000"}},
            ],
            reset=True,
        )
    ),
    "contact_groups/create": asked(
        lambda hf: hf.create_contact_group(
            "test group", description="example description", tagged_domains=["example.com"]
        )
    ),
    "contact_groups/update-contacts": asked(
        lambda hf: hf.add_contacts_to_group(1, [{"contact": 41, "access_tickets": True}, 200])
    ),
    "contact_groups/delete-contacts": asked(lambda hf: hf.remove_contacts_from_group(1, [1, 3, 100])),
}
WITH_FILE = "tickets/create-with-file"

READ: dict[str, tuple[Callable[[Client], Any], Callable[[Any], object]]] = {
    "tickets/detail": (
        lambda hf: hf.ticket(3),
        lambda t: (
            (t.id, t.status.name, t.priority.name, t.tags, t.contact.email, t.assignee.name, t.fields["Product Color"])
            == (3, "In Progress", "High", {"test"}, "james@example.com", "Admin User", "grey")
            and t.created_at == datetime(2019, 8, 13, 8, 59, 11, tzinfo=UTC)
            and t.history[0].message.attachments[0].filename == "bicycle.gif"
            and t.history[0].changes["status"].new.name == "In Progress"
        ),
    ),
    "tickets/list-fields": (
        lambda hf: hf.tickets(),
        lambda page: (len(page), page.total, page.pages, page.items[0].id) == (10, 365, 37, 768),
    ),
    "tickets/custom-fields": (
        lambda hf: hf.ticket_custom_fields(),
        lambda fields: fields[0].needed_to_close and len(fields[2].choices) == 7,
    ),
    "tickets/create-many": (
        lambda hf: hf.create_tickets([DRAFT, DRAFT]),
        lambda results: [r.state for r in results] == ["done", "refused"],
    ),
    "tickets/inline-attachment": (
        lambda hf: hf.inline_attachment(File("a.png", content=b"x", content_type="image/png")),
        lambda url: url == "https://example.happyfox.com/get_hdp_temporarily_attachment/2091/",
    ),
    "tickets/subscribe": (
        lambda hf: hf.subscribe(3),
        lambda said: said.text == "Admin Agent, james may, Subscribers added to ticket",
    ),
    "tickets/unsubscribe": (lambda hf: hf.unsubscribe(3, 1), lambda said: said.text == "Admin Agent unsubscribed"),
    "tickets/forward": (
        lambda hf: hf.forward_ticket(3, to="a@x.example", subject="s", message=None),
        lambda said: said.text == "Successfully forwarded the ticket #DC00000004",
    ),
    "tickets/move": (lambda hf: hf.move_ticket(3, 2), lambda said: said.text == "moved ticket to Test"),
    "tickets/delete": (lambda hf: hf.delete_ticket(3), lambda said: said.text == "#DC00000005"),
    "users/list": (
        lambda hf: hf.contacts(),
        lambda page: page.total == 62 and page.items[0].primary_phone.number == "98765432",
    ),
    "users/detail": (
        lambda hf: hf.contact(33),
        lambda c: c.groups[0].domains == ("example.com", "acme.com") and c.primary_phone is None,
    ),
    "users/many": (
        lambda hf: hf.create_or_edit_contacts([{}, {}], reset=True),
        lambda results: [r.id for r in results] == [14, 15],
    ),
    "users/custom-fields": (
        lambda hf: hf.contact_custom_fields(),
        lambda fields: fields[0].required and len(fields[1].choices) == 4,
    ),
    "contact_groups/list": (
        lambda hf: hf.contact_groups(),
        lambda groups: [g.name for g in groups] == ["test group", "test1 group"],
    ),
    "contact_groups/detail": (lambda hf: hf.contact_group(1), lambda group: group.contacts == ()),
    "contact_groups/update-contacts": (
        lambda hf: hf.add_contacts_to_group(1, [1, 2]),
        lambda results: results[0].ok and results[1].problems[0][0] == "contact",
    ),
    "contact_groups/delete-contacts": (
        lambda hf: hf.remove_contacts_from_group(1, [1, 3, 100]),
        lambda results: [(r.id, r.ok) for r in results] == [(1, True), (3, False), (100, False)],
    ),
}
REFUSED = {
    "tickets/create-refused": [("category", "This field is required.")],
    "tickets/create-refused-field": [("t-cf-3", "This field is required")],
    "tickets/staff-update-refused": [("t-cf-2", "This field should be filled before marking this ticket as completed")],
    "users/create-refused": [("name", "This field is required.")],
    "users/create-refused-field": [("c-cf-13", "This field is required")],
}


def having(part: str) -> set[str]:
    return {name for name in documented.names() if (documented.FOLDER / name / f"{part}.json").exists()}


def test_every_sample_is_tested() -> None:
    assert PRODUCED.keys() | {WITH_FILE} == having("request")
    assert READ.keys() | REFUSED.keys() == having("answer")


@pytest.mark.parametrize("name", PRODUCED)
def test_a_documented_request_is_produced(name: str) -> None:
    assert PRODUCED[name].body == documented.request(name)


def test_the_documented_form_is_produced_field_for_field() -> None:
    wanted = documented.request(WITH_FILE)
    file = File(wanted.pop("attachments"), content=b"picture", content_type="image/png")
    members: tickets.NewTicket = {
        "category": 4,
        "name": "Name",
        "text": "Ticket creation message",
        "subject": "Ticket creation subject",
        "email": "john@example.com",
    }
    request = tickets.create_ticket({**members, "fields": {"t-cf-5": 1, "t-cf-25": 1}}, files=[file])
    with encoded(request, "https://demo.happyfox.example", {}) as sent:
        assert isinstance(sent.stream, httpx.SyncByteStream)
        form, files = http.parse_body(sent.headers["Content-Type"], b"".join(sent.stream))
    assert form == wanted
    assert files == (http.Upload("attachments", "Second_screen.png", "image/png", b"picture"),)


@pytest.mark.parametrize("name", READ)
def test_a_documented_answer_is_read(name: str) -> None:
    call, holds = READ[name]
    client = Client(lambda _: Answer(200, {}, (documented.FOLDER / name / "answer.json").read_bytes()), staff_id=1)
    assert holds(call(client))


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("status", [400, 422, 200])
def test_a_documented_refusal_is_read(name: str, status: int) -> None:
    body = (documented.FOLDER / name / "answer.json").read_bytes()
    with pytest.raises(Refused) as refused:
        read(Answer(status, {}, body))
    assert list(refused.value.problems) == REFUSED[name]
