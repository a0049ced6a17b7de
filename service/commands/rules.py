"""`foxhooks rules check`: what is wrong with a rules file, with its line and its cure; all rules when nothing is."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import redis
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.access import store_of
from service.commands.names import NoNames, directory_of
from service.commands.words import some
from service.failures import CommandError
from workers.errors import StoreUnavailable
from workers.rules import file
from workers.rules.names import unknown
from workers.rules.rule import RuleProblem
from workers.settings import RulesFile, Settings, SettingsError, load, rules_files


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one file; `unchecked` says why names were not checked, empty when they were."""

    path: Path
    rules: file.Rules
    unchecked: str


def run(given: str, as_json: bool) -> int:
    """Checks a file, or without one those of the settings; 1 if anything was found, be it a warning."""
    reports = list(_reports(given))
    if as_json:
        print(json.dumps([_plain(report) for report in reports], indent=2))
    else:
        for report in reports:
            _show(report)
    return int(any(report.rules.faults for report in reports))


def _reports(given: str) -> Iterator[Report]:
    """Checks each file once for every account that uses it; one that none uses, with the grants of all."""
    used = rules_files(os.environ, Path.cwd())
    path = Path(given).resolve() if given else None
    here = [each for each in used if each.path and path in (None, each.path.resolve())]
    if path and not here:
        here = [replace(each, path=Path(given)) for each in used[:1]]
        here = [replace(each, allow=frozenset().union(*(other.allow for other in used))) for each in here]
    if not here:
        raise CommandError(
            "there is no rules file: name one, as `foxhooks rules check rules.toml`, or set FOXHOOKS_RULES"
        )
    settings, why = _settings(given)
    files = dict.fromkeys(each.path for each in here if each.path)
    for one in files:
        yield _report(one, [each for each in here if each.path == one], settings, why)


def _settings(given: str) -> tuple[Settings | None, str]:
    """Gives what is needed to ask HappyFox, or why it cannot be had."""
    try:
        return load("worker", {**os.environ, **({"FOXHOOKS_RULES": given} if given else {})}, Path.cwd()), ""
    except SettingsError as wrong:
        return None, f"{wrong.complaints[0].setting} {wrong.complaints[0].problem}; `foxhooks doctor` tells more"


def _report(path: Path, used: list[RulesFile], settings: Settings | None, why: str) -> Report:
    text = file.content(path)
    found = [file.read(text, file.granted(each.allow)) for each in used]
    faults = dict.fromkeys(fault for each in found for fault in each.faults)
    if settings is not None:
        try:
            faults |= dict.fromkeys(_unknown(found[0], {each.account for each in used}, settings))
        except (CommandError, NoNames, StoreUnavailable, redis.RedisError) as error:
            why = str(error)
    ordered = tuple(sorted(faults, key=lambda fault: fault.line))
    return Report(path, replace(found[0], faults=ordered), why)


def _unknown(rules: file.Rules, accounts: set[str], settings: Settings) -> Iterator[RuleProblem]:
    with store_of(settings) as client:
        for account in settings.accounts.values():
            if account.name in accounts or accounts == {""}:
                yield from unknown(rules.names, directory_of(client, account), account.name)


def _plain(report: Report) -> dict[str, object]:
    return {
        "file": str(report.path),
        "faults": [asdict(fault) for fault in report.rules.faults],
        "rules": [
            {
                "name": rule.name,
                "on": list(rule.kinds),
                "every": rule.every and {"seconds": rule.every.period / 1000, "find": rule.every.find},
                "does": [action.key for action in rule.actions],
            }
            for rule in report.rules.rules
        ],
        "names_not_checked": report.unchecked,
    }


def _show(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    faults, name = report.rules.faults, report.path.name
    for fault in faults:
        mark = "[yellow]![/yellow]" if fault.warning else "[red]✗[/red]"
        where = f", {escape(fault.rule)}" if fault.rule else ""
        console.print(f"{mark} [bold]{escape(name)}, line {fault.line}[/bold]{where}: {escape(fault.problem)}")
        console.print(f"    → {escape(fault.cure)}")
    if not faults:
        table = Table("rule", "on", "does")
        for rule in report.rules.rules:
            when = f"every {rule.every.words}" if rule.every else ", ".join(rule.kinds)
            table.add_row(escape(rule.name), escape(when), ", ".join(action.key for action in rule.actions))
        console.print(table)
    if report.unchecked:
        console.print(f"Names were not checked: {escape(report.unchecked)}.")
    elif not faults:
        console.print("All names are known to HappyFox.")
    if faults:
        console.print(f"{escape(name)}: {some(len(faults), 'thing')} to correct.")
    else:
        console.print(f"[green]✓[/green] {escape(name)}: {some(len(report.rules.rules), 'rule')}, nothing to correct.")
