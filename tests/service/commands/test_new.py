"""new: a plug-in and its test, the way from the tutorial to both, and a project."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import refused, run

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
HANDLER = (ROOT / "docs" / "tutorial.md").read_text().partition("## Write a handler\n")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"```sh\n(.*?)```", HANDLER, re.DOTALL)[0].splitlines()
PLUGIN, TEST = re.findall(r"```python\n(.*?)```", HANDLER, re.DOTALL)
TYPED = """
from dataclasses import dataclass
from datetime import date, datetime
from typing import assert_type

from workers import Actor, Contact, Context, Event, Named, Router, Staff, Status, Ticket, Update


@dataclass(frozen=True)
class Crm:
    token: str


router = Router("crm", settings=Crm)


@router.on("ticket-created")
def typed(ticket: Ticket, event: Event, ctx: Context[Crm]) -> None:
    assert_type(ctx.settings, Crm)
    assert_type(ctx.now, datetime)
    assert_type(ticket.status, Status)
    assert_type(ticket.assignee, Staff | None)
    assert_type(ticket.contact, Contact)
    assert_type(ticket.due_date, date | None)
    assert_type(ticket.history, tuple[Update, ...])
    assert_type(event.matched[0].actor, Actor)
    assert_type(event.matched[0].new, Named | None)
    assert_type(ctx.happyfox.ticket(3).tags, frozenset[str])
    assert_type(ctx.effect("x", lambda: 1, dry=0), int)
    ticket.add_tags(3)  # type: ignore[arg-type]
    ticket.set(statsu="New")  # type: ignore[call-arg]
    ticket.set(status=None)  # type: ignore[arg-type]
    ticket.reply("Hello", cc=["sam@example.com"])
    ctx.settings.tokn  # type: ignore[attr-defined]  # noqa: B018


@router.on("ticket-created", when=lambda ticket: ticket.sbject)  # type: ignore[call-overload, untyped-decorator]
def when(ticket: Ticket, event: Event) -> None: ...


@router.on("moved", when=lambda ticket, event: event.replay and ticket.status.closed)
def when_too(ticket: Ticket) -> None: ...


@router.on("ticket-created")
def untyped(ticket: Ticket, event: Event, ctx: Context) -> None:
    ctx.settings.anything()
"""
SETTINGS = {
    "HAPPYFOX_URL": "https://acme.happyfox.example",
    "HAPPYFOX_API_KEY": "test-key",
    "HAPPYFOX_AUTH_CODE": "test-code",
    "HAPPYFOX_STAFF_ID": "7",
    "HAPPYFOX_WEBHOOK_SECRETS": "test-secret",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(command: str, folder: Path) -> str:
    """Run a command as a person would type it in a shell with foxhooks in its path."""
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    environ = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), **SETTINGS}
    done = subprocess.run(command, shell=True, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def check_files(folder: Path) -> None:
    """Check the files of a folder as strictly as our own examples and tests."""
    settings = f"--config {ROOT / 'pyproject.toml'}"
    shell(f"{sys.executable} -m ruff check {settings} --config 'src = [\".\"]' --extend-ignore ARG,D,S .", folder)
    shell(f"{sys.executable} -m ruff format --check {settings} .", folder)


@pytest.mark.e2e
def test_the_types_of_a_plug_in_are_known(tmp_path: Path) -> None:
    shell("foxhooks new after-hours", tmp_path)
    (tmp_path / "vip.py").write_text(PLUGIN)
    (tmp_path / "test_vip.py").write_text(TEST)
    (tmp_path / "typed.py").write_text(TYPED.lstrip())
    shell(f"{sys.executable} -m mypy --strict .", tmp_path)


@pytest.mark.e2e
def test_a_plug_in_and_its_test_follow_from_the_tutorial_in_three_commands(tmp_path: Path) -> None:
    assert len(COMMANDS) == 3
    for command in COMMANDS:
        shell(command, tmp_path)
    shell("foxhooks new after-hours", tmp_path)
    (tmp_path / "vip.py").write_text(PLUGIN)
    (tmp_path / "test_vip.py").write_text(TEST)
    (tmp_path / "typed.py").write_text(TYPED.lstrip())
    assert "2 passed" in shell(COMMANDS[1], tmp_path)
    check_files(tmp_path)


def test_the_next_two_commands_are_shown(folder: Path) -> None:
    lines = run("new", "after-hours").stdout.splitlines()
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "after_hours.py", "test_after_hours.py"]
    assert lines[1:] == [
        "  pytest test_after_hours.py",
        "  FOXHOOKS_HANDLERS=after_hours:router foxhooks doctor --offline",
    ]


@pytest.mark.parametrize("there", ["after_hours.py", "test_after_hours.py"])
def test_nothing_is_overwritten(folder: Path, there: str) -> None:
    (folder / there).write_text("mine")
    assert f"not overwritten: {there};" in refused("new", "after-hours")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {there: "mine"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("VIP", "use lower-case letters"),
        ("a/b", "use lower-case letters"),
        ("my_handlers", "use lower-case letters"),
        ("9to5", "use lower-case letters"),
        ("x" * 31, "at most 30"),
        ("rules", "is reserved: choose another, such as my-rules"),
        ("import", "is reserved"),
        ("conftest", "is reserved"),
        ("json", "is used by .*json.*: choose another, such as my-json"),
        ("workers", "is used by"),
    ],
)
def test_an_unusable_name_is_refused_with_a_fix(folder: Path, name: str, problem: str) -> None:
    assert re.search(problem, refused("new", name))
    assert list(folder.iterdir()) == []


def test_git_ignores_secrets_and_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("new", "greetings")
    assert {".env", ".foxhooks/"} <= set(Path(".gitignore").read_text().split())
    starter = (ROOT / "examples" / "starter" / ".gitignore").read_text().split("\n")
    assert {".env", ".foxhooks/"} <= set(starter)


def test_an_existing_gitignore_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".gitignore").write_text(".env\n")
    assert "Add .foxhooks/ to .gitignore" in run("new", "greetings").stdout
    assert Path(".gitignore").read_text() == ".env\n"


def test_a_project_has_everything_locked_and_its_own_copy_of_foxhooks(folder: Path) -> None:
    run("new", "project", "desk")
    written = {path.relative_to("desk").as_posix() for path in Path("desk").rglob("*") if path.is_file()}
    assert {"handlers.py", "rules.toml", "Procfile", "app.json", ".profile", ".gitignore"} <= written
    requirements = Path("desk/requirements.txt").read_text()
    [(wheel, digest)] = re.findall(r"(?m)^\./(wheels/foxhooks-\S+\.whl) --hash=sha256:(\w{64})$", requirements)
    assert hashlib.sha256((Path("desk") / wheel).read_bytes()).hexdigest() == digest
    locked = re.findall(r"(?m)^[a-z][\w.-]*==", requirements)
    assert locked == re.findall(r"(?m)^[a-z][\w.-]*==", (ROOT / "requirements.txt").read_text())


def test_a_project_overwrites_nothing(folder: Path) -> None:
    Path("app.json").write_text("mine")
    assert "not overwritten: app.json" in refused("new", "project")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"app.json": "mine"}


def test_a_plug_in_takes_no_folder(folder: Path) -> None:
    assert "leave out 'elsewhere'" in refused("new", "after-hours", "elsewhere")
    assert list(folder.iterdir()) == []
