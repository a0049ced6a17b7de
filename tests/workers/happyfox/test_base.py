"""The client decodes answers and explains what is wrong with one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from workers.errors import Broken, Gone, Unfit
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Answer, Request


class Desk:
    """Answers everything alike, and keeps what was asked."""

    def __init__(self, said: Any, status: int = 200) -> None:
        self.said, self.status = said, status
        self.asked: list[Request] = []

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        body = self.said if isinstance(self.said, bytes) else json.dumps(self.said).encode()
        return Answer(self.status, {}, body)


def test_answers_are_decoded_and_keep_what_happyfox_sent() -> None:
    (member,) = Client(Desk([{"id": 1, "name": "Ada", "shoe_size": 40}]).send).staff()
    assert (member.id, member.name, member.raw["shoe_size"]) == (1, "Ada", 40)


def test_errors_are_raised() -> None:
    with pytest.raises(Gone):
        Client(Desk({}, 404).send).ticket(3)


@pytest.mark.parametrize("said", [b"", b"<html>Welcome</html>", b"[1, 2", {"a": 1}, [], 3, None])
def test_an_answer_that_is_no_ticket_is_broken_with_a_fix(said: Any) -> None:
    client = Client(Desk(said).send)
    calls: tuple[Callable[[], object], ...] = (
        lambda: client.ticket(3),
        lambda: client.create_ticket({"subject": "s", "category": 1}),
    )
    for call in calls:
        with pytest.raises(Broken, match=r"check HAPPYFOX_URL|check that HAPPYFOX_URL|check whether"):
            call()


def test_an_answer_that_is_no_list_is_broken() -> None:
    with pytest.raises(Broken):
        Client(Desk("words").send).statuses()
    with pytest.raises(Broken):
        Client(Desk("words").send).tickets()


def test_an_undocumented_answer_may_be_empty() -> None:
    client = Client(Desk(b"").send, staff_id=7)
    assert client.private_note(3, text="x") is None
    assert client.update_custom_fields(3, {"t-cf-1": "x"}) is None
    assert client.contact_reply(3, contact=5, text="x") is None
    assert client.set_login(5, allowed=False) is None
    assert client.edit_contact_group(5, description="x") is None
    assert client.delete_asset(5).text == ""


def test_a_write_needs_a_staff_member() -> None:
    desk = Desk({"id": 3})
    with pytest.raises(Unfit, match="HAPPYFOX_STAFF_ID"):
        Client(desk.send).staff_update(3, status=4)
    assert desk.asked == []
    Client(desk.send).staff_update(3, staff=7, status=4)
    Client(desk.send, staff_id=8).staff_update(3, status=4)
    assert [request.body["staff"] for request in desk.asked] == [7, 8]


def test_a_client_can_be_read_only() -> None:
    desk = Desk({"id": 3})
    client = Client(desk.send, staff_id=7, reads_only=True)
    assert client.ticket(3).id == 3
    with pytest.raises(Unfit, match="only reads"):
        client.delete_ticket(3)
    assert len(desk.asked) == 1


@pytest.mark.parametrize("said", [b'{"message": "maintenance"}', b'{"data": null}', b'{"data": {"id": 1}}'])
def test_an_answer_without_a_list_is_not_an_empty_list(said: bytes) -> None:
    client = Client(lambda request: Answer(200, {}, said))
    for call in (client.tickets, client.staff, client.sections, lambda: list(client.all_tickets())):
        with pytest.raises(Broken, match="does not look as documented"):
            call()


def test_the_error_for_an_unreadable_contact_shows_no_address() -> None:
    client = Client(lambda request: Answer(200, {}, b"[]"))
    with pytest.raises(Broken) as raised:
        client.contact("sam@bigcorp.example")
    assert "sam" not in str(raised.value)
