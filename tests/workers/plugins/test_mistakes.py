"""Type checkers find at least 14 of 16 mistakes that authors of plug-ins make."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.e2e

PYRIGHT = "1.1.414"

#: The first part of the file has no mistake.
HEAD = """
from dataclasses import dataclass

from workers import Context, Event, Router, Ticket
from workers.testing import Desk, run, ticket


@dataclass(frozen=True)
class Team:
    name: str


router = Router("team", settings=Team)


def key() -> str:
    return "7"


@router.on("later", "hook", name="remind")
def remind(ticket: Ticket, event: Event, ctx: Context[Team]) -> None:
    ctx.later("2h", "remind", unless=["staff-replied"], hours="Mon-Fri 09:00-17:00 Europe/Berlin")
    found = ctx.effect("key", key, dry="")
    ctx.log.info("found", key=found, length=len(found))
    ticket.note(ctx.settings.name, alert="c")
    ticket.reply("Hello", status="Closed", assignee=None, fields={"Key": found})
    for change in event.matched:
        if change.actor.kind == "contact" and change.survey:
            ticket.add_tags(change.survey.rating, *change.data)
    other = ctx.happyfox.ticket(7)
    ctx.create_ticket(client=other.contact.id, subject="Hello", text="Hello", category="Billing")


def test_it(desk: Desk) -> None:
    desk.use(router, settings={"team": {"name": "Night"}}, allow=["team:reply"])
    assert run(router, ticket(), "hook", name="remind", data={"a": 1}).failed == {}
"""

#: Each is a handler of its own; the line with the mistake ends with a comment.
MISTAKES = {
    "a misspelled kind": """
        @router.on("ticket-creatd")  # mistake
        def act(ticket: Ticket, event: Event) -> None: ...
    """,
    "a kind of another product": """
        @router.on("ticket-created", "customer-replied")  # mistake
        def act(ticket: Ticket, event: Event) -> None: ...
    """,
    "a misspelled kind that ends a timer": """
        def act(ctx: Context[Team]) -> None:
            ctx.later("2h", "remind", unless=["staff-replyed"])  # mistake
    """,
    "a misspelled kind in a test": """
        def test_act() -> None:
            run(router, ticket(), "ticket-create")  # mistake
    """,
    "a write past the plan": """
        def act(ticket: Ticket, ctx: Context[Team]) -> None:
            ctx.happyfox.private_note(ticket.id, text="Hello")  # mistake
    """,
    "a misspelled member": """
        def act(ticket: Ticket) -> None:
            ticket.note(ticket.contact.emial)  # mistake
    """,
    "a misspelled action": """
        def act(ticket: Ticket) -> None:
            ticket.add_tag("vip")  # mistake
    """,
    "a misspelled argument": """
        def act(ticket: Ticket) -> None:
            ticket.set(state="Closed")  # mistake
    """,
    "an assignment instead of an action": """
        def act(ticket: Ticket) -> None:
            ticket.priority = "High"  # mistake
    """,
    "what may be missing": """
        def act(ticket: Ticket) -> None:
            ticket.note(ticket.assignee.name)  # mistake
    """,
    "a status that cannot be cleared": """
        def act(ticket: Ticket) -> None:
            ticket.set(status=None)  # mistake
    """,
    "a misspelled setting": """
        def act(ticket: Ticket, ctx: Context[Team]) -> None:
            ticket.note(ctx.settings.nmae)  # mistake
    """,
    "an actor of another product": """
        def act(event: Event) -> bool:
            return event.matched[0].actor.kind == "customer"  # mistake
    """,
    "a kind that no event has": """
        def act(event: Event) -> bool:
            return event.kind == "ticket-closed"  # mistake
    """,
    "a handler that returns something": """
        @router.on("moved")  # mistake
        def act(ticket: Ticket) -> str:
            return "done"
    """,
    "a handler that is async": """
        @router.on("moved")  # mistake
        async def act(ticket: Ticket) -> None: ...
    """,
}


def planted(folder: Path) -> dict[int, str]:
    """Write the file with the mistakes; return their lines."""
    text, lines = HEAD, {}
    for number, (name, source) in enumerate(MISTAKES.items()):
        text += "\n\n" + dedent(source).strip().replace("def act", f"def act_{number}") + "\n"
        place = max(n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# mistake"))
        lines[place] = name
    (folder / "planted.py").write_text(text.replace("  # mistake", ""))
    return lines


def check(found: set[int], mistakes: dict[int, str]) -> None:
    first = min(mistakes)
    assert not [line for line in found if line < first - 2], "there is no mistake in the first part"
    # A checker may report a decorated function at its own line.
    missed = [name for line, name in mistakes.items() if not {line, line + 1} & found]
    assert len(mistakes) == 16
    assert len(missed) <= 2, missed


def test_mypy_finds_the_mistakes(tmp_path: Path) -> None:
    mistakes = planted(tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--output", "json", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, "planted.py"], cwd=tmp_path, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    check({report["line"] for report in reports if report["file"] == "planted.py"}, mistakes)


def test_pyright_finds_the_mistakes(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm, "install npm: apt-get install npm"
    install = [npm, "install", "--no-package-lock", "--no-save", "--no-audit", "--no-fund", f"pyright@{PYRIGHT}"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True)
    mistakes = planted(tmp_path)
    settings = {"include": ["planted.py"], "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    pyright = tmp_path / "node_modules" / ".bin" / "pyright"
    command = [str(pyright), "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    reports = json.loads(done.stdout)["generalDiagnostics"]
    # pyright counts lines from 0.
    check({report["range"]["start"]["line"] + 1 for report in reports if report["severity"] == "error"}, mistakes)
