"""docs/security.md describes a store user that can do what foxhooks does, and no more."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from service.commands.doctor import check
from service.commands.doctor_store import check_store
from service.web.app import build
from tests.support import stores
from tests.support.commands import run
from tests.support.intake import client, deliver, settings
from tests.support.turns import finish
from workers import Context, Event, Router, Ticket
from workers.errors import GiveUp
from workers.settings import load
from workers.store import access
from workers.store.client import Store, connect
from workers.testing.desk import SimulatedDeployment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
KEY = "foxhooks:{acme}:key"
PROJECT = {
    "HAPPYFOX_ACCOUNT": "acme",
    "HAPPYFOX_URL": "https://acme.example",
    "HAPPYFOX_API_KEY": "demo-key",
    "HAPPYFOX_AUTH_CODE": "demo-code",
    "HAPPYFOX_WEBHOOK_SECRETS": "hidden-secret",
    "HAPPYFOX_STAFF_ID": "7",
    "FOXHOOKS_HANDLERS": "idle:router",
}

router = Router("main")


@router.on("ticket-created")
def welcome(ticket: Ticket, event: Event, ctx: Context) -> None:
    ticket.reply("Hello.", status="In Progress")
    ticket.add_tags("new")
    ctx.on_ticket(2).note("See ticket 1.")
    ctx.create_ticket(client=ticket.contact.id, subject="Call", text="Call them.", category="Billing")
    ctx.later("1m", "remind")
    ctx.effect("crm", lambda: {"id": 1})


@router.on("later", name="remind")
def remind(ticket: Ticket, event: Event) -> None:
    ticket.note("Nobody answered.")


@router.every("1d", find='status:"New"')
def daily(ticket: Ticket, event: Event) -> None:
    raise GiveUp("becomes a dead letter")


@pytest.fixture
def user_url(either_store: redis.Redis, store_url: str) -> Iterator[str]:
    """URL of the store with the user of the page."""
    (line,) = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    newer = () if has_waitaof(either_store) else ("+waitaof", "+client|setinfo")
    words = [word for word in line.split() if word not in newer]
    stores.untyped(either_store).execute_command(*words)
    either_store.acl_log_reset()
    yield store_url.replace("unix://", "unix://foxhooks:PASSWORD@")
    either_store.acl_deluser("foxhooks")


def has_waitaof(store: redis.Redis) -> bool:
    return "waitaof" in store.command()


def test_the_engine_runs_as_the_documented_user(either_store: redis.Redis, user_url: str) -> None:
    either_store.function_flush()
    with connect(user_url) as own:
        world = SimulatedDeployment(own, router, allow=frozenset({("main", "reply"), ("main", "create")}))
        world.simulator.create_ticket()
        world.simulator.create_ticket()
        world.deliver()
        world.run_tasks()
        finish(world)
        assert world.ticket(1)["status"]["name"] == "In Progress"
        messages = [each["message"]["text"].strip() for each in world.ticket(1)["updates"] if each["message"]]
        assert {"Hello.", "Nobody answered."} <= set(messages)
        with Store(own) as scripts:
            scripts.beat("{foxhooks}:workers", "one")
    assert either_store.acl_log() == []


def test_intake_and_commands_run_as_the_documented_user(
    either_store: redis.Redis, user_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def accept() -> int:
        level = "fsync" if has_waitaof(either_store) else "everysec"
        app = build(settings(user_url, FOXHOOKS_DURABILITY=level))
        async with app.router.lifespan_context(app), client(app) as http:
            return (await deliver(http)).status_code

    assert asyncio.run(accept()) == 200
    monkeypatch.chdir(tmp_path)
    environ = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "hidden", "REDIS_URL": user_url}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for command in ("status", "explain 3", "events", "pause --ticket 3", "resume --ticket 3", "dead list"):
        run(*command.split())
    with connect(user_url) as own:
        findings = list(check_store(own, load("store", environ, tmp_path)))
        assert [each.text for each in findings if each.level == "error"] == []
    assert either_store.acl_log() == []


def test_the_documented_user_may_forget_but_needs_one_more_right_to_rewrite_the_file(
    either_store: redis.Redis, user_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "hidden", "REDIS_URL": user_url}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert "may not run BGREWRITEAOF" in run("forget", "--ticket", "3", "--yes").stdout
    assert [entry["object"] for entry in either_store.acl_log()] == ["bgrewriteaof"]
    (right,) = re.findall(r"^\| `(\+bgrewriteaof)` \|", PAGE, re.MULTILINE)
    stores.untyped(either_store).execute_command("ACL", "SETUSER", "foxhooks", right)
    assert "append-only file was rewritten" in run("forget", "--ticket", "3", "--yes").stdout


#: Commands that the user of the page has, although foxhooks works without them, or not everywhere needs them.
NOT_EVERYWHERE = {"INFO", "WAIT", "WAITAOF", "CLIENT SETINFO"}


def test_the_documented_user_may_run_what_foxhooks_uses_and_nothing_else() -> None:
    (line,) = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    start, _, rules = line.partition(" -@all ")
    assert start == "ACL SETUSER foxhooks on >PASSWORD resetkeys ~foxhooks:* ~{foxhooks}:* resetchannels"
    needed = sorted({*access.commands(), *NOT_EVERYWHERE})
    assert rules.split() == [f"+{name.lower().replace(' ', '|')}" for name in needed]


def test_the_documented_user_may_do_nothing_else(either_store: redis.Redis, user_url: str) -> None:
    def may(name: str, *arguments: str) -> bool:
        answer = stores.untyped(either_store).execute_command("ACL", "DRYRUN", "foxhooks", name, *arguments)
        return bool(answer == b"OK")

    assert may("GET", KEY)
    for refused in (
        ["GET", "other"],
        ["FLUSHALL"],
        ["KEYS", "*"],
        ["CONFIG", "GET", "*"],
        ["ACL", "LIST"],
        ["EVAL", "return 1", "0"],
        ["FUNCTION", "FLUSH"],
        ["CLIENT", "LIST"],
        ["PUBLISH", "x", "y"],
    ):
        assert not may(*refused), refused


@pytest.mark.parametrize("level", ["fsync", "replica"])
def test_doctor_names_each_right_that_is_removed(
    valkey_url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, level: str, tmp_path: Path
) -> None:
    """Each in turn, with the documented user: an error, or for INFO a warning."""
    (line,) = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    url = valkey_url.replace("unix://", "unix://foxhooks:PASSWORD@")
    monkeypatch.setenv("FOXHOOKS_DURABILITY", level)
    for name, value in {**PROJECT, "REDIS_URL": url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idle.py").write_text("from workers import Router\nrouter = Router('idle')\n")
    rights = {*access.commands(), *NOT_EVERYWHERE} - {"CLIENT SETINFO"} - ({"WAIT"} if level == "fsync" else set())
    named = set()
    for right in rights:
        stores.untyped(store).execute_command(*line.split(), f"-{right.lower().replace(' ', '|')}")
        found = [each for each in check(offline=True) if each.subject == "store" and each.level != "ok"]
        expected = "warning" if right == "INFO" else "error"
        named |= {right for each in found if right in each.text and each.level == expected}
    store.acl_deluser("foxhooks")
    assert rights - named == set()


def test_readyz_fails_exactly_if_deliveries_do(
    valkey_url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    monkeypatch.setattr("service.web.health.KEPT_SECONDS", 0)
    stores.untyped(store).execute_command(*line.split())

    async def ask(http: httpx.AsyncClient, number: int) -> tuple[int, int]:
        link = b'{"ticket_id":%d,"agent_ticket_url":"https://acme.happyfox.com/staff/ticket/%d"}' % (number, number)
        bodies = [link, link, b"?%d" % number]
        ready = (await http.get("/readyz")).status_code
        return ready, max([(await deliver(http, body)).status_code for body in bodies])

    async def compare() -> dict[str, tuple[int, int]]:
        app = build(settings(valkey_url.replace("unix://", "unix://foxhooks:PASSWORD@"), FOXHOOKS_DURABILITY="memory"))
        different = {}
        async with app.router.lifespan_context(app), client(app) as http:
            assert await ask(http, 1) == (200, 200)
            for number, right in enumerate((*access.commands(), "INFO"), start=2):
                store.flushall()
                stores.untyped(store).execute_command(*line.split(), f"-{right.lower().replace(' ', '|')}")
                ready, delivered = await ask(http, number)
                if ready != delivered:
                    different[right] = (ready, delivered)
        return different

    assert asyncio.run(compare()) == {}
    store.acl_deluser("foxhooks")
