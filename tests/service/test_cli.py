"""The command line: its help, what it refuses, and with which exit code."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service import cli
from tests.support.commands import refused, run, wrong
from tests.support.processes import ROOT, Project, clean, end, wait_ready, wait_until

COMMANDS = (
    *("gateway", "mcp", "up", "web", "worker", "demo", "simulator", "doctor", "send", "status", "webhooks", "dead"),
    "new",
    *("events", "explain", "pause", "resume", "rules", "backtest", "api", "store", "forget", "dashboard"),
    *("audit", "alerts", "sweep", "record"),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_help_names_every_command_and_what_to_do_first() -> None:
    text = run("--help").stdout
    assert all(f" {command} " in text for command in COMMANDS)
    assert "foxhooks demo" in text
    assert "foxhooks doctor" in text
    assert set(cli.COMMANDS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_is_the_first_line_of_its_help(name: str) -> None:
    first = cli.load(name).help.strip().splitlines()[0]
    assert first == cli.COMMANDS[name].summary
    assert f"Usage: foxhooks {name} [OPTIONS]" in run(name, "--help").stdout


@pytest.mark.parametrize("path", ["dead list", "dead show", "dead replay", "dead discard", "rules check"])
def test_help_of_a_command_in_a_group_shows_its_usage(path: str) -> None:
    assert f"Usage: foxhooks {path} [OPTIONS]" in run(*path.split(), "--help").stdout


def test_a_rules_file_is_checked(project: Project) -> None:
    (project.folder / "rules.toml").write_text('[[rule]]\nname = "wrong"\non = "ticket-creatd"\nadd_tags = ["x"]\n')
    assert "did you mean 'ticket-created'?" in run("rules", "check", "rules.toml", code=1).stdout


def test_a_misspelled_command_names_the_nearest() -> None:
    assert "Did you mean 'status'?" in wrong("statsu")


def test_python_m_service_is_the_command(project: Project) -> None:
    refused = project.run("explain", "9")
    assert (refused.returncode, refused.stderr.startswith("foxhooks: no store answers in")) == (1, True)


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


#: What runs handlers, serves pages or calls HappyFox; commands that read or pause need none of it.
HEAVY = ("dramatiq", "httpx", "jinja2", "sentry_sdk", "starlette", "uvicorn", "workers.happyfox.http", "workers.rules")
READING = ("status", "events", "explain", "audit", "alerts", "dead", "webhooks", "sweep", "record", "pause", "resume")
LOAD = """
import sys
from service import cli
cli.load("status")
print(*sorted({"workers.engine", "workers.plugins"} & {*sys.modules}))
for name in sys.argv[1].split(","):
    cli.load(name)
print(*sorted({*sys.argv[2].split(",")} & {*sys.modules}))
"""


def test_commands_that_read_load_nothing_heavy() -> None:
    command = [sys.executable, "-c", LOAD, ",".join(READING), ",".join(HEAVY)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "\n\n"


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
def test_wrong_usage_is_exit_code_2(line: str) -> None:
    run(*line.split(), code=2)


@pytest.mark.parametrize("command", ["up", "web", "worker"])
def test_every_wrong_setting_is_listed_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAPPYFOX_URL", "nonsense")
    monkeypatch.setenv("PORT", "many")
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "hidden-secret")
    text = run(command, code=1).stderr
    assert "hidden-secret" not in text
    assert text.count("  - ") >= 2 or command == "worker"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("line", ["web", "worker", "status", "status --worker", "dead list"])
def test_commands_without_a_store_say_how_to_start_one(line: str) -> None:
    assert "start `foxhooks up`, or set REDIS_URL" in refused(*line.split())


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


def test_web_imports_no_handler_and_exits_with_0_on_a_signal(
    project: Project, running: "subprocess.Popen[bytes]"
) -> None:
    assert project.deliver(3).status_code == 200
    assert not (project.folder / "imported").exists()
    assert end(running) == 0


def test_a_simulator_answers_and_exits_with_0_on_a_signal(tmp_path: Path) -> None:
    project = Project(tmp_path)
    process = project.up("simulator", "--list-updates", "never", "--no-strict", PORT=str(project.happyfox))
    try:
        where = f"http://127.0.0.1:{project.happyfox}"
        wait_until(lambda: f"curl {where}" in project.printed(), "the simulator says where it is")
        settings = dict(word.split("=") for word in project.printed().split() if word.startswith("HAPPYFOX_"))
        assert (settings["HAPPYFOX_URL"], settings["HAPPYFOX_WEBHOOK_SECRETS"]) == (where, "demo-secret")
        key = (settings["HAPPYFOX_API_KEY"], settings["HAPPYFOX_AUTH_CODE"])
        assert httpx.get(f"{where}/api/1.1/json/ticket/1/", auth=key, trust_env=False).json()["id"] == 1
        listed = httpx.get(f"{where}/api/1.1/json/tickets/?colour=red", auth=key, trust_env=False).json()["data"]
        assert [("updates" in each, each["id"]) for each in listed] == [(False, 1)]
        [curl] = [line for line in project.printed().splitlines() if "curl" in line]
        _, url, _, body = shlex.split(curl)
        assert httpx.post(url, content=body, trust_env=False).json()["id"] == 2
        assert end(process) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
