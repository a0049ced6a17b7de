"""Names: which of those that rules use an account does not know; it would fail the rule, or never hold."""

from collections.abc import Iterable, Iterator

from workers.errors import GiveUp
from workers.happyfox.directory import Directory
from workers.rules.faults import Fault
from workers.rules.file import Used
from workers.rules.values import Name


def unknown(used: Iterable[Used], directory: Directory, account: str) -> Iterator[Fault]:
    """Yields a fault for each name that the account does not have, with the nearest and those there are."""
    for each in used:
        for error in _errors(each.name, directory):
            problem, _, hint = str(error).partition("; ")
            if not hint:
                problem, _, known = problem.partition(" (there are: ")
                hint = f"there are: {known.rstrip(')')}" if known else "correct it"
            problem = problem.replace("in HappyFox", f"in {account}")
            yield Fault(each.line, each.rule, f"{'.'.join(each.name.path)}: {problem}", hint)


def _errors(name: Name, directory: Directory) -> Iterator[GiveUp]:
    try:
        if name.what == "status":
            directory.status(name.name)
        elif name.what == "priority":
            directory.priority(name.name)
        elif name.what == "category":
            directory.category(name.name)
        elif name.what == "staff member":
            directory.staff_member(name.name)
        else:
            directory.field(name.name)
    except GiveUp as error:
        yield error
        return
    for value in name.values:
        try:
            if value != "":
                directory.field_value(name.name, value)
        except GiveUp as error:
            yield error
