"""record: the open questions about HappyFox, and samples without anything that people wrote."""

import json

import pytest
import redis

from tests.support.commands import printed, refused, run, shown
from workers.store.audit import read_audit
from workers.store.client import Store
from workers.store.recorder import MOST_SHAPES, learn, left_out, read_lessons, read_shapes, record_shape
from workers.webhook.shapes import shape_of

pytestmark = pytest.mark.usefixtures("web_settings")

BODY = {"ticket_id": 4711, "subject": "swordfish", "event_type": "ticket-created"}


def test_without_deliveries_every_question_is_open(store: redis.Redis) -> None:
    (report,) = shown("record")["accounts"]
    assert [each["answer"] for each in report["questions"]] == [""] * 13
    assert [line.strip() for line in run("record").stdout.splitlines()].count("open") == 13
    assert "no delivery has been recorded yet" in refused("record", "export")


def test_a_recorded_delivery_settles_questions_and_can_be_exported(store: redis.Redis) -> None:
    shape = shape_of("delivery", BODY, signature="hex", form="flat", event="e1")
    assert Store(store).run(record_shape("acme", shape))
    assert not Store(store).run(record_shape("acme", shape))
    text = printed("record")
    assert f"event_type=ticket-created ({shape.digest}, 0 s ago)" in text
    assert "1 form of deliveries, 0 forms of answers." in text
    assert json.loads(run("record", "export").stdout) == {
        "ticket_id": 1,
        "subject": "text",
        "event_type": "ticket-created",
    }
    assert json.loads(run("record", "export", shape.digest).stdout)["ticket_id"] == 1
    assert "there is no form 'nothing'" in refused("record", "export", "nothing")


def test_the_number_of_shapes_is_limited(store: redis.Redis) -> None:
    for number in range(MOST_SHAPES + 3):
        Store(store).run(record_shape("acme", shape_of("delivery", {f"member_{number}": 1})))
    assert len(read_shapes(store, "acme")) == MOST_SHAPES
    assert left_out(store, "acme") == 3
    assert "3 more not kept" in run("record").stdout


def test_what_was_learned_is_shown_and_can_be_forgotten(store: redis.Redis) -> None:
    assert Store(store).run(learn("acme", "number", "case.no", "abc"))
    assert not Store(store).run(learn("acme", "number", "other", "abc"))
    text = printed("record")
    assert "Learned: the ticket number is in case.no (abc, 0 s ago). `foxhooks record forget number` takes" in text
    run("record", "forget", "number", "--why", "it is the order")
    assert "forgotten already" in refused("record", "forget", "number")
    assert not Store(store).run(learn("acme", "number", "case.no", "abc"))
    assert "Not learned since 0 s ago: number." in printed("record")
    run("record", "learn", "number")
    assert "nobody has forgotten number" in refused("record", "learn", "number")
    assert read_lessons(store, "acme") == []
    lines = [(line.what, line.object, line.before, line.why) for line in read_audit(store, ["acme"]).items]
    assert lines == [("allow", "learned number", "", ""), ("forget", "learned number", lines[1][2], "it is the order")]
    assert lines[1][2].endswith(" abc case.no")
