"""Access: what the store's user may not do is named, and asking changes nothing."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.stores import Server, copy, untyped
from workers.errors import StoreUnavailable
from workers.store.access import PLAIN, STATE, AccessLog, Missing, commands, find_missing
from workers.store.client import Store
from workers.store.keys import SHARED, names
from workers.store.scripts import Script

ROOT = Path(__file__).parents[3]
As = Callable[..., Store]


@pytest.fixture
def as_user(either_store: redis.Redis, store_url: str) -> Iterator[As]:
    """Connect as a user with these rules."""
    opened: list[Store] = []

    def connect(*rules: str) -> Store:
        untyped(either_store).execute_command("ACL", "SETUSER", "app", "reset", "on", "nopass", *rules)
        opened.append(Store(redis.Redis.from_url(store_url, username="app", password="")))
        return opened[-1]

    yield connect
    for store in opened:
        store.close()
        store.client.close()
    either_store.acl_deluser("app")


def test_nothing_is_missing_and_nothing_is_written(as_user: As, either_store: redis.Redis) -> None:
    for key in (*names("acme"), *SHARED):
        either_store.set(key, "kept")
    before = copy(either_store)
    assert find_missing(as_user("+@all", "~*").run, ["acme", "beta"], STATE) == Missing()
    assert find_missing(as_user("+@all", "~*", "-hset").run, ["acme"]) == Missing(("HSET",))
    assert copy(either_store) == before


def test_each_command_that_is_removed_is_named(as_user: As) -> None:
    found = {}
    for name in (*commands(), STATE):
        store = as_user("+@all", "~*", f"-{name.lower().replace(' ', '|')}")
        found[name] = find_missing(store.run, ["acme"], STATE).commands
    assert found == {name: (name,) for name in (*commands(), STATE)}


def test_functions_that_cannot_be_loaded_are_named(as_user: As, either_store: redis.Redis) -> None:
    either_store.function_flush()
    missing = find_missing(as_user("+@all", "~*", "-function|load").run, ["acme"])
    assert missing == Missing(("FUNCTION LOAD",))
    assert missing.fix.startswith("add +function|load to that user")


@pytest.mark.parametrize(
    ("rules", "keys"),
    [
        (("~foxhooks:*",), ("{foxhooks}:*",)),
        (("~{foxhooks}:*", "~foxhooks:{acme}:*"), ("foxhooks:{beta}:*",)),
        (("~{foxhooks}:*", "~foxhooks:{acme}:*", "~foxhooks:{beta}:[^l]*", "~foxhooks:{beta}:"), None),
        (("%R~*",), ("foxhooks:{acme}:*", "foxhooks:{beta}:*")),
        (("~other:*",), ("foxhooks:{acme}:*", "foxhooks:{beta}:*")),
    ],
)
def test_a_key_pattern_that_is_too_narrow_is_named(
    as_user: As, rules: tuple[str, ...], keys: tuple[str, ...] | None
) -> None:
    missing = find_missing(as_user("+@all", *rules).run, ["acme", "beta"])
    assert missing.commands == ()
    if keys is None:
        assert missing.keys == tuple(key for key in names("beta") if key.startswith("foxhooks:{beta}:l"))
    else:
        assert missing.keys == keys
    assert missing.fix.startswith("add ~foxhooks:* ~{foxhooks}:* to that user")


def test_a_command_that_the_server_does_not_have_is_named(server: Callable[..., Server]) -> None:
    store = server("valkey", "--rename-command", "PERSIST", "")
    store.start()
    with redis.Redis.from_url(store.url) as client, Store(client) as ours:
        assert find_missing(ours.run, ["acme"]) == Missing(("PERSIST",))


def test_a_worker_logs_what_is_missing_once_and_that_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Missing] = [Missing(("HSET",)), Missing(("HSET",)), Missing(), Missing((STATE,))]
    now = 0.0

    def run(script: Script[Missing]) -> Missing:
        assert script.name == "access"
        return answers.pop(0)

    log = AccessLog(run, ["acme"], lambda: now)
    caplog.set_level(logging.INFO)
    log.check()
    log.check()
    assert len(answers) == 3
    while answers:
        now += 61
        log.check()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "WARNING"]
    assert "may not run HSET" in caplog.text
    assert "puts its memory in doubt" in caplog.text


def test_a_store_that_does_not_answer_is_asked_again() -> None:
    asked = []

    def run(script: Script[Missing]) -> Missing:
        asked.append(script)
        raise StoreUnavailable("the store does not answer")

    log = AccessLog(run, ["acme"], lambda: 0.0)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            log.check()
    assert len(asked) == 2


#: How Python code sends commands whose name its text does not contain.
SENT_BY = {
    "SELECT": "parse_url(",
    "CLIENT SETNAME": "client_name=",
    "FCALL": '("FCALL"',
    "FUNCTION LOAD": '("FUNCTION", "LOAD"',
    "FUNCTION LIST": '("FUNCTION", "LIST"',
    "FUNCTION DELETE": '("FUNCTION", "DELETE"',
    "DEL": ".delete(",
    "SCAN": ".scan_iter(",
    "ZREVRANGE": "desc=True",
    "ZADD": '"ZADD"',
    "ZREMRANGEBYRANK": '"ZREMRANGEBYRANK"',
}

#: Methods of a client that are no commands, or commands that are not always needed.
OTHERS = {
    "at",
    "home",
    "nodes",
    "aclose",
    "bgrewriteaof",
    "close",
    "config_get",
    "dump",
    "restore",
    "execute_command",
    "info",
    "pipeline",
    "waitaof",
    "flushall",
    "execute",
    "post",
}


def test_the_commands_are_those_that_the_code_sends() -> None:
    paths = [path for folder in ("service", "workers/store") for path in (ROOT / folder).rglob("*.py")]
    code = "\n".join(path.read_text() for path in [*paths, ROOT / "workers" / "worker.py"] if path.name != "access.py")
    assert [name for name in PLAIN if SENT_BY.get(name, f".{name.lower()}(") not in code] == []
    sent = set(re.findall(r"(?:[ ._]client|batch|untyped|_idle)\.([a-z_]+)\(", code)) - OTHERS
    written = set(re.findall(r"yield \"([A-Z]+)\"", code))
    by_method = {text.strip(".("): name for name, text in SENT_BY.items()}
    assert {by_method.get(name, name.upper()) for name in sent} | written <= set(PLAIN)
