"""record: the open questions about HappyFox, and samples without anything that people wrote."""

import json

import pytest
import redis

from tests.support.commands import refused, run, shown
from workers.store.client import Store
from workers.store.recorder import MOST_SHAPES, left_out, read_shapes, record_shape
from workers.webhook.shapes import shape_of

pytestmark = pytest.mark.usefixtures("web_settings")

BODY = {"ticket_id": 4711, "subject": "swordfish", "event_type": "ticket-created"}


def test_without_deliveries_every_question_is_open(store: redis.Redis) -> None:
    (report,) = shown("record")["accounts"]
    assert [each["answer"] for each in report["questions"]] == [""] * 13
    assert run("record").stdout.count("open") == 13
    assert "no delivery has been recorded yet" in refused("record", "export")


def test_a_recorded_delivery_settles_questions_and_can_be_exported(store: redis.Redis) -> None:
    shape = shape_of("delivery", BODY, signature="hex", form="flat", event="e1")
    assert Store(store).run(record_shape("acme", shape))
    assert not Store(store).run(record_shape("acme", shape))
    text = " ".join(run("record").stdout.split())
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
