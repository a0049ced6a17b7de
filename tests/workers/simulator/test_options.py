"""The effects of switches that no other test covers."""

import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock, multipart
from workers.simulator import Simulator

TICKET = {"client": 1, "subject": "S", "text": "T", "category": 1}


def account(clock: FakeClock, **options: Any) -> Caller:
    api = Caller(Simulator(clock, **options))
    api.simulator.create_ticket(fields={"Regions": ["North", "West"]})
    return api


@pytest.mark.parametrize("status", [401, 403])
def test_the_response_to_a_disabled_key_is_a_switch(clock: FakeClock, status: int) -> None:
    assert account(clock, enabled=False, disabled_status=status).get("staff/").status == status


def test_the_realm_of_the_challenge_is_a_switch(clock: FakeClock) -> None:
    api = account(clock, realm="Basic")
    api.auth = ""
    assert api.get("staff/").headers["WWW-Authenticate"] == 'Basic realm="Basic"'


def test_the_statuses_of_refusals_are_switches(clock: FakeClock) -> None:
    api = account(clock, forbidden_status=400, validation_status=422, completion_status=200, gone_status=400)
    assert api.post("ticket/1/move/", {"staff_id": 4, "target_category_id": 2}).status == 400
    assert api.post("tickets/", {}).status == 422
    assert api.post("assets/", {}).status == 422
    assert api.post("ticket/9/delete/", {"staff_id": 7}).status == 400
    assert api.get("ticket/9/").status == 404
    ticket = api.simulator.create_ticket(category="Orders", fields={"Order number": "1"})
    closing = api.post(f"ticket/{ticket.id}/staff_update/", {"staff": 7, "status": 4})
    assert (closing.status, list(json.loads(closing.body))) == (200, ["error"])
    assert api.simulator.account.tickets[ticket.id].status == 1
    assert not api.simulator.log[-1].applied


def test_failed_calls_may_not_count(clock: FakeClock) -> None:
    api = account(clock, posts=1, failed_calls_count=False)
    assert [api.post("tickets/", body).status for body in ({}, {}, TICKET, {})] == [400, 400, 200, 429]


def test_responses_may_say_how_many_calls_remain(clock: FakeClock) -> None:
    api = account(clock, gets=3, remaining_header=True)
    assert [api.get("staff/").headers["X-RateLimit-Remaining"] for _ in range(3)] == ["2", "1", "0"]
    assert "X-RateLimit-Remaining" not in account(clock).get("staff/").headers


def test_a_created_ticket_may_be_returned_with_fewer_members(clock: FakeClock) -> None:
    made = account(clock, thin_creations=True).posted("tickets/", TICKET)
    assert {"last_modified", "visible_only_staff"}.isdisjoint(made)
    assert made["time_spent"] is None


def test_tags_may_need_staff(clock: FakeClock) -> None:
    account(clock, tags_need_staff=True).refused("ticket/1/update_tags/", {"add": "x"})


def test_a_collision_of_staff_messages_is_ignored_or_refused(clock: FakeClock) -> None:
    body = {"staff": 7, "html": "x", "last_staff_message": 1}
    assert account(clock).post("ticket/1/staff_update/", body).status == 200
    api = account(clock, last_staff_message="refuse", message_ids=True)
    reply = api.posted("ticket/1/staff_update/", {"staff": 7, "html": "first"})
    last = reply["updates"][-1]["message"]["id"]
    assert api.post("ticket/1/staff_update/", body).status == 409
    assert len(api.simulator.account.tickets[1].updates) == 2
    assert api.post("ticket/1/staff_update/", body | {"last_staff_message": last}).status == 200


@pytest.mark.parametrize(("switch", "text"), [("plaintext", "a\n\n"), ("text", "b\n\n"), ("both", "a\n\n")])
def test_the_name_of_a_plain_text_reply_is_a_switch(clock: FakeClock, switch: str, text: str) -> None:
    api = account(clock, plain_text_key=switch, strict=False)
    update = api.posted("ticket/1/staff_update/", {"staff": 7, "plaintext": "a", "text": "b"})["updates"][-1]
    assert update["message"]["text"] == text
    if switch != "both":
        other = {"plaintext": "text", "text": "plaintext"}[switch]
        assert api.posted("ticket/1/staff_update/", {"staff": 7, other: "x"})["updates"][-1]["message"] is None


@pytest.mark.parametrize("switch", ["ccf", "c-cf"])
def test_the_prefix_of_contact_fields_is_a_switch(clock: FakeClock, switch: str) -> None:
    body = {"staff": 7, "ccf-1": "ccf", "c-cf-1": "c-cf"}
    ticket = account(clock, contact_field_key=switch, strict=False).posted("ticket/1/staff_update/", body)
    assert ticket["user"]["custom_fields"][0]["value"] == switch


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("tickets/", TICKET | {"t-cf-99": "x"}, "t-cf-99"),
        ("tickets/", TICKET | {"c-cf-99": "x"}, "c-cf-99"),
        ("ticket/1/update_custom_fields/", {"staff": 7, "t-cf-x": 1}, "t-cf-x"),
        ("ticket/1/staff_update/", {"staff": 7, "html": "x", "t-cf-99": 1}, "t-cf-99"),
        ("ticket/1/staff_pvtnote/", {"staff": 7, "html": "x", "time_spent": -5}, "time_spent"),
    ],
)
def test_unknown_fields_are_refused_or_ignored(clock: FakeClock, path: str, body: Any, wrong: str) -> None:
    assert [each["field"] for each in account(clock).refused(path, body)["error"]] == [wrong]
    assert account(clock, strict=False).posted(path, body)["time_spent"] == 0


def test_an_unknown_sort_is_refused_or_the_default(clock: FakeClock) -> None:
    api = account(clock)
    assert json.loads(api.get("tickets/", "sort=newest").body)["error"][0]["field"] == "sort"
    lenient = account(clock, strict=False).got("tickets/", "sort=newest")
    assert lenient["filters"]["sort"] == "updated"
    assert api.got("tickets/", "sort=")["filters"]["sort"] == "updated"


@pytest.mark.parametrize("blank", [None, "", []])
def test_whether_a_blank_clears_a_field(clock: FakeClock, blank: Any) -> None:
    for clears, value in ((True, None), (False, "North, West")):
        api = account(clock, blank_clears=clears)
        ticket = api.posted("ticket/1/update_custom_fields/", {"staff": 7, "t-cf-4": blank})
        assert ticket["custom_fields"][3]["value"] == value


def test_several_choices_may_be_a_list(clock: FakeClock) -> None:
    shown = account(clock, multiple_values="list").got("ticket/1/")["custom_fields"][3]
    assert (shown["value"], shown["value_id"]) == (["North", "West"], [1, 4])


def test_notes_may_count_as_replies(clock: FakeClock) -> None:
    for counts in (True, False):
        api = account(clock, notes_count_as_replies=counts)
        ticket = api.posted("ticket/1/staff_pvtnote/", {"staff": 7, "html": "x"})
        assert (ticket["last_staff_reply_at"] is not None) is counts
        assert ticket["unresponded"] is True


def test_the_list_may_ignore_fields(clock: FakeClock) -> None:
    listed = account(clock, fields_trim=False).got("tickets/", "fields=id")["data"][0]
    assert "subject" in listed
    assert account(clock).got("tickets/", "fields=id,nothing")["data"] == [{"id": 1}]


def test_a_multipart_body_without_its_end_is_refused(clock: FakeClock) -> None:
    kind, body = multipart({"staff": "7"}, [("attachments", "a", "text/plain", b"x")])
    assert account(clock).post("ticket/1/staff_update/", body[:-6], kind).status == 400


def test_a_page_above_fifty_is_cut_or_refused(clock: FakeClock) -> None:
    assert account(clock, oversized_page="refused").get("tickets/", "size=51").status == 400
    assert account(clock, oversized_page="refused").get("tickets/", "size=50").status == 200


@pytest.mark.parametrize("status", [200, 204])
def test_the_response_to_deleting_an_asset_is_a_switch(clock: FakeClock, status: int) -> None:
    api = account(clock, deletion_status=status)
    assert api.send("DELETE", "asset/1/", query="deleted_by=1").status == status
    assert api.simulator.log[-1].applied


def test_puts_and_deletions_may_not_count(clock: FakeClock) -> None:
    for counts, statuses in ((False, [200, 200, 404, 200, 429]), (True, [200, 429, 429, 429, 429])):
        api = account(clock, posts=1, puts_count=counts)
        calls = [api.send("PUT", "asset/1/", {"updated_by": 1})]
        calls += [api.send("DELETE", "asset/1/", query="deleted_by=1") for _ in range(2)]
        calls += [api.post("tickets/", TICKET) for _ in range(2)]
        assert [call.status for call in calls] == statuses


def test_which_writes_must_not_overlap_is_a_switch(clock: FakeClock) -> None:
    for covers, tags, reply in (("every write", 409, 409), ("staff_update", 200, 409)):
        api = account(clock, overlap_covers=covers)
        body = {"staff": 7, "html": "x"}
        first = api.simulator.begin(api.request("POST", "ticket/1/staff_update/", body))
        assert api.post("ticket/1/update_tags/", {"add": "x"}).status == tags
        assert api.post("ticket/1/staff_update/", body).status == reply
        assert api.simulator.end(first).status == 200


@pytest.mark.parametrize(("reads", "shown"), [("itself", (200, 1)), ("survivor", (200, 2)), ("missing", (404, None))])
def test_how_a_merged_ticket_reads(clock: FakeClock, reads: str, shown: tuple[int, int | None]) -> None:
    api = account(clock, merged_reads=reads)
    api.simulator.create_ticket()
    api.simulator.merge(1, into=2)
    answer = api.get("ticket/1/")
    assert (answer.status, json.loads(answer.body).get("id")) == shown


@pytest.mark.parametrize(("kept", "numbers"), [("kept", [1, 2]), ("copied", [2, 3])])
def test_whether_updates_keep_their_ids_in_a_merge(clock: FakeClock, kept: str, numbers: list[int]) -> None:
    api = account(clock, merged_updates=kept)
    api.simulator.create_ticket()
    api.simulator.merge(1, into=2)
    assert [update["update_id"] for update in api.got("ticket/2/")["updates"]] == numbers
