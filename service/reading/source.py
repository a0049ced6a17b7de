"""What commands ask the running system: its store, or with `foxhooks --at URL` the API of its dashboard.

Both answer with the same types, so a command prints the same wherever it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import redis

from service.context import Accounts, as_running
from service.reading.accounts import AccountStatus, read_account
from workers.settings import Account
from workers.store.client import store_time
from workers.store.fleet import Difference, Fleet, Process, read_fleet
from workers.store.pages import Page
from workers.store.pauses import Scope
from workers.store.records import AccountRecords, read_workers
from workers.store.refusals import Misdirected, read_misdirected
from workers.store.usage import Usage, read_usage

if TYPE_CHECKING:
    from service.reading.events import EventFilter, EventRow
    from service.reading.tickets import TicketReport
    from workers.store.audit import AuditLine


class PauseTarget(NamedTuple):
    """What to pause or resume: an account, or a router or a ticket of it."""

    account: str
    scope: Scope
    name: str

    def __str__(self) -> str:
        return f"{self.scope} {self.name or self.account}"


class AuditFilter(NamedTuple):
    """Which lines of the audit log to list; an empty member selects all."""

    since: int = 0
    """A time (ms)."""
    who: str = ""
    what: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemStatus:
    """The state of every account, of the store and of the processes, as `foxhooks status` shows it."""

    at: int
    """The store's time (ms)."""
    accounts: tuple[AccountStatus, ...]
    workers: tuple[str, ...]
    """The worker processes that are alive."""
    misdirected: Misdirected
    store: Usage
    processes: tuple[Process, ...]
    differences: tuple[Difference, ...]

    @property
    def fleet(self) -> Fleet:
        """Return the processes that run."""
        return Fleet(self.processes)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` and the API show."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"store": self.store.as_json()}


class Source(Protocol):
    """What commands can ask, wherever they run. Each method raises ``CommandError`` if there is no answer."""

    def names(self, account: str = "") -> list[str]:
        """Return the accounts, or only the named one."""

    def now(self) -> int:
        """Return the store's time (ms)."""

    def status(self) -> SystemStatus:
        """Return the state of everything."""

    def events(self, account: str, chosen: "EventFilter", cursor: str = "", most: int = 50) -> "Page[EventRow]":
        """Return a page of events; one request searches a limited number of turns."""

    def ticket(self, account: str, number: int) -> "TicketReport":
        """Return what happened to a ticket; raise ``UnknownTicket`` if nothing is known of it."""

    def audit(self, names: Sequence[str], chosen: AuditFilter, cursor: str = "", most: int = 50) -> "Page[AuditLine]":
        """Return a page of the audit log of some accounts."""


class StoreSource:
    """Ask the store.

    What one command needs is imported when it asks: `foxhooks status` must not wait for the engine.
    """

    def __init__(self, client: redis.Redis, accounts: Accounts) -> None:
        self.client, self._accounts = client, accounts

    def names(self, account: str = "") -> list[str]:
        """Return the accounts that this shell or a running process knows."""
        return [each.name for each in self._accounts.chosen(account)]

    def now(self) -> int:
        """Return the store's time (ms)."""
        return store_time(self.client)

    def status(self) -> SystemStatus:
        """Read the state of everything."""
        return read_system(self.client, self._accounts.chosen(""), knows_budgets=self._accounts.budgets)

    def events(self, account: str, chosen: "EventFilter", cursor: str = "", most: int = 50) -> "Page[EventRow]":
        """Read a page of events."""
        from service.reading.events import read_events

        return read_events(AccountRecords(self.client, account), chosen, cursor, most)

    def ticket(self, account: str, number: int) -> "TicketReport":
        """Read what happened to a ticket."""
        from service.reading.tickets import read_ticket

        [found] = self._accounts.chosen(account)
        running = as_running(found, read_fleet(self.client).account(account))
        return read_ticket(self.client, running, number)

    def audit(self, names: Sequence[str], chosen: AuditFilter, cursor: str = "", most: int = 50) -> "Page[AuditLine]":
        """Read a page of the audit log."""
        from workers.store.audit import read_audit

        return read_audit(self.client, names, **chosen._asdict(), cursor=cursor, most=most)


def read_system(client: redis.Redis, accounts: Sequence[Account], *, knows_budgets: bool = False) -> SystemStatus:
    """Read the state of everything; ``knows_budgets``: the settings of the accounts are a worker's."""
    now = store_time(client)
    fleet = read_fleet(client, now)
    return SystemStatus(
        at=now,
        accounts=tuple(read_account(client, each, fleet, now, knows_budget=knows_budgets) for each in accounts),
        workers=tuple(read_workers(client, now).alive),
        misdirected=read_misdirected(client),
        store=read_usage(client),
        processes=fleet.alive,
        differences=fleet.differences(),
    )
