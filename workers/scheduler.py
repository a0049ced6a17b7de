"""Run an account's periodic tasks in a thread beside those that take turns."""

import logging
import secrets
import threading
from contextlib import suppress

import msgspec
import redis

from workers.engine.schedules import PeriodicTasks, TaskResult, run_due_task
from workers.engine.steps import Call, Step, drive
from workers.errors import InDoubt, NotNow, StoreUnavailable, Unsent
from workers.runner import AccountRuntime
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.failures import unavailable
from workers.store.periodic import NAMES, SWEEP
from workers.store.recorder import record_shape
from workers.store.scripts import Script
from workers.store.storms import StormWatch
from workers.timeouts import STOPPING
from workers.webhook.shapes import shape_of

#: The longest sleep (s), and so the longest delay of a schedule that another process has changed.
MAX_SLEEP = 5.0

#: Seconds to wait when the store is unavailable or a task failed unexpectedly.
RETRY_DELAY = 5.0

log = logging.getLogger(__name__)


class Scheduler:
    """Run an account's periodic tasks when due, each once in the fleet."""

    def __init__(
        self, account: AccountRuntime, store: Store, tasks: PeriodicTasks, storms: StormWatch | None = None
    ) -> None:
        self._config, self._connection, self._store, self._tasks = account.config, account.connection, store, tasks
        self._storms = storms
        self._stop = threading.Event()
        self._wake = threading.Event()
        # This process may have new rules, so check the names soon after its start.
        self._names_doubted = True
        self._logged: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Start in the background if there are any tasks."""
        if self._tasks.periods(doubted=True):
            threading.Thread(target=self._run, name=f"scheduler-{self._config.account}", daemon=True).start()

    def stop(self) -> None:
        """Stop; a running task is released before its next step."""
        self._stop.set()
        self._wake.set()

    def check_names_soon(self) -> None:
        """Check the names in use soon, because one may no longer exist."""
        if not self._names_doubted:
            self._names_doubted = True
            self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                wait = self.work()
            except (StoreUnavailable, redis.RedisError) as error:
                log.debug("The store could not be asked for periodic tasks", extra={"error": str(unavailable(error))})
                wait = RETRY_DELAY
            except Exception:
                log.exception("Periodic task failed; it continues when its lease expires")
                wait = RETRY_DELAY
            self._wake.wait(wait)
            self._wake.clear()

    def work(self) -> float:
        """Run every task that is due now; return the seconds until the next check."""
        self._record_answers()
        self._watch_storms()
        while not self._stop.is_set():
            task = run_due_task(self._config, self._tasks, secrets.token_hex(8), doubted=self._names_doubted)
            result = drive(task, self._perform)
            if not result.name:
                return min(result.wait / 1000, MAX_SLEEP) if result.wait > 0 else MAX_SLEEP if result.wait < 0 else 0.01
            self._log_result(result)
        return 0

    def _perform(self, step: Step) -> object:
        if self._stop.is_set() and not (isinstance(step, Script) and step.name in ("release_task", "release")):
            raise NotNow(0, STOPPING)
        if isinstance(step, Script):
            return self._store.run(step)
        assert isinstance(step, Call)
        try:
            return self._connection.send(step.request, permit=step.permit, send_by=monotonic() + step.send_by / 1000)
        except (Unsent, InDoubt) as error:
            return error

    def _watch_storms(self) -> None:
        """Notice a storm; each is logged once in the fleet."""
        if self._storms and (arrivals := self._storms.check(self._store.run)):
            text = "Storm: far more deliveries than usual; creations and contacts' replies keep their pace"
            log.warning(text, extra={"account": self._config.account, "count": arrivals})

    def _record_answers(self) -> None:
        """Record what the answers of the last seconds look like."""
        for what, body in self._connection.take_answers():
            with suppress(ValueError, RecursionError):
                shape = shape_of(what, msgspec.json.decode(body) if body else None)
                self._store.run(record_shape(self._config.account, shape))

    def _log_result(self, result: TaskResult) -> None:
        """Log the result of a task, and each reason of a failure once per process."""
        fields = {"account": self._config.account, "task": result.name}
        if result.name == NAMES and result.over:
            self._names_doubted = False
            for finding in result.new_findings:
                log.warning("HappyFox does not know a name in use", extra={**fields, "reason": finding})
        elif result.why:
            if (result.name, result.why) not in self._logged:
                self._logged.add((result.name, result.why))
                log.warning("Periodic task could not finish", extra={**fields, "reason": result.why})
        elif result.name == SWEEP:
            if result.put:
                log.debug("Sweep found changed tickets", extra={**fields, "count": result.put})
        elif result.put or result.cut:
            log.info("Schedule matched tickets", extra={**fields, "count": result.put})
            if result.cut:
                log.warning("Schedule matched more tickets than one run takes", extra={**fields, "count": result.put})
