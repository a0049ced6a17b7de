"""The command line: what help tells, what is refused, and with which exit code."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.processes import Project, clean, end, wait_ready, wait_until

COMMANDS = (
    *("up", "web", "worker", "demo", "simulator", "doctor", "send", "status", "dead", "new"),
    *("events", "explain", "pause", "resume", "rules", "backtest", "api"),
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_help_names_every_command_and_what_to_do_first(project: Project) -> None:
    shown = project.invoke("--help")
    assert shown.returncode == 0
    assert all(f" {command} " in shown.stdout for command in COMMANDS)
    assert "foxhooks demo" in shown.stdout
    assert "foxhooks doctor" in shown.stdout


@pytest.mark.parametrize("path", ["dead list", "dead show", "dead replay", "dead discard", "rules check"])
def test_help_of_a_command_in_a_group_tells_its_usage(project: Project, path: str) -> None:
    shown = project.invoke(*path.split(), "--help")
    assert shown.returncode == 0
    assert f" {path} [OPTIONS]" in shown.stdout


def test_a_rules_file_is_checked(project: Project) -> None:
    (project.folder / "rules.toml").write_text('[[rule]]\nname = "wrong"\non = "ticket-creatd"\nadd_tags = ["x"]\n')
    refused = project.invoke("rules", "check", "rules.toml")
    assert refused.returncode == 1
    assert "did you mean 'ticket-created'?" in refused.stdout


def test_help_loads_neither_store_nor_web_nor_engine(project: Project) -> None:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "service", "--help"],
        cwd=project.folder,
        env=clean(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in shown.stderr.splitlines()}
    assert not loaded & {"redis", "httpx", "starlette", "uvicorn", "dramatiq", "msgspec", "workers"}


@pytest.mark.parametrize(
    "line",
    [
        *("nothing", "up --nothing", "send", "send --sample nothing", "send f --sample reply"),
        *("send f --ticket 9", "send f --shape rest"),
        *("simulator --window 0", "simulator --window -1", "simulator --latency -1", "simulator --lockout nan"),
        *("simulator --lockout inf", "simulator --account Acme!", "simulator --hook nonsense"),
        "simulator --hook http://127.0.0.1:99999/",
    ],
)
def test_wrong_usage_is_exit_code_2(project: Project, line: str) -> None:
    assert project.invoke(*line.split()).returncode == 2


@pytest.mark.parametrize("command", ["up", "web", "worker"])
def test_every_wrong_setting_is_listed_without_a_traceback(tmp_path: Path, command: str) -> None:
    project = Project(tmp_path)
    (project.folder / "foxhooks.toml").unlink()
    refused = project.invoke(command, HAPPYFOX_URL="nonsense", PORT="many", HAPPYFOX_WEBHOOK_SECRETS="hidden-secret")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "hidden-secret" not in refused.stderr
    assert refused.stderr.count("  - ") >= 2 or command == "worker"


@pytest.mark.parametrize("line", ["web", "worker", "status", "status --worker", "dead list"])
def test_without_a_store_they_say_how_to_get_one(project: Project, line: str) -> None:
    refused = project.invoke(*line.split())
    assert refused.returncode == 1
    assert "start `foxhooks up`, or set REDIS_URL" in refused.stderr


@pytest.fixture
def running(project: Project, valkey_url: str) -> Iterator["subprocess.Popen[bytes]"]:
    (project.folder / "quiet.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    process = project.up("web", REDIS_URL=valkey_url, HOST="127.0.0.1")
    try:
        wait_ready(project)
        yield process
    finally:
        if process.poll() is None:
            end(process)


def test_web_imports_no_handler_and_ends_well_when_asked(project: Project, running: "subprocess.Popen[bytes]") -> None:
    assert project.deliver(3).status_code == 200
    assert not (project.folder / "imported").exists()
    assert end(running) == 0


def test_a_simulator_answers_and_ends_well_when_asked(tmp_path: Path) -> None:
    project = Project(tmp_path)
    process = project.up("simulator", PORT=str(project.happyfox))
    try:
        where = f"http://127.0.0.1:{project.happyfox}"
        wait_until(lambda: f"curl {where}" in project.printed(), "the simulator says where it is")
        told = dict(word.split("=") for word in project.printed().split() if word.startswith("HAPPYFOX_"))
        assert (told["HAPPYFOX_URL"], told["HAPPYFOX_WEBHOOK_SECRETS"]) == (where, "demo-secret")
        key = (told["HAPPYFOX_API_KEY"], told["HAPPYFOX_AUTH_CODE"])
        assert httpx.get(f"{where}/api/1.1/json/ticket/1/", auth=key, trust_env=False).json()["id"] == 1
        [curl] = [line for line in project.printed().splitlines() if "curl" in line]
        _, url, _, body = shlex.split(curl)
        assert httpx.post(url, content=body, trust_env=False).json()["id"] == 2
        assert end(process) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
