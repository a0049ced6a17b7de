"""What the pages show, read from the store in a bounded number of round trips."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import redis

from service.words import BLOCKED, clock, plural, silent
from workers.settings import Settings
from workers.store.client import Store, store_time
from workers.store.lanes import Pause, Scope
from workers.store.permits import Governor, Outlook, outlook
from workers.store.records import AccountRecords, DeliveryCount, WaitingTimers, read_workers


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """The state of an account. Times are ms of the store's clock."""

    name: str
    now: int
    pauses: Mapping[tuple[Scope, str], Pause]
    deliveries: Mapping[str, DeliveryCount]
    outlook: Outlook
    timers: WaitingTimers
    paused_tickets: int
    oldest_due: int | None
    """How long the lane waits that is due for longest (ms)."""
    dead: int
    workers: int
    """Worker processes that are alive."""

    @property
    def paused(self) -> Pause | None:
        """The pause of the whole account."""
        return self.pauses.get(("account", ""))

    @property
    def due(self) -> int:
        """Lanes that may be claimed now."""
        return self.outlook.due

    @property
    def last_delivery(self) -> int:
        """When the last delivery was accepted; 0 if there was none."""
        found = [count.last for name, count in self.deliveries.items() if not name.startswith("refused")]
        return max(found, default=0)

    @property
    def no_calls(self) -> str:
        """Why no call can be made; empty if calls can be made."""
        forecast = self.outlook.forecast
        if forecast.gate == "open":
            return ""
        until = clock(self.now + round(forecast.reopens * 1000), "%H:%M")
        if forecast.silent_since:
            return silent(forecast.silent_since, self.now)
        if forecast.gate == "locked":
            return f"Locked out until {until}: {BLOCKED.get(forecast.why, forecast.why)}"
        return BLOCKED.get(forecast.why, forecast.why)

    @property
    def level(self) -> str:
        """How urgent its state is: good, warn or bad."""
        if self.no_calls or not self.workers:
            return "bad"
        return "warn" if self.pauses or self.dead else "good"

    @property
    def sentence(self) -> str:
        """Its state in a sentence."""
        return " ".join(self._sentences()) or "Works."

    def _sentences(self) -> Iterable[str]:
        if self.paused:
            queued = "skipped" if self.paused.skip else "queued"
            yield f"Paused by {self.paused.by}. New events are {queued}."
        if not self.workers:
            yield "No worker is running."
        if self.no_calls:
            yield f"{self.no_calls}."
        if not self.paused and self.pauses:
            yield f"{plural(len(self.pauses), 'pause')} in force."
        if self.dead:
            wait = "waits" if self.dead == 1 else "wait"
            yield f"{'' if self.no_calls or self.pauses else 'Works. '}{plural(self.dead, 'dead letter')} {wait}."


class Reader:
    """Read from the store; safe to use from several threads."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self.client, self.accounts = client, settings.accounts
        self.store = Store(client)

    def now(self) -> int:
        """Return the store's time (ms)."""
        return store_time(self.client)

    def account(self, name: str) -> AccountView:
        """Read the state of an account."""
        account, records, now = self.accounts[name], AccountRecords(self.client, name), self.now()
        return AccountView(
            name=name,
            now=now,
            pauses=records.pauses(),
            deliveries=records.delivery_counts(),
            outlook=outlook(self.store, Governor(name, account.budget)),
            timers=records.waiting_timers(now),
            paused_tickets=records.paused_tickets(),
            oldest_due=self._oldest_due(records, now),
            dead=records.dead_letter_count(),
            workers=len(read_workers(self.client, now).alive),
        )

    @staticmethod
    def _oldest_due(records: AccountRecords, now: int) -> int | None:
        first = records.client.zrangebyscore(records.keys.schedule, "-inf", now, 0, 1, withscores=True)
        return now - int(first[0][1]) if first else None
