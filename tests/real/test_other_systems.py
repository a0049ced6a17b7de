"""If a worker is killed while a handler calls another system, the call is made once or becomes a dead letter."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from tests.support.fleet import Fleet, P

pytestmark = pytest.mark.timeout(120)

#: Reports each ticket to another system, in which some of the reports can be looked up.
REPORTING = """
import os, httpx
from workers import Router

router = Router("test")
URL = os.environ["TEST_OTHER"]


@router.on("ticket-created")
def report(ticket, event, ctx):
    key = ticket.first_message.strip()

    def add():
        return httpx.post(URL, json={"key": key}, timeout=30, trust_env=False).json()

    def find():
        return httpx.get(URL, params={"key": key}, timeout=30, trust_env=False).json() or None

    lead = ctx.effect("report", add, find if "look" in key else None)
    ticket.note(f"reported: {lead['key']}")
"""


class Other:
    """Another system. It does not answer the first call with each key, applied or not, until it is released."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.updates: Counter[str] = Counter()
        self.released = threading.Event()
        other = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                key = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["key"]
                other.calls[key] += 1
                first = other.calls[key] == 1
                if not first or "applied" in key:
                    other.updates[key] += 1
                if first:
                    other.released.wait(60)
                self.answer({"key": key})

            def do_GET(self) -> None:
                key = self.path.partition("key=")[2].replace("+", " ")
                self.answer({"key": key} if other.updates[key] else None)

            def answer(self, body: Any) -> None:
                sent = json.dumps(body).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(sent)))
                    self.end_headers()
                    self.wfile.write(sent)
                except OSError:
                    pass  # the caller is dead

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/leads"


@pytest.fixture
def other() -> Iterator[Other]:
    system = Other()
    thread = threading.Thread(target=system.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield system
    finally:
        system.released.set()
        system.server.shutdown()
        thread.join()
        system.server.server_close()


@pytest.mark.e2e
def test_a_killed_workers_call_to_another_system_is_made_once_or_a_dead_letter(
    deploy: Callable[..., Fleet], other: Other
) -> None:
    fleet = deploy(REPORTING)
    fleet.start_web()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    settings = {"TEST_OTHER": other.url, "FOXHOOKS_HANDLER_SECONDS": "5"}
    worker = fleet.ready_worker(**settings)
    numbers = {key: fleet.open_ticket(text=key) for key in ("look applied", "look lost", "applied", "lost")}
    fleet.wait(lambda: all(other.calls[key] for key in numbers), "every call is in progress")
    fleet.start_worker(**settings)
    worker.kill()
    fleet.settle(90)

    assert other.calls == {"look applied": 1, "look lost": 2, "applied": 1, "lost": 1}
    assert other.updates == {"look applied": 1, "look lost": 1, "applied": 1}
    assert [fleet.notes(number) for number in numbers.values()] == [
        ["reported: look applied"],
        ["reported: look lost"],
        [],
        [],
    ]
    with fleet.redis() as client:
        dead_letters = [
            client.hgetall(f"{P}dead_letter:{id.decode()}") for id in client.zrange(f"{P}dead_letters", 0, -1)
        ]
    found = {
        int(dead_letter[b"ticket"]): msgspec.json.decode(dead_letter[b"evidence"])["reason"]
        for dead_letter in dead_letters
    }
    assert sorted(found) == [numbers["applied"], numbers["lost"]]
    assert all("may or may not have happened" in reason for reason in found.values())
