"""By default the simulator refuses what no document has, so that a client's mistakes are noticed."""

import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock, multipart
from workers.simulator import Simulator

TICKET: dict[str, Any] = {"email": "sam@bigcorp.example", "name": "Sam", "subject": "S", "text": "T", "category": 1}
WRITES: dict[str, Any] = {
    "tickets/": TICKET,
    "ticket/1/staff_update/": {"staff": 7, "html": "x"},
    "ticket/1/staff_pvtnote/": {"staff": 7, "html": "x"},
    "ticket/1/user_reply/": {"user": 1, "text": "x"},
    "ticket/1/update_tags/": {"staff_id": 7, "add": "x"},
    "ticket/1/update_custom_fields/": {"staff": 7, "t-cf-1": "x"},
    "ticket/1/move/": {"staff_id": 7, "target_category_id": 2},
    "ticket/1/forward/": {"staff_id": 7, "to": "a@b.example", "subject": "S", "message": "M"},
    "ticket/1/subscribe/": {"staff_id": 7},
    "ticket/1/unsubscribe/": {"staff_id": 7},
    "ticket/1/delete/": {"staff_id": 7},
    "users/": {"name": "N", "email": "n@b.example"},
    "user/1/": {"name": "N"},
    "contact_groups/": {"name": "G"},
    "contact_group/1/": {"description": "D"},
    "contact_group/1/delete_contacts/": {"contacts": [1]},
    "assets/": {"name": "A", "display_id": "A-1", "created_by": 1},
}
TEXTS = ("subject", "text", "phone", "tags")
NO_TEXTS: tuple[Any, ...] = (["x"], {}, True, 5)


@pytest.fixture
def api(clock: FakeClock) -> Caller:
    return with_ticket(clock)


def with_ticket(clock: FakeClock, **options: Any) -> Caller:
    api = Caller(Simulator(clock, **options))
    api.simulator.create_ticket()
    return api


def fields(refusal: Any) -> list[str]:
    error = refusal["error"]
    return list(error) if isinstance(error, dict) else [each["field"] for each in error]


@pytest.mark.parametrize("path", WRITES)
def test_an_unknown_member_is_refused_and_nothing_is_done(api: Caller, path: str) -> None:
    before = (api.got("ticket/1/"), api.got("users/"), api.got("contact_groups/"), api.got("assets/"))
    assert fields(api.refused(path, WRITES[path] | {"colour": "red"})) == ["colour"]
    assert before == (api.got("ticket/1/"), api.got("users/"), api.got("contact_groups/"), api.got("assets/"))
    assert api.post(path, WRITES[path]).status == 200


@pytest.mark.parametrize("path", WRITES)
def test_a_lenient_simulator_ignores_it(clock: FakeClock, path: str) -> None:
    api = with_ticket(clock, strict=False)
    assert api.post(path, WRITES[path] | {"colour": "red"}).status == 200


@pytest.mark.parametrize(
    ("path", "members", "meant"),
    [
        ("ticket/1/staff_update/", {"assigned_to": 1}, "assignee"),
        ("ticket/1/staff_update/", {"asignee": 1}, "assignee"),
        ("ticket/1/staff_update/", {"alert": "s"}, ""),
        ("ticket/1/staff_update/", {"staff_id": 7}, "staff"),
        ("ticket/1/staff_pvtnote/", {"cc": "a@b.example"}, ""),
        ("ticket/1/staff_pvtnote/", {"update_customer": True}, ""),
        ("ticket/1/user_reply/", {"html": "x"}, ""),
        ("ticket/1/update_custom_fields/", {"c-cf-1": "x"}, "t-cf-1"),
        ("tickets/", {"tag": "vip"}, "tags"),
        ("users/", {"contact_groups": "1"}, ""),
        ("contact_group/1/", {"name": "new"}, ""),
    ],
)
def test_a_member_of_another_call_is_unknown(api: Caller, path: str, members: Any, meant: str) -> None:
    (error,) = api.refused(path, WRITES[path] | members)["error"]
    assert error["field"] in members
    assert error["errors"] == ["This member does not exist." + (f" Did you mean {meant}?" if meant else "")]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        *(("tickets/", {name: value}) for name in TEXTS for value in NO_TEXTS),
        ("tickets/", {"visible_only_staff": "yes"}),
        ("tickets/", {"visible_only_staff": [True]}),
        ("tickets/", {"category": 1.5}),
        ("tickets/", {"category": [1]}),
        ("tickets/", {"category": True}),
        ("tickets/", {"created_at": "2026-03-01T03:04:00+05:00"}),
        ("tickets/", {"created_at": "2026-03-01"}),
        ("tickets/", {"due_date": "20260301"}),
        ("tickets/", {"due_date": 5}),
        ("tickets/", {"t-cf-1": ["a", "b"]}),
        ("tickets/", {"t-cf-1": {"text": "a"}}),
        ("tickets/", {"t-cf-2": "NaN"}),
        ("tickets/", {"t-cf-2": True}),
        ("tickets/", {"t-cf-4": {"id": 1}}),
        ("tickets/", {"t-cf-5": "01/03/2026"}),
        ("ticket/1/staff_update/", {"html": ["x"]}),
        ("ticket/1/staff_update/", {"cc": ["a@b.example", "c@d.example"]}),
        ("ticket/1/staff_update/", {"update_customer": "maybe"}),
        ("ticket/1/staff_update/", {"send_survey": "maybe"}),
        ("ticket/1/staff_update/", {"parent_update": "first"}),
        ("ticket/1/staff_update/", {"last_staff_message": "last"}),
        ("ticket/1/staff_update/", {"time_spent": 1.5}),
        ("ticket/1/staff_update/", {"time_spent": "an hour"}),
        ("ticket/1/staff_update/", {"ccf-2": "many"}),
        ("ticket/1/staff_pvtnote/", {"alert": "all"}),
        ("ticket/1/staff_pvtnote/", {"alert": 99}),
        ("ticket/1/staff_pvtnote/", {"alert": ["s"]}),
        ("ticket/1/update_tags/", {"add": ["a", "b"]}),
        ("ticket/1/forward/", {"to": ["a@b.example"]}),
        ("ticket/1/forward/", {"send_all_messages": "some"}),
        ("ticket/1/forward/", {"ticket_attachments": 1}),
        ("ticket/1/subscribe/", {"data": 2}),
        ("ticket/1/subscribe/", {"data": "2,3"}),
        ("users/", {"name": ["N"]}),
        ("users/", {"is_login_enabled": "sometimes"}),
        ("users/", {"phones": [{"number": "1", "kind": "mo"}]}),
        ("users/", {"phones": [{"number": "1", "is_primary": "perhaps"}]}),
        ("contact_groups/", {"tagged_domains": ["a.example"]}),
        ("assets/", {"contact_ids": "1"}),
        ("assets/", {"custom_fields": {"99": "x"}}),
        ("assets/", {"custom_fields": {"3": ["x"]}}),
        ("assets/", {"contacts": [{"name": "N", "email": "n@b.example", "age": 4}]}),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(api: Caller, path: str, wrong: dict[str, Any]) -> None:
    assert fields(api.refused(path, WRITES[path] | wrong)) == list(wrong)


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("tickets/", {"visible_only_staff": "True", "category": "1", "t-cf-1": 42, "t-cf-2": "7.5", "t-cf-4": [1]}),
        ("tickets/", {"created_at": "2026-03-01T03:04:00.123", "due_date": "01/03/2026", "assignee": None}),
        ("ticket/1/staff_pvtnote/", {"alert": "s", "time_spent": 5}),
        ("ticket/1/staff_pvtnote/", {"alert": "c"}),
        ("ticket/1/staff_pvtnote/", {"alert": 2}),
        ("ticket/1/staff_update/", {"send_survey": True, "parent_update": 1, "subject": "Re", "ccf-1": "Acme"}),
        ("users/", {"is_login_enabled": "TRUE", "phones": [{"type": "mo", "number": "1", "is_primary": True}]}),
    ],
)
def test_every_documented_spelling_is_accepted(api: Caller, path: str, right: dict[str, Any]) -> None:
    assert api.post(path, WRITES[path] | right).status == 200


@pytest.mark.parametrize(
    ("path", "query", "wrong"),
    [
        ("tickets/", "status=Nwe", "status"),
        ("tickets/", "status=9", "status"),
        ("tickets/", "category=B&category=i", "category"),
        ("tickets/", "q=x&statsu=_all", "statsu"),
        ("tickets/", "size=many", "size"),
        ("tickets/", "minify_response=yes", "minify_response"),
        ("ticket/1/", "show_updates=1", "show_updates"),
        ("users/", "query=sam", "query"),
        ("assets/", "asset_type=Laptop", "asset_type"),
        ("report/1/tabulardata/", "period_type=creation", "period_type"),
        ("report/1/staffactivity/", "sort_dir=desc", "sort_dir"),
        ("staff/", "active=true", "active"),
    ],
)
def test_a_wrong_parameter_is_refused_or_ignored(clock: FakeClock, path: str, query: str, wrong: str) -> None:
    answer = with_ticket(clock).get(path, query)
    assert (answer.status, fields(json.loads(answer.body))) == (400, [wrong])
    assert with_ticket(clock, strict=False).get(path, query).status in (200, 404)


def test_a_wrong_item_of_a_bulk_call_fails_alone(api: Caller) -> None:
    results = api.posted("tickets/", [TICKET, TICKET | {"colour": "red"}])
    assert [each["success"] for each in results] == [True, False]
    results = api.posted("contact_group/1/update_contacts/", [{"contact": 1}, {"contact": 2, "acess_tickets": True}])
    assert [each["success"] for each in results] == [True, False]
    choices = [{"id": None, "text": "New", "color": "red"}]
    assert api.send("PUT", "ticket_custom_field/3/", {"choices": choices}).status == 400


@pytest.mark.parametrize("name", ["attachment", "files", "attachments[]"])
def test_a_file_under_another_name_is_refused(api: Caller, name: str) -> None:
    answer = api.upload("ticket/1/staff_update/", {"staff": "7"}, [(name, "a.txt", "text/plain", b"x")])
    assert (answer.status, fields(json.loads(answer.body))) == (400, [name])


def test_a_call_without_attachments_refuses_files(api: Caller) -> None:
    files = [("attachments", "a.txt", "text/plain", b"x")]
    assert api.upload("ticket/1/update_tags/", {"staff_id": "7", "add": "x"}, files).status == 400


REPEATED, AS_JSON = [("t-cf-4", "1"), ("t-cf-4", "4")], [("t-cf-4", "[1, 4]")]


@pytest.mark.parametrize(
    ("switch", "sent", "status"),
    [
        ("both", REPEATED, 200),
        ("both", AS_JSON, 200),
        ("repeated", REPEATED, 200),
        ("repeated", AS_JSON, 400),
        ("json", REPEATED, 200),
        ("json", AS_JSON, 200),
    ],
)
def test_how_a_form_writes_a_list_is_a_switch(
    clock: FakeClock, switch: str, sent: list[tuple[str, str]], status: int
) -> None:
    api = with_ticket(clock, form_lists=switch)
    kind, body = multipart([("staff", "7"), *sent], [("attachments", "a.txt", "text/plain", b"x")])
    assert api.post("ticket/1/staff_update/", body, kind).status == status
    if status == 200:
        shown = {each["id"]: each["value_id"] for each in api.got("ticket/1/")["custom_fields"]}
        assert shown[4] == ([4] if (switch, sent) == ("json", REPEATED) else [1, 4])


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div>Hello</div><div>World</div>", "Hello\nWorld"),
        ("<div>Hello<div>World</div></div>", "Hello\nWorld"),
        ("<p>One</p>\n<p>Two</p>", "One\nTwo"),
        ("<ul><li>One</li><li>Two</li></ul>", "One\nTwo"),
        ("<h1>Title</h1>Text<br>more <b>bold</b>ly", "Title\nText\nmore boldly"),
        ("<table><tr><td>a</td></tr><tr><td>b</td></tr></table>", "a\nb"),
        ("<head><title>T</title><style>p {}</style></head><p>Seen</p><!-- hidden -->", "Seen"),
        ("<p>1 &lt; 2</p>", "1 < 2"),
    ],
)
def test_each_block_of_html_is_a_line_of_the_text(api: Caller, html: str, text: str) -> None:
    update = api.posted("ticket/1/staff_update/", {"staff": 7, "html": html})["updates"][-1]
    assert update["message"]["text"] == text + "\n\n"
