"""pause and resume: what they do to the store, what they refuse, and how status and explain tell of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner, Result

from service.command import app
from workers.events.last_seen import LastSeen, encode
from workers.lanes.pauses import listed

P = "foxhooks:{acme}:"

FILE = """\
handlers = ["quiet:router"]
[accounts.acme]
url = "https://acme.example"
api_key = "test-key"
auth_code = "test-code"
webhook_secrets = ["test-secret"]
staff_id = 7
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is the current one, with settings and a router named clerk; ticket 3 was seen before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("LOGNAME", "ada")
    (tmp_path / "foxhooks.toml").write_text(FILE)
    (tmp_path / "quiet.py").write_text('from workers import Router\nrouter = Router("clerk")\n')


@pytest.fixture(autouse=True)
def _ticket(store: redis.Redis) -> None:
    store.set(f"{P}ticket:3", encode(LastSeen(floor=1, tags=("Foxhooks-Off",))))
    store.zadd(f"{P}sched", {"3": 9_999_999_999_999})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 1
    return str(result.exception)


def paused(store: Any) -> dict[Any, bool]:
    return {what: pause.skip for what, pause in listed(store.hgetall(f"{P}paused")).items()}


@pytest.mark.parametrize(
    ("options", "what"),
    [((), ("account", "")), (("--router", "clerk"), ("router", "clerk")), (("--ticket", "3"), ("ticket", "3"))],
)
def test_what_is_paused_is_listed_until_it_is_resumed(
    store: redis.Redis, options: tuple[str, ...], what: tuple[str, str]
) -> None:
    told = run("pause", *options, "--skip")
    assert told.exit_code == 0
    assert f"`foxhooks resume{''.join(f' {each}' for each in options)}` ends it" in told.stdout
    assert paused(store) == {what: True}
    [account] = json.loads(run("status", "--json").stdout)["accounts"]
    [pause] = account["paused"]
    assert (pause["scope"], pause["name"], pause["skip"]) == (*what, True)
    assert pause["by"].startswith("ada on ")
    shown = " ".join(run("status").stdout.split())
    assert f"paused the {' '.join(what).strip()}, 0 s ago, by ada on" in shown

    assert "resumed: " in run("resume", *options).stdout
    assert paused(store) == {}


def test_pausing_again_changes_what_becomes_of_what_comes(store: redis.Redis) -> None:
    assert "from its next turn on, what comes is skipped" in run("pause", "--skip").stdout
    assert "paused anew: the account acme; from its next turn on, what comes waits" in run("pause").stdout
    assert paused(store) == {("account", ""): False}


def test_what_is_not_there_is_refused_with_the_nearest_name(store: redis.Redis) -> None:
    assert refused("pause", "--router", "clark") == "no router 'clark' runs for acme; did you mean 'clerk'?"
    assert refused("pause", "--account", "acm") == "no account 'acm' here; did you mean 'acme'?"
    assert refused("pause", "--ticket", "4").startswith(
        "nothing is known of ticket 4 of acme; --ticket takes the number"
    )
    assert refused("resume") == "the account acme is not paused; nothing is paused"
    run("pause", "--router", "clerk")
    assert refused("resume", "--ticket", "3").endswith("is not paused; paused now: the router clerk")
    assert run("pause", "--router", "clerk", "--ticket", "3").exit_code == 2
    assert paused(store) == {("router", "clerk"): False}


def test_with_several_accounts_one_has_to_be_named(store: redis.Redis, tmp_path: Path) -> None:
    table = FILE.partition("\n")[2]
    (tmp_path / "foxhooks.toml").write_text(FILE + table.replace("acme", "beta"))

    assert refused("pause") == "there are several accounts: name one with --account, of acme, beta"
    assert "`foxhooks resume --account beta` ends it" in run("pause", "--account", "beta").stdout
    assert paused(store) == {}


def test_a_router_cannot_be_paused_where_only_the_web_process_has_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: redis.Redis
) -> None:
    (tmp_path / "foxhooks.toml").unlink()
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", "acme")
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")

    assert refused("pause", "--router", "clerk").endswith("run this where the worker's settings are")
    assert run("pause").exit_code == 0
    assert paused(store) == {("account", ""): False}


def test_explain_tells_what_keeps_the_handlers_of_a_ticket_from_running() -> None:
    run("pause")
    run("pause", "--router", "clerk")
    run("pause", "--ticket", "3")
    told = " ".join(run("explain", "3").stdout.split())

    for what in ("the account", "the router clerk", "the ticket"):
        assert f"Handlers do not run: {what} is paused since 20" in told
    assert "UTC by ada on " in told
    assert "Handlers do not run: the ticket is paused by its tag foxhooks-off." in told
    stopped = json.loads(run("explain", "3", "--json").stdout)["now"]["stopped"]
    assert len(stopped) == 4


def test_tickets_that_wait_for_the_end_of_a_pause_are_no_backlog(store: redis.Redis) -> None:
    store.sadd(f"{P}waiting", "3")
    [account] = json.loads(run("status", "--json").stdout)["accounts"]

    assert (account["lanes"], account["pausing"]) == (0, 1)
    assert "1 ticket waits for the end of one" in run("status").stdout
