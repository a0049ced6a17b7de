from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator
from workers.simulator.updates import plain

REQUIRED = {"error": [{"field": "staff", "errors": ["This field is required."]}]}


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    simulator.create_ticket(tags=("old", "Old"))
    simulator.take_deliveries()
    return simulator


def labels_sent(simulator: Simulator) -> list[str]:
    return [delivery.label for delivery in simulator.take_deliveries()]


def test_a_reply_and_properties_make_one_update_with_the_real_changes(
    api: Caller, clock: FakeClock, simulator: Simulator
) -> None:
    clock.now += 60
    body = {
        "staff": 7,
        "html": "<p>Hi</p>",
        "status": 2,
        "priority": 1,
        "assignee": 2,
        "update_customer": True,
    }
    ticket = api.posted("ticket/1/staff_update/", body)
    update = ticket["updates"][-1]
    assert update["by"] == {
        "id": 7,
        "name": "Foxhooks Bot",
        "email": "foxhooks@support.example",
        "type": "staff",
    }
    assert update["status_change"] == {"new": 2, "new_name": "In Progress", "old": 1, "old_name": "New"}
    assert update["assignee_change"] == {"new": 2, "new_name": "Lin Wu", "old": None, "old_name": None}
    assert update["priority_change"] is None
    assert (update["message"]["text"], update["message"]["message_type"]) == ("Hi\n\n", None)
    assert update["message"]["customer_updated"] is True
    assert ticket["last_staff_reply_at"] == ticket["last_updated_at"] == "2023-11-14 22:14:20"
    assert ticket["unresponded"] is False
    assert labels_sent(simulator) == ["ticket-updated"]


@pytest.mark.parametrize("key", ["text", "plaintext"])
def test_plain_text_may_be_sent_under_either_name_and_is_escaped(api: Caller, key: str) -> None:
    update = api.posted("ticket/1/staff_update/", {"staff": 7, key: "1 < 2"})["updates"][-1]
    assert (update["message"]["text"], update["message"]["html"]) == ("1 < 2\n\n", "<p>1 &lt; 2</p>")


def test_html_may_be_returned_as_a_whole_document(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, html_documents=True))
    api.simulator.create_ticket()
    message = api.posted("ticket/1/staff_update/", {"staff": 7, "html": "<p>{x}</p>"})["updates"][-1]["message"]
    assert message["html"].startswith("<html><head>")
    assert "<body><p>{x}</p></body>" in message["html"]
    assert message["text"] == "{x}\n\n"


def test_a_private_note_is_marked_and_does_not_change_reply_times(api: Caller) -> None:
    ticket = api.posted("ticket/1/staff_pvtnote/", {"staff": 7, "html": "<p>psst</p>", "status": 2})
    assert ticket["updates"][-1]["message"]["message_type"] == "p"
    assert ticket["status"]["name"] == "In Progress"
    assert (ticket["last_staff_reply_at"], ticket["unresponded"]) == (None, True)


def test_an_update_that_changes_nothing_leaves_an_update_by_default(api: Caller, simulator: Simulator) -> None:
    update = api.posted("ticket/1/staff_update/", {"staff": 7, "status": 1})["updates"][-1]
    assert (update["update_id"], update["message"], update["status_change"]) == (2, None, None)


def test_an_update_that_changes_nothing_may_be_refused(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, nothing_to_update=True))
    api.simulator.create_ticket(tags=["a"])
    refusal = api.refused("ticket/1/staff_update/", {"staff": 7, "status": 1, "assignee": None, "tags": "a"})
    assert refusal == {"error": "Nothing to update"}
    assert len(api.simulator.account.tickets[1].updates) == 1
    assert api.post("ticket/1/staff_update/", {"staff": 7, "status": 2}).status == 200


def test_null_removes_assignee_and_due_date(api: Caller) -> None:
    api.posted("ticket/1/staff_update/", {"staff": 7, "assignee": 2, "due_date": "2023-12-24"})
    ticket = api.posted("ticket/1/staff_update/", {"staff": 7, "assignee": None, "due_date": None})
    assert (ticket["assigned_to"], ticket["due_date"]) == (None, None)
    assert ticket["updates"][-1]["assignee_change"]["old_name"] == "Lin Wu"
    assert ticket["updates"][-1]["due_date_change"] == {"new": None, "old": "2023-12-24"}


def test_time_spent_adds_up(api: Caller) -> None:
    for _ in range(2):
        ticket = api.posted("ticket/1/staff_update/", {"staff": 7, "time_spent": "5"})
    assert (ticket["time_spent"], ticket["updates"][-1]["time_spent"]) == (10, 5)


@pytest.mark.parametrize(("switch", "tags"), [("add", "old,Old,new"), ("replace", "new")])
def test_whether_tags_of_an_update_add_or_replace_is_a_switch(clock: FakeClock, switch: str, tags: str) -> None:
    api = Caller(Simulator(clock, tags_on_update=switch))
    api.simulator.create_ticket(tags=["old", "Old"])
    assert api.posted("ticket/1/staff_update/", {"staff": 7, "tags": "new"})["tags"] == tags


def test_closing_needs_the_fields_compulsory_on_completion(api: Caller, simulator: Simulator) -> None:
    simulator.create_ticket(category="Orders", fields={"Order number": "1"})
    simulator.take_deliveries()
    wrong = {"error": {"t-cf-7": "This field should be filled before marking this ticket as completed"}}
    assert api.refused("ticket/2/staff_update/", {"staff": 7, "status": 4}) == wrong
    assert labels_sent(simulator) == []
    ticket = api.posted("ticket/2/staff_update/", {"staff": 7, "status": 4, "t-cf-7": "refunded"})
    assert ticket["status"]["behavior"] == "completed"
    assert ticket["user"]["pending_tickets_count"] == 1
    assert ticket["updates"][-1]["custom_field_change"] is None


@pytest.mark.parametrize("key", ["ccf-1", "c-cf-1"])
def test_contact_fields_may_have_either_prefix(api: Caller, key: str) -> None:
    ticket = api.posted("ticket/1/staff_update/", {"staff": 7, key: "New Corp"})
    assert ticket["user"]["custom_fields"][0]["value"] == "New Corp"


@pytest.mark.parametrize("call", ["staff_update", "staff_pvtnote", "update_custom_fields"])
def test_the_staff_member_is_required_as_staff(api: Caller, call: str) -> None:
    assert api.refused(f"ticket/1/{call}/", {"t-cf-1": "x"}) == REQUIRED


@pytest.mark.parametrize("call", ["move", "forward", "subscribe", "unsubscribe", "delete"])
def test_the_staff_member_is_required_as_staff_id(api: Caller, call: str) -> None:
    body = {"staff": 7, "target_category_id": 2, "to": "a@b.example", "subject": "s"}
    assert api.refused(f"ticket/1/{call}/", body)["error"][0]["field"] == "staff_id"


def test_a_reply_by_a_contact_names_that_contact(api: Caller, simulator: Simulator, clock: FakeClock) -> None:
    api.posted("ticket/1/staff_update/", {"staff": 7, "html": "x"})
    clock.now += 60
    ticket = api.posted("ticket/1/user_reply/", {"user": 2, "text": "<p>More</p>"})
    update = ticket["updates"][-1]
    assert (update["by"]["type"], update["by"]["id"], update["message"]["text"]) == ("user", 2, "More\n\n")
    assert (ticket["unresponded"], ticket["last_user_reply_at"]) == (True, "2023-11-14 22:14:20")
    assert labels_sent(simulator) == ["ticket-updated"] * 2


def test_whether_a_reply_reopens_a_closed_ticket_is_a_switch(clock: FakeClock) -> None:
    for reopens in (False, True):
        api = Caller(Simulator(clock, reopen_on_reply=reopens))
        api.simulator.create_ticket()
        api.posted("ticket/1/staff_update/", {"staff": 7, "status": 4})
        ticket = api.posted("ticket/1/user_reply/", {"user": 1, "text": "again"})
        assert ticket["status"]["name"] == ("New" if reopens else "Closed")


def test_tags_are_a_set_that_keeps_order_and_case(api: Caller, simulator: Simulator) -> None:
    ticket = api.posted("ticket/1/update_tags/", {"staff_id": 7, "add": "new, Old , x", "remove": "old,unknown"})
    assert ticket["tags"] == "Old,new,x"
    assert ticket["updates"][-1]["message"] is None
    assert labels_sent(simulator) == ["ticket-updated"]


def test_whether_tags_leave_an_update_is_a_switch(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, tag_updates=False))
    api.simulator.create_ticket()
    assert len(api.posted("ticket/1/update_tags/", {"add": "x"})["updates"]) == 1
    assert api.simulator.account.last_update == 1


def test_field_changes_are_shown_only_on_request(api: Caller, simulator: Simulator) -> None:
    api.posted("ticket/1/update_custom_fields/", {"staff": 7, "t-cf-1": "late"})
    assert api.got("ticket/1/")["updates"][-1]["custom_field_change"] is None
    shown = api.got("ticket/1/", "show_cf_changes=true")["updates"][-1]["custom_field_change"]
    assert shown == {"t-cf-1": {"name": "Refund reason", "old": None, "new": "late"}}
    assert labels_sent(simulator) == ["ticket-updated"]


def test_a_move_leaves_an_update_but_does_not_return_it(api: Caller, simulator: Simulator) -> None:
    body = {"staff_id": 7, "target_category_id": 2, "move_note": "yours", "assign_to": 2}
    assert api.posted("ticket/1/move/", body) == {"status_code": 200, "message": "moved ticket to Billing"}
    ticket = api.got("ticket/1/")
    update = ticket["updates"][-1]
    assert update["category_change"] == {
        "new": 2,
        "new_name": "Billing",
        "old": 1,
        "old_name": "Default Category",
    }
    assert (update["message"]["text"], update["message"]["message_type"]) == ("yours\n\n", "p")
    assert (ticket["assigned_to"]["name"], ticket["display_id"]) == ("Lin Wu", "#DC00000001")
    assert labels_sent(simulator) == ["ticket-updated"]


def test_a_move_needs_the_permission(api: Caller) -> None:
    api.refused("ticket/1/move/", {"staff_id": 4, "target_category_id": 2}, status=403)


def test_the_display_id_may_follow_the_category(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, prefix_follows_category=True))
    api.simulator.create_ticket()
    api.posted("ticket/1/move/", {"staff_id": 7, "target_category_id": 2})
    assert api.got("ticket/1/")["display_id"] == "#BI00000001"


@pytest.mark.parametrize(
    ("call", "body", "answer"),
    [
        (
            "forward",
            {"to": "x@y.example", "subject": "s"},
            {"message": "Successfully forwarded the ticket #DC00000001"},
        ),
        (
            "subscribe",
            {"data": [3, 2]},
            {"message": "Foxhooks Bot, Omar Haddad, Lin Wu, Subscribers added to ticket"},
        ),
        ("unsubscribe", {}, {"message": "Foxhooks Bot unsubscribed"}),
        ("delete", {}, {"deleted_ticket": "#DC00000001"}),
    ],
)
def test_calls_that_leave_no_update_and_send_no_webhook(
    api: Caller, simulator: Simulator, call: str, body: dict[str, Any], answer: dict[str, Any]
) -> None:
    assert api.posted(f"ticket/1/{call}/", {"staff_id": 7, **body}) == answer
    assert simulator.account.last_update == 1
    assert labels_sent(simulator) == []


def test_subscribers_can_be_added_and_removed(api: Caller) -> None:
    api.posted("ticket/1/subscribe/", {"staff_id": 7, "data": [2]})
    api.posted("ticket/1/unsubscribe/", {"staff_id": 7})
    subscriber = {"id": 2, "first_name": "Lin", "last_name": "Wu", "email": "lin@support.example"}
    assert api.got("ticket/1/")["subscribers"] == [subscriber]


def test_a_forward_may_leave_an_update(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, forward_updates=True))
    api.simulator.create_ticket()
    api.posted("ticket/1/forward/", {"staff_id": 7, "to": "x@y.example", "subject": "s", "message": "see below"})
    update = api.got("ticket/1/")["updates"][-1]
    assert (update["message"]["forward_list"], update["message"]["text"]) == ("x@y.example", "see below\n\n")


def test_a_deleted_ticket_is_gone(api: Caller) -> None:
    api.posted("ticket/1/delete/", {"staff_id": 7})
    assert api.get("ticket/1/").status == 404
    assert api.got("tickets/")["data"] == []
    api.refused("ticket/1/staff_update/", {"staff": 7}, status=404)


def test_update_ids_and_ticket_numbers_rise_across_the_account(api: Caller, simulator: Simulator) -> None:
    simulator.create_ticket()
    for number in (1, 2, 1):
        api.posted(f"ticket/{number}/staff_update/", {"staff": 7})
    assert [update["update_id"] for update in api.got("ticket/1/")["updates"]] == [1, 3, 5]
    assert [update["update_id"] for update in api.got("ticket/2/")["updates"]] == [2, 4]


@pytest.mark.parametrize("data", [[99], ["x"], [[2]], {"a": 1}, [None]])
def test_a_subscriber_has_to_be_staff(api: Caller, data: Any) -> None:
    wrong = api.refused("ticket/1/subscribe/", {"staff_id": 7, "data": data})
    assert wrong["error"][0]["field"] == "data"
    assert api.got("ticket/1/")["subscribers"] == []


@pytest.mark.parametrize("text", ["<" * 300_000, f"&#{'9' * 5000};"])
def test_any_text_is_stripped_of_markup_in_proportional_time(text: str) -> None:
    # A quadratic reader would need minutes for the first; the suite's own time limit would end it.
    assert plain(text) == text
