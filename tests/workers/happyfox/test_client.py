"""The client decodes answers and walks pages."""

import json
from typing import Any

import pytest

from workers.errors import Gone
from workers.happyfox.client import Client
from workers.happyfox.protocol import Answer, Request


class Desk:
    """Answers from a table of paths, and keeps what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Request] = []

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        name = request.path.strip("/").split("/")[-1]
        said = self.answers.get(name)
        if callable(said):
            said = said(request)
        return Answer(404 if said is None else 200, {}, json.dumps(said).encode())


def test_answers_are_decoded_and_errors_raised() -> None:
    client = Client(Desk(staff=[{"id": 1}]).send)
    assert client.staff() == [{"id": 1}]
    with pytest.raises(Gone):
        client.ticket(3)


def test_pages_are_walked_to_the_last_one() -> None:
    pages = {str(n): {"data": [{"id": n}], "page_info": {"page_count": 3}} for n in (1, 2, 3)}
    desk = Desk(tickets=lambda request: pages[request.query["page"]])
    assert [ticket["id"] for ticket in Client(desk.send).all_tickets(q="tag:x")] == [1, 2, 3]
    assert [request.query["q"] for request in desk.asked] == ["tag:x"] * 3


def test_every_call_of_the_protocol_has_its_method() -> None:
    said: dict[str, Any] = {"id": 3}
    names = ["staff_update", "staff_pvtnote", "user_reply", "update_tags", "update_custom_fields", "move", "forward"]
    names += ["subscribe", "unsubscribe", "delete", "tickets", "statuses", "priorities", "categories"]
    desk = Desk(**dict.fromkeys([*names, "ticket_custom_fields"], said))
    client = Client(desk.send)
    client.staff_update(3, staff=7)
    client.private_note(3, staff=7, text="x")
    client.user_reply(3, user=5, text="x")
    client.update_tags(3, ["a"], [], 7)
    client.update_custom_fields(3, staff=7, fields={})
    client.move(3, staff_id=7, target_category_id=1)
    client.forward(3, staff_id=7, to=["a@x.example"], subject="s", message="m")
    client.subscribe(3, staff_id=7)
    client.unsubscribe(3, staff_id=7)
    client.delete(3, staff_id=7)
    client.create_ticket({"subject": "s"})
    for read in (client.statuses, client.priorities, client.categories, client.ticket_custom_fields):
        assert read() == said
    assert [request.method for request in desk.asked] == ["POST"] * 11 + ["GET"] * 4


def test_contacts_and_groups_are_read() -> None:
    desk = Desk(**{"5": {"id": 5}}, users={"data": []}, user_custom_fields=[], contact_groups=[])
    client = Client(desk.send)
    assert client.contact(5) == {"id": 5}
    assert client.contacts(q="sam") == {"data": []}
    assert (client.contact_custom_fields(), client.groups(), client.group(5)) == ([], [], {"id": 5})
