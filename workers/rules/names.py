"""Find names and ids in rules and settings that an account does not know: such a rule fails or never runs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial

from workers.errors import GiveUp, UnknownName
from workers.happyfox.directory import Directory
from workers.plugins.loading import Loaded, LoadError
from workers.rules import file as rules
from workers.rules.conditions import NameUse
from workers.rules.file import LocatedName
from workers.rules.matches import Matches
from workers.rules.rule import RuleProblem
from workers.settings import Account, SettingProblem


def unknown(used: Iterable[LocatedName], directory: Directory, account: str) -> Iterator[RuleProblem]:
    """Yield a problem for each name in a rules file that the account does not know, with the nearest name."""
    for each in used:
        for problem, fix in _problems(each.name, directory, account):
            yield RuleProblem(each.line, each.rule, problem, fix)


def unknown_here(account: Account, loaded: Iterable[Loaded], directory: Directory) -> Iterator[SettingProblem]:
    """Yield such problems for the account's rules file, if it can be read, and the settings of its routers."""
    if account.rules:
        try:
            used = rules.read(rules.content(account.rules), account.grants).names
        except LoadError:
            used = ()
        for wrong in unknown(used, directory, account.name):
            yield wrong.in_file(account.rules.name)
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


def uses_names(account: Account, loaded: Iterable[Loaded]) -> bool:
    """Return whether there are any names to check."""
    return bool(account.rules) or any(True for each in loaded for _ in _used_by(each))


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
    finders: dict[str, Callable[[str | int], object]] = {
        "status": directory.status,
        "priority": directory.priority,
        "category": directory.category,
        "staff member": directory.staff_member,
        "contact field": directory.contact_field,
    }
    if name.what == "contact field" and not directory.has_contact_fields:
        return
    field_value = directory.contact_field_value if name.what == "contact field" else directory.field_value
    lookups = [partial(finders.get(name.what, directory.field), name.name)]
    lookups += [partial(field_value, name.name, value) for value in name.values if value != ""]
    for lookup in lookups:
        try:
            lookup()
        except GiveUp as error:
            problem, _, fix = str(error).replace("in HappyFox", f"in {account}").partition("; ")
            if not fix:
                problem, _, known = problem.partition(" (there are: ")
                fix = f"there are: {known.rstrip(')')}" if known else "correct it"
            yield f"{'.'.join(name.path)}: {problem}", fix
            if lookup is lookups[0]:
                return  # an unknown field has no values
