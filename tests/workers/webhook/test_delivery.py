import json
import math
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.webhook import LARGEST, Delivery, UnreadableBody, parse
from workers.webhook.bodies import REASONS, Reason, key_names

SAMPLES = Path(__file__).parents[2] / "samples" / "deliveries"

KEYS = """
ticket_id id ticket_number ticketId agent_ticket_url display_id ticket data payload tickets number
update updates update_id timestamp by type name message message_type event event_type action
"""

EXPECTED = {
    "flat-creation": Delivery(3, "created", False, None, "flat", "unknown", "", ""),
    "flat-contact-reply": Delivery(3, "updated", True, None, "flat", "contact", "contact-reply", ""),
    "flat-smart-rule": Delivery(3, "updated", True, None, "flat", "rule", "", "Unresponded for 60 min"),
    "flat-private-note": Delivery(42, "updated", True, 977, "flat", "staff", "private-note", ""),
    "flat-without-ticket-id": Delivery(1199, "updated", True, None, "flat", "staff", "staff-reply", ""),
    "flat-display-id-alone": Delivery(1234, "updated", True, None, "flat", "unknown", "contact-reply", ""),
    "rest-created": Delivery(11, "created", False, 60, "rest", "contact", "", ""),
    "rest-contact-reply": Delivery(11, "updated", True, 63, "rest", "contact", "contact-reply", ""),
    "rest-updated": Delivery(3, "updated", True, 52, "rest", "staff", "private-note", ""),
    "wrapped-created": Delivery(3, "created", False, None, "wrapped", "unknown", "", ""),
    "wrapped-status-changed": Delivery(3, "updated", False, None, "wrapped", "unknown", "", ""),
    "wrapped-smart-rule": Delivery(3, "updated", True, 70, "wrapped", "rule", "", "Unresponded for 60 min"),
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(KEYS.split())
lookalikes = st.recursive(
    json_values | st.sampled_from(["#DC00000003", "https://acme.happyfox.com/staff/ticket/3", "p", "ticket-created"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
numbers = st.integers(1, LARGEST)


def body(**members: Any) -> bytes:
    return json.dumps(members).encode()


def refused(raw: bytes, content_type: str = "") -> str:
    with pytest.raises(UnreadableBody) as caught:
        parse(raw, content_type)
    assert caught.value.__context__ is None, "the decoder's error would carry the payload along"
    return caught.value.reason


def test_every_sample_is_listed() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_sample_is_read_as_expected(name: str) -> None:
    assert replace(parse((SAMPLES / f"{name}.json").read_bytes()), host="") == EXPECTED[name]


# The ticket number


@pytest.mark.parametrize("key", ["ticket_id", "id", "ticket_number", "ticketId"])
@pytest.mark.parametrize("value", [7, "7", "007", " 7 "])
def test_the_number_is_read_from_its_own_field(key: str, value: object) -> None:
    assert parse(body(**{key: value})).ticket == 7


@pytest.mark.parametrize(
    ("members", "number"),
    [
        ({"ticket_id": 5, "data": {"id": 77}}, 5),
        ({"ticket_id": 5, "id": 77, "ticket": {"id": 78}, "display_id": "#DC00000079"}, 5),
        ({"ticket_id": None, "ticket_number": "", "ticketId": 5}, 5),
        ({"ticket_id": 5, "ticket_number": "005", "ticketId": 5.0}, 5),
        ({"agent_ticket_url": "https://acme.happyfox.com/staff/ticket/5", "ticket": {"id": 77}}, 5),
        ({"ticket": {"id": 5}, "data": {"ticket_id": 77}}, 5),
        ({"ticket": {"number": 5}, "id": 77}, 5),
        ({"ticket": [{"id": 5}]}, 5),
        ({"ticket": {"ticket_id": 5, "id": 77}}, 5),
        ({"data": {"ticket": {"id": 5}}}, 5),
        ({"data": {"ticket": {"id": 5}, "id": 77}}, 5),
        ({"payload": {"id": 5}, "id": 77}, 5),
        ({"payload": {"ticket": {"number": "5"}}}, 5),
        ({"tickets": [{"id": 5}, {"id": 77}]}, 5),
        ({"id": 77, "data": {"ticket_id": 5}}, 5),
        ({"id": 5, "data": {"subject": "x"}}, 5),
        ({"id": 5, "display_id": "#DC00000077"}, 5),
    ],
)
def test_the_most_trustworthy_number_decides(members: dict[str, Any], number: int) -> None:
    assert parse(body(**members)).ticket == number


@pytest.mark.parametrize(
    "members",
    [
        {"ticket_id": 5, "ticket_number": 6},
        {"ticket_id": 5, "agent_ticket_url": "https://acme.happyfox.com/staff/ticket/6"},
        {"ticket": {"id": 5, "number": 6}},
        {"data": {"ticket_id": 5}, "payload": {"ticket_id": 6}},
        {"display_id": "#DC00000005", "ticket_display_id": "#DC00000006"},
    ],
)
def test_two_numbers_that_are_equally_trustworthy_are_a_contradiction(members: dict[str, Any]) -> None:
    assert refused(body(**members)) == "two-ticket-numbers"


@pytest.mark.parametrize("value", ["DC00000014", "#DC00000014", "DC-14", "#14", 14.0, "14.0", " 0014 "])
def test_a_display_id_or_a_whole_decimal_is_a_number(value: object) -> None:
    assert parse(body(ticket_id=value)).ticket == 14
    assert parse(body(ticket_id=value, display_id="#DC00000014")).ticket == 14


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.happyfox.com/staff/ticket/9",
        "https://acme.happyfox.com/staff/ticket/9/",
        "https://acme.happyfox.com/staff/ticket/9?tab=2",
        "https://acme.happyfox.com/staff/ticket/9#update-5",
        "https://acme.happyfox.com/staff/ticket/9/update/5",
        "https://acme.happyfox.com/staff/tickets/0009",
    ],
)
def test_the_link_has_priority_over_the_display_id(url: str) -> None:
    assert parse(body(agent_ticket_url=url, display_id="#AB00000008")).ticket == 9


@pytest.mark.parametrize("url", ["", "https://acme.happyfox.com/staff/", "https://10.0.0.9", "http://[9", 5, None, [3]])
def test_without_a_number_in_the_link_the_display_id_counts(url: object) -> None:
    assert parse(body(agent_ticket_url=url, display_id="#AB00001234")).ticket == 1234
    assert parse(body(agent_ticket_url=url, ticket_display_id="AB00001234 ")).ticket == 1234


@pytest.mark.parametrize(
    "value",
    [0, -3, True, 3.5, 1e300, 2**53, 2**64, 10**400, "0", "-3", "+3", "3.5", "9" * 17, "x", "x-", "#", "٣", "1_0", [3]],
)
def test_an_invalid_ticket_number_is_refused_unless_another_key_has_a_valid_one(value: object) -> None:
    assert refused(body(ticket_id=value)) == "bad-ticket-number"
    assert parse(body(ticket_id=value, id=3)).ticket == 3


def test_a_number_out_of_range_is_refused_in_any_field() -> None:
    assert (
        refused(body(agent_ticket_url="https://acme.happyfox.com/staff/ticket/" + "9" * 100_000)) == "bad-ticket-number"
    )
    assert refused(body(display_id="#AB00000000")) == "bad-ticket-number"


def test_a_body_without_a_number_is_refused() -> None:
    assert refused(body(subject="Hello", update={"by": {"id": 5}})) == "no-ticket-number"
    assert refused(b'{"event": "ticket_created", "id": 991, "ticket": {"subject": "x"}}') == "no-ticket-number"


# Decoding


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"hello", "not-json"),
        (b"{", "not-json"),
        (b'{"ticket_id": 3} {', "not-json"),
        (b"{\x00}", "not-json"),
        (b"a=b&c=d", "not-json"),
        (b"payload=", "not-json"),
        (b"[1, 2]", "not-an-object"),
        (b"3", "not-an-object"),
        (b"null", "not-an-object"),
        (b"payload=[3]", "not-an-object"),
        (b'{"subject": "\xff"}', "not-utf-8"),
        (b"[{}, {}]", "not-an-object"),
        (b'[{"ticket_id": 3}, {"ticket_id": 4}]', "not-an-object"),
        (b'"[[[[3]]]]"', "not-an-object"),
        (b"\x1f\x8b\x08", "compressed"),
        (b'{"a":' * 200_000, "too-deep"),
        (b'{"ticket_id": 3, "a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too-deep"),
        (b'{"ticket_id": 3, "a": "\\ud800", "b": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too-deep"),
        (b'{"ticket_id": ' + b"9" * 10_000 + b"}", "not-json"),
        (b"9" * 1_000_000, "not-json"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_unreadable_body_has_a_reason(raw: bytes, reason: str) -> None:
    assert refused(raw) == reason


def test_a_form_without_a_known_field_is_refused() -> None:
    assert refused(b"a=b&c=d", "application/x-www-form-urlencoded") == "bad-form"
    assert refused(b"payload=%FF", "application/x-www-form-urlencoded; charset=utf-8") == "bad-form"
    assert refused(b"\xff=1&payload={}", "application/x-www-form-urlencoded; charset=utf-8") == "bad-form"
    assert refused(b"x=1&" * 1000 + b"payload={}", "application/x-www-form-urlencoded") == "bad-form"


@pytest.mark.parametrize(
    "members",
    [
        b'"subject": "half a pair \\ud83d"',
        b'"subject": "\\udc00\\ud800"',
        b'"subject": NaN',
        b'"time_spent": Infinity',
        b'"time_spent": 1e999',
        b'"ticket_id": 8',
        b'"subject": "\\u0000"',
    ],
)
def test_unusual_values_do_not_prevent_reading(members: bytes) -> None:
    assert parse(b"{" + members + b', "ticket_id": 3}').ticket == 3


@pytest.mark.parametrize("field", ["payload", "data", "json"])
@pytest.mark.parametrize("content_type", ["", "application/json", "application/x-www-form-urlencoded"])
def test_a_form_field_is_read_as_the_body(field: str, content_type: str) -> None:
    raw = body(ticket_id=3, subject="Café & Söhne + 1")
    assert parse(urlencode({field: raw}).encode(), content_type).ticket == 3
    assert parse(f"token=x&{field}={quote_plus(raw)}".encode(), content_type).ticket == 3


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "text/plain", "\ud800"])
def test_bare_json_is_read_whatever_its_content_type(content_type: str) -> None:
    assert parse(b'\xef\xbb\xbf\r\n {"ticket_id": 3, "q": "a=b&payload=1"}\n', content_type).ticket == 3


LENIENT = {
    "a raw newline in a text": b'{"ticket_id": 3, "subject": "a\nb"}',
    "a NUL in a text": b'{"ticket_id": 3, "subject": "a\x00b"}',
    "a cut character": b'{"ticket_id": 3, "subject": "Caf\xc3"}',
    "latin-1": '{"ticket_id": 3, "subject": "Café"}'.encode("latin-1"),
    "UTF-16": '{"ticket_id": 3, "subject": "Café"}'.encode("utf-16"),
    "UTF-16 without BOM": '{"ticket_id": 3}'.encode("utf-16-be"),
    "an endless integer": b'{"ticket_id": 3, "odd": ' + b"9" * 5000 + b"}",
    "JSON inside quotes": json.dumps('{"ticket_id": 3}').encode(),
    "a list of one": b'[{"ticket_id": 3}]',
    "a list of one inside quotes": json.dumps('[{"ticket_id": 3}]').encode(),
    "a form of 25 fields": b"&".join(b"field%d=x" % n for n in range(24)) + b'&payload={"ticket_id":3}',
    "a form of the ticket's fields": b"&".join(b"field%d=x" % n for n in range(24)) + b"&ticket_id=3",
    "a form in latin-1": b"payload=%7B%22ticket_id%22%3A3%2C%22subject%22%3A%22Caf%E9%22%7D",
    "a trailing NUL": b'{"ticket_id": 3}\x00',
}


@pytest.mark.parametrize("damage", LENIENT)
def test_a_damaged_body_whose_number_is_plain_to_see_is_read(damage: str) -> None:
    assert parse(LENIENT[damage]).ticket == 3
    assert parse(LENIENT[damage], "application/x-www-form-urlencoded").ticket == 3


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=9)), st.sampled_from(["latin-1", "utf-16", "utf-8"]))
def test_control_characters_and_encodings_do_not_prevent_reading(members: dict[str, str], encoding: str) -> None:
    text = json.dumps(members | {"ticket_id": 3}, ensure_ascii=False)
    for escaped, raw in (("\\n", "\n"), ("\\u0000", "\0"), ("\\t", "\t")):
        text = text.replace("\\\\", "").replace(escaped, raw)
    assert parse(text.encode(encoding, "replace")).ticket == 3


def test_the_names_of_keys_describe_the_form_of_a_body() -> None:
    nested = body(a={"b": {"c": {"d": {"e": {}}}}}, rows=[{"x": 1}, {"y": 2}], plain="words")
    assert key_names(nested, "") == ["a", "a.b", "a.b.c", "a.b.c.d", "rows", "rows[].x", "plain"]
    assert key_names(b'{"a": "\n"}', "") == ["a"]
    assert key_names(b"?", "") == []
    assert len(key_names(body(**{f"key{n}": n for n in range(500)}), "")) == 100
    assert key_names(body(**{"x" * 100: 1}), "") == ["x" * 40]


def test_every_reason_has_a_meaning() -> None:
    assert set(REASONS) == {*get_args(Reason), "unexpected"}


# Kind


@pytest.mark.parametrize("key", ["event_type", "event", "type", "webhook_event", "event_name", "action", "trigger"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("ticket-created", "created"),
        ("Ticket.Created", "created"),
        ("new ticket", "created"),
        ("ticket:updated", "updated"),
        ("TICKET_CLOSED", "updated"),
        ("smart-rule", "updated"),
    ],
)
def test_the_event_type_is_found_under_any_key(key: str, value: str, kind: str) -> None:
    for raw in (body(ticket_id=3, **{key: value}), body(ticket={"id": 3}, **{key: value})):
        assert parse(raw, url_kind="created").kind == kind
        assert parse(raw, url_kind="updated").kind == kind


def test_of_an_event_type_that_is_unknown_only_the_url_says_the_kind() -> None:
    assert parse(body(ticket_id=3, event="ticket_merged")).kind == "unknown"
    assert parse(body(ticket_id=3, event="case-opened"), url_kind="created").kind == "created"


def test_a_type_that_describes_the_ticket_is_ignored() -> None:
    assert parse(body(ticket_id=3, type="question")).kind == "created"
    assert parse(body(ticket_id=3, type="question", action="updated")).kind == "updated"


def test_the_outer_event_type_has_priority() -> None:
    assert parse(body(event="ticket_updated", ticket={"id": 3, "event": "ticket_created"})).kind == "updated"
    assert parse(body(ticket={"id": 3, "event": "ticket_created"}), url_kind="updated").kind == "created"


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({}, "created"),
        ({"update": None}, "created"),
        ({"update": {}}, "created"),
        ({"update": {"by": None}}, "updated"),
        ({"updates": []}, "created"),
        ({"updates": [{"update_id": 1}]}, "created"),
        ({"updates": [{"update_id": 1}, {"update_id": 2}]}, "updated"),
        ({"updates": "x"}, "created"),
    ],
)
def test_without_an_event_type_an_update_decides_else_the_url(members: dict[str, Any], kind: str) -> None:
    raw = body(ticket_id=3, **members)
    assert parse(raw).kind == parse(raw, url_kind="created").kind == kind
    assert parse(raw, url_kind="updated").kind == "updated"


@pytest.mark.parametrize("wrapper", ["ticket", "data", "payload"])
def test_an_update_inside_a_wrapper_outranks_the_url(wrapper: str) -> None:
    raw = body(**{wrapper: {"ticket_id": 3, "update": {"message_type": "Client Reply"}}})
    delivery = parse(raw, url_kind="created")
    assert (delivery.kind, delivery.label, delivery.form) == ("updated", "contact-reply", "wrapped")


# The host


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("https://ACME.HappyFox.com/staff/ticket/3", "acme.happyfox.com"),
        ("https://user@acme.happyfox.com:443/3", "acme.happyfox.com"),
        ("http://127.0.0.1:8001/3", "127.0.0.1:8001"),
        ("http://127.0.0.1:port/3", ""),
        ("acme.happyfox.com/staff/ticket/3", ""),
        ("/staff/ticket/3", ""),
        ("http://[3", ""),
        (None, ""),
        (3, ""),
    ],
)
def test_the_host_of_the_link_is_read(link: object, host: str) -> None:
    assert parse(body(ticket_id=3, agent_ticket_url=link)).host == host
    assert parse(body(ticket={"id": 3, "agent_ticket_url": link})).host == host


# Update, actor, label


def test_the_newest_update_has_the_highest_id_in_any_order() -> None:
    updates: list[object] = [{"update_id": 5}, {"update_id": "11"}, {"update_id": 7}, None, {"update_id": -1}]
    assert parse(body(id=3, updates=updates)).update_id == 11


def test_without_ids_the_newest_update_is_the_latest() -> None:
    updates = [{"timestamp": "2026-01-02", "by": "staff"}, {"timestamp": "2026-01-01", "by": "user"}]
    assert parse(body(id=3, updates=updates)).actor == "staff"


def test_an_update_that_is_no_object_is_still_an_update() -> None:
    delivery = parse(body(ticket_id=3, update="assigned to Lin"))
    assert (delivery.update, delivery.kind, delivery.actor) == (True, "updated", "unknown")


@pytest.mark.parametrize("update_id", [None, True, 0, -4, 2.5, "", "x", [1], 2**60])
def test_an_invalid_update_id_is_left_out(update_id: object) -> None:
    assert parse(body(ticket_id=3, update={"update_id": update_id, "by": "x"})).update_id is None


def test_the_id_of_an_update_may_be_called_id() -> None:
    assert parse(body(ticket_id=3, update={"id": 12})).update_id == 12


@pytest.mark.parametrize(
    ("by", "actor"),
    [
        ({"type": "user"}, "contact"),
        ({"type": "Staff"}, "staff"),
        ({"type": "smart_rule"}, "rule"),
        ({"type": "Smart Rule"}, "rule"),
        ({"type": "robot"}, "unknown"),
        ({"type": 5}, "unknown"),
        ({}, "unknown"),
        ("smartrule", "rule"),
        ("Ada King", "unknown"),
        (None, "unknown"),
        (["staff"], "unknown"),
    ],
)
def test_the_actor_is_read_from_its_type(by: object, actor: str) -> None:
    assert parse(body(ticket_id=3, update={"by": by, "x": 1})).actor == actor


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Client Reply", "contact-reply"),
        ("client_reply", "contact-reply"),
        ("CustomerReply", "contact-reply"),
        ("Agent Reply", "staff-reply"),
        ("Staff Private Note", "private-note"),
        ("p", "private-note"),
        ("Forward", "forward"),
        ("Satisfaction  Survey", "satisfaction-survey"),
        ("", ""),
        (7, ""),
    ],
)
def test_message_labels_are_normalized(label: object, expected: str) -> None:
    assert parse(body(ticket_id=3, update={"message_type": label})).label == expected


@pytest.mark.parametrize(("who", "label"), [("user", "contact-reply"), ("staff", "staff-reply"), ("smartrule", "")])
def test_a_message_without_a_label_is_a_reply_by_its_author(who: str, label: str) -> None:
    assert parse(body(ticket_id=3, update={"by": {"type": who}, "message": "Hello"})).label == label
    assert parse(body(ticket_id=3, update={"by": {"type": who}, "message": None})).label == ""


def test_the_name_of_a_rule_is_kept() -> None:
    assert parse(body(ticket_id=3, update={"by": {"type": "smartrule", "name": "VIP"}})).rule == "VIP"
    assert parse(body(ticket_id=3, event="smart-rule", update={"by": "VIP"})).rule == "VIP"
    assert parse(body(ticket_id=3, event="smart-rule", update={"by": {"name": "VIP"}})).rule == "VIP"
    assert parse(body(ticket_id=3, update={"by": "smartrule"})).rule == ""
    assert parse(body(ticket_id=3, update={"by": {"type": "staff", "name": "Ada King"}})).rule == ""


def test_the_name_of_a_rule_is_made_storable() -> None:
    raw = b'{"ticket_id": 3, "update": {"by": {"type": "smartrule", "name": "VIP\\n \\ud800 %s"}}}' % (b"x" * 9999)
    rule = parse(raw).rule
    assert rule.startswith("VIP ? xxx")
    assert len(rule) <= 200


def test_the_name_of_a_person_is_not_kept() -> None:
    assert "Sam" not in repr(parse((SAMPLES / "flat-contact-reply.json").read_bytes()))


# Properties


@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes, content_type: str) -> None:
    read_or_refuse(raw, content_type)


@given(json_values | lookalikes)
def test_any_json_is_read_or_refused(value: object) -> None:
    raw = json.dumps(value).encode()
    read_or_refuse(raw, "")
    read_or_refuse(urlencode({"payload": raw}).encode(), "application/x-www-form-urlencoded")


@given(st.dictionaries(keys, lookalikes, max_size=6), numbers)
def test_a_ticket_id_is_enough_whatever_else_the_body_contains(members: dict[str, object], number: int) -> None:
    equals = ("ticket_number", "ticketId", "agent_ticket_url")
    members = {key: value for key, value in members.items() if key not in equals} | {"ticket_id": number}
    assert parse(json.dumps(members).encode()).ticket == number


@given(st.dictionaries(keys, lookalikes, max_size=6), numbers | st.just(3))
def test_the_usual_form_is_read_like_any_other(members: dict[str, object], number: int) -> None:
    usual, unusual = (outcome(**members | {"ticket_id": value}) for value in (number, str(number)))
    assert usual == unusual


@pytest.mark.parametrize(
    "members",
    [
        {"agent_ticket_url": "https://acme.happyfox.com/staff/ticket/4"},
        {"agent_ticket_url": "https://acme.happyfox.com/staff/4"},
        {"agent_ticket_url": "https://acme.happyfox.com/staff/3"},
        {"agent_ticket_url": ["https://acme.happyfox.com/staff/ticket/4"]},
        {"ticket_number": 4},
        {"ticketId": "4"},
        {"ticketId": "3", "ticket": {"id": 4}},
        {"ticket_number": None, "ticketId": ""},
        {"id": 4, "display_id": "#DC00000004"},
    ],
)
def test_the_usual_form_with_odd_members_is_read_like_any_other(members: dict[str, object]) -> None:
    assert outcome(ticket_id=3, **members) == outcome(ticket_id="3", **members)


def outcome(**members: object) -> Delivery | str:
    try:
        return parse(json.dumps(members).encode())
    except UnreadableBody as error:
        return error.reason


def read_or_refuse(raw: bytes, content_type: str) -> None:
    try:
        delivery = parse(raw, content_type)
    except UnreadableBody:
        return
    assert 1 <= delivery.ticket <= LARGEST
    assert delivery.update_id is None or 1 <= delivery.update_id <= LARGEST
    (delivery.rule + delivery.label).encode()
    assert "\n" not in delivery.rule + delivery.label


@given(
    numbers,
    st.booleans(),
    st.text(max_size=20),
    st.floats(allow_nan=True).filter(lambda x: not math.isinf(x)),
)
def test_all_forms_of_one_ticket_have_the_same_number(number: int, as_text: bool, subject: str, odd: float) -> None:
    said_as = str(number) if as_text else number
    link = f"https://acme.happyfox.com/staff/ticket/{number}"
    forms: list[dict[str, Any]] = [
        {"ticket_id": said_as, "subject": subject, "odd": odd, "update": {"by": {"type": "staff"}}},
        {"agent_ticket_url": link, "display_id": "#DC00000001", "subject": subject},
        {"ticket_id": f"DC{number:08}", "agent_ticket_url": link},
        {"display_id": f"#DC{number:08}", "subject": subject},
        {"id": said_as, "subject": subject, "updates": [{"update_id": 1}], "odd": odd},
        {"event": "ticket_updated", "webhook_id": 991, "ticket": {"id": said_as, "subject": subject}},
        {"id": 991, "data": {"ticket_id": said_as}},
    ]
    assert {parse(json.dumps(form).encode()).ticket for form in forms} == {number}
