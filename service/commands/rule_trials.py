"""`foxhooks rules try` and `foxhooks rules test`: what rules would do, on a ticket or in the tests of their file."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from service.commands.api import happyfox
from service.commands.format import AsJson, line, plural, print_json, ticket_option
from service.context import AccountName, accounts_of, one_account
from service.errors import CommandError
from workers.errors import Gone
from workers.happyfox import HappyFox
from workers.plugins.loading import RULES
from workers.rules import file as rules_file
from workers.settings import RulesFile, rules_files
from workers.testing.rules import TestReport, load_tests, run_test
from workers.testing.trial import SAMPLE, Trial, change_for, parts, past_changes, try_rule
from workers.tickets.change import Change, brief, check
from workers.tickets.model import TicketRead


def used_files(given: str) -> list[RulesFile]:
    """Return the rules file, or those of the settings; an unused one counts for the account with the most grants."""
    used = rules_files(os.environ, Path.cwd())
    path = Path(given).resolve() if given else None
    here = [each for each in used if each.path and path in (None, each.path.resolve())]
    if path and not here:
        here = [replace(max(used, key=lambda each: len(each.grants.of(RULES))), path=Path(given))]
    if not here:
        raise CommandError(
            "there is no rules file: name one, such as `foxhooks rules check rules.toml`, or set FOXHOOKS_RULES"
        )
    return here


# foxhooks rules try


def try_rules(
    file: Annotated[str, typer.Argument(help="The rules file.")],
    ticket: Annotated[
        int | None,
        ticket_option("Read the ticket with this number from HappyFox."),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Use a built-in ticket; no account is needed.")] = False,
    on: Annotated[
        str, typer.Option(metavar="KIND", help="The kind of event; default: the latest that each rule runs for.")
    ] = "",
    account: AccountName = "",
    json: AsJson = False,
) -> None:
    """Show for each rule whether it would act on a ticket, why not, and every action in full; nothing is sent."""
    if sample == (ticket is not None):
        raise typer.BadParameter("write --ticket N for a ticket in HappyFox, or --sample", param_hint="--ticket")
    _check_kind(on)
    now = datetime.now(UTC)
    if ticket is None:
        grants, found, past = used_files(file)[0].grants, SAMPLE, tuple[Change, ...]()
        rules = rules_file.rules_of(Path(file), grants)
    else:
        chosen = one_account(accounts_of().settings, account)
        grants = chosen.grants
        rules = rules_file.rules_of(Path(file), grants)  # before the call: a mistake in the file costs none
        with happyfox(chosen.name) as api:
            found = _read(api, ticket)
        past = past_changes(found, chosen.staff_id, now)
    trials = [try_rule(rule, found, change_for(rule, on, past, found, now), now) for rule in rules]
    asked = {part.permission for trial in trials for part in parts(trial.actions)} - {""}
    missing = asked - grants.of(RULES)
    if json:
        print_json({"ticket": found.id, "rules": [_data(trial, past, missing) for trial in trials]})
    else:
        _show_ticket(found)
        for trial in trials:
            _show_trial(trial, past, missing)
        if missing:
            line((f"! To permit what needs a grant, set {grants.adding(RULES, missing)}", "yellow"))
        acting = sum(bool(trial.actions) for trial in trials)
        line(f"{acting} of {plural(len(trials), 'rule')} would act. Nothing was sent.")
    raise typer.Exit(int(any(trial.failed for trial in trials)))


def _read(api: HappyFox, ticket: int) -> TicketRead:
    try:
        return api.ticket(ticket)
    except Gone:
        raise CommandError(f"HappyFox has no ticket {ticket}: it was deleted, or the key may not see it") from None


def _check_kind(kind: str) -> None:
    try:
        if kind not in ("", "scheduled"):
            check(kind)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--on") from None


def _show_ticket(ticket: TicketRead) -> None:
    line((f"Ticket {ticket.id}", "bold"), f": {ticket.subject}")
    assignee = ticket.assignee.name if ticket.assignee else "nobody"
    tags = ", ".join(sorted(ticket.tags)) or "none"
    properties = ", ".join(each.name for each in (ticket.status, ticket.priority, ticket.category))
    line(f"  {properties}; from {ticket.contact.email or 'nobody'}, assigned to {assignee}; tags: {tags}")


def _show_trial(trial: Trial, past: Sequence[Change], missing: Collection[str]) -> None:
    rule = trial.rule
    if not trial.actions:
        line(
            ("✗ " if trial.failed else "- ", "red" if trial.failed else "dim"), (rule.name, "bold"), ": ", trial.reason
        )
        if not trial.reason.startswith("not triggered"):
            line(f"    tried on {_event(trial, past)}")
        return
    line(("✓ ", "green"), (rule.name, "bold"), f": would act on {_event(trial, past)}")
    for part in parts(trial.actions):
        first, *more = str(part).split("\n")
        line(f"    {first}")
        for text in more:
            line(f"      {text}")
        if part.permission in missing:
            line((f"    ! {part.key} is left out: it needs the grant {RULES}:{part.permission}", "yellow"))
    if rule.once:
        line("    only if it has not acted on this ticket before")


def _event(trial: Trial, past: Sequence[Change]) -> str:
    if trial.rule.every and trial.change.to:
        return f"this ticket whenever its search finds it: {trial.rule.every.find}"
    return brief(trial.change) + ("" if _happened(trial, past) else " (imagined)")


def _happened(trial: Trial, past: Sequence[Change]) -> bool:
    """Return whether the change is in the history of the ticket."""
    return any(trial.change is each for each in past)


def _data(trial: Trial, past: Sequence[Change], missing: Collection[str]) -> dict[str, Any]:
    return {
        "name": trial.rule.name,
        "event": trial.change.kind,
        "imagined": not _happened(trial, past),
        "acts": bool(trial.actions),
        "reason": trial.reason,
        "actions": [
            {
                "action": part.key,
                "value": part.value,
                "subject": part.subject,
                "texts": list(part.texts),
                "missing_grant": f"{RULES}:{part.permission}" if part.permission in missing else "",
            }
            for part in parts(trial.actions)
        ],
    }


# foxhooks rules test


def run_tests(
    file: Annotated[str, typer.Argument(help="The rules file; default: that of the settings.")] = "",
    json: AsJson = False,
) -> None:
    """Run the tests in a rules file; show what the rules do that a test does not expect, and the reverse."""
    paths = list(dict.fromkeys(each.path for each in used_files(file) if each.path))
    reports = [(path, list(_run(path))) for path in paths]
    if not any(found for _, found in reports):
        raise CommandError(
            f"there is no [[test]] in {', '.join(path.name for path in paths)}: add one, "
            "with a name, a ticket, an event and what to expect"
        )
    if json:
        print_json([_report_data(path, report) for path, found in reports for report in found])
    else:
        for path, found in reports:
            _show_reports(path, found)
    raise typer.Exit(int(any(not report.passed for _, found in reports for report in found)))


def _run(path: Path) -> Iterator[TestReport]:
    loaded = load_tests(path)
    for test in loaded.tests:
        yield run_test(test, loaded.rules)


def _report_data(path: Path, report: TestReport) -> dict[str, Any]:
    return {
        "file": str(path),
        "line": report.test.line,
        "name": report.test.name,
        "passed": report.passed,
        "differences": list(report.lines()),
    }


def _show_reports(path: Path, reports: Sequence[TestReport]) -> None:
    styles = {"-": "red", "+": "green"}
    for report in reports:
        if report.passed:
            line(("✓ ", "green"), report.test.name)
            continue
        line(("✗ ", "red"), (report.test.name, "bold"), f" ({path.name}, line {report.test.line})")
        for text in report.lines():
            line((f"    {text}", styles.get(text[:1], "")))
    failed = sum(not report.passed for report in reports)
    if failed:
        line("- is expected and missing, + is not expected.")
    line(f"{path.name}: {plural(len(reports) - failed, 'test')} passed, {failed} failed.")
