"""What leaves the processes while a handler fails on a ticket full of personal words: none of them, and no secret."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.real.fleet import SECRET, Fleet

pytestmark = pytest.mark.timeout(120)

#: A handler with everything in its local variables and in its exceptions; the router's settings hold a token.
LEAKY = """
from dataclasses import dataclass
from workers import GiveUp, Router


@dataclass(frozen=True)
class Settings:
    token: str


router = Router("test", settings=Settings)


@router.on("ticket-created")
def leaks(ticket, event, ctx):
    token, contact, words = ctx.settings.token, ticket.contact, ticket.message
    try:
        {}[contact.email]
    except KeyError as error:
        raise ValueError(f"{contact.name} {contact.phones} says {words} with {token}") from error


@router.on("contact-replied")
def gives_up(ticket, event, ctx):
    raise RuntimeError(event.matched[0].text, ctx.settings, ticket.raw)
"""

TOKEN = "token-of-the-router"
WORDS = {
    "name": "Ottokar Personalius",
    "email": "ottokar@private.example",
    "phone": "+49 170 555 0199",
    "subject": "Confidential subject line",
    "text": "my diagnosis is nobody's business",
    "reply": "and this reply is neither",
}
SECRETS = ("demo-key", "demo-code", SECRET, TOKEN)


class Sentry(ThreadingHTTPServer):
    """Takes envelopes as Sentry does and keeps them."""

    daemon_threads = True

    def __init__(self) -> None:
        self.envelopes: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Intake)

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server_port}/1"

    def events(self) -> list[dict[str, Any]]:
        """Gives the error reports among what came in."""
        found = []
        for envelope in list(self.envelopes):
            _, *items = envelope.split(b"\n")
            for head, payload in zip(items[::2], items[1::2], strict=False):
                if head and json.loads(head).get("type") == "event":
                    found.append(json.loads(payload))
        return found


class _Intake(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.envelopes.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    with Sentry() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_neither_reports_nor_logs_hold_a_persons_words_or_a_secret(
    deploy: Callable[..., Fleet], sentry: Sentry
) -> None:
    fleet = deploy(LEAKY)
    (fleet.folder / "foxhooks.toml").write_text(f'[router.test]\ntoken = "{TOKEN}"\n')
    web = fleet.start_web(SENTRY_DSN=sentry.dsn, LOG_LEVEL="DEBUG")
    worker = fleet.ready_worker(SENTRY_DSN=sentry.dsn, LOG_LEVEL="DEBUG")
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    number = fleet.ask(
        "POST", "tickets", email=WORDS["email"], name=WORDS["name"], subject=WORDS["subject"], text=WORDS["text"]
    )["id"]
    fleet.wait(lambda: "test.leaks owed" in fleet.trail(number), "the first handler fails")
    fleet.reply(number, WORDS["reply"])
    fleet.wait(lambda: "test.gives_up owed" in fleet.trail(number), "the second handler fails")
    # Signed rubbish, an unsigned delivery, and a store that is away: what the web process has to complain about.
    unreadable = f'{{"ticket_id": "{WORDS["email"]}", "text": "{WORDS["text"]}", "phone": "{WORDS["phone"]}"}}'
    assert fleet.deliver(unreadable.encode()).json()["status"] == "quarantined"
    assert fleet.http.post(f"{fleet.url}/webhooks/demo/", content=unreadable).status_code == 401
    fleet.store.kill()
    body = json.dumps({"ticket_id": number, "words": list(WORDS.values())})
    assert fleet.deliver(body.encode()).status_code == 503
    fleet.wait(lambda: "unreachable" in worker.output, "the worker misses its store")
    fleet.store.start()
    fleet.wait(lambda: fleet.answers() == 200, "the store is back")
    failures = [event for event in sentry.events() if "exception" in event]
    worker.terminate()
    web.terminate()  # sends what is left

    by_handler: dict[str, int] = {}
    for event in sentry.events():
        handler = event.get("extra", {}).get("handler")
        if handler and event["level"] == "error":
            by_handler[handler] = by_handler.get(handler, 0) + 1
    assert by_handler == {"test.leaks": 1, "test.gives_up": 1}
    assert failures
    left = {
        "reports": b"\n".join(sentry.envelopes).decode(),
        "the worker's lines": worker.output,
        "the web's lines": web.output,
    }
    for where, text in left.items():
        for word in (*WORDS.values(), *WORDS["name"].split(), *SECRETS):
            assert word not in text, (where, word)
    assert "ValueError" in left["reports"]
    assert "ValueError at handlers.py" in left["the worker's lines"]
