"""What web, workers, doctor and commands say of a store that is too old, or that they cannot use."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.commands.doctor import check
from service.context import store_of
from service.errors import CommandError
from service.web.app import build
from tests.support.intake import client, deliver, settings
from tests.support.resp import FakeStore, answering
from workers.settings import load
from workers.store.broker import Readiness
from workers.store.client import Store, connect

OLD = "the store is too old: it is Redis 6.2.14"
FIX = "use Redis 7.0 or newer, or Valkey 7.2 or newer"


@pytest.fixture
def old() -> Iterator[FakeStore]:
    with answering(lambda *_: b"+OK\r\n", "redis", "6.2.14") as server:
        yield server


def test_deliveries_and_readyz_refuse_an_old_store(old: FakeStore) -> None:
    async def main() -> tuple[httpx.Response, httpx.Response]:
        app = build(settings(old.url))
        async with app.router.lifespan_context(app), client(app) as http:
            return await deliver(http), await http.get("/readyz")

    delivery, ready = asyncio.run(main())
    assert (delivery.status_code, delivery.json()["error"]) == (503, f"{OLD}; {FIX}")
    assert (ready.status_code, ready.json()["reasons"]) == (503, [f"{OLD}; {FIX}"])


def test_a_command_refuses_an_old_store(old: FakeStore) -> None:
    with pytest.raises(CommandError, match=f"{OLD}; {FIX}"), store_of(settings(old.url)):
        pass


def test_a_command_says_why_the_store_cannot_be_used_while_it_runs() -> None:
    def answer(_: int, command: bytes) -> bytes:
        return b"+PONG\r\n" if command == b"PING" else b"-ERR unknown command 'FCALL'\r\n"

    with (
        answering(answer) as server,
        pytest.raises(CommandError, match=f"the store has no functions; {FIX}"),
        store_of(settings(server.url)) as found,
        Store(found) as store,
    ):
        store.beat("workers", "me")


def test_a_worker_refuses_an_old_store_and_logs_why(old: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    with connect(old.url) as store, caplog.at_level(logging.ERROR):
        assert Readiness(Store(store), store, [], 1).wait() == 0
    [record] = [each for each in caplog.records if "unreachable" in each.message]
    assert record.__dict__["error"] == f"{OLD}; {FIX}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with settings apart from the store's address."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.toml").touch()
    for name, value in (
        ("HAPPYFOX_URL", "https://acme.happyfox.com"),
        ("HAPPYFOX_API_KEY", "key-of-the-account"),
        ("HAPPYFOX_AUTH_CODE", "code-of-the-account"),
        ("HAPPYFOX_STAFF_ID", "7"),
        ("FOXHOOKS_RULES", "rules.toml"),
        ("HAPPYFOX_WEBHOOK_SECRETS", "b7c1d9e2f0a34856"),
    ):
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.parametrize("says_so_at_once", [True, False])
def test_doctor_refuses_an_old_store(project: Path, monkeypatch: pytest.MonkeyPatch, *, says_so_at_once: bool) -> None:
    """A proxy may greet in the name of a newer server; INFO is the store's own word."""
    info = b"# Server\r\nredis_version:6.2.14\r\n"
    said = b"$%d\r\n%s\r\n" % (len(info), info)
    with answering(lambda *_: said, version="6.2.14" if says_so_at_once else "7.2.4") as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        [found] = [each for each in check(offline=False) if each.subject == "store"]
    assert (found.level, found.text, found.fix) == ("error", OLD, FIX)


def test_doctor_names_the_setting_that_is_wrong(project: Path) -> None:
    (project / "foxhooks.toml").write_text('redis_url = "redis://joan:s3cr3t-w0rd@nosuch.invalid"\n')
    found = [each for each in check(offline=False) if each.subject == "store"][-1]
    assert found.text == "the store does not answer: its host name cannot be found"
    assert found.fix == "correct the host in redis_url in foxhooks.toml, or check DNS"


def test_doctor_reports_the_options_of_the_address(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:s3cr3t-w0rd@store?foo=bar&decode_responses=true")
    found = [each for each in check(offline=True) if "REDIS_URL" in each.text]
    assert len(found) == 2
    assert all("possible options: db, username, password" in each.fix for each in found)
    assert "s3cr3t" not in str(found)
    assert load("store", {"REDIS_URL": "redis://:s3cr3t-w0rd@store?db=1"}, project).redis_url
