"""pause and resume: what they do to the store, what they refuse, and how status and explain show it."""

from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.commands import KEYS, printed, refused, run, shown, wrong
from workers.store.records import AccountRecords
from workers.tickets.snapshot import Snapshot, encode

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
    store.set(KEYS.snapshot(3), encode(Snapshot(floor=1, tags=("Foxhooks-Off",))))
    store.zadd(KEYS.schedule, {"3": 9_999_999_999_999})


def paused(store: Any) -> dict[Any, bool]:
    return {what: pause.skip for what, pause in AccountRecords(store, "acme").pauses().items()}


@pytest.mark.parametrize(
    ("options", "what"),
    [((), ("account", "")), (("--router", "clerk"), ("router", "clerk")), (("--ticket", "3"), ("ticket", "3"))],
)
def test_a_pause_is_listed_until_it_is_resumed(
    store: redis.Redis, options: tuple[str, ...], what: tuple[str, str]
) -> None:
    output = run("pause", *options, "--skip").stdout
    assert f"To resume: `foxhooks resume{''.join(f' {each}' for each in options)}`" in output
    assert paused(store) == {what: True}
    [account] = shown("status")["accounts"]
    [pause] = account["pauses"]
    assert account["paused"] == (what[0] == "account")
    assert (pause["scope"], pause["name"], pause["skip"]) == (*what, True)
    assert pause["by"].startswith("ada on ")
    text = printed("status")
    assert f"paused {what[0]} {what[1] or 'acme'}, 0 s ago by ada on" in text
    assert "New events are skipped." in text

    assert "New events are processed again." in run("resume", *options).stdout
    assert paused(store) == {}


def test_the_end_of_a_pause_says_what_still_stops_the_handlers(store: redis.Redis) -> None:
    for options in ((), ("--router", "clerk"), ("--ticket", "3")):
        run("pause", *options)
    output = run("resume", "--ticket", "3").stdout
    assert output == (
        "Resumed ticket 3. The pause of the account goes on.\nStill paused: account acme, router clerk.\n"
    )
    assert "Queued events are processed now.\nStill paused: router clerk." in run("resume").stdout
    assert run("resume", "--router", "clerk").stdout == "Resumed router clerk. Queued events are processed now.\n"


def test_pausing_again_decides_whether_new_events_are_skipped_or_queued(store: redis.Redis) -> None:
    assert "Paused account acme. New events are skipped until you resume." in run("pause", "--skip").stdout
    output = run("pause").stdout
    assert "Updated the pause of account acme. New events are queued until you resume." in output
    assert paused(store) == {("account", ""): False}


def test_an_unknown_target_is_refused_with_the_nearest_name(store: redis.Redis) -> None:
    assert refused("pause", "--router", "clark") == ("foxhooks: no router 'clark' runs for acme; did you mean 'clerk'?")
    assert "there is no account 'acm'; did you mean 'acme'?" in refused("pause", "--account", "acm")
    assert "no webhook received for ticket 4 of acme yet; --ticket takes" in refused("pause", "--ticket", "4")
    assert "account acme is not paused; nothing is paused" in refused("resume")
    run("pause", "--router", "clerk")
    assert refused("resume", "--ticket", "3").endswith("is not paused; paused now: router clerk")
    assert "use --router or --ticket, not both" in wrong("pause", "--router", "clerk", "--ticket", "3")
    assert paused(store) == {("router", "clerk"): False}


def test_with_several_accounts_one_must_be_named(store: redis.Redis, tmp_path: Path) -> None:
    table = FILE.partition("\n")[2]
    (tmp_path / "foxhooks.toml").write_text(FILE + table.replace("acme", "beta"))

    assert "there are several accounts: choose one with --account, of acme, beta" in refused("pause")
    assert "To resume: `foxhooks resume --account beta`" in run("pause", "--account", "beta").stdout
    assert paused(store) == {}


def test_a_router_cannot_be_paused_where_only_the_web_process_has_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: redis.Redis
) -> None:
    (tmp_path / "foxhooks.toml").unlink()
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", "acme")
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")

    assert refused("pause", "--router", "clerk").endswith("run this where the worker's settings are")
    run("pause")
    assert paused(store) == {("account", ""): False}


def test_explain_lists_every_pause_that_stops_the_handlers_of_a_ticket() -> None:
    run("pause")
    run("pause", "--router", "clerk")
    run("pause", "--ticket", "3")
    output = printed("explain", "3")

    for what in ("the account", "the router clerk", "the ticket"):
        assert f"Handlers do not run: {what} is paused since 20" in output
    assert "UTC by ada on " in output
    assert "Handlers do not run: the ticket is paused by its tag foxhooks-off." in output
    stopped = shown("explain", "3")["now"]["why_stopped"]
    assert len(stopped) == 4


def test_tickets_that_wait_for_the_end_of_a_pause_are_not_in_the_backlog(store: redis.Redis) -> None:
    store.sadd(KEYS.waiting_for_resume, "3")
    [account] = shown("status")["accounts"]

    assert (account["lanes"], account["paused_tickets"]) == (0, 1)
    assert "1 ticket waiting for the end of a pause" in run("status").stdout
