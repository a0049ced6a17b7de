"""status: what a person, a program and a probe see of the store."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from service.commands.doctor_store import check_types
from service.commands.format import ago
from service.context import settings_of
from tests.support.commands import KEYS, refused, run, shown, take_in
from tests.support.processes import ROOT
from tests.support.stores import untyped
from workers.settings import Budget
from workers.store.client import Store, store_time
from workers.store.client_figures import note_call
from workers.store.fleet import Presence, Process, RunningAccount, RunningRouter
from workers.store.keys import WORKER_LIFE, WORKERS
from workers.store.leases import STUCK_AFTER, life_file, lock_life_file

pytestmark = pytest.mark.usefixtures("web_settings")


@pytest.mark.usefixtures("worker_settings")
def test_status_counts_deliveries_with_the_time_of_the_last(store: redis.Redis) -> None:
    take_in(store)
    (account,) = shown("status")["accounts"]
    counted = {name: count["count"] for name, count in account["deliveries"].items()}
    assert counted == {"accepted": 2, "duplicate": 1, "quarantined": 1, "refused:bad-signature": 2}
    assert all(abs(count["last"] - store_time(store)) < 60_000 for count in account["deliveries"].values())


#: What `status` needs for nothing it shows; to import them takes longer than everything else that it does.
UNNEEDED = {
    *("argon2", "dramatiq", "httpx", "jinja2", "pydantic", "regex", "rich.progress", "sentry_sdk", "starlette"),
    *("uvicorn", "workers.engine", "workers.plugins", "workers.rules", "workers.store.lanes", "workers.tickets"),
}
IMPORTED = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
sys.argv = ["foxhooks", "status"]
from service.cli import main
main()
"""


@pytest.mark.usefixtures("worker_settings")
def test_status_imports_nothing_that_it_does_not_need(store: redis.Redis) -> None:
    take_in(store)
    command = [sys.executable, "-P", "-c", IMPORTED]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_START": ""}
    shown = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert "refused, bad-signature" in shown.stdout
    assert UNNEEDED & {*shown.stderr.split()} == set()


@pytest.mark.usefixtures("worker_settings")
def test_status_shows_backlog_budget_and_lockout(store: redis.Redis) -> None:
    take_in(store)
    store.hset(KEYS.gate, mapping={"state": "locked", "why": "limited", "until": store_time(store) + 90_000})
    store.set(KEYS.calls_saved, 12)
    (account,) = shown("status")["accounts"]
    assert (account["lanes"], account["due"], account["events"], account["calls_saved"]) == (2, 2, 2, 12)
    assert account["oldest"] <= store_time(store)
    assert account["budget"]["gets"] == 450
    assert account["budget"]["gate"] == "locked"
    text = run("status").stdout
    assert "locked" in text
    assert "429" in text
    assert "refused, bad-signature" in text
    assert "API calls saved 12" in " ".join(text.split())


@pytest.mark.usefixtures("worker_settings")
def test_status_begins_with_the_handlers_that_fail(store: redis.Redis) -> None:
    minute = store_time(store) // 60_000
    store.hset(f"{KEYS.prefix}stats:minute:{minute}", "handler retrying vip.reopen", 5)
    (account,) = shown("status")["accounts"]
    assert [(each["kind"], each["is_error"], each["about"]) for each in account["troubles"]] == [
        ("handlers-fail", True, "vip.reopen")
    ]
    first, second = run("status").stdout.splitlines()[:2]
    assert first == "acme"
    assert " ".join(second.split()).startswith(
        "problem a handler fails: vip.reopen (5 of 5 runs) in the last hour. See"
    )


@pytest.mark.usefixtures("worker_settings")
def test_status_says_why_no_call_can_be_made_and_when_the_next_attempt_is(store: redis.Redis) -> None:
    take_in(store)
    store.hset(KEYS.gate, mapping={"state": "denied", "why": "denied", "until": store_time(store) + 59_000})
    text = " ".join(run("status").stdout.split())
    assert re.search(r"HappyFox rejected the API key\. Next attempt in 5\d s\. Run `foxhooks doctor`\.", text)
    store.hset(KEYS.gate, mapping={"state": "locked", "why": "limited", "until": store_time(store) + 59_000})
    text = " ".join(run("status").stdout.split())
    assert re.search(r"locked out until \d\d:\d\d UTC\. HappyFox answered 429 \(too many calls\)\.", text)
    store.hset(KEYS.gate, mapping={"state": "locked", "why": "clock", "until": store_time(store) + 59_000})
    text = " ".join(run("status").stdout.split())
    assert re.search(r"calls The store's clock or server changed\. Next attempt in 5\d s\.", text)
    assert "locked out" not in text


@pytest.mark.usefixtures("worker_settings")
@pytest.mark.parametrize("state", ["unreachable", "probing"])
@pytest.mark.parametrize(("hours", "since"), [(1, r"\d\d:\d\d UTC"), (30, r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")])
def test_status_says_since_when_happyfox_does_not_answer(
    store: redis.Redis, state: str, hours: int, since: str
) -> None:
    now = store_time(store)
    gate: Any = {
        "state": state,
        "why": "unreachable",
        "until": now + 29_000,
        "failures": 9,
        "since": now - hours * 3_600_000,
    }
    store.hset(KEYS.gate, mapping=gate)
    text = " ".join(run("status").stdout.split())
    assert re.search(rf"HappyFox does not answer since {since}\. Next attempt in 2\d s\.", text)


def test_status_works_where_only_a_web_process_is_set_up(store: redis.Redis) -> None:
    take_in(store)
    assert "not known here" in run("status").stdout


def test_the_probe_fails_without_a_recent_heartbeat(store: redis.Redis) -> None:
    store.hset(WORKERS, "old", store_time(store) - WORKER_LIFE)
    assert "no worker heartbeat" in refused("status", "--worker")
    store.hset(WORKERS, "young", store_time(store))
    assert run("status", "--worker").stdout == "alive: young\n"


def test_a_probe_on_the_machine_of_a_silent_worker_ignores_other_machines(store: redis.Redis) -> None:
    store.hset(WORKERS, "neighbour", store_time(store))
    store.hset(WORKERS, f"{socket.gethostname()}-77-abc", store_time(store) - WORKER_LIFE)
    assert "no worker heartbeat" in refused("status", "--worker")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own, without a store and without settings: the folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    return tmp_path


def test_the_local_probe_needs_a_live_worker_process_and_no_store(machine: Path) -> None:
    assert "no worker process runs" in refused("status", "--worker", "--local")
    with lock_life_file(os.getpid()):
        assert run("status", "--worker", "--local").stdout == f"alive: process {os.getpid()}\n"


def test_the_local_probe_names_a_stuck_process(machine: Path) -> None:
    with lock_life_file(os.getpid()), lock_life_file(os.getppid()):
        long_ago = time.time() - STUCK_AFTER - 1
        os.utime(life_file(os.getppid()), (long_ago, long_ago))
        assert f"stuck: process {os.getppid()}" in refused("status", "--worker", "--local")


def test_the_local_probe_ignores_another_process_with_the_id_of_a_killed_one(machine: Path) -> None:
    life_file(os.getppid()).touch()
    assert "no worker process runs" in refused("status", "--worker", "--local")


def test_the_local_probe_ignores_processes_that_were_killed(machine: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    life_file(ended.pid).touch()
    assert "no worker process runs" in refused("status", "--worker", "--local")


@pytest.mark.parametrize(("passed", "words"), [(0, "0 s"), (61_000, "1 min"), (7_200_000, "2 h"), (172_800_000, "2 d")])
def test_ages_are_shown_in_their_largest_unit(passed: int, words: str) -> None:
    assert ago(1_000, 1_000 + passed) == f"{words} ago"


def round_of(at: int, **members: object) -> bytes:
    state = {"scheduled_at": at, "period": 3_600_000, "phase": "done", "found": 23, "ended": at, **members}
    return json.dumps(state).encode()


def test_status_shows_schedules_and_unknown_names(store: redis.Redis) -> None:
    now = store_time(store) - 600_000
    rounds = {
        "stale.close": round_of(now, truncated=True),
        "stale.nudge": round_of(now, why="HappyFox refuses the search: correct find [x]"),
        "vip.look": round_of(now, phase="search", locked_until=now, found=50),
        "gone.sweep": round_of(now - 3_600_000),
        ":names": round_of(now, findings=["rules.toml, line 3: no status 'Nwe' in acme; did you mean 'New'?"]),
    }
    store.hset(KEYS.periodic_tasks, mapping=rounds)  # type: ignore[arg-type]
    output = " ".join(run("status").stdout.split())
    assert "stale.close: 23 matching tickets 10 min ago, more than one search takes; next search in 49 min" in output
    assert "stale.nudge: HappyFox refuses the search: correct find [x]. Next attempt in 49 min." in output
    assert "gone.sweep: 23 matching tickets 1 h ago; next search was due 10 min ago: no worker runs" in output
    assert "vip.look: searching since 10 min ago, 50 matching tickets so far" in output
    assert "names rules.toml, line 3: no status 'Nwe' in acme; did you mean 'New'?" in output
    (account,) = shown("status")["accounts"]
    close = account["schedules"]["stale.close"]
    assert (close["matches"], close["truncated"], close["running"]) == (23, True, False)
    assert account["names"]["findings"][0].startswith("rules.toml")


def held(store: redis.Redis, dead_letter: str, emails: int) -> None:
    store.zadd(KEYS.dead_letters, {dead_letter: store_time(store)})
    evidence = json.dumps({"handler": "thanks.answer", "reason": "3 emails in a row"})
    store.hset(
        KEYS.dead_letter(dead_letter),
        mapping={"ticket": 5, "at": store_time(store), "evidence": evidence, "held": emails},
    )


def test_status_shows_how_many_emails_the_brakes_hold(store: redis.Redis) -> None:
    assert "held back" not in run("status").stdout
    assert shown("status")["accounts"][0]["held_emails"] == {}
    held(store, "unanswered-5", 1)
    held(store, "address-0a1b", 20)
    store.zadd(KEYS.dead_letters, {"n1.thanks.answer": store_time(store)})
    output = " ".join(run("status").stdout.split())
    assert (
        "held back 20 emails to one address. See `foxhooks dead show address-0a1b`; "
        "send with `foxhooks dead replay address-0a1b`."
    ) in output
    assert "held back 1 email from ticket 5. See `foxhooks dead show unanswered-5`" in output
    (account,) = shown("status")["accounts"]
    assert account["held_emails"] == {"address-0a1b": 20, "unanswered-5": 1}


def test_status_lists_few_of_many_dead_letters_with_emails(store: redis.Redis) -> None:
    for ticket in range(8):
        held(store, f"unanswered-{ticket}", 2)
    output = " ".join(run("status").stdout.split())
    assert output.count("foxhooks dead replay") == 5
    assert "held back 6 more in 3 dead letters. See `foxhooks dead list`." in output


def test_what_a_client_called_cannot_control_the_terminal(store: redis.Redis) -> None:
    Store(store).run(note_call("acme", "crm", "denied", "tried", "", "no", denial="delete \x1b]0;x\x07 12"))
    Presence(store, Process(name="w\x1b[2J", part="worker", version="1", host="desk", pid=1)).beat()
    Store(store).beat(WORKERS, "desk-1\x1b[2J")
    assert "delete ]0;x 12" in " ".join(run("status").stdout.split())
    for arguments in (("status",), ("status", "--worker"), ("status", "--json")):
        assert "\x1b" not in run(*arguments).stdout


def test_status_says_when_the_first_dead_letter_expires(store: redis.Redis) -> None:
    held(store, "unanswered-5", 1)
    store.pexpire(KEYS.dead_letter("unanswered-5"), 20 * 86_400_000)
    assert "expires" not in run("status").stdout
    store.pexpire(KEYS.dead_letter("unanswered-5"), 5 * 86_400_000 + 60_000)
    assert "1. The first expires in 5 d. See `foxhooks dead list`." in " ".join(run("status").stdout.split())


@pytest.mark.usefixtures("worker_settings")
def test_status_shows_the_memory_of_the_store(store: redis.Redis) -> None:
    take_in(store)
    found = shown("status")["store"]
    assert found["used"] > 0
    assert found["limit"] is found["growth"] is found["days_left"] is None
    assert "has no limit (maxmemory)" in run("status").stdout
    used = untyped(store).info("memory")["used_memory"]
    untyped(store).config_set("maxmemory", int(used * 1.1))
    try:
        text = run("status").stdout
    finally:
        untyped(store).config_set("maxmemory", 0)
    assert re.search(r"Store: it uses .+ of .+ of memory, .+ left; how long that lasts", text)
    assert "Choose a larger plan or raise maxmemory there" in text


@pytest.mark.parametrize(("published", "shown_as"), [({"dry_run": True}, True), ({"routers": ("vip",)}, ["vip"])])
def test_status_shows_the_settings_that_the_workers_have(
    store: redis.Redis, published: dict[str, Any], shown_as: object
) -> None:
    routers = tuple(RunningRouter(name, dry_run=True) for name in published.pop("routers", ()))
    account = RunningAccount(budget=Budget(100, 50, 60, 600, 1.0, 8), routers=routers, **published)
    process = Process(name="w", part="worker", version="1", host="desk", pid=1, accounts={"acme": account})
    Presence(store, process).beat()
    (found,) = shown("status")["accounts"]
    assert found["dry_run"] == shown_as
    assert found["running"] is True
    assert found["budget"]["gets"] == 100
    assert "100 of 100 reads" in run("status").stdout


def wait_in(store: redis.Redis, tickets: range) -> None:
    """Let two events of each ticket wait."""
    with store.pipeline(transaction=False) as batch:
        batch.zadd(KEYS.schedule, {str(ticket): ticket for ticket in tickets})
        for ticket in tickets:
            batch.rpush(KEYS.lane(ticket), f"e{ticket}", f"f{ticket}")
        batch.execute()


def test_a_larger_backlog_costs_status_no_more_commands(store: redis.Redis) -> None:
    counted = []
    for tickets in (range(1, 1_501), range(1_501, 6_001)):
        wait_in(store, tickets)
        before = untyped(store).info("stats")["total_commands_processed"]
        (found,) = shown("status")["accounts"]
        counted.append(untyped(store).info("stats")["total_commands_processed"] - before)
    assert (found["lanes"], found["due"], found["events"], found["events_estimated"]) == (6000, 6000, 12_000, True)
    assert found["due_since"] == 1
    assert abs(counted[0] - counted[1]) < 10


def test_a_watched_status_is_shown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([None])

    def sleep(_: float) -> None:
        if next(looks, 1):
            raise KeyboardInterrupt

    monkeypatch.setattr("service.commands.status.time.sleep", sleep)
    assert run("status", "--watch", code=130).stdout.count("deliveries") == 2


@pytest.mark.usefixtures("worker_settings")
def test_status_names_the_keys_that_it_cannot_read(store: redis.Redis) -> None:
    for key, field in ((KEYS.memory, "doubts"), (KEYS.counts, "accepted"), (KEYS.periodic_tasks, ":sweep")):
        store.hset(key, field, "junk")
        text = refused("status")
        assert f"what the key {key} has in the store cannot be read: if a newer version of foxhooks wrote it" in text
        assert [each.text for each in check_types(store, settings_of("web"))] == [
            f"what the key {key} has cannot be read"
        ]
        store.delete(key)
