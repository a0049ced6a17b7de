"""store restored: what it marks, and how status and explain show it."""

from pathlib import Path

import pytest
import redis

from tests.support.commands import KEYS, run, shown
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
    """A folder that is the current one, with settings and a router."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("LOGNAME", "ada")
    (tmp_path / "foxhooks.toml").write_text(FILE)
    (tmp_path / "quiet.py").write_text('from workers import Router\nrouter = Router("clerk")\n')


def test_a_restore_is_shown_until_the_ticket_is_read_again(store: redis.Redis) -> None:
    store.set(KEYS.snapshot(3), encode(Snapshot(floor=1)))
    store.zadd(KEYS.schedule, {"3": 9_999_999_999_999})
    assert shown("status")["accounts"][0]["memory"] is None
    assert shown("explain", "3")["now"]["memory_in_doubt"] == ""

    assert "acme: the store's memory is in doubt since" in run("store", "restored").stdout
    memory = AccountRecords(store, "acme").memory()
    assert (memory.doubts, memory.cause.partition(" on ")[0]) == (1, "ada")
    assert shown("status")["accounts"][0]["memory"]["since"] == memory.at
    assert "reported that an older copy was restored" in " ".join(run("status").stdout.split())
    assert "The store's memory of this ticket is in doubt" in run("explain", "3").stdout

    store.set(KEYS.snapshot(3), encode(Snapshot(floor=1, doubts=1)))
    assert shown("explain", "3")["now"]["memory_in_doubt"] == ""
