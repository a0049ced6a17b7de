"""Put a worker process together and run it under Dramatiq."""

import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import dramatiq
import redis
from dramatiq import cli
from dramatiq.middleware import AsyncIO

from workers.alerts.watchman import Watchman
from workers.engine.context import SEND_BY, AccountConfig, configure
from workers.engine.schedules import PeriodicTasks, periodic_tasks
from workers.errors import StoreUnavailable, suggest
from workers.happyfox.base import IN_HANDLER
from workers.happyfox.directory import Directory
from workers.happyfox.http import ApiConnection
from workers.logs import init_logging, init_sentry
from workers.plugins import jobs
from workers.plugins.invoke import Bound
from workers.plugins.loading import Loaded, load_accounts
from workers.plugins.summary import summarize
from workers.rules import file as rules
from workers.rules.names import needed_lists, unknown_here, unknown_staff
from workers.runner import AccountRuntime, LaneRunner
from workers.scheduler import Scheduler
from workers.settings import Account as AccountSettings
from workers.settings import Settings, SettingsError, load
from workers.store.access import AccessLog
from workers.store.broker import ACTOR, QUEUE, LaneBroker, Readiness
from workers.store.client import MOST_SCRIPT_CONNECTIONS, Store, connect, url_of, wake
from workers.store.clock import Watch, monotonic
from workers.store.failures import unavailable
from workers.store.fleet import Presence, describe_process
from workers.store.inbox import Arrival, accept
from workers.store.keys import Keys
from workers.store.lanes import ClaimConfig
from workers.store.leases import Leases
from workers.store.permits import Governor
from workers.store.storms import StormWatch, storm_limit, usual_arrivals
from workers.timeouts import HandlerTimeouts
from workers.traces import traces
from workers.version import __version__

#: The time (ms) for threads to finish their calls after SIGTERM. Dramatiq waits about a second before and after, so the
#: process ends within 25 s; Heroku kills it after 30 s.
SHUTDOWN_TIMEOUT = 21_000

#: The part of FOXHOOKS_LEASE_SECONDS for which a lane is leased. The rest is the time to find an expired lease, so the
#: lanes of a killed worker run again within FOXHOOKS_LEASE_SECONDS.
LEASE_SHARE = 0.95

#: How long (s) a thread works on the lanes of an account before other accounts and queues may use it.
TIME_SLICE = 1.0

log = logging.getLogger(__name__)


def run(settings: Settings, entry: str = "workers.worker:start") -> int:
    """Run worker processes with Dramatiq's command line, which calls ``entry`` in each; return its exit code."""
    arguments = [
        entry,
        *("--processes", str(settings.processes), "--threads", str(settings.threads)),
        *("--worker-shutdown-timeout", str(SHUTDOWN_TIMEOUT), "--skip-logging", "--path"),
    ]
    parser = cli.make_argument_parser()  # type: ignore[no-untyped-call]
    code: int = cli.main(parser.parse_args(arguments))  # type: ignore[no-untyped-call]
    return code


def start() -> None:
    """Build the broker of this process; Dramatiq calls this in each worker."""
    IN_HANDLER.add(start)  # actors, and a thread that a plug-in starts, run beside and after the handlers
    try:
        build(load("worker", os.environ, Path.cwd()))
    except SettingsError as error:
        # The message describes the fix, for example for a plug-in that cannot be imported; a traceback would not help.
        raise SystemExit(f"The worker cannot start:\n{error}") from None


def build(settings: Settings) -> LaneBroker:
    """Put a worker process together; its broker becomes the global one, so that plug-ins' actors belong to it."""
    init_logging(settings)
    # Sentry's integration patches the classes of a broker, so it must come first.
    init_sentry(settings, "worker")
    _start_traces("worker")
    client = connect(url_of(settings.redis_url, settings.data))
    connections = min(settings.threads, MOST_SCRIPT_CONNECTIONS)
    store = Store(client, replicated=settings.durability == "replica", connections=connections)
    broker = LaneBroker(client, settings.threads, [AsyncIO()])
    dramatiq.set_broker(broker)
    loaded = load_accounts(settings.accounts.values(), Path.cwd(), rules.load)
    for name, routers in loaded.items():
        for router in (each.router for each in routers if not each.router.handlers):
            log.warning("Router has no handlers", extra={"account": name, "router": router.name})
    watch = Watch(
        store,
        [Governor(each.name, each.budget) for each in settings.accounts.values()],
        durable=settings.durability == "fsync",
    )
    accounts = {
        name: _account_runtime(settings, each, loaded[name], store, watch) for name, each in settings.accounts.items()
    }
    published = describe_process("worker", settings, lambda each: summarize(each, loaded[each.name]))
    access = AccessLog(store.run, list(settings.accounts), monotonic)

    def observe() -> None:
        access.check()
        watch.check()

    leases = Leases(store, settings.lease * LEASE_SHARE, monotonic, published.name, observe)
    idle = connect(url_of(settings.redis_url, settings.data), connections=1)
    claims = [account.config.claim for account in accounts.values()]
    readiness = Readiness(store, idle, claims, settings.threads)
    timeouts = HandlerTimeouts(settings.handler_seconds, readiness.stopped)
    schedulers = {
        name: Scheduler(
            account,
            store,
            _periodic_tasks(settings.accounts[name], account.config, loaded[name]),
            StormWatch(name, storm_limit(settings.accounts[name].budget), partial(usual_arrivals, store, name)),
        )
        for name, account in accounts.items()
    }
    broker.serve(readiness)
    jobs.connect(partial(_post, settings, store))
    beside = (Presence(client, published), Watchman(client, settings, published.name))
    broker.add_middleware(Lifecycle(store, leases, schedulers, beside))
    lane_runners = {
        name: LaneRunner(account, store, leases, timeouts, on_rejected_write=schedulers[name].check_names_soon)
        for name, account in accounts.items()
    }
    _declare_actor(broker, readiness, lane_runners)
    return broker


def _post(settings: Settings, store: Store, account: str, arrival: Arrival) -> None:
    """Store what a job sends to a ticket, and wake a worker."""
    if account not in settings.accounts:
        raise ValueError(f"router.post: no account {account!r}; {suggest(account, settings.accounts)}")
    [accepted] = store.run(accept(account, [arrival], int(settings.retention_hours * 3600)))
    if accepted.status == "corrupt":
        raise StoreUnavailable(f"a key of ticket {arrival.ticket} has the wrong type in the store")
    wake(store.client)


def _start_traces(part: str) -> None:
    try:
        traces.start(part, __version__)
    except ImportError as missing:
        log.error("No traces", extra={"reason": str(missing)})  # noqa: TRY400 - the message names the fix


def _account_runtime(
    settings: Settings, account: AccountSettings, loaded: list[Loaded], store: Store, watch: Watch
) -> AccountRuntime:
    governor = Governor(account.name, account.budget)
    call_ms = int(account.timeout * 1000) + SEND_BY
    handlers = tuple(Bound(handler, each.settings) for each in loaded for handler in each.router.handlers)
    claim = ClaimConfig(
        account=account.name,
        lease=int(settings.lease * LEASE_SHARE * 1000),
        read=bool(handlers),
        budget=governor.budget,
        life=call_ms,
        durable=settings.durability == "fsync",
        seen=partial(watch.seen, account.name),
        newest_first=account.newest_first,
    )
    config = configure(settings, account, governor, claim, lambda: int(monotonic() * 1000), handlers)
    return AccountRuntime(config, ApiConnection(account, governor, store))


def _periodic_tasks(account: AccountSettings, config: AccountConfig, loaded: list[Loaded]) -> PeriodicTasks:
    """Return the handlers' schedules and, if there are any handlers, the check of our staff member and of names."""

    def check(directory: Directory) -> list[str]:
        return [
            str(problem) for problem in (*unknown_staff(account, directory), *unknown_here(account, loaded, directory))
        ]

    lists = needed_lists(account, loaded) or ("staff",)
    return periodic_tasks(config.handlers, check if config.handlers else None, lists, config.sweep)


def _declare_actor(broker: LaneBroker, readiness: Readiness, lane_runners: Mapping[str, LaneRunner]) -> None:
    def turns() -> None:
        """Take turns; catch all errors, because Dramatiq would only repeat or drop the message."""
        config = readiness.accept()
        try:
            if config is not None:
                lane_runners[config.account].work(TIME_SLICE, partial(readiness.should_yield, config))
        except (StoreUnavailable, redis.RedisError) as error:
            fields = {"error": str(unavailable(error))}
            text = "Turn interrupted; its lane continues when its lease expires"
            log.error(text, extra=fields)  # noqa: TRY400 - a traceback would not help
            time.sleep(1.0)
        except Exception:
            log.exception("Turn failed; its lane continues when its lease expires")
            time.sleep(1.0)
        finally:
            readiness.leave(config)

    # Turns have limits of their own, and come before the jobs of plug-ins.
    unlimited = float("inf")
    declare = dramatiq.actor(
        actor_name=ACTOR, queue_name=QUEUE, broker=broker, priority=-1, max_retries=0, time_limit=unlimited
    )
    declare(turns)


class Companion(Protocol):
    """Something that runs in the background for as long as the process."""

    def start(self) -> None:
        """Start in the background."""

    def stop(self) -> None:
        """Stop."""


class Lifecycle(dramatiq.Middleware):
    """Store the epoch of a new store; start and stop what runs beside the turns."""

    def __init__(
        self, store: Store, leases: Leases, schedulers: Mapping[str, Scheduler], beside: Sequence[Companion] = ()
    ) -> None:
        self._store, self._leases, self._schedulers, self._beside = store, leases, schedulers, beside

    def after_process_boot(self, _broker: Any) -> None:
        # Heroku sends SIGTERM to every process, and Dramatiq's parent forwards its own. At the second one Dramatiq
        # would abort its orderly shutdown and wait for the running threads.
        shut_down, stopping = signal.getsignal(signal.SIGTERM), False

        def shut_down_once(number: int, frame: Any) -> None:
            # No call comes before the flag is set: Python would run the handler of the second signal inside it.
            nonlocal stopping
            if not stopping:
                stopping = True
                if callable(shut_down):
                    shut_down(number, frame)

        signal.signal(signal.SIGTERM, shut_down_once)

    def after_worker_boot(self, _broker: Any, worker: Any) -> None:
        try:
            for account in self._schedulers:
                seconds, micros = self._store.client.time()
                self._store.client.set(Keys(account).store_epoch, seconds * 1000 + micros // 1000, nx=True)
            self._leases.heartbeat()
        except (redis.RedisError, StoreUnavailable) as error:
            fields = {"error": str(unavailable(error))}
            log.error("The store is unreachable; the worker waits for it", extra=fields)  # noqa: TRY400 - as above
        self._leases.start()
        for companion in self._beside:
            companion.start()
        for scheduler in self._schedulers.values():
            scheduler.start()
        log.info("Worker is ready", extra={"threads": worker.worker_threads, "pid": os.getpid()})

    def before_worker_shutdown(self, _broker: Any, _worker: Any) -> None:
        for scheduler in self._schedulers.values():
            scheduler.stop()

    def after_worker_shutdown(self, _broker: Any, _worker: Any) -> None:
        self._leases.stop()
        for companion in self._beside:
            companion.stop()
        self._store.close()
        traces.stop()
