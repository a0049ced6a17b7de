"""The fleet: what each running process says about itself, and where processes differ.

Every process publishes its version, its settings in force and, if it runs handlers, its routers: commands, the
dashboard and the metrics show what runs, not the settings of their own shell. `Presence` writes it, `read_fleet`
reads it.

    {foxhooks}:fleet       HASH  process -> Process (JSON)
    {foxhooks}:fleet_seen  HASH  process -> ms of its last sign of life

A process is dead when its sign of life is older than ``WORKER_LIFE``. It is dropped when it ends in order or, by the
others, some minutes after its last sign of life.
"""

import logging
import os
import secrets
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import redis

from workers.errors import StoreUnavailable
from workers.settings import Account, Budget, GatewayClient, Settings, ShownSetting
from workers.store.client import store_time
from workers.store.failures import unavailable
from workers.store.keys import FLEET, FLEET_SEEN, WORKER_LIFE, WORKERS
from workers.version import __version__

#: Seconds between two signs of life.
INTERVAL = 5.0

#: How long (ms) a process without a sign of life is listed as dead, and the keys are kept if nothing runs any more.
FORGET, KEPT = 20 * WORKER_LIFE, 86_400_000

#: Settings that may differ between processes that work together.
OWN = frozenset({"REDIS_URL", "FOXHOOKS_DATA", "PORT", "HOST", "FOXHOOKS_GATEWAY_PORT", "LOG_LEVEL", "LOG_FORMAT"})

#: What is compared besides settings.
VERSION, RULES, HANDLERS = "version", "rules", "handlers"

log = logging.getLogger(__name__)


class RunningHandler(msgspec.Struct, frozen=True, omit_defaults=True):
    """A handler as a process has loaded it."""

    name: str
    """router.function"""
    kinds: tuple[str, ...] = ()
    schedule: str = ""
    """How often it runs, and for which tickets; empty if it has no schedule."""


class RunningRouter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A router as a process has loaded it."""

    name: str
    handlers: tuple[RunningHandler, ...] = ()
    grants: tuple[str, ...] = ()
    """Its permissions."""
    dry_run: bool = False


class RunningAccount(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An account as a process has it; a process without handlers knows only its settings."""

    settings: tuple[ShownSetting, ...] = ()
    budget: Budget | None = None
    """None if the process makes no calls."""
    routers: tuple[RunningRouter, ...] = ()
    dry_run: bool = False
    """Whether all of its routers run dry."""
    off_tag: str = ""
    loop_guard: int = 0
    rules: str = ""
    """The digest of the rules file, empty without one."""
    handlers: str = ""
    """The digest of the code and the settings of its handlers."""

    def setting(self, name: str) -> str:
        """Return the value of a setting as text, empty if the process does not read it."""
        return next((each.value for each in self.settings if each.name == name), "")

    @property
    def dry_routers(self) -> tuple[str, ...]:
        """The routers that run dry while others act."""
        return () if self.dry_run else tuple(each.name for each in self.routers if each.dry_run)


class RunningClient(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A client of the gateway as a process has it, without its token."""

    name: str
    allow: tuple[str, ...] = ()
    """Its permissions."""
    priority: str = "normal"
    """The class in which its calls get permits."""
    wait: float = 30.0
    """How many seconds a call waits for a permit and for its ticket."""
    categories: tuple[int | str, ...] = ()
    """The only categories whose tickets it may use; empty for all."""


class Process(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a process says about itself. Times are ms of the store's clock."""

    format: int = 1
    name: str
    """Host, process id and a random part."""
    part: str
    """web, worker, gateway or dashboard."""
    version: str
    host: str
    pid: int
    since: int = 0
    """When it first published this."""
    settings: tuple[ShownSetting, ...] = ()
    """The settings of the deployment; those of an account are in ``accounts``."""
    accounts: Mapping[str, RunningAccount] = {}
    clients: tuple[RunningClient, ...] = ()
    """The programs that may use the gateway, of a process that serves it."""


_PROCESS = msgspec.json.Decoder(Process)


def process_name() -> str:
    """Return a new name for this process."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def describe_process(
    part: str,
    settings: Settings,
    describe_account: Callable[[Account], RunningAccount] = lambda account: RunningAccount(settings=account.shown),
    name: str = "",
) -> Process:
    """Return what this process publishes; one that runs handlers describes its accounts itself."""
    return Process(
        name=name or process_name(),
        part=part,
        version=__version__,
        host=socket.gethostname(),
        pid=os.getpid(),
        settings=settings.shown,
        accounts={each.name: describe_account(each) for each in settings.accounts.values()},
        clients=tuple(_describe_client(each) for each in settings.clients.values()),
    )


def _describe_client(client: GatewayClient) -> RunningClient:
    return RunningClient(
        name=client.name,
        allow=tuple(sorted(client.allow)),
        priority=client.priority,
        wait=client.wait,
        categories=client.categories,
    )


class Presence:
    """Keep a process published in the fleet."""

    def __init__(self, client: redis.Redis, process: Process) -> None:
        # Any, because redis-py types each result as if the client might be asynchronous.
        self._client: Any = client
        self._process, self._encoded = process, b""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self) -> None:
        """Publish the process if it is not known, store its sign of life, and drop processes that are long dead."""
        try:
            now = store_time(self._client)
            self._encoded = self._encoded or msgspec.json.encode(msgspec.structs.replace(self._process, since=now))
            with self._client.pipeline(transaction=False) as batch:
                batch.hsetnx(FLEET, self._process.name, self._encoded)
                batch.hset(FLEET_SEEN, self._process.name, now)
                batch.hgetall(FLEET_SEEN)
                batch.pexpire(FLEET, KEPT)
                batch.pexpire(FLEET_SEEN, KEPT)
                seen = batch.execute()[2]
            self._drop([name for name, at in seen.items() if int(at) < now - FORGET])
        except redis.RedisError as error:
            raise unavailable(error) from error

    def start(self) -> None:
        """Publish in the background until ``stop``; a store that does not answer is asked again."""
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Drop the process from the fleet; without the store it is dropped later, as dead."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(INTERVAL)
        try:
            self._drop([self._process.name])
        except redis.RedisError as error:
            log.debug("The process could not be dropped from the fleet", extra={"error": str(unavailable(error))})
        self._client.close()

    def _run(self) -> None:
        while True:
            try:
                self.beat()
            except StoreUnavailable as error:
                log.debug("The process could not be published in the fleet", extra={"error": str(error)})
            except Exception:
                log.exception("The process could not be published in the fleet")
            if self._ended.wait(INTERVAL):
                return

    def _drop(self, names: list[Any]) -> None:
        if names:
            self._client.hdel(FLEET, *names)
            self._client.hdel(FLEET_SEEN, *names)
            self._client.hdel(WORKERS, *names)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that should be equal in all processes and is not."""

    account: str
    """Empty if it concerns the whole deployment."""
    what: str
    """The variable of a setting, or ``VERSION``, ``RULES`` or ``HANDLERS``."""
    values: Mapping[str, tuple[str, ...]]
    """Each value with the processes that have it."""

    def __str__(self) -> str:
        of = f" of {self.account}" if self.account else ""
        if self.what in (RULES, HANDLERS):
            return f"processes have loaded different {self.what}{of}: {_list(self.values.values())}"
        listed = "; ".join(f"{value or 'not set'} in {', '.join(names)}" for value, names in self.values.items())
        what = "versions of foxhooks" if self.what == VERSION else f"values of {self.what}{of}"
        return f"processes have different {what}: {listed}"


def _list(groups: Iterable[tuple[str, ...]]) -> str:
    return " differ from ".join(", ".join(names) for names in groups)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The processes that the store knows."""

    alive: tuple[Process, ...]
    """Oldest first."""
    silent: tuple[Process, ...] = ()
    """Those whose last sign of life is too old."""

    def of(self, part: str) -> tuple[Process, ...]:
        """Return the running processes of one part: web, worker, gateway or dashboard."""
        return tuple(each for each in self.alive if each.part == part)

    def account(self, name: str) -> RunningAccount | None:
        """Return an account as the newest worker has it; None if no worker runs."""
        found = [each.accounts[name] for each in self.of("worker") if name in each.accounts]
        return found[-1] if found else None

    def clients(self) -> tuple[RunningClient, ...]:
        """Return the clients of the gateway as its newest process has them; none if no gateway runs."""
        found = self.of("gateway")
        return found[-1].clients if found else ()

    def differences(self) -> tuple[Difference, ...]:
        """Return what should be equal in all running processes and is not."""
        found: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for process in self.alive:
            for account, what, value in _compared(process):
                found[account, what][value].append(f"{process.part} {process.host}-{process.pid}")
        return tuple(
            Difference(account, what, {value: tuple(names) for value, names in values.items()})
            for (account, what), values in found.items()
            if len(values) > 1
        )


def _compared(process: Process) -> Iterator[tuple[str, str, str]]:
    yield "", VERSION, process.version
    for setting in process.settings:
        if setting.name not in OWN:
            yield "", setting.name, setting.value
    for name, account in process.accounts.items():
        for setting in account.settings:
            yield name, setting.name, setting.value
        if process.part == "worker":
            yield name, RULES, account.rules
            yield name, HANDLERS, account.handlers


def read_fleet(client: redis.Redis, now: int | None = None) -> Fleet:
    """Read which processes run, and what they say about themselves; ``now`` is the store's time (ms)."""
    untyped: Any = client
    now = store_time(client) if now is None else now
    seen = {name: int(at) for name, at in untyped.hgetall(FLEET_SEEN).items()}
    found = sorted(_decode(untyped.hgetall(FLEET)), key=lambda each: (each.since, each.name))
    alive = [each for each in found if now - seen.get(each.name.encode(), 0) < WORKER_LIFE]
    return Fleet(tuple(alive), tuple(each for each in found if each not in alive))


def _decode(stored: Mapping[bytes, bytes]) -> Iterator[Process]:
    for each in stored.values():
        try:
            yield _PROCESS.decode(each)
        except msgspec.DecodeError:  # of a later version
            continue
