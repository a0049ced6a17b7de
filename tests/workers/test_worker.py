"""A worker logs what the store's user may not do when it starts, although it can take no turn."""

import logging
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
import redis

from tests.support.processes import wait_until
from tests.support.stores import untyped
from workers import worker
from workers.settings import load

HANDLER = "from workers import Router\nrouter = Router('idle')\n@router.on('ticket-created')\ndef look(ticket): pass\n"


@pytest.fixture
def forbidden(store: redis.Redis, valkey_url: str) -> Iterator[str]:
    """URL of the store, for a user that may not run SMEMBERS."""
    untyped(store).execute_command("ACL", "SETUSER", "app", "on", "nopass", "+@all", "-smembers", "~*")
    yield valkey_url.replace("unix://", "unix://app:@")
    store.acl_deluser("app")


def test_a_worker_names_what_is_forbidden(
    forbidden: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "idler.py").write_text(HANDLER)
    monkeypatch.chdir(tmp_path)
    environ = {
        "REDIS_URL": forbidden,
        "HAPPYFOX_ACCOUNT": "acme",
        "HAPPYFOX_URL": "http://127.0.0.1:9",
        "HAPPYFOX_API_KEY": "demo-key",
        "HAPPYFOX_AUTH_CODE": "demo-code",
        "HAPPYFOX_STAFF_ID": "7",
        "FOXHOOKS_HANDLERS": "idler:router",
    }
    threads = dramatiq.Worker(worker.build(load("worker", environ, tmp_path)), worker_threads=1)
    logging.getLogger().addHandler(caplog.handler)  # the worker has set up logging anew
    with caplog.at_level(logging.ERROR):
        threads.start()
        try:
            wait_until(lambda: "may not run SMEMBERS" in caplog.text, "the right is named")
        finally:
            threads.stop()
    assert sum("may not run" in record.getMessage() for record in caplog.records) == 1
