"""Watch for what people want to be told of: one process of the fleet at a time does.

    {foxhooks}:watchman  STRING  the process that watches, for half a minute after its last look
    {foxhooks}:alerts    HASH    alert and account -> AlertState (JSON): what people have been told

Web and worker processes run a watchman each. The one that holds the lease looks every ``INTERVAL`` seconds, says what
has begun, again after ``AGAIN``, and when it is over. A store that accepts nothing can hold neither lease nor state, so
that each web process tells of it itself.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import msgspec
import redis

from workers.alerts.conditions import CONDITIONS, TROUBLES, Firing, View, evaluate
from workers.alerts.sending import AlertMessage, NotSent, State, send
from workers.errors import StoreUnavailable
from workers.settings import Alert, Settings
from workers.store.client import Store, store_time
from workers.store.clock import monotonic
from workers.store.failures import unavailable
from workers.store.inbox import accept
from workers.store.keys import ALERTS, WATCHMAN

#: Seconds between two looks.
INTERVAL = 15.0

#: How long (ms) a process watches after its last look.
LEASE = 40_000

#: After how long (ms) a trouble that continues is said again.
AGAIN = 4 * 3_600_000

#: How many looks in a row must find that it is over.
CALM = 2

#: How long (s) nothing can be stored before people are told.
NOT_STORING = 45.0

#: How long (ms) the state of alerts is kept.
KEPT = 35 * 86_400_000

log = logging.getLogger(__name__)


class AlertState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What people have been told. Times are ms of the store's clock."""

    when: str
    account: str
    text: str
    fix: str = ""
    since: int
    """When the trouble began, or was first seen."""
    told: int = 0
    """When people were last told; 0 if that has not succeeded yet."""
    calm: int = 0
    """How many looks in a row have found that it is over."""
    begun: bool = False
    """Whether people know of it."""


_STATE = msgspec.json.Decoder(AlertState)


def read_alerts(client: redis.Redis) -> list[AlertState]:
    """Return the alerts that are on, the latest first."""
    return sorted(_read_states(client)[0].values(), key=lambda state: -state.since)


def _read_states(client: redis.Redis) -> tuple[dict[str, AlertState], list[str]]:
    """Return what people have been told by alert, and the alerts of which that cannot be read."""
    untyped: Any = client
    found: dict[str, AlertState] = {}
    unreadable: list[str] = []
    for name, state in untyped.hgetall(ALERTS).items():
        try:
            found[name.decode()] = _STATE.decode(state)
        except (UnicodeDecodeError, msgspec.DecodeError):
            unreadable.append(name.decode("utf-8", "backslashreplace"))
    return found, unreadable


class Watchman:
    """Watch, and tell people, as long as the process holds the lease."""

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        process: str,
        *,
        stores: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        # Any, because redis-py types each result as if the client might be asynchronous.
        self._client: Any = client
        self._settings, self._process, self._clock = settings, process, clock
        self._stores = stores and any(alert.when == "not-storing" for alert in settings.alerts)
        self._accounts = tuple(settings.accounts)
        self._failing: float | None = None
        self._said_failing: float | None = None
        self._unreadable = set[str]()
        self._stop = threading.Event()

    def start(self) -> None:
        """Watch in the background, if there is anything to tell."""
        if self._settings.alerts:
            threading.Thread(target=self._run, name="watchman", daemon=True).start()

    def stop(self) -> None:
        """Stop watching; another process takes over when the lease has expired."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                self.look()
            except Exception:
                log.exception("Alerts could not be judged")

    def look(self) -> None:
        """Look once, if this process watches."""
        try:
            if self._stores:
                self._check_storing()
            if self._holds_lease():
                self._look()
        except (redis.RedisError, StoreUnavailable) as error:
            log.debug("Alerts could not be judged", extra={"error": str(unavailable(error))})

    def _holds_lease(self) -> bool:
        if self._client.set(WATCHMAN, self._process, nx=True, px=LEASE):
            return True
        if (self._client.get(WATCHMAN) or b"").decode() != self._process:
            return False
        return bool(self._client.pexpire(WATCHMAN, LEASE))

    def _look(self) -> None:
        now = store_time(self._client)
        view = View(self._client, self._accounts, now)
        known = self._known()
        for alert in self._settings.alerts:
            if alert.when not in TROUBLES and alert.when not in CONDITIONS:
                continue
            firing = {_name(alert, each.account): each for each in evaluate(alert, view)}
            for name, each in firing.items():
                self._tell(alert, name, each, known.get(name), now)
            for name in set(_names(alert, self._accounts)) & known.keys() - firing.keys():
                self._end(alert, name, known[name], now)

    def _known(self) -> dict[str, AlertState]:
        """Return what people have been told; nothing about an alert of which that cannot be read."""
        found, unreadable = _read_states(self._client)
        for name in set(unreadable) - self._unreadable:
            log.warning("The state of an alert cannot be read: it counts as new", extra={"alert": name, "key": ALERTS})
        self._unreadable = set(unreadable)
        return found

    def _tell(self, alert: Alert, name: str, firing: Firing, before: AlertState | None, now: int) -> None:
        """Tell people of a trouble that has begun, or has continued for long."""
        state = AlertState(
            when=alert.when,
            account=firing.account,
            text=firing.text,
            fix=firing.fix,
            since=before.since if before else firing.since or now,
            told=before.told if before else 0,
            begun=before is not None and before.begun,
        )
        if not state.begun or now - state.told >= AGAIN:
            message = _message("continues" if state.begun else "begun", state, now)
            if self._send(alert, message):
                state = msgspec.structs.replace(state, told=now, begun=True)
        self._store(name, state)

    def _end(self, alert: Alert, name: str, state: AlertState, now: int) -> None:
        """Tell people that a trouble is over."""
        if state.calm + 1 < CALM:
            self._store(name, msgspec.structs.replace(state, calm=state.calm + 1))
        elif not state.begun or self._send(alert, _message("over", state, now)):
            self._client.hdel(ALERTS, name)

    def _store(self, name: str, state: AlertState) -> None:
        self._client.hset(ALERTS, name, msgspec.json.encode(state))
        self._client.pexpire(ALERTS, KEPT)

    def _send(self, alert: Alert, message: AlertMessage) -> bool:
        """Send a message to every address; return whether at least one has it. What failed is in the log."""
        sent = False
        for address in alert.to:
            try:
                send(message, alert, address, self._settings.smtp_url, self._settings.mail_from)
                sent = True
            except NotSent as failed:
                log.error("An alert could not be sent", extra={"alert": alert.when, "error": str(failed)})  # noqa: TRY400
        return sent

    def _check_storing(self) -> None:
        """Tell people if no delivery can be stored; the state is in this process, because the store has none."""
        problem = self._probe()
        now = self._clock()
        if problem is None:
            if self._said_failing is not None:
                self._say_storing("over", "deliveries can be stored again")
            self._failing = self._said_failing = None
            return
        self._failing = now if self._failing is None else self._failing
        if now - self._failing < NOT_STORING:
            return
        if self._said_failing is None or now - self._said_failing >= AGAIN / 1000:
            state: State = "begun" if self._said_failing is None else "continues"
            if self._say_storing(state, f"deliveries cannot be stored and get a 503: {problem}"):
                self._said_failing = now

    def _probe(self) -> str | None:
        """Store nothing, in the way of a delivery; return what prevents it."""
        try:
            with Store(self._client) as store:
                store.run(accept(self._accounts[0], [], 60))
        except StoreUnavailable as error:
            return str(error)
        except RuntimeError:
            return "a function of the store fails"
        return None

    def _say_storing(self, state: State, text: str) -> bool:
        alerts = [alert for alert in self._settings.alerts if alert.when == "not-storing"]
        at = int(time.time() * 1000)
        message = AlertMessage(state, "not-storing", "", text, "see `foxhooks doctor` and /readyz", 0, at)
        sent = [self._send(alert, message) for alert in alerts]
        return any(sent)


def _message(state: State, of: AlertState, now: int) -> AlertMessage:
    return AlertMessage(state, of.when, of.account, of.text, of.fix, of.since, now)


def _name(alert: Alert, account: str) -> str:
    """Return the field of an alert's state: another threshold or address is another alert."""
    addresses = "\n".join(each.target.reveal() for each in alert.to)
    terms = f"{alert.count} {alert.age:g} {alert.silent_after:g} {alert.ratio:g} {alert.account}\n{addresses}"
    return f"{alert.when} {sha256(terms.encode()).hexdigest()[:12]} {account}".strip()


def _names(alert: Alert, accounts: Sequence[str]) -> Iterator[str]:
    yield from (_name(alert, account) for account in ("", *accounts))
