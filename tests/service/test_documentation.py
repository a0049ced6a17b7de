"""docs/security.md describes a store user that can do what foxhooks does, and no more."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.commands.doctor import check_store
from service.web.app import build
from tests.support import stores
from tests.support.commands import run
from tests.support.intake import client, deliver, settings
from tests.support.turns import finish
from workers import Context, Event, Router, Ticket
from workers.errors import GiveUp
from workers.settings import load
from workers.store.client import Store, connect
from workers.store.scripts import modules
from workers.testing.desk import SimulatedDeployment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
KEY = "foxhooks:{acme}:key"

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
    words = [word for word in line.split() if word != "+waitaof" or has_waitaof(either_store)]
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


def test_the_documented_user_may_run_each_command_of_the_functions_and_nothing_else(
    either_store: redis.Redis, user_url: str
) -> None:
    names = {name for text in modules().values() for name in re.findall(r"redis\.p?call\('([A-Z]+)'", text)}
    assert len(names) > 30

    def may(name: str, *arguments: str) -> bool:
        return bool(
            stores.untyped(either_store).execute_command("ACL", "DRYRUN", "foxhooks", name, *arguments) == b"OK"
        )

    for name, command in either_store.command().items():
        if name.upper() in names:
            assert may(name, *[KEY] * (abs(command["arity"]) - 1)), name
            names.discard(name.upper())
    assert names == set()
    for allowed in (["BLPOP", "{foxhooks}:wake", "1"], ["FCALL", "x", "1", KEY], ["FUNCTION", "LOAD", "x"]):
        assert may(*allowed), allowed
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
