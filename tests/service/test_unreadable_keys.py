"""Unreadable keys: whatever a key contains, commands and pages name it, and one of many hides nothing else."""

import html
import json
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path

import pytest
import redis

from tests.support.commands import run
from tests.support.dashboard import Visitor, addresses, visiting
from tests.support.sample_store import FOLDER, VERSION, restore
from tests.support.stores import untyped
from workers.store.keys import ALERTS, FLEET, FLEET_SEEN, MEMORY_USED, MISDIRECTED, WORKERS, prefix
from workers.testing.desk import ACCOUNT

STORED = json.loads((FOLDER / f"{VERSION}.json").read_text())["keys"]
VALUES = {entry["key"]: entry["value"] for entry in STORED}
TYPES = {entry["key"]: entry["type"] for entry in STORED} | {MISDIRECTED: "hash", MEMORY_USED: "hash"}
P, JUNK = prefix(ACCOUNT), b"\xff{junk"
WAITING, QUARANTINED = VALUES[f"{P}lane:10"][0], VALUES[f"{P}quarantine"][0]

#: Keys of one ticket, turn, event or dead letter: only that one cannot be shown.
ONE_OF_MANY = [
    P + name
    for name in (
        "history:2",
        "history:4",
        "record:n1",
        "record:n3",
        "snapshot:2",
        "turn:3",
        "turn:10",
        "lane:10",
        "lane:15",
        f"event:{WAITING}",
        f"event:{QUARANTINED}",
        "dead_letter:n3.main.handle",
        "dead_letter:unanswered-6",
        "held:unanswered-6",
        "job:5e1ec7ed",
    )
]
#: Keys that an account, or a deployment, has once.
SINGLE = [
    *(
        P + name
        for name in (
            "audit",
            "calls_saved",
            "client_calls",
            "client_counts",
            "counts",
            "dead_letters",
            "gate",
            "hosts",
            "keys_used",
            "learned",
            "leases",
            "memory",
            "missed",
            "paused",
            "periodic_tasks",
            "quarantine",
            "refusals",
            "schedule",
            "schedule:timers",
            "shapes",
            "stats:new",
            "stats:totals",
            "stats:minute:29666666",
            "stats:hour:494444",
            "store_epoch",
            "storm",
            "turns",
            "waiting_for_resume",
        )
    ),
    ALERTS,
    FLEET,
    FLEET_SEEN,
    MEMORY_USED,
    MISDIRECTED,
    WORKERS,
]

COMMANDS = [
    "status",
    "events",
    "dead list",
    "dead list --quarantine",
    "dead show n3.main.handle",
    "dead show unanswered-6",
    "audit",
    "explain 2",
    "explain 3",
    "explain 4",
    "explain 10",
]
PAGES = [
    *addresses(ACCOUNT),
    *(
        f"/dashboard/{ACCOUNT}{path}"
        for path in (
            "/tickets/2",
            "/tickets/4",
            "/tickets/10",
            "/lanes?state=timer",
            "/lanes?state=claimed",
            "/lanes?state=pending",
            "/dead/n3.main.handle",
            "/dead/unanswered-6",
            "/dead/selection/5e1ec7ed",
            f"/events/{WAITING}",
            f"/events/{QUARANTINED}",
        )
    ),
]
CALLS = [
    "/status",
    *(
        f"/accounts/{ACCOUNT}{path}"
        for path in (
            "/events",
            f"/events/{WAITING}",
            "/tickets/2",
            "/lanes",
            "/dead",
            "/dead/n3.main.handle",
        )
    ),
]


@pytest.fixture(scope="module")
def olga(foxhooks_store: str) -> Iterator[tuple[Visitor, bytes, bytes]]:
    """An operator, with the key of her session and what it contains: logging in takes longer than a test."""
    with visiting(foxhooks_store, "olga", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        with redis.Redis.from_url(foxhooks_store) as client:
            [key] = untyped(client).keys("*:session:*")
            session = untyped(client).get(key)
        yield visitor, key, session


@pytest.fixture
def visitor(
    store: redis.Redis,
    olga: tuple[Visitor, bytes, bytes],
    valkey_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Visitor:
    """Somebody who is logged in where the store has one of everything, and whose commands read it."""
    visitor, key, session = olga
    restore(store, STORED)
    store.set(key, session)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")
    return visitor


def spoil(client: redis.Redis, key: str, fault: str) -> None:
    """Give a key another type, or junk in all of its fields or as one more member."""
    store, kind = untyped(client), TYPES[key]
    if fault == "type":
        store.delete(key)
        if kind == "list":
            store.set(key, JUNK)
        else:
            store.rpush(key, JUNK)
        return
    fields = store.hkeys(key) or ["a"] if kind == "hash" else []
    {
        "string": lambda: store.set(key, JUNK),
        "hash": lambda: store.hset(key, mapping=dict.fromkeys(fields, JUNK)),
        "list": lambda: store.rpush(key, JUNK),
        "zset": lambda: store.zadd(key, {JUNK: 1}),
        "set": lambda: store.sadd(key, JUNK),
        "stream": lambda: store.xadd(key, {"at": JUNK, JUNK: JUNK}),
    }[kind]()


def answers(visitor: Visitor) -> dict[str, tuple[bool, str]]:
    """Return whether each command and page works, and what it says."""
    found: dict[str, tuple[bool, str]] = {}
    for command in COMMANDS:
        result = run(*command.split(), code=None)
        found[command] = result.exit_code == 0, " ".join(result.output.split())
    for page in PAGES:
        answer = visitor.get(page)
        found[page] = answer.status_code == 200, html.unescape(answer.text)
    for call in CALLS:
        answer = visitor.api(call, "operator")
        found[f"api {call}"] = answer.status_code == 200, answer.text
    return found


#: Each key of one item once; `make e2e` has every key with both faults.
SHORT = list(zip(ONE_OF_MANY, cycle(["type", "junk"]), strict=False))
LONG = [each for each in product([*ONE_OF_MANY, *SINGLE], ["type", "junk"]) if each not in SHORT]


@pytest.mark.parametrize(("key", "fault"), [*SHORT, *(pytest.param(*each, marks=pytest.mark.e2e) for each in LONG)])
def test_a_key_is_named_and_one_of_many_hides_nothing_else(
    store: redis.Redis, visitor: Visitor, key: str, fault: str
) -> None:
    spoil(store, key, fault)
    found = answers(visitor)
    broken = {asked: text[-300:] for asked, (works, text) in found.items() if not works}
    assert {asked: text for asked, text in broken.items() if key not in text} == {}
    if key in ONE_OF_MANY:
        assert [asked for asked in broken if key.rpartition(":")[2] not in asked] == []


@pytest.mark.parametrize("fault", ["type", "junk"])
@pytest.mark.parametrize("key", [P + name for name in ("history:2", "snapshot:2", "record:n1")])
def test_the_story_of_a_ticket_names_the_key(store: redis.Redis, visitor: Visitor, key: str, fault: str) -> None:
    spoil(store, key, fault)
    page = f"/dashboard/{ACCOUNT}/tickets/2"
    shown = (run("explain", "2").stdout, html.unescape(visitor.get(page).text))
    for text in shown:
        assert f"hat the key {key} has in the store cannot be read" in " ".join(text.split())
        assert "ticket-created" in text


def test_a_session_that_cannot_be_read_has_ended(store: redis.Redis, visitor: Visitor) -> None:
    [key] = untyped(store).keys("*:session:*")
    for spoiled in (lambda: store.set(key, JUNK), lambda: (store.delete(key), store.rpush(key, JUNK))):
        spoiled()
        assert visitor.get("/dashboard/").headers["location"].startswith("/dashboard/login")


@pytest.mark.usefixtures("visitor")
def test_a_dead_letter_that_cannot_be_read_can_be_discarded(store: redis.Redis) -> None:
    spoil(store, f"{P}dead_letter:n3.main.handle", "junk")
    assert "n3.main.handle" in run("dead", "list").stdout
    run("dead", "discard", "n3.main.handle")
    assert "n3.main.handle" not in run("dead", "list").stdout
