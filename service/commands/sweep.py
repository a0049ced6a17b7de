"""`foxhooks sweep`: look now for changes that no delivery announced, and show what sweeps have found."""

import time
from dataclasses import dataclass
from typing import Annotated

import redis
import typer

from service.commands.format import AsJson, details, line, print_json
from service.context import AccountName, accounts_of, as_running, store_of
from service.errors import CommandError
from service.reading.sweeps import (
    CompletenessStatus,
    SweepStatus,
    describe_completeness,
    describe_progress,
    describe_sweep,
    read_completeness_status,
    read_sweep,
)
from workers.settings import Account
from workers.store.client import Store, store_time
from workers.store.fleet import read_fleet
from workers.store.periodic import SWEEP, hurry_task
from workers.store.records import read_workers

#: Seconds between two looks at a running sweep.
LOOK = 0.3

#: Seconds within which a worker begins a sweep; it looks every few seconds.
BEGINS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What `foxhooks sweep` shows of an account."""

    account: str
    sweep: SweepStatus
    completeness: CompletenessStatus


def sweep(
    account: AccountName = "",
    show: Annotated[bool, typer.Option("--show", help="Only show the state, without a sweep.")] = False,
    json: AsJson = False,
) -> None:
    """Look for changes that no delivery announced, and show what was missed.

    A worker does it, within FOXHOOKS_SWEEP_SHARE of the call budget; this command waits for it.
    """
    accounts = accounts_of()
    with store_of(accounts.settings) as client:
        fleet = read_fleet(client, store_time(client))
        chosen = [as_running(each, fleet.account(each.name)) for each in accounts.chosen(account)]
        if not show:
            for each in chosen:
                _run(client, each, quiet=json)
        reports = [
            SweepReport(
                account=each.name, sweep=read_sweep(client, each), completeness=read_completeness_status(client, each)
            )
            for each in chosen
        ]
        now = store_time(client)
    if json:
        print_json({"accounts": reports})
        return
    for report in reports:
        line((report.account, "bold"))
        details([*describe_sweep(report.sweep, now), *describe_completeness(report.completeness, now, all_missed=True)])


def _run(client: redis.Redis, account: Account, *, quiet: bool) -> None:
    """Have a worker sweep an account now, and wait until it is done."""
    if not account.sweep_minutes:
        raise CommandError(f"sweeps of {account.name} are off: set {account.where('FOXHOOKS_SWEEP_MINUTES')} above 0")
    asked = store_time(client)
    with Store(client) as store:
        store.run(hurry_task(account.name, SWEEP))
    said, began = "", time.monotonic()
    while (now := read_sweep(client, account)).running or now.ended < asked:
        if not read_workers(client, store_time(client)).alive:
            raise CommandError("no worker is alive; the sweep begins when one starts: `foxhooks worker`, `foxhooks up`")
        if now.running and now.error:
            raise CommandError(f"the sweep of {account.name} cannot continue now: {now.error}")
        if not now.running and time.monotonic() > began + BEGINS:
            raise CommandError(f"no worker has begun the sweep of {account.name}: do its workers have handlers?")
        if now.running and not quiet and (words := describe_progress(now)) != said:
            line(f"{account.name}: {words}")
            said = words
        time.sleep(LOOK)
