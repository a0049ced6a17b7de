"""`foxhooks rules check`: the mistakes in a rules file with their lines and fixes, or a table of its rules."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import redis
import typer

from service.commands.format import AsJson, blocked, line, plural, print_json
from service.commands.format import show as show_table
from service.commands.rule_trials import run_tests, try_rules, used_files
from service.context import store_of
from service.errors import CommandError
from workers.engine.schedules import MOST
from workers.errors import HappyFoxError, InDoubt, NotNow, Refused, StoreUnavailable, Unsent
from workers.happyfox.base import read_page
from workers.happyfox.directory import Directory
from workers.happyfox.http import ApiConnection
from workers.happyfox.messages import read
from workers.happyfox.tickets import tickets
from workers.rules import expectations
from workers.rules import file as rules_file
from workers.rules.file import LocatedName
from workers.rules.names import lists_of, unknown
from workers.rules.rule import Rule, RuleProblem
from workers.settings import Account, RulesFile, SettingsError, load
from workers.store.client import Store, store_time
from workers.store.permits import Governor
from workers.store.records import MAX_LIST_AGE, read_lists, store_list
from workers.tickets.model import number

T = TypeVar("T")

rules = typer.Typer(
    help="Check, try and test rules: automation in TOML, without code.", no_args_is_help=True, add_completion=False
)


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What was found in one rules file."""

    path: Path
    rules: rules_file.Rules
    """Its problems include those of the tests."""
    tests: tuple[expectations.RuleTest, ...]
    unchecked: str
    """Why names were not checked, empty if they were."""
    uncounted: str
    """Why it was not counted how many tickets its searches find, empty if they were."""


@rules.command()
def check(
    file: Annotated[str, typer.Argument(help="The rules file; default: that of the settings.")] = "",
    json: AsJson = False,
) -> None:
    """Show the mistakes in a rules file with line and fix, and names that HappyFox does not know."""
    reports = list(_reports(file))
    if json:
        print_json([_data(report) for report in reports])
    else:
        for report in reports:
            _show(report)
    raise typer.Exit(int(any(not problem.warning for report in reports for problem in report.rules.problems)))


rules.command("try")(try_rules)
rules.command("test")(run_tests)


def _reports(given: str) -> Iterator[CheckedFile]:
    """Check each file for every account that uses it."""
    here = used_files(given)
    for one in dict.fromkeys(each.path for each in here if each.path):
        yield _report(one, [each for each in here if each.path == one])


def _report(path: Path, used: list[RulesFile]) -> CheckedFile:
    text = rules_file.content(path)
    found = [rules_file.read(text, each.grants) for each in used]
    tests = expectations.read_tests(text)
    faults = dict.fromkeys((*(fault for each in found for fault in each.problems), *tests.problems))
    names, accounts = (*found[0].names, *tests.names), {each.account for each in used}
    unknown_names, unchecked = _asked(_unknown, path, accounts, names)
    many, uncounted = _asked(_many, path, accounts, [rule for rule in found[0].rules if rule.every])
    faults |= dict.fromkeys((*unknown_names, *many))
    ordered = tuple(sorted(faults, key=lambda fault: fault.line))
    return CheckedFile(path, replace(found[0], problems=ordered), tests.tests, unchecked, uncounted)


def _asked(
    find: Callable[[redis.Redis, Account, Sequence[T]], Iterator[RuleProblem]],
    path: Path,
    accounts: set[str],
    objects: Sequence[T],
) -> tuple[list[RuleProblem], str]:
    """Return what an account's HappyFox says of objects in a file, or why it was not asked."""
    try:
        settings = load("worker", {**os.environ, "FOXHOOKS_RULES": str(path)}, Path.cwd())
        with store_of(settings) as client:
            chosen = [each for each in settings.accounts.values() if each.name in accounts or accounts == {""}]
            return [problem for each in chosen for problem in find(client, each, objects)], ""
    except SettingsError as wrong:
        return [], f"{wrong.problems[0].setting} {wrong.problems[0].problem}; run `foxhooks doctor` for details"
    except NotNow as closed:
        return [], blocked(closed.reason, closed.wait / 1000)
    except (HappyFoxError, Unsent, InDoubt) as error:
        return [], f"HappyFox cannot be called: {error}"
    except (CommandError, StoreUnavailable, redis.RedisError) as error:
        return [], str(error)


def _unknown(client: redis.Redis, account: Account, names: Sequence[LocatedName]) -> Iterator[RuleProblem]:
    """Find the names that HappyFox does not know."""
    return unknown(names, _directory(client, account, lists_of(each.name for each in names)), account.name)


def _many(client: redis.Redis, account: Account, scheduled: Sequence[Rule]) -> Iterator[RuleProblem]:
    """Count what the searches of rules find now, one GET each, and warn of thousands of tickets."""
    if not scheduled:
        return
    now = store_time(client)
    with Store(client) as store, closing(ApiConnection(account, Governor(account.name, account.budget), store)) as api:
        for rule in scheduled:
            assert rule.every is not None
            request = tickets(size=1, numbers_only=True, q=rule.every.query(now))
            try:
                found = read_page(read(api.send(request, priority="interactive")), number).total or 0
            except Refused as error:
                problem = f"find: {account.name} rejects the search ({error})"
                yield RuleProblem(rule.line, f"rule {rule.name!r}", problem, "correct it, and try it in HappyFox first")
                continue
            if found > MOST:
                yield _storm(rule, account, found)


def _storm(rule: Rule, account: Account, found: int) -> RuleProblem:
    budget = account.budget
    minutes = math.ceil(found / (budget.posts * budget.share) * budget.window / 60)
    problem = (
        f"find matches {found:,} tickets in {account.name} now: at least {plural(minutes, 'minute')} of its "
        f"calls, {MOST:,} tickets at each run, after all other work"
    )
    return RuleProblem(
        rule.line, f"rule {rule.name!r}", problem, "narrow find or older_than if it is not meant so", warning=True
    )


def _directory(client: redis.Redis, account: Account, names: Sequence[str]) -> Directory:
    """Return the account's names: recent lists from the store, the others from HappyFox."""
    with Store(client) as store:
        lists: dict[str, Any] = {
            name: msgspec.json.decode(each) for name, each in stored_lists(store, account.name).items()
        }
        if missing := [name for name in names if name not in lists]:
            lists |= fetch_lists(store, account, missing)
    return Directory(**lists)


def stored_lists(store: Store, account: str, age: int = MAX_LIST_AGE) -> dict[str, bytes]:
    """Return the lists of names that the store has, at most ``age`` ms old."""
    kept = store.run(read_lists(account, list(Directory.CALLS), age))
    return {name: each for name, each in zip(Directory.CALLS, kept, strict=True) if each is not None}


def fetch_lists(store: Store, account: Account, names: Sequence[str]) -> dict[str, list[Any]]:
    """Read lists of names from HappyFox, one GET each, and keep them in the store."""
    governor = Governor(account.name, account.budget)
    lists: dict[str, list[Any]] = {}
    with closing(ApiConnection(account, governor, store)) as connection:
        for name in names:
            found = read(connection.send(Directory.CALLS[name], priority="interactive"))
            lists[name] = found if isinstance(found, list) else []
            if isinstance(found, list):
                store.run(store_list(account.name, name, msgspec.json.encode(lists[name])))
    return lists


def _data(report: CheckedFile) -> dict[str, object]:
    return {
        "file": str(report.path),
        "faults": report.rules.problems,
        "rules": [
            {
                "name": rule.name,
                "on": list(rule.kinds),
                "every": rule.every and {"seconds": rule.every.period / 1000, "find": rule.every.find},
                "actions": list(rule.actions),
                "described": list(rule.described),
            }
            for rule in report.rules.rules
        ],
        "tests": [test.name for test in report.tests],
        "names_not_checked": report.unchecked,
        "searches_not_counted": report.uncounted,
    }


def _show(report: CheckedFile) -> None:
    faults, name = report.rules.problems, report.path.name
    for fault in faults:
        mark = ("! ", "yellow") if fault.warning else ("✗ ", "red")
        where = (f"{name}, line {fault.line}", "bold")
        line(mark, where, f", {fault.rule}" if fault.rule else "", f": {fault.problem}")
        for row in fault.excerpt or ():
            line(f"      {row}")
        line(f"    → {fault.fix}")
    errors = sum(not fault.warning for fault in faults)
    if not errors:
        columns = {
            "rule": lambda rule: rule.name,
            "on": lambda rule: f"every {rule.every.words}" if rule.every else ", ".join(rule.kinds),
            "actions": lambda rule: "; ".join(rule.described),
        }
        show_table(report.rules.rules, columns, empty="No rules.")
    if report.unchecked:
        line(f"Names were not checked: {report.unchecked.rstrip('.')}.")
    elif not errors:
        line("HappyFox knows all names.")
    if report.uncounted and not report.unchecked:
        line(f"What searches find was not counted: {report.uncounted.rstrip('.')}.")
    warnings = plural(len(faults) - errors, "warning")
    if errors:
        line(f"{name}: {plural(errors, 'problem')}, {warnings}.")
    else:
        counted = [plural(len(report.rules.rules), "rule")]
        counted += [plural(len(report.tests), "test")] if report.tests else []
        counted.append(warnings if faults else "no problems")
        line(("! ", "yellow") if faults else ("✓ ", "green"), f"{name}: {', '.join(counted)}.")
        if report.tests:
            line(f"`foxhooks rules test {name}` runs the tests.")
