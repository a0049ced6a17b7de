"""Logs and error reports contain known fields, and never a customer's words or a secret."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.sentry import FakeSentry, listening

WORDS = "words-of-a-customer"

PROGRAM = """
import asyncio, linecache, logging, os, sys
from pathlib import Path
import httpx, sentry_sdk
from starlette.applications import Starlette
from starlette.routing import Route
from workers.logs import init_logging, init_sentry
from workers.settings import load

WORDS = "-".join(["words", "of", "a", "customer"])
settings = load("web", os.environ, Path.cwd())
init_logging(settings)
init_sentry(settings, sys.argv[1])
log = logging.getLogger("workers.turns")
log.info("a turn began", extra={"account": "acme", "ticket": 3, "event": "e1", "body": WORDS})
logging.getLogger("httpx").info("POST %s", WORDS)
logging.getLogger("sse_starlette.sse").debug("chunk: %s", WORDS)
logging.getLogger("asyncio").error("Task exception was never retrieved\\nfuture: <Task exception='%s'>", WORDS)
logging.getLogger("asyncio").error("Exception in callback answer('%s')", WORDS)
logging.getLogger("somebody.else").warning("they said %s", WORDS)

logging.getLogger("handlers.vip").error("they wrote " + WORDS + chr(27) + "[2J")
from workers.logs import HandlerLog
HandlerLog("crm", account="acme", ticket=3, handler="crm.greet").error(
    "greeted %d", 2, ticket=9, language=WORDS, message="m", extra={"plan": "Gold"}
)
logging.getLogger("library").error("fields", extra={"ticket": 3, "reason": WORDS, "error": WORDS, "path": WORDS})
sentry_sdk.set_tag("customer", WORDS)

source = "def handler(body):\\n    raise ValueError(body)  # " + WORDS
linecache.cache["vip.py"] = (len(source), None, source.splitlines(True), "vip.py")
exec(compile(source, "vip.py", "exec"))

try:
    handler(WORDS)
except ValueError:
    log.exception("a handler failed", extra={"handler": "vip.greet", "subject": WORDS})

async def broken(request):
    body = await request.body()
    raise RuntimeError(body.decode())

async def ask():
    app = Starlette(routes=[Route("/webhooks/{account}", broken, methods=["POST"])])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://foxhooks") as client:
        sentry_sdk.add_breadcrumb(category="httplib", message=WORDS, data={"url": WORDS})
        await client.post("/webhooks/acme?q=" + WORDS, content=WORDS, headers={"x-name": WORDS, "cookie": WORDS})

if sys.argv[1] == "web":
    asyncio.run(ask())
sentry_sdk.flush(10)
"""


Ran = Callable[[str], tuple[FakeSentry, str]]


def run(sentry: FakeSentry, part: str, **more: str) -> str:
    """Run the program and return what it wrote."""
    environ = {**os.environ, "HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "a-secret-of-ours"}
    environ |= {"SENTRY_DSN": sentry.dsn, "PYTHONPATH": str(ROOT), **more}
    command = [sys.executable, "-c", PROGRAM, part]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def ran() -> Ran:
    """Run each part once for all tests; return the Sentry it reported to and what it wrote."""

    @cache
    def once(part: str) -> tuple[FakeSentry, str]:
        with listening() as sentry:
            return sentry, run(sentry, part)

    return once


def failures(sentry: FakeSentry) -> list[dict[str, Any]]:
    """Return the reports of exceptions."""
    return [event for event in sentry.events() if "exception" in event]


@pytest.mark.parametrize("part", ["web", "worker"])
def test_no_words_and_no_secret_reach_sentry(ran: Ran, part: str) -> None:
    sentry, _ = ran(part)
    assert failures(sentry)
    assert WORDS not in sentry.text
    assert "a-secret-of-ours" not in sentry.text


def test_a_handlers_own_log_line_is_reported_without_its_text(ran: Ran) -> None:
    sentry, _ = ran("worker")
    (report,) = [event for event in sentry.events() if event.get("logger") == "handlers.vip"]
    assert report["logentry"] == {"message": "The text is only in the log: it may quote a customer."}


def test_keywords_of_a_handlers_log_line_are_in_the_log_only(ran: Ran) -> None:
    sentry, text = ran("worker")
    (report,) = [event for event in sentry.events() if event.get("logger") == "handlers.crm"]
    assert report["extra"] == {"account": "acme", "ticket": 3, "handler": "crm.greet"}
    (line,) = [line for line in map(json.loads, text.splitlines()) if line["logger"] == "handlers.crm"]
    assert {name: line[name] for name in line.keys() - {"at", "level", "logger"}} == {
        "message": "greeted 2",
        "account": "acme",
        "ticket": 9,
        "handler": "crm.greet",
        "language": WORDS,
        "message_": "m",
        "plan": "Gold",
    }


def test_fields_of_other_log_lines_are_reported_only_as_places(ran: Ran) -> None:
    sentry, _ = ran("worker")
    (report,) = [event for event in sentry.events() if event.get("logger") == "library"]
    assert report["extra"] == {"ticket": 3}


def test_a_report_names_the_place_and_the_handler(ran: Ran) -> None:
    sentry, _ = ran("worker")
    (report,) = failures(sentry)
    assert report["extra"] == {"handler": "vip.greet"}
    assert report["logentry"] == {"message": "a handler failed"}
    (error,) = report["exception"]["values"]
    assert error["type"] == "ValueError"
    assert [frame["function"] for frame in error["stacktrace"]["frames"]] == ["<module>", "handler"]


def test_a_request_is_reported_with_its_path_only(ran: Ran) -> None:
    sentry, _ = ran("web")
    requests = [report["request"] for report in failures(sentry) if "request" in report]
    assert requests
    for request in requests:
        assert request["url"].endswith("/webhooks/acme")
        assert set(request["headers"]) <= {"content-length", "content-type", "user-agent"}


def test_log_lines_carry_the_known_fields_and_no_words(ran: Ran) -> None:
    _, text = ran("worker")
    lines = [json.loads(line) for line in text.splitlines()]
    ours = [line for line in lines if line["logger"] == "workers.turns"]
    began, failed = ours
    assert {name: began[name] for name in ("level", "message", "account", "ticket", "event")} == {
        "level": "info",
        "message": "a turn began",
        "account": "acme",
        "ticket": 3,
        "event": "e1",
    }
    assert failed["raised"][-1] == "ValueError"
    assert failed["handler"] == "vip.greet"
    assert WORDS not in json.dumps(ours)


def test_the_console_format_shows_the_same_fields(sentry: FakeSentry) -> None:
    text = run(sentry, "worker", LOG_FORMAT="console", LOG_LEVEL="DEBUG")
    assert "a turn began" in text
    assert "Task exception was never retrieved" in text
    assert "ticket=3" in text
    assert "\x1b" not in text
    assert WORDS not in "".join(line for line in text.splitlines() if not re.search("somebody|vip]|crm]", line))


def test_settings_that_must_be_changed_are_logged_at_start(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text("loop_guard = 3\n[handlers.crm]\nsize = 3\n")
    program = PROGRAM[: PROGRAM.index("init_sentry(settings")].replace('load("web"', 'load("worker"')
    account = {"URL": "https://acme.happyfox.com", "API_KEY": "key", "AUTH_CODE": "code", "STAFF_ID": "7"}
    environ = {
        "PYTHONPATH": str(ROOT),
        "FOXHOOKS_HANDLERS": "crm:router",
        **{f"HAPPYFOX_{name}": value for name, value in account.items()},
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["level"], line["message"]) == ("warning", "A setting must be changed.")
    assert line["reason"].startswith("[handlers.crm] (foxhooks.toml): is an old form")
