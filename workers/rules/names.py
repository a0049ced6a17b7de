"""Find names and ids in rules and settings that an account does not know: such a rule fails or never runs."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date
from functools import partial

from workers.errors import AmbiguousField, GiveUp, UnknownName
from workers.happyfox.directory import Directory
from workers.happyfox.reference import FieldRead
from workers.plugins.loading import Loaded, LoadError
from workers.rules import file as rules
from workers.rules.conditions import NameUse
from workers.rules.file import LocatedName
from workers.rules.matches import Matches
from workers.rules.rule import RuleProblem
from workers.rules.searches import SEARCHED
from workers.settings import Account, SettingProblem
from workers.tickets.model import day


def unknown(used: Iterable[LocatedName], directory: Directory, account: str) -> Iterator[RuleProblem]:
    """Yield a problem for each name in a rules file that the account does not know, with the nearest name."""
    for each in used:
        for problem, fix in _problems(each.name, directory, account):
            yield RuleProblem(each.line, each.rule, problem, fix)


def unknown_here(account: Account, loaded: Iterable[Loaded], directory: Directory) -> Iterator[SettingProblem]:
    """Yield such problems for the account's rules file, if it can be read, and the settings of its routers."""
    for wrong in unknown(_used_in_rules(account), directory, account.name):
        yield wrong.in_file(account.rules.name if account.rules else "")
    for each in loaded:
        for where, name in _used_by(each):
            for problem, fix in _problems(name, directory, account.name):
                yield SettingProblem(where, problem, fix)


def unknown_staff(account: Account, directory: Directory) -> Iterator[SettingProblem]:
    """Yield a problem if the staff member that foxhooks writes as does not exist or is not active."""
    try:
        directory.staff_member(account.staff_id)
    except UnknownName:
        problem = f"no active staff member has the id {account.staff_id}, so HappyFox refuses every write"
        fix = "run `foxhooks doctor`, which lists the ids"
        yield SettingProblem(account.where("HAPPYFOX_STAFF_ID"), problem, fix)


def needed_lists(account: Account, loaded: Iterable[Loaded]) -> tuple[str, ...]:
    """Return the lists in which the names of the rules and settings are; none if there are no names."""
    names = [each.name for each in _used_in_rules(account)]
    names += [name for each in loaded for _, name in _used_by(each)]
    return lists_of(names) if names or account.rules else ()


def lists_of(names: Iterable[NameUse]) -> tuple[str, ...]:
    """Return the lists of a directory in which these names are."""
    lists = (*Directory.LISTS,)
    kinds = {each.what for each in names}
    if kinds & {"contact field", SEARCHED}:
        lists += (*Directory.CONTACT_FIELDS,)
    return (*lists, *Directory.CONTACT_GROUPS) if "contact group" in kinds else lists


def _used_in_rules(account: Account) -> tuple[LocatedName, ...]:
    """Return the names in the account's rules file; none if it cannot be read."""
    try:
        return rules.read(rules.content(account.rules), account.grants).names if account.rules else ()
    except LoadError:
        return ()


def _used_by(loaded: Loaded) -> Iterator[tuple[str, NameUse]]:
    """Yield the names in a router's settings, each with its entry, counted from 1."""
    for member in fields(loaded.settings) if is_dataclass(loaded.settings) else ():
        value = getattr(loaded.settings, member.name)
        if isinstance(value, Matches):
            for number, match in enumerate(value.matches, 1):
                for name in match.names:
                    yield f"router.{loaded.router.name}, {member.name} {number}", name


def _problems(name: NameUse, directory: Directory, account: str) -> Iterator[tuple[str, str]]:
    """Look up a name and its values; yield problems with their fixes."""
    of_contact = name.what in ("contact field", "contact group")
    if of_contact and not (directory.has_contact_fields if "field" in name.what else directory.has_contact_groups):
        return
    where = ".".join(name.path)
    field, problems = _look_up(partial(_finders(directory)[name.what], name.name), account, where)
    yield from problems
    if not isinstance(field, FieldRead):
        return
    field_value = directory.contact_field_value if of_contact else directory.field_value
    for value in name.values:
        if value != "" and (wrong := _wrong_type(field, value)):
            yield f"{where}: {wrong[0]}", wrong[1]
        elif value != "":
            yield from _look_up(partial(field_value, name.name, value), account, where)[1]


def _finders(directory: Directory) -> dict[str, Callable[[str | int], object]]:
    """Return how to look up each thing that has names."""
    return {
        "status": directory.status,
        "priority": directory.priority,
        "category": directory.category,
        "staff member": directory.staff_member,
        "field": directory.field,
        "contact field": directory.contact_field,
        "contact group": directory.contact_group,
        SEARCHED: partial(_searched, directory),
    }


def _searched(directory: Directory, name: str | int) -> object:
    """Look up a field of a search, which may be one of the ticket or of its contact."""
    try:
        return directory.contact_field(name).id
    except GiveUp:
        return None if isinstance(name, str) and _ambiguous(directory, name) else directory.field(name).id


def _ambiguous(directory: Directory, name: str) -> bool:
    """Return whether several fields have this name, all of which a search looks at."""
    try:
        directory.field(name)
    except AmbiguousField:
        return True
    except GiveUp:
        pass
    return False


def _look_up(call: Callable[[], object], account: str, where: str) -> tuple[object, list[tuple[str, str]]]:
    """Return what a lookup finds, and its problem, if any, with its fix."""
    try:
        return call(), []
    except GiveUp as error:
        problem, _, fix = str(error).replace("in HappyFox", f"in {account}").partition("; ")
    if not fix:
        problem, _, known = problem.partition(" (there are: ")
        fix = f"there are: {known.rstrip(')')}" if known else "correct it"
    return None, [(f"{where}: {problem}", fix)]


def _wrong_type(field: FieldRead, value: object) -> tuple[str, str] | None:
    """Return what is wrong with a value that a field of this type never has."""
    if field.kind == "date" and not isinstance(value, date) and not (isinstance(value, str) and day(value)):
        return f"the field {field.name!r} is a date, not {value!r}", "write a date without quotes, such as 2030-12-31"
    if field.kind == "number" and (isinstance(value, bool) or not _is_number(value)):
        return f"the field {field.name!r} is a number, not {value!r}", "write a number without quotes, such as 12.5"
    if field.kind == "text" and isinstance(value, list):
        return f"the field {field.name!r} is a text, not a list", 'write one text: "a, b"'
    return None


def _is_number(value: object) -> bool:
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
