"""A HappyFox that answers every open question differently is learned from its first ten deliveries."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from service.web.app import build
from tests.support.intake import KEY, P, client, settings
from workers.store.audit import By
from workers.store.client import Store
from workers.store.recorder import read_lessons, read_shapes, record_shape, refuse
from workers.webhook import HEADER, sign
from workers.webhook.questions import settle
from workers.webhook.shapes import shape_of

#: What its API answers, in forms that no source describes.
ANSWERS = {
    "GET ticket/N 404": {"detail": "gone"},
    "POST ticket/N/staff_update 409": [],
    "POST ticket/N/user_reply 200": {"updates": [{"update_id": 1}]},
    "GET ticket/N 200": {"custom_field_change": [{"to": ["a", "b"]}]},
    "GET priorities 200": {"data": []},
}


def deliveries() -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield ten deliveries of five tickets: their bodies and headers."""
    for number in range(10):
        ticket, is_update = 4711 + number // 2, number % 2
        link = f"https://acme.happyfox.com/staff/ticket/{ticket}"
        body: dict[str, Any] = {
            "notification": {"kind": "ticket.updated" if is_update else "ticket.created"},
            "case": {"no": ticket, "order": 3, "title": f"Printer {ticket}", "link": link},
            "client_details": {"name": "Sam Reed"},
        }
        if is_update:
            author = {"type": "requester", "name": "Sam Reed"}
            body["update"] = {"by": author, "message_type": "Requester Response", "smart": {"type": "smart automation"}}
        content = json.dumps(body, indent=1).encode()
        yield content, {HEADER: sign(KEY, content, "base64-of-hex"), "X-HappyFox-Number": str(number)}


def deliver_all(url: str) -> list[str]:
    """Send the deliveries one after the other to a new web process; return what became of each."""

    async def post(http: httpx.AsyncClient, recorder_idle: Any) -> list[str]:
        found = []
        for body, headers in deliveries():
            answer = await http.post("/webhooks/acme", content=body, headers=headers)
            found.append(answer.json()["status"])
            await recorder_idle()
        return found

    async def main() -> list[str]:
        app = build(settings(url))
        own = asyncio.current_task()

        async def recorder_idle() -> None:
            while tasks := [each for each in asyncio.all_tasks() if each is not own and "_finish" in repr(each)]:
                await asyncio.wait(tasks)

        async with app.router.lifespan_context(app), client(app) as http:
            return await post(http, recorder_idle)

    return asyncio.run(main())


@pytest.fixture
def no_rush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at every delivery, however fast they come."""
    monkeypatch.setattr("service.web.recorder.PER_SECOND", 100)


@pytest.mark.usefixtures("no_rush")
def test_a_happyfox_that_differs_in_everything_is_learned(store: redis.Redis, valkey_url: str) -> None:
    first = deliver_all(valkey_url)
    assert first == ["quarantined"] * 5 + ["accepted"] * 5
    learned = {lesson.what: lesson.value for lesson in read_lessons(store, "acme")}
    assert learned == {"number": "case.no", "event": "notification.kind", "contact": "requester"}

    # A new process knows it from the start.
    assert deliver_all(valkey_url) == ["accepted"] * 5 + ["duplicate"] * 5
    untyped: Any = store
    (event,) = untyped.lrange(P + "lane:4711", 1, 1)
    assert untyped.hmget(P + "event:" + event.decode(), "kind", "actor") == [b"updated", b"contact"]

    for what, body in ANSWERS.items():
        Store(store).run(record_shape("acme", shape_of(what, body)))
    questions = settle(read_shapes(store, "acme").items())
    assert [each.number for each in questions if not each.answer] == [10, 13]
    assert "base64-of-hex" in questions[0].answer
    assert all(each.either_way for each in questions)


@pytest.mark.usefixtures("no_rush")
def test_what_a_person_refused_is_not_learned(store: redis.Redis, valkey_url: str) -> None:
    Store(store).run(refuse("acme", "number", By("ada")))
    assert deliver_all(valkey_url) == ["quarantined"] * 10
    assert [(lesson.what, lesson.value) for lesson in read_lessons(store, "acme")] == [("number", "")]
