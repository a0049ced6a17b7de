"""Names: which of those that rules and settings use an account does not know; it would fail them, or never hold."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass

from workers.errors import GiveUp
from workers.happyfox.directory import Directory
from workers.rules import file as rules
from workers.rules.faults import Fault
from workers.rules.file import Used
from workers.rules.matches import Matches
from workers.rules.uses import Name
from workers.settings import Account
from workers.settings import SettingProblem as Complaint
from workers.turns.plugin.loading import Loaded, LoadError


def unknown(used: Iterable[Used], directory: Directory, account: str) -> Iterator[Fault]:
    """Yields a fault for each name in a rules file that the account does not have, with the nearest that it has."""
    for each in used:
        for problem, cure in _problems(each.name, directory, account):
            yield Fault(each.line, each.rule, problem, cure)


def unknown_here(account: Account, loaded: Iterable[Loaded], directory: Directory) -> Iterator[Complaint]:
    """Yields a complaint for each name the account does not have, in its rules file and its routers' settings.

    A rules file that cannot be read is not looked at.
    """
    if account.rules:
        try:
            used = rules.read(rules.content(account.rules), rules.granted(account.allow)).names
        except LoadError:
            used = ()
        for fault in unknown(used, directory, account.name):
            yield fault.complaint(account.rules.name)
    for each in loaded:
        for where, name in _used_by(each):
            for problem, cure in _problems(name, directory, account.name):
                yield Complaint(where, problem, cure)


def uses_names(account: Account, loaded: Iterable[Loaded]) -> bool:
    """Tells whether there are any names to look for."""
    return bool(account.rules) or any(True for each in loaded for _ in _used_by(each))


def _used_by(loaded: Loaded) -> Iterator[tuple[str, Name]]:
    """Gives the names in a router's settings, each with its entry, counted from 1."""
    for member in fields(loaded.settings) if is_dataclass(loaded.settings) else ():
        value = getattr(loaded.settings, member.name)
        if isinstance(value, Matches):
            for number, match in enumerate(value.matches, 1):
                for name in match.names:
                    yield f"router.{loaded.router.name}, {member.name} {number}", name


def _problems(name: Name, directory: Directory, account: str) -> Iterator[tuple[str, str]]:
    for error in _errors(name, directory):
        problem, _, hint = str(error).partition("; ")
        if not hint:
            problem, _, known = problem.partition(" (there are: ")
            hint = f"there are: {known.rstrip(')')}" if known else "correct it"
        problem = problem.replace("in HappyFox", f"in {account}")
        yield f"{'.'.join(name.path)}: {problem}", hint


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
