"""`foxhooks explain`: a ticket's history, turn by turn: what was received, decided and done, and why."""

from typing import Annotated

import typer

from service.commands.format import AsJson, ago, clock, details, line, parse_ticket, print_json
from service.commands.running import running_system
from service.context import AccountName
from service.errors import CommandError
from service.reading.tickets import TicketReport, UnknownTicket, describe_action, describe_status, describe_turn
from workers.store.audit import AuditLine


def explain(
    ticket: Annotated[int, typer.Argument(help="Its number or display id.", parser=parse_ticket, metavar="TICKET")],
    account: AccountName = "",
    json: AsJson = False,
) -> None:
    """Show what was received, decided and done for a ticket, and why."""
    with running_system() as system:
        reports, unknown = [], ""
        for name in system.names(account):
            try:
                reports.append(system.ticket(name, ticket))
            except UnknownTicket as error:
                unknown = max(unknown, str(error), key=len)  # one may add that its memory is in doubt
    for report in reports:
        if json:
            print_json(report.as_json())
        else:
            _show(report)
    if not reports:
        raise CommandError(unknown)


def _show(report: TicketReport) -> None:
    now = report.at
    line((f"Ticket {report.ticket}", "bold"), f" of {report.account}")
    left = list(report.people)
    for turn in report.turns:
        while left and left[0].at <= turn.at:
            _show_action(left.pop(0), now)
        line()
        line((clock(turn.at, "%Y-%m-%d %H:%M:%S"), "bold"), (f" ({ago(turn.at, now)}, turn {turn.turn})", "dim"))
        details(describe_turn(turn))
    for action in left:
        _show_action(action, now)
    line()
    if not report.turns:
        forgotten = "What happened to it is not stored any more."
        line(forgotten if report.now.is_known else "No event of it was processed yet.")
    for sentence in describe_status(report.now, now):
        line(sentence)


def _show_action(action: AuditLine, now: int) -> None:
    line()
    line((clock(action.at, "%Y-%m-%d %H:%M:%S"), "bold"), (f" ({ago(action.at, now)})", "dim"))
    details([("person", describe_action(action))])
