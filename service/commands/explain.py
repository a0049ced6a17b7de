"""`foxhooks explain`: a ticket's history, turn by turn: what was received, decided and done, and why."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import redis
import typer

from service.commands.format import AsJson, ago, clock, details, line, parse_ticket, print_json
from service.context import AccountName, accounts_of, as_running, store_of
from service.errors import CommandError
from service.reading.tickets import (
    TicketStatus,
    TurnEntry,
    describe_action,
    describe_status,
    describe_turn,
    read_actions,
    read_status,
    read_turns,
)
from workers.store.audit import AuditLine
from workers.store.client import store_time
from workers.store.fleet import read_fleet
from workers.store.records import AccountRecords


def explain(
    ticket: Annotated[int, typer.Argument(help="Its number or display id.", parser=parse_ticket, metavar="TICKET")],
    account: AccountName = "",
    json: AsJson = False,
) -> None:
    """Show what was received, decided and done for a ticket, and why."""
    accounts = accounts_of()
    chosen, found, doubt = accounts.chosen(account), False, ""
    with store_of(accounts.settings) as client:
        fleet = read_fleet(client)
        for each in chosen:
            records = AccountRecords(client, each.name)
            try:
                running = as_running(each, fleet.account(each.name))
                turns, status = list(read_turns(records, ticket)), read_status(records, running, ticket)
                actions = read_actions(records, ticket)
            except redis.exceptions.ResponseError as error:
                fix = f"see `foxhooks dead show lane-{ticket}`, then repair or delete it"
                raise CommandError(f"a key of ticket {ticket} cannot be read ({error}): {fix}") from error
            if not turns and status.due is None and not records.knows(ticket):
                doubt = doubt or status.memory_in_doubt
                continue
            found = True
            if json:
                timers = [msgspec.structs.asdict(timer) for timer in status.timers]
                present = msgspec.to_builtins(status) | {"timers": timers}
                print_json({"account": each.name, "ticket": ticket, "turns": turns, "people": actions, "now": present})
            else:
                _show(each.name, ticket, turns, actions, status, store_time(client))
    if not found:
        raise CommandError(f"No webhook received for ticket {ticket} yet. {doubt}".rstrip())


def _show(
    account: str,
    ticket: int,
    turns: list[TurnEntry],
    actions: Sequence[AuditLine],
    status: TicketStatus,
    now: int,
) -> None:
    line((f"Ticket {ticket}", "bold"), f" of {account}")
    left = list(actions)
    for turn in turns:
        while left and left[0].at <= turn.at:
            _show_action(left.pop(0), now)
        line()
        line((clock(turn.at, "%Y-%m-%d %H:%M:%S"), "bold"), (f" ({ago(turn.at, now)}, turn {turn.turn})", "dim"))
        details(describe_turn(turn))
    for action in left:
        _show_action(action, now)
    line()
    if not turns:
        line("What happened to it is not stored any more." if status.is_known else "No event of it was processed yet.")
    for sentence in describe_status(status, now):
        line(sentence)


def _show_action(action: AuditLine, now: int) -> None:
    line()
    line((clock(action.at, "%Y-%m-%d %H:%M:%S"), "bold"), (f" ({ago(action.at, now)})", "dim"))
    details([("person", describe_action(action))])
