"""What begins and ends with a worker process, beside the turns."""

import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dramatiq
import redis
from dramatiq import cli
from dramatiq.middleware import AsyncIO, Callbacks, Pipelines, Retries, ShutdownNotifications

from workers.engine.context import SEND_BY, AccountConfig
from workers.engine.schedules import PeriodicTasks, periodic_tasks
from workers.errors import StoreUnavailable
from workers.happyfox.directory import Directory
from workers.happyfox.http import ApiConnection
from workers.logs import init_logging, init_sentry
from workers.plugins.invoke import Bound
from workers.plugins.loading import Loaded, load_accounts
from workers.rules import file as rules
from workers.rules.names import unknown_here, uses_names
from workers.runner import AccountRuntime, Driver
from workers.scheduler import Scheduler
from workers.settings import Account as AccountSettings
from workers.settings import Settings, SettingsError, load
from workers.store.broker import ACTOR, QUEUE, LaneBroker, Readiness
from workers.store.client import Store, connect, url_of
from workers.store.clock import Watch, monotonic
from workers.store.keys import Keys
from workers.store.lanes import ClaimConfig
from workers.store.leases import Leases
from workers.store.permits import Governor
from workers.timeouts import HandlerTimeouts

log = logging.getLogger(__name__)


class Boot(dramatiq.Middleware):
    """Start the renewing of leases and the rounds with the worker, marks the store's birth, ends them in order."""

    def __init__(self, store: Store, leases: Leases, accounts: Iterable[str], rounds: Sequence[Scheduler]) -> None:
        self._store, self._leases, self._accounts, self._rounds = store, leases, accounts, rounds

    def after_process_boot(self, broker: Any) -> None:
        # Heroku sends SIGTERM to every process, and Dramatiq's parent passes its own on. At the second one Dramatiq
        # would give up its orderly stop, and hang for the threads that still run.
        stop = signal.getsignal(signal.SIGTERM)

        def once(number: int, frame: Any) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if callable(stop):
                stop(number, frame)

        signal.signal(signal.SIGTERM, once)

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        try:
            for account in self._accounts:
                seconds, micros = self._store.client.time()
                self._store.client.set(Keys(account).store_epoch, seconds * 1000 + micros // 1000, nx=True)
            self._leases.heartbeat()
        except (redis.RedisError, StoreUnavailable) as error:
            log.error("The store is unreachable; the worker waits for it", extra={"error": type(error).__name__})
        self._leases.start()
        for each in self._rounds:
            each.start()
        log.info("Worker is ready", extra={"threads": worker.worker_threads, "pid": os.getpid()})

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        for each in self._rounds:
            each.stop()

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        self._leases.stop()
        self._store.close()


#: What threads may still finish after SIGTERM, in ms: the call under way. With Dramatiq's own waits of a second or
#: so before and after, the process ends within 25 s; Heroku kills after 30 s.
SHUTDOWN = 21_000

#: The part of FOXHOOKS_LEASE_SECONDS for which a lane is leased. The rest is for whoever finds that the lease has run
#: out: so the lanes of a killed worker run again within that many seconds.
LEASED = 0.95

#: For how long (s) a thread works lanes before it is free for actors on other queues, and for accounts that came later.
SLICE = 1.0


def run(settings: Settings) -> int:
    """Run worker processes through Dramatiq's own command line until a signal ends them; return its exit code."""
    arguments = [
        "workers.worker:start",
        *("--processes", str(settings.processes), "--threads", str(settings.threads)),
        *("--worker-shutdown-timeout", str(SHUTDOWN), "--skip-logging", "--path"),
    ]
    parser = cli.make_argument_parser()  # type: ignore[no-untyped-call]
    code: int = cli.main(parser.parse_args(arguments))  # type: ignore[no-untyped-call]
    return code


def start() -> None:
    """Build the broker of this worker process from its environment; Dramatiq calls it in each process it makes."""
    try:
        dramatiq.set_broker(build(load("worker", os.environ, Path.cwd())))
    except SettingsError as error:
        # A plug-in that does not import is for a person to mend, who needs the complaint and no traceback.
        print(f"The worker cannot start:\n{error}", file=sys.stderr)
        raise SystemExit(1) from None


def build(settings: Settings) -> LaneBroker:
    """Put a worker process together: store, governor and wire of each account, leases, limits, broker."""
    init_logging(settings)
    # Sentry's integration changes what a broker is built of, so it comes first.
    init_sentry(settings, "worker")
    client = connect(url_of(settings.redis_url, settings.data))
    store = Store(client)
    loaded = load_accounts(settings.accounts.values(), Path.cwd(), rules.load)
    _warn_of_idle(loaded)
    accounts = {name: _account(settings, each, loaded[name], store) for name, each in settings.accounts.items()}
    worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    governors = [account.config.governor for account in accounts.values()]
    watch = Watch(store, governors, durable=settings.durability == "fsync")
    leases = Leases(store, settings.lease * LEASED, monotonic, worker, watch.check)
    idle = connect(url_of(settings.redis_url, settings.data), connections=1)
    claims = [account.config.claim for account in accounts.values()]
    readiness = Readiness(store, idle, claims, settings.threads)
    timeouts = HandlerTimeouts(settings.handler_seconds, readiness.stopped)
    rounds = {
        name: Scheduler(account, store, _tasks(settings.accounts[name], account.config, loaded[name]))
        for name, account in accounts.items()
    }
    middleware = [
        AsyncIO(),
        Callbacks(),
        Pipelines(),
        Retries(),
        ShutdownNotifications(),
        Boot(store, leases, accounts, list(rounds.values())),
    ]
    broker = LaneBroker(readiness, client, middleware)
    drivers = {
        name: Driver(account, store, leases, timeouts, readiness.stopped, rounds[name].doubt)
        for name, account in accounts.items()
    }
    _declare(broker, readiness, drivers)
    return broker


def _warn_of_idle(loaded: Mapping[str, list[Loaded]]) -> None:
    for account, routers in loaded.items():
        for each in routers:
            if not each.router.handlers:
                log.warning("Router has no handlers", extra={"account": account, "router": each.router.name})


def _account(settings: Settings, account: AccountSettings, loaded: list[Loaded], store: Store) -> AccountRuntime:
    governor = Governor(account.name, account.budget)
    life = int(account.timeout * 1000) + SEND_BY
    handlers = tuple(Bound(handler, each.settings) for each in loaded for handler in each.router.handlers)
    claim = ClaimConfig(
        account=account.name,
        lease=int(settings.lease * LEASED * 1000),
        read=bool(handlers),
        budget=governor.budget,
        life=life,
    )
    config = AccountConfig(
        claim=claim,
        governor=governor,
        staff_id=account.staff_id,
        site=account.url,
        handlers=handlers,
        allow=account.allow,
        dry_run=account.dry_run,
        dry_routers=account.dry_routers,
        off_tag=account.off_tag,
        off_skips=account.off_skips,
        loop_guard=account.loop_guard,
        call_ms=life,
        doubt_ms=int(account.doubt * 1000),
        record_ttl=int(settings.retention_hours * 3_600_000),
        clock=lambda: int(monotonic() * 1000),
        handler_ms=int(settings.handler_seconds * 1000),
    )
    return AccountRuntime(config, ApiConnection.of(account, governor, store))


def _tasks(account: AccountSettings, config: AccountConfig, loaded: list[Loaded]) -> PeriodicTasks:
    """Return what is to be done in rounds: the schedules of the handlers, and a look at the names that are in use."""

    def check(directory: Directory) -> list[str]:
        return [str(complaint) for complaint in unknown_here(account, loaded, directory)]

    return periodic_tasks(config.handlers, check if uses_names(account, loaded) else None)


def _declare(broker: LaneBroker, readiness: Readiness, drivers: Mapping[str, Driver]) -> None:
    def turns() -> None:
        """Take turns of due lanes; lets nothing escape, since Dramatiq would only repeat or drop it."""
        config = readiness.accept()
        try:
            if config is not None:
                drivers[config.account].work(SLICE, partial(readiness.should_yield, config))
        except (StoreUnavailable, redis.RedisError) as error:
            log.error("Turn interrupted; its lane continues when its lease expires", extra={"error": str(error)})
            time.sleep(1.0)
        except Exception:
            log.exception("Turn failed; its lane continues when its lease expires")
            time.sleep(1.0)
        finally:
            readiness.leave(config)

    dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=broker, max_retries=0)(turns)
