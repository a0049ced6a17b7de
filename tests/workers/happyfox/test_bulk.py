"""Bulk calls send a hundred items per call and return a result for each."""

from typing import Any

import pytest

from tests.support.happyfox import ClientDesk
from workers.errors import Broken, InDoubt, Locked, Refused, Unfit, Unsent
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Answer, Request


def drafts(count: int) -> list[dict[str, Any]]:
    return [{"client": 1, "subject": f"No {n}", "text": "x", "category": 1} for n in range(count)]


def failing(desk: ClientDesk, at: int, error: Exception) -> Client:
    """A client whose call number `at` fails so."""

    def send(request: Request) -> Answer:
        if len(desk.asked) + 1 == at:
            desk.asked.append(request)
            raise error
        return desk.send(request)

    return Client(send, staff_id=7)


def test_two_hundred_and_fifty_tickets_take_three_calls() -> None:
    desk = ClientDesk()
    several = drafts(250)
    del several[120]["subject"]
    results = desk.client.create_all_tickets(several)
    assert [len(request.body) for request in desk.asked] == [100, 100, 50]
    assert [result.index for result in results] == list(range(250))
    assert [result.index for result in results if not result.ok] == [120]
    assert results[120].problems == (("subject", "This field is required."),)
    assert results[249].name == "#DC00000249"
    assert results[249].id == 249


def test_more_than_a_hundred_in_one_call_are_refused_before_it() -> None:
    desk = ClientDesk()
    with pytest.raises(Unfit, match="100"):
        desk.client.create_tickets(drafts(101))
    with pytest.raises(Unfit, match="100"):
        desk.client.add_contacts_to_group(1, list(range(101)))
    assert desk.asked == []


@pytest.mark.parametrize(
    ("error", "states"),
    [
        (InDoubt("no answer"), ["done"] * 100 + ["in doubt"] * 100 + ["unsent"] * 50),
        (Broken("500", 500), ["done"] * 100 + ["in doubt"] * 100 + ["unsent"] * 50),
        (Unsent("no way"), ["done"] * 100 + ["unsent"] * 150),
    ],
)
def test_after_a_failure_every_item_says_whether_it_was_sent(error: Exception, states: list[str]) -> None:
    desk = ClientDesk()
    results = failing(desk, 2, error).create_all_tickets(drafts(250))
    assert [result.state for result in results] == states
    assert results[150].error is error
    assert len(desk.asked) == 2


def test_a_hundred_refused_as_a_whole_does_not_stop_the_others() -> None:
    desk = ClientDesk()
    results = failing(desk, 1, Refused("no", 400)).create_all_tickets(drafts(150))
    assert [result.state for result in results] == ["refused"] * 100 + ["done"] * 50


def test_a_lockout_stops_a_bulk_call() -> None:
    desk = ClientDesk()
    results = failing(desk, 1, Locked("wait", 429)).create_all_tickets(drafts(250))
    assert {result.state for result in results} == {"unsent"}
    assert len(desk.asked) == 1


def test_an_item_without_a_result_is_in_doubt() -> None:
    client = Client(lambda request: Answer(200, {}, b'[{"success": true, "id": 1}, "rubbish"]'))
    assert [result.state for result in client.create_tickets(drafts(3))] == ["done", "in doubt", "in doubt"]


def test_contacts_and_group_members_are_sent_in_hundreds() -> None:
    desk = ClientDesk()
    people = [{"name": f"P{n}", "email": f"p{n}@x.example"} for n in range(130)]
    made = desk.client.create_or_edit_all_contacts(people, reset=True)
    ids = [each.id for each in made if each.id]
    assert len(ids) == 130
    assert all(each.ok for each in desk.client.add_all_contacts_to_group(1, ids, access_tickets=True))
    assert len(desk.client.contact_group(1).contacts) == 131
    assert all(each.ok for each in desk.client.remove_all_contacts_from_group(1, ids))


def test_an_invalid_item_fails_only_its_own_hundred() -> None:
    desk = ClientDesk()
    people = [{"name": f"P{n}", "email": f"p{n}@x.example"} for n in range(250)]
    people[120] = {"name": "Slip", "emal": "slip@x.example"}
    results = desk.client.create_or_edit_all_contacts(people, reset=True)
    assert [result.state for result in results] == ["done"] * 100 + ["unsent"] * 100 + ["done"] * 50
    assert "did you mean 'email'" in str(results[120].error)
