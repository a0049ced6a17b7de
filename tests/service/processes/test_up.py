"""`foxhooks up`: one process tree that restarts what dies, ends in order, and outlives a kill -9 of its head."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service.embedded import Embedded
from service.processes.entrypoints import WatchedFiles
from tests.support.processes import (
    Project,
    children_of,
    end,
    free_port,
    gone,
    status_of,
    wait_ready,
    wait_until,
)

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def up(project: Project) -> Iterator["subprocess.Popen[bytes]"]:
    """A running `foxhooks up`; whatever the test did to it, nothing of it is left."""
    process = project.up()
    try:
        wait_ready(project)
        yield process
    finally:
        stop(project, process)


def stop(project: Project, process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        if process.poll() is None:
            end(process)
    store = Embedded(project.folder / ".foxhooks")
    store.start()
    store.stop()


def test_it_runs_store_web_and_worker_and_stops_all_of_them(project: Project, up: "subprocess.Popen[bytes]") -> None:
    wait_until(project.worker_alive, "the worker is alive")
    idle = '"message": "Router has no handlers", "account": "acme", "router": "quiet"'
    wait_until(lambda: idle in project.printed(), "the worker warns of the idle router")
    children = children_of(up.pid)
    assert children.keys() == {"store", "web", "worker"}
    assert end(up) == 0
    assert all(gone(pid) for pid in children.values())
    assert Embedded(project.folder / ".foxhooks").answer() is None


def test_only_the_worker_gets_the_secrets_that_it_alone_needs(project: Project) -> None:
    process = project.up(CRM_TOKEN="hidden-token", HAPPYFOX_API_KEY="key", HAPPYFOX_WEBHOOK_SECRETS="signing-key")
    try:
        wait_until(lambda: children_of(process.pid).keys() == {"store", "web", "worker"}, "all parts run")
        environs = {name: Path(f"/proc/{pid}/environ").read_text() for name, pid in children_of(process.pid).items()}
    finally:
        stop(project, process)
    assert [name for name, environ in environs.items() if "hidden-token" in environ] == ["worker"]
    assert [name for name, environ in environs.items() if "HAPPYFOX_API_KEY" in environ] == ["worker"]
    assert "HAPPYFOX_WEBHOOK_SECRETS" in environs["web"]
    assert "HAPPYFOX_" not in environs["store"]


@pytest.mark.parametrize("part", ["worker", *(pytest.param(part, marks=pytest.mark.e2e) for part in ("web", "store"))])
def test_a_killed_process_is_restarted(project: Project, up: "subprocess.Popen[bytes]", part: str) -> None:
    wait_until(lambda: children_of(up.pid).keys() == {"store", "web", "worker"}, "all parts run")
    assert project.deliver(3).status_code == 200
    before = children_of(up.pid)[part]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: children_of(up.pid).get(part) not in (None, before), f"{part} is there again")
    wait_until(lambda: Embedded(project.folder / ".foxhooks").answer() is not None, "the store answers")
    wait_until(project.ready, "a delivery can be stored again")
    assert project.status()["deliveries"]["accepted"]["count"] == 1


def test_a_new_supervisor_takes_over_after_one_was_killed_and_nothing_is_lost(
    project: Project, up: "subprocess.Popen[bytes]"
) -> None:
    wait_until(lambda: children_of(up.pid).keys() == {"store", "web", "worker"}, "all parts run")
    assert project.deliver(3).status_code == 200
    children = children_of(up.pid)
    up.kill()
    up.wait()
    wait_until(lambda: gone(children["web"]) and gone(children["worker"]), "web and worker notice and end")
    assert not gone(children["store"])
    second = project.up()
    try:
        wait_ready(project)
        assert "taken over" in project.printed()
        assert Embedded(project.folder / ".foxhooks").answer() == children["store"]
        assert project.status()["deliveries"]["accepted"]["count"] == 1
        assert end(second) == 0
        assert gone(children["store"])
    finally:
        stop(project, second)


@pytest.mark.e2e
def test_a_process_that_does_not_end_in_time_is_killed(project: Project, up: "subprocess.Popen[bytes]") -> None:
    wait_until(lambda: children_of(up.pid).keys() == {"store", "web", "worker"}, "all parts run")
    children = children_of(up.pid)
    os.kill(children["web"], signal.SIGSTOP)
    assert end(up) == 0
    assert "web did not end in time" in project.printed()
    assert all(gone(pid) for pid in children.values())


@pytest.mark.e2e
def test_a_second_one_in_the_same_folder_is_refused(project: Project, up: "subprocess.Popen[bytes]") -> None:
    refused = project.run("up")
    assert refused.returncode == 1
    assert f"(process {up.pid})" in refused.stderr
    assert "FOXHOOKS_DATA" in refused.stderr
    assert up.poll() is None


@pytest.mark.e2e
def test_a_plug_in_that_does_not_import_stops_the_worker_but_not_the_web_process(project: Project) -> None:
    (project.folder / "quiet.py").write_text("import nowhere_to_be_found\n")
    process = project.up()
    try:
        wait_until(lambda: "nowhere_to_be_found" in project.printed(), "the worker says which module is missing")
        wait_until(lambda: "restarting it" in project.printed(), "the worker refuses to start")
        line = next(line for line in project.printed().splitlines() if "restarting it" in line)
        assert json.loads(line)["level"] == "warning"
        wait_ready(project)
        assert project.deliver(3).status_code == 200
        assert project.status()["events"] == 1
    finally:
        stop(project, process)


@pytest.mark.e2e
def test_it_works_in_a_deep_folder_with_several_processes_of_each(tmp_path: Path) -> None:
    project = Project(tmp_path / ("a" * 60) / ("b" * 60))
    process = project.up(WEB_CONCURRENCY="2", FOXHOOKS_PROCESSES="2")
    try:
        wait_ready(project)
        wait_until(project.worker_alive, "the worker reaches the store")
        assert project.deliver(3).json()["status"] == "accepted"
        assert end(process) == 0
    finally:
        stop(project, process)


@pytest.mark.e2e
def test_it_uses_the_store_of_redis_url_and_starts_none(project: Project, valkey_url: str) -> None:
    process = project.up(REDIS_URL=valkey_url)
    try:
        wait_ready(project)
        wait_until(lambda: children_of(process.pid).keys() == {"web", "worker"}, "web and worker run")
        assert not (project.folder / ".foxhooks" / "store.sock").exists()
        assert end(process) == 0
    finally:
        if process.poll() is None:
            end(process)


def test_a_dyno_without_a_store_is_refused_because_its_disk_is_wiped(project: Project) -> None:
    done = project.invoke("up", DYNO="web.1")
    assert done.returncode == 1
    assert "embedded store would lose what was accepted" in done.stderr
    assert not (project.folder / ".foxhooks").exists()


@pytest.mark.e2e
def test_on_a_dyno_the_router_of_heroku_can_connect(project: Project, valkey_url: str) -> None:
    process = project.up(REDIS_URL=valkey_url, DYNO="web.1")
    try:
        wait_ready(project)
        assert f"http://0.0.0.0:{project.port}/webhooks/acme/" in project.printed()
    finally:
        end(process)


@pytest.mark.e2e
def test_with_reload_the_worker_starts_again_when_a_plug_in_changes(project: Project) -> None:
    process = project.up("up", "--reload")
    try:
        wait_until(project.worker_alive, "the worker is alive")
        before = children_of(process.pid)
        (project.folder / "quiet.py").write_text('from workers import Router\nrouter = Router("calm")\n')
        wait_until(lambda: '"router": "calm"' in project.printed(), "the changed plug-in runs")
        after = children_of(process.pid)
        assert (after["web"], after["store"]) == (before["web"], before["store"])
        assert after["worker"] != before["worker"]
        assert "quiet.py has changed; restarting the worker" in project.printed()
        assert "worker ended" not in project.printed()
        (project.folder / "quiet.py").write_text("import nothing_of_that_name\n")
        wait_until(lambda: "nothing_of_that_name" in project.printed(), "the mistake is shown")
        (project.folder / "quiet.py").write_text('from workers import Router\nrouter = Router("silent")\n')
        wait_until(lambda: '"router": "silent"' in project.printed(), "the corrected plug-in runs")
    finally:
        stop(project, process)


def test_files_of_plug_ins_rules_and_settings_are_watched(tmp_path: Path) -> None:
    for name in (
        "vip.py",
        "lib/help.py",
        "rules.toml",
        "foxhooks.toml",
        ".venv/x.py",
        "env/pyvenv.cfg",
        "env/y.py",
        "z.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    watched = WatchedFiles([tmp_path / "rules.toml", tmp_path / "foxhooks.toml"], tmp_path)
    for name, seen in [
        ("vip.py", True),
        ("lib/help.py", True),
        ("rules.toml", True),
        ("foxhooks.toml", True),
        (".venv/x.py", False),
        ("env/y.py", False),
        ("z.txt", False),
        ("new.py", True),
    ]:
        path = tmp_path / name
        path.write_text("x = 1\n")
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))
        assert watched.changed() == (name if seen else "")
    (tmp_path / "vip.py").unlink()
    assert (watched.changed(), watched.changed()) == ("vip.py", "")


@pytest.mark.e2e
def test_the_gateway_runs_only_if_there_is_a_client(project: Project) -> None:
    port = free_port()
    settings = project.folder / "foxhooks.toml"
    settings.write_text(f"gateway_port = {port}\n{settings.read_text()}")
    process = project.up()
    try:
        wait_until(project.worker_alive, "the worker is alive")
        assert children_of(process.pid).keys() == {"store", "web", "worker"}
    finally:
        stop(project, process)
    settings.write_text(f'{settings.read_text()}[clients.reporting]\ntoken = "env:REPORTING_TOKEN"\nallow = ["*"]\n')
    process = project.up(REPORTING_TOKEN="hidden-token")
    try:
        wait_until(lambda: status_of(f"http://127.0.0.1:{port}/readyz") == 200, "the gateway is ready")
        children = children_of(process.pid)
        environs = {name: Path(f"/proc/{pid}/environ").read_text() for name, pid in children.items()}
        assert end(process) == 0
        assert all(gone(pid) for pid in children.values())
    finally:
        stop(project, process)
    assert children.keys() == {"store", "web", "worker", "gateway"}
    assert [name for name, environ in environs.items() if "hidden-token" in environ] == ["worker", "gateway"]
    assert "/gateway/ACCOUNT" in project.printed()
    assert "hidden-token" not in project.printed()
