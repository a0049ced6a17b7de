"""A handler fails on a ticket with personal data: neither that nor a secret appears in reports or logs."""

import json
from collections.abc import Callable

import pytest

from tests.support.fleet import SECRET, Fleet
from tests.support.sentry import FakeSentry

pytestmark = pytest.mark.timeout(120)

#: Handlers with everything in their local variables and exceptions. The router's settings contain a token.
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


def test_neither_reports_nor_logs_contain_a_persons_words_or_a_secret(
    deploy: Callable[..., Fleet], sentry: FakeSentry
) -> None:
    fleet = deploy(LEAKY)
    (fleet.folder / "foxhooks.toml").write_text(f'[router.test]\ntoken = "{TOKEN}"\n')
    web = fleet.start_web(SENTRY_DSN=sentry.dsn, LOG_LEVEL="DEBUG")
    worker = fleet.ready_worker(SENTRY_DSN=sentry.dsn, LOG_LEVEL="DEBUG")
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    number = fleet.ask(
        "POST", "tickets", email=WORDS["email"], name=WORDS["name"], subject=WORDS["subject"], text=WORDS["text"]
    )["id"]
    fleet.wait(lambda: "test.leaks failed, will be retried" in fleet.history(number), "the first handler fails")
    fleet.reply(number, WORDS["reply"])
    fleet.wait(lambda: "test.gives_up failed, will be retried" in fleet.history(number), "the second handler fails")
    # The web process also logs errors: for an unreadable delivery, an unsigned one, and a store that is down.
    unreadable = f'{{"ticket_id": "{WORDS["email"]}", "text": "{WORDS["text"]}", "phone": "{WORDS["phone"]}"}}'
    assert fleet.deliver(unreadable.encode()).json()["status"] == "quarantined"
    assert fleet.http.post(f"{fleet.url}/webhooks/demo/", content=unreadable).status_code == 401
    fleet.store.kill()
    body = json.dumps({"ticket_id": number, "words": list(WORDS.values())})
    assert fleet.deliver(body.encode()).status_code == 503
    fleet.wait(lambda: "unreachable" in worker.output, "the worker reports that its store is unreachable")
    fleet.store.start()
    fleet.wait(lambda: fleet.answers() == 200, "the store is back")
    failures = [event for event in sentry.events() if "exception" in event]
    worker.terminate()
    web.terminate()  # sends the remaining reports

    by_handler: dict[str, int] = {}
    for event in sentry.events():
        handler = event.get("extra", {}).get("handler")
        if handler and event["level"] == "error":
            by_handler[handler] = by_handler.get(handler, 0) + 1
    assert by_handler == {"test.leaks": 1, "test.gives_up": 1}
    assert failures
    left = {
        "reports": sentry.text,
        "the worker's lines": worker.output,
        "the web's lines": web.output,
    }
    for where, text in left.items():
        for word in (*WORDS.values(), *WORDS["name"].split(), *SECRETS):
            assert word not in text, (where, word)
    assert "ValueError" in left["reports"]
    assert "ValueError at handlers.py" in left["the worker's lines"]
