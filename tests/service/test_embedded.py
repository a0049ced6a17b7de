"""The embedded store: started, taken over, locked, stopped."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service import embedded
from service.context import require_store
from service.embedded import UP_LOCK, Embedded, lock_file
from service.errors import CommandError
from tests.support.commands import refused, run
from tests.support.processes import wait_until
from workers.settings import load


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Embedded]:
    store = Embedded(tmp_path / "data")
    yield store
    store.stop()


def client_of(store: Embedded) -> "redis.Redis":
    return redis.Redis.from_url(store.url)


def test_it_writes_every_command_to_disk_and_never_evicts(store: Embedded) -> None:
    assert store.start() is True
    with client_of(store) as client:
        config = client.config_get("append*", "maxmemory-policy", "port", "save")
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "always"
    assert config["maxmemory-policy"] == "noeviction"
    assert (config["port"], config["save"]) == ("0", "")


def fill(client: "redis.Redis") -> None:
    for number in range(100):
        client.set(str(number), b"x" * 1024 * 1024)


def test_it_uses_at_most_the_memory_of_the_setting(tmp_path: Path) -> None:
    limit = load("store", {"FOXHOOKS_STORE_MAXMEMORY": "20mb"}, tmp_path).store_maxmemory
    store = Embedded(tmp_path / "data", maxmemory=limit)
    store.start()
    try:
        with client_of(store) as client:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                fill(client)
            assert client.exists("0"), "nothing is evicted"
    finally:
        store.stop()


def test_by_default_it_uses_half_of_the_memory_of_the_machine_or_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(embedded, "CGROUP_LIMITS", (limit, tmp_path / "missing"))
    limit.write_text("max\n")
    assert embedded.memory_there_is() > 256 * 1024**2
    limit.write_text(str(256 * 1024**2))
    assert embedded.memory_there_is() == 256 * 1024**2
    store = Embedded(tmp_path / "data")
    store.start()
    try:
        with client_of(store) as client:
            assert client.config_get("maxmemory") == {"maxmemory": str(128 * 1024**2)}
    finally:
        store.stop()


def test_its_folder_is_accessible_to_its_owner_only(store: Embedded) -> None:
    store.folder.mkdir(mode=0o755)
    store.start()
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.folder / "store.sock").stat().st_mode) == 0o700


def test_git_ignores_its_folder(store: Embedded) -> None:
    store.prepare()
    assert (store.folder / ".gitignore").read_text() == "*\n"


def test_its_data_survives_a_stop(store: Embedded) -> None:
    store.start()
    with client_of(store) as client:
        client.set("k", "v")
    store.stop()
    assert store.answer() is None
    assert not (store.folder / "store.sock").exists()
    store.start()
    with client_of(store) as client:
        assert client.get("k") == b"v"


def test_a_server_whose_parent_was_killed_is_taken_over(store: Embedded) -> None:
    code = "import sys, time; from pathlib import Path; from service.embedded import Embedded\n"
    code += "Embedded(Path(sys.argv[1])).start(); print(flush=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", code, str(store.folder)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        parent.stdout.readline()
    parent.kill()
    parent.wait()
    server = store.answer()
    assert store.start() is False
    assert store.answer() == server
    assert store.alive()
    store.stop()
    assert not Embedded(store.folder).alive()
    assert store.start() is True


def test_a_killed_server_is_restarted_with_its_data(store: Embedded) -> None:
    store.start()
    with client_of(store) as client:
        client.set("k", "v")
    pid = store.answer()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not store.alive(), "the server is gone")
    assert store.start() is True
    with client_of(store) as client:
        assert client.get("k") == b"v"


def test_two_servers_never_write_the_same_file(store: Embedded) -> None:
    store.start()
    (store.folder / "store.sock").rename(store.folder / "hidden.sock")
    with pytest.raises(CommandError, match="does not answer"):
        Embedded(store.folder).start(timeout=0.3)
    (store.folder / "hidden.sock").rename(store.folder / "store.sock")


@pytest.mark.parametrize("depth", [1, 3])
def test_a_deep_folder_works(tmp_path: Path, depth: int) -> None:
    store = Embedded(tmp_path / "/".join(["a" * 60] * depth))
    store.start()
    try:
        assert store.answer() is not None
        settings = require_store(load("store", {"FOXHOOKS_DATA": str(store.folder)}, tmp_path))
        with redis.Redis.from_url(settings.redis_url or "") as client:
            assert client.ping()
    finally:
        store.stop()
    assert not (store.folder / "store.sock").is_symlink()


def test_a_damaged_file_is_reported_with_the_log(store: Embedded) -> None:
    store.start()
    with client_of(store) as client:
        client.set("k", "v")
    store.stop()
    for part in (store.folder / "appendonlydir").glob("*.incr.aof"):
        part.write_bytes(b"rubbish" * 100)
    with pytest.raises(CommandError, match=r"store\.log"):
        store.start()


def test_a_store_that_does_not_answer_while_up_runs_is_not_called_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", "acme")
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")
    store = Embedded(tmp_path / ".foxhooks")
    store.prepare()
    assert "no store answers in" in refused("status")
    lock = lock_file(store.folder / UP_LOCK)
    assert lock is not None
    os.write(lock, b"4711")
    assert "although `foxhooks up` runs (process 4711)" in refused("status")
    settings = {"URL": "http://127.0.0.1:1", "API_KEY": "demo-key", "AUTH_CODE": "demo-code", "STAFF_ID": "7"}
    for name, value in settings.items():
        monkeypatch.setenv(f"HAPPYFOX_{name}", value)
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "tag"\non = "ticket-created"\nadd_tags = ["new"]\n')
    monkeypatch.setenv("FOXHOOKS_RULES", "rules.toml")
    assert "although `foxhooks up` runs (process 4711)" in run("doctor", "--offline").stdout
    os.close(lock)
    assert "no store answers in" in refused("status")
