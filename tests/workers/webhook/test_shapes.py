"""Shapes and samples say what a body looks like, and nothing that people wrote; they settle open questions."""

import json
from typing import Any

import pytest

from workers.webhook import sign
from workers.webhook.delivery import parse
from workers.webhook.questions import settle
from workers.webhook.shapes import shape_of, spelling_of
from workers.webhook.signature import SPELLINGS

FLAT: dict[str, Any] = {
    "ticket_id": 4711,
    "display_id": "#DC00004711",
    "subject": "My password is swordfish",
    "assignee_name": None,
    "event_type": "ticket-updated",
    "client_details": {"name": "Sam Reed", "email": "sam@smallshop.example"},
    "agent_ticket_url": "https://acme.happyfox.com/staff/ticket/4711",
    "created_at": "2026-03-04 05:06:07",
    "custom_fields": {"Salary of Sam": "1234567", "Swordfish": True},
    "Sam's own": 1,
    "tags": ["secret", "other"],
    "update": {
        "message_type": "Client Reply",
        "by": {"type": "user", "name": "Sam Reed"},
        "message": "<p>swordfish</p>",
    },
}


def test_a_shape_lists_members_and_types_and_no_content() -> None:
    shape = shape_of("delivery", FLAT)
    assert "update.by.type: text" in shape.paths
    assert "created_at: time" in shape.paths
    assert "custom_fields.*: number or true or false" in shape.paths
    assert shape.words == ("event_type=ticket-updated", "update.by.type=user", "update.message_type=Client Reply")


def test_nothing_that_people_wrote_is_kept() -> None:
    shape = shape_of("delivery", FLAT)
    kept = json.dumps([shape.paths, shape.words, shape.sample])
    private = ("swordfish", "Sword", "Sam", "Reed", "smallshop", "4711", "happyfox.com", "1234567", "Salary")
    assert [word for word in private if word in kept] == []


def test_a_sample_is_read_like_its_original() -> None:
    sample = json.dumps(shape_of("delivery", FLAT).sample).encode()
    first, second = parse(json.dumps(FLAT).encode()), parse(sample)
    assert (first.kind, first.form) == (second.kind, second.form)
    assert (first.actor, first.label) == (second.actor, second.label)


def test_equal_forms_have_one_digest() -> None:
    other = {**FLAT, "ticket_id": 5, "subject": "Hello", "client_details": {"name": "Mia", "email": "mia@x.example"}}
    assert shape_of("delivery", FLAT).digest == shape_of("delivery", other).digest
    assert shape_of("delivery", {**FLAT, "new_member": 1}).digest != shape_of("delivery", FLAT).digest


@pytest.mark.parametrize("spelling", [each for each in SPELLINGS if each != "base64url"])
def test_the_spelling_of_a_signature_is_recognized(spelling: str) -> None:
    assert spelling_of(sign("key", b'{"a":1}', spelling).encode()) == spelling


@pytest.mark.parametrize("content", [None, [], 7, "text", [[[[[[[[[[1]]]]]]]]]]])
def test_any_content_has_a_shape(content: Any) -> None:
    assert len(shape_of("GET tickets 200", content).digest) == 12


@pytest.mark.parametrize("end", ["@", " ", "x@"])
@pytest.mark.parametrize("repeated", [".", "a.", "a@", "<", "<>", "> ", " ", "1", "#A", "-"])
def test_what_a_customer_writes_takes_linear_time(repeated: str, end: str) -> None:
    """The square of this length would take many minutes."""
    text = "a@" + repeated * (200_000 // len(repeated)) + end
    sample = shape_of("delivery", {"text": text, "more": text[2:]}).sample
    assert sample["text"] == "text"
    assert sample["more"] in ("text", "<p>text</p>")


def test_an_address_is_recognized() -> None:
    sample = shape_of("delivery", {"a": "kim.doe+x@mail.acme.example", "b": "kim@acme", "c": "a@b..c"}).sample
    assert sample == {"a": "sam@bigcorp.example", "b": "text", "c": "text"}


def test_deliveries_and_answers_settle_questions() -> None:
    by_rule = {"ticket_id": 1, "update": {"by": {"type": "smartrule", "name": "Late"}}}
    headers = ("content-type", "x-happyfox-delivery")
    shapes = [
        shape_of("delivery", FLAT, at=1, signature="hex", form="flat", headers=headers),
        shape_of("delivery", by_rule, at=2, form="flat"),
        shape_of("GET ticket/N 404", {"error": "text"}),
        shape_of("GET priorities 200", []),
        shape_of("POST ticket/N/staff_pvtnote 200", {"id": 1}),
        shape_of("GET ticket/N 200", {"satisfaction_survey": {"score": 1}}),
    ]
    found = {each.number: each.answer for each in settle((shape.digest, shape) for shape in shapes)}
    assert [number for number, answer in found.items() if not answer] == [8, 10, 13]
    assert "hex" in found[1]
    assert found[2] == "event_type=ticket-updated"
    assert "Client Reply" in found[4]
    assert "smartrule" in found[5]
    assert "Late" not in found[5]
    assert found[6] == "headers x-happyfox-delivery"
    assert {each.answer for each in settle(())} == {""}
