"""`foxhooks new`: a plug-in with its test, which passes as it is, to begin with."""

import keyword
from importlib.util import find_spec
from pathlib import Path

from service.failures import CommandError
from workers.turns.plugin.loading import RULES
from workers.turns.plugin.router import NAME

#: A longer name would not fit on the lines of the two files.
LONGEST = 30

PLUGIN = '''\
"""The router {name}: what its handlers do with tickets."""

from workers import Event, Router, Ticket

router = Router("{name}")


@router.on("ticket-created", when=lambda ticket: "urgent" in ticket.subject.lower())
def mark(ticket: Ticket, event: Event) -> None:
    """Marks a new ticket that calls itself urgent, and tells the staff."""
    ticket.add_tags("urgent")
    ticket.note("It calls itself urgent: please look at it first.")
'''

TEST = '''\
"""What the handlers of {module}.py want, and that it happens once."""

from workers.testing import Desk, run, ticket

from {module} import router


def test_an_urgent_ticket_is_marked() -> None:
    result = run(router, ticket(subject="Urgent: no light"), "ticket-created")
    assert result.tags_added == {{"urgent"}}
    assert "look at it first" in result.notes[0]


def test_another_ticket_is_left_alone() -> None:
    result = run(router, ticket(subject="A question"), "ticket-created")
    assert result.intents == ()
    assert result.skipped == {{"{name}.mark": "its `when` does not hold"}}


def test_a_worker_that_dies_does_nothing_twice(desk: Desk) -> None:
    desk.use(router)
    desk.crash = True
    number = desk.simulator.create_ticket(subject="Urgent: no light").id
    desk.advance("5m")
    assert desk.ticket(number).tags == {{"urgent"}}
    assert len(desk.notes(number)) == 1
'''


def run(name: str) -> int:
    """Writes the two files and says what to do next; what is there already is left alone."""
    module = _module(name)
    files = {Path(f"{module}.py"): PLUGIN, Path(f"test_{module}.py"): TEST}
    if there := [path.name for path in files if path.exists()]:
        raise CommandError(f"not overwritten: {' and '.join(there)}; choose another name, or move what is there")
    for path, text in files.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text.format(name=name, module=module))
    print(f"Wrote {' and '.join(path.name for path in files)}. The next two commands:")
    print(f"  pytest test_{module}.py")
    print(f"  FOXHOOKS_HANDLERS={module}:router foxhooks doctor --offline")
    if find_spec("pytest") is None:
        print("(pytest is not installed here: `pip install pytest` does it.)")
    return 0


def _module(name: str) -> str:
    """Gives the module of a router's name. Raises CommandError for one that cannot be used."""
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise CommandError(
            f"a router cannot be named {name!r}: use lower-case letters, digits and dashes, a letter first, "
            f"at most {LONGEST} of them, as vip or after-hours"
        )
    module = name.replace("-", "_")
    if name in (RULES, "conftest") or keyword.iskeyword(module):
        raise CommandError(f"the name {name!r} has a meaning of its own: choose another, as my-{name}")
    found = None if Path(f"{module}.py").exists() else find_spec(module)
    if found is not None:
        raise CommandError(f"the name {module!r} is taken by {found.origin or 'Python'}: choose another, as my-{name}")
    return module
