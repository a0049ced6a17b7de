"""`foxhooks new`: write a plug-in and its test, which passes as it is."""

import keyword
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from service.errors import CommandError
from workers.plugins.loading import RULES
from workers.plugins.router import NAME

#: A longer name would not fit on the lines of the two files.
LONGEST = 30

PLUGIN = '''\
"""The router {name}: what its handlers do with tickets."""

from workers import Event, Router, Ticket

router = Router("{name}")


@router.on("ticket-created", when=lambda ticket: "urgent" in ticket.subject.lower())
def mark(ticket: Ticket, event: Event) -> None:
    """Tag a new ticket with "urgent" in its subject, and leave a note for the staff."""
    ticket.add_tags("urgent")
    ticket.note("The subject says urgent: please look at this ticket first.")
'''

#: What must never be committed: secrets, and the embedded store with what customers wrote.
IGNORED = (".env", ".foxhooks/")

TEST = '''\
"""What the handlers of {module}.py do, and that they do it once."""

from workers.testing import Desk, run, ticket

from {module} import router


def test_an_urgent_ticket_is_marked() -> None:
    result = run(router, ticket(subject="Urgent: no light"), "ticket-created")
    assert result.tags_added == {{"urgent"}}
    assert "please look at this ticket first" in result.notes[0]


def test_another_ticket_is_left_alone() -> None:
    result = run(router, ticket(subject="A question"), "ticket-created")
    assert result.actions == ()
    assert result.skipped == {{"{name}.mark": "its `when` does not hold"}}


def test_a_crash_of_the_worker_repeats_nothing(desk: Desk) -> None:
    desk.use(router)
    desk.crash = True
    number = desk.simulator.create_ticket(subject="Urgent: no light").id
    desk.advance("5m")
    assert desk.ticket(number).tags == {{"urgent"}}
    assert len(desk.notes(number)) == 1
'''


def new(
    name: Annotated[str, typer.Argument(help="The router's name, such as vip or after-hours, or the word project.")],
    folder: Annotated[
        Path | None, typer.Argument(help="Only for a project: its folder; by default the current one.")
    ] = None,
) -> None:
    """Write a plug-in and its test into the current folder, or a whole project to deploy (`new project FOLDER`).

    Existing files are never overwritten.
    """
    if name == "project":
        from service.commands.new_project import new_project

        new_project(folder or Path())
        return
    if folder is not None:
        raise CommandError(f"a plug-in is written into the current folder: leave out {str(folder)!a}")
    module = _module(name)
    files = {Path(f"{module}.py"): PLUGIN, Path(f"test_{module}.py"): TEST}
    if existing := [path.name for path in files if path.exists()]:
        raise CommandError(f"not overwritten: {' and '.join(existing)}; choose another name, or move the file")
    for path, text in files.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text.format(name=name, module=module))
    names = [path.name for path in files] + [".gitignore"] * _ignore(Path(".gitignore"))
    print(f"Wrote {' and '.join(names)}. Next:")
    print(f"  pytest test_{module}.py")
    print(f"  FOXHOOKS_HANDLERS={module}:router foxhooks doctor --offline")
    if find_spec("pytest") is None:
        print("(pytest is not installed; run `pip install pytest`.)")


def _ignore(path: Path) -> bool:
    """Let Git ignore secrets and customers' data; an existing file is not changed. Return whether it was written."""
    if not path.exists():
        path.write_text("".join(f"{each}\n" for each in (*IGNORED, ".venv/", "__pycache__/")), encoding="utf-8")
        return True
    if missing := [each for each in IGNORED if each.strip("/") not in path.read_text(encoding="utf-8")]:
        print(f"Add {' and '.join(missing)} to .gitignore, so that secrets and customers' data are not committed.")
    return False


def _module(name: str) -> str:
    """Return the module name for a router; raise CommandError if the name cannot be used."""
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise CommandError(
            f"a router cannot be named {name!r}: use lower-case letters, digits and dashes, starting with a letter, "
            f"at most {LONGEST} characters, such as vip or after-hours"
        )
    module = name.replace("-", "_")
    if name in (RULES, "conftest") or keyword.iskeyword(module):
        raise CommandError(f"the name {name!r} is reserved: choose another, such as my-{name}")
    found = None if Path(f"{module}.py").exists() else find_spec(module)
    if found is not None:
        origin = found.origin or "Python"
        raise CommandError(f"the name {module!r} is used by {origin}: choose another, such as my-{name}")
    return module
