"""What the pages show, read from the store in a bounded number of round trips."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

import redis

from service.context import as_running
from service.reading.accounts import AccountStatus, read_account
from workers.alerts.watchman import AlertState, read_alerts
from workers.settings import Account, Settings
from workers.store.client import Store, store_time
from workers.store.client_figures import ClientFigures, read_client_figures
from workers.store.failures import reading
from workers.store.figures import HANDLER, Figures, add, hour_of, minute_of, read_hours, read_minutes
from workers.store.fleet import Fleet, RunningAccount, RunningClient, read_fleet
from workers.store.jobs import Jobs
from workers.store.keys import Keys
from workers.store.permits import Forecast, Governor
from workers.store.records import AccountRecords, DeadLetterEntry, read_workers
from workers.store.refusals import Misdirected, Noted, read_causes, read_keys_used, read_misdirected
from workers.store.troubles import Kind, Trouble
from workers.store.usage import Usage, read_usage
from workers.webhook.signature import label_of

#: The troubles because of which no call can be made.
STOPS_CALLS = ("locked-out", "credentials-refused", "unreachable", "calls-stopped")

#: The minutes that charts show.
MINUTES = 60


class Advice(NamedTuple):
    """Where the pages show the cause of a trouble."""

    page: str
    """The title of the page."""
    path: str
    """Its path; ``{account}`` and ``{about}`` are those of the trouble."""
    fix: str = ""
    """What to do there, instead of a fix that names a command."""


#: The pages that show the causes of troubles.
ADVICE: Mapping[Kind, Advice] = {
    "locked-out": Advice("Budget", "/{account}/budget"),
    "credentials-refused": Advice("Settings", "/settings"),
    "deliveries-refused": Advice(
        "Signatures", "/{account}/signatures", "see the likely cause, usually the key in HAPPYFOX_WEBHOOK_SECRETS"
    ),
    "unannounced": Advice(
        "Completeness",
        "/{account}/completeness",
        "check in HappyFox that the webhook is active and has the right address",
    ),
    "handlers-fail": Advice(
        "Failed events",
        "/{account}/events?handler={about}&state=failed",
        "correct it, or pause its router on the page Handlers; until then, its runs are retried and then become "
        "dead letters",
    ),
    "backlog": Advice("Budget", "/{account}/budget"),
    "dead-letters": Advice("Dead letters", "/{account}/dead", "replay or discard them"),
    "no-workers": Advice("Fleet", "/fleet"),
    "silent-process": Advice("Fleet", "/fleet"),
    "settings-differ": Advice("Fleet", "/fleet"),
    "version-skew": Advice("Fleet", "/fleet"),
}

#: The pages that show and end pauses, by what is paused.
PAUSES: Mapping[str, Advice] = {
    "account": Advice(
        "Waiting tickets", "/{account}/lanes?state=paused", "resume the account on the page Now when it may work again"
    ),
    "router": Advice("Handlers", "/{account}/handlers", "resume the router when it may work again"),
    "ticket": Advice("Ticket", "/{account}/tickets/{about}", "resume the ticket when it may be worked on again"),
}


class ShownTrouble(NamedTuple):
    """A trouble as a page shows it."""

    is_error: bool
    text: str
    fix: str
    page: str
    """The title of the page that shows its cause; empty if no page does."""
    url: str


def shown(trouble: Trouble, account: str) -> ShownTrouble:
    """Return a trouble with the page of an account that shows its cause."""
    scope, _, name = trouble.about.partition(" ")
    advice = PAUSES.get(scope) if trouble.kind == "paused" else ADVICE.get(trouble.kind)
    page, path, fix = advice or Advice("", "")
    about = quote(name if trouble.kind == "paused" else trouble.about, safe="")
    url = f"/dashboard{path.format(account=account, about=about)}" if path else ""
    return ShownTrouble(trouble.is_error, trouble.text.removeprefix(f"{account}: "), fix or trouble.fix, page, url)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """The state of an account, and what is wrong with it. Times are ms of the store's clock."""

    status: AccountStatus
    now: int
    minutes: tuple[Figures, ...]
    """What was counted in each of the last 60 minutes, oldest first; the last one is not over."""
    workers: int
    """Worker processes that are alive."""

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is wrong, what prevents work first."""
        return self.status.troubles

    @property
    def deliveries(self) -> list[int]:
        """Deliveries of each minute, whatever became of them."""
        return [each.sum("in") for each in self.minutes]

    @property
    def turns(self) -> list[int]:
        """Turns of each minute."""
        return [each.sum("turn") for each in self.minutes]

    @property
    def calls(self) -> list[int]:
        """Calls to HappyFox of each minute."""
        return [each.sum("call") for each in self.minutes]

    @property
    def hour(self) -> Figures:
        """What was counted in the last hour."""
        return add(self.minutes)

    @property
    def name(self) -> str:
        """The account's name."""
        return self.status.account

    @property
    def oldest_due(self) -> int | None:
        """How long the lane waits that is due for longest (ms)."""
        return None if self.status.due_since is None else max(0, self.now - self.status.due_since)

    @property
    def last_delivery(self) -> int:
        """When the last delivery was accepted; 0 if there was none."""
        found = [count.last for name, count in self.status.deliveries.items() if not name.startswith("refused")]
        return max(found, default=0)

    @property
    def no_calls(self) -> Trouble | None:
        """Why no call can be made; None if calls can be made."""
        return next((each for each in self.troubles if each.kind in STOPS_CALLS), None)

    @property
    def can_work(self) -> bool:
        """Whether more workers could do more: calls are possible, and the account is not paused."""
        return self.no_calls is None and not self.status.paused

    @property
    def level(self) -> str:
        """How urgent its state is: good, warn or bad."""
        return "bad" if any(each.is_error for each in self.troubles) else "warn" if self.troubles else "good"

    @property
    def sentence(self) -> str:
        """Its state in a sentence."""
        if not self.troubles:
            return "Works."
        first, *others = self.shown
        more = f" {len(others)} more." if others else ""
        return f"{first.text[:1].upper()}{first.text[1:]}.{more}"

    @property
    def shown(self) -> list[ShownTrouble]:
        """The troubles as pages show them."""
        return [shown(each, self.name) for each in self.troubles]


@dataclass(frozen=True, slots=True)
class ClientView:
    """A client of the gateway."""

    name: str
    settings: RunningClient | None
    """None if no running gateway knows it."""
    figures: ClientFigures | None
    """None if it has made no call."""


class HandlerFigures(NamedTuple):
    """What a handler did in some time."""

    decided: int
    failed: int
    """Runs that failed and are retried."""
    dead: int
    """Runs that failed for good."""
    median: float | None
    """Seconds within which half of its runs ended."""
    slow: float | None
    """Seconds within which 95 of 100 runs ended."""


def handler_figures(counted: Figures, handler: str) -> HandlerFigures:
    """Return the figures of one handler."""
    verdicts = {each: counted.sum("handler", each, handler) for each in ("decided", "retrying", "dead")}
    times = (counted.quantile(HANDLER, part, handler) for part in (0.5, 0.95))
    return HandlerFigures(*verdicts.values(), *times)


class Reader:
    """Read from the store; safe to use from several threads."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self.client, self.settings, self.accounts = client, settings, settings.accounts
        self.retention = int(settings.retention_hours * 3600)
        self.store = Store(client)

    def records(self, name: str) -> AccountRecords:
        """Return the records of an account."""
        return AccountRecords(self.client, name)

    def jobs(self, name: str) -> Jobs:
        """Return the jobs of an account."""
        return Jobs(self.client, name)

    def fleet(self) -> Fleet:
        """Return the processes that run, and what they say about themselves."""
        return read_fleet(self.client)

    def running(self, name: str) -> RunningAccount | None:
        """Return an account as the newest worker has it, None if no worker runs."""
        return self.fleet().account(name)

    def routers(self, name: str) -> tuple[str, ...]:
        """Return the names of the routers that run for an account."""
        running = self.running(name)
        return tuple(each.name for each in running.routers) if running else ()

    def forecast(self, name: str) -> Forecast:
        """Return how much of an account's budget is used."""
        return self.store.run(Governor(name, self.account_settings(name).budget).forecast())

    def window(self, name: str) -> float:
        """Return the seconds of the window to which the limits apply."""
        return self.account_settings(name).budget.window

    def account_settings(self, name: str) -> Account:
        """Return the settings of an account, as the newest worker has them."""
        return as_running(self.accounts[name], self.running(name))

    def site(self, name: str) -> str:
        """Return the address of an account's help desk, empty if it is not known."""
        running = self.running(name)
        return self.accounts[name].url or (running.setting("HAPPYFOX_URL") if running else "")

    def event(self, account: str, event: str) -> dict[str, str]:
        """Return the fields of a stored event; empty if it is not stored."""
        client, keys = self.records(account).client, Keys(account)
        with reading(keys.event(event)):
            fields = client.hgetall(keys.event(event))
            if b"first" in fields:  # an event with the same body as an earlier one
                first = keys.event(fields[b"first"].decode())
                with reading(first):
                    fields[b"body"] = client.hget(first, "body") or b""
            if fields:
                int(fields[b"at"])
                json.loads(fields.get(b"headers") or b"{}")
            return {name.decode(): value.decode("utf-8", "backslashreplace") for name, value in fields.items()}

    def dead_letter(self, account: str, dead_letter: str) -> DeadLetterEntry | None:
        """Return a dead letter with its evidence, None if there is none with this id."""
        return self.records(account).dead_letter(dead_letter)

    def causes(self, account: str) -> dict[str, Noted]:
        """Return the likely causes of refused signatures, the last one first."""
        return read_causes(self.client, account)

    def keys(self, account: str) -> list[tuple[str, int | None]]:
        """Return the signing keys by their labels, and when each last signed a delivery."""
        used = read_keys_used(self.client, account)
        ours = [label_of(secret.reveal().encode()) for secret in self.accounts[account].secrets]
        return [(label, used.get(label)) for label in (*ours, *(each for each in used if each not in ours))]

    def clients(self, account: str) -> list[ClientView]:
        """Return the clients of the gateway: what they may do, and what they have done in an account."""
        figures = {each.name: each for each in read_client_figures(self.client, account)}
        running = {each.name: each for each in self.fleet().clients()}
        return [ClientView(name, running.get(name), figures.get(name)) for name in sorted({*running, *figures})]

    def alerts(self) -> list[AlertState]:
        """Return the alerts that are on, the latest first."""
        return read_alerts(self.client)

    def usage(self) -> Usage:
        """Return how much memory the store uses."""
        return read_usage(self.client)

    def misdirected(self) -> Misdirected:
        """Return the requests that no account could receive."""
        return read_misdirected(self.client)

    def now(self) -> int:
        """Return the store's time (ms)."""
        return store_time(self.client)

    def account(self, name: str) -> AccountView:
        """Read the state of an account."""
        now = self.now()
        return self._view(name, read_fleet(self.client, now), now)

    def all_accounts(self) -> list[AccountView]:
        """Read the state of every account."""
        now = self.now()
        fleet = read_fleet(self.client, now)
        return [self._view(name, fleet, now) for name in self.accounts]

    def _view(self, name: str, fleet: Fleet, now: int) -> AccountView:
        return AccountView(
            status=read_account(self.client, self.accounts[name], fleet, now),
            now=now,
            minutes=tuple(self.minutes(name, now)),
            workers=len(fleet.of("worker") or read_workers(self.client, now).alive),
        )

    def minutes(self, name: str, now: int, count: int = MINUTES) -> list[Figures]:
        """Return what was counted in each of the last minutes, oldest first."""
        last = minute_of(now)
        return read_minutes(self.store, name, range(last - count + 1, last + 1))

    def hours(self, name: str, now: int, count: int) -> list[Figures]:
        """Return what was counted in each of the last hours, oldest first."""
        last = hour_of(now)
        return read_hours(self.store, name, range(last - count + 1, last + 1))
