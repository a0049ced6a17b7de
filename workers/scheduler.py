"""Rounds in the worker process: one thread for each account that has any, beside the threads that take turns."""

import logging
import secrets
import threading

import redis

from workers.engine.schedules import NAMES, PeriodicTasks, TaskResult, run_due_task
from workers.engine.steps import Call, Step, drive
from workers.errors import InDoubt, NotNow, StoreUnavailable, Unsent
from workers.runner import AccountRuntime
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.scripts import Script

#: The longest sleep (s): what a schedule that another process has begun anew may cost.
LOOK = 30.0

#: Seconds of rest when the store is away, or a round has failed for a reason nobody foresaw.
REST = 5.0

log = logging.getLogger(__name__)


class Scheduler:
    """Take the rounds of one account when they are due, once in the fleet."""

    def __init__(self, account: AccountRuntime, store: Store, tasks: PeriodicTasks) -> None:
        self._config, self._wire, self._store, self._tasks = account.config, account.wire, store, tasks
        self._stop = threading.Event()
        self._wake = threading.Event()
        #: New rules may have come with this process, so that its start is a reason to look at the names.
        self._doubted = True
        self._told: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Start in the background, if there is anything to do."""
        if self._tasks.periods(doubted=True):
            name = f"rounds-{self._config.account}"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def stop(self) -> None:
        """End; a round under way is given back before its next step."""
        self._stop.set()
        self._wake.set()

    def doubt(self) -> None:
        """Report that HappyFox has refused something: a name that is in use may not exist any more."""
        if not self._doubted:
            self._doubted = True
            self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                wait = self.work()
            except (StoreUnavailable, redis.RedisError) as error:
                log.debug("The store could not be asked for periodic tasks", extra={"error": str(error)})
                wait = REST
            except Exception:
                log.exception("Periodic task failed; it continues when its lease expires")
                wait = REST
            self._wake.wait(wait)
            self._wake.clear()

    def work(self) -> float:
        """Take every round that is due now; return the seconds until the next look."""
        while not self._stop.is_set():
            task = run_due_task(self._config, self._tasks, secrets.token_hex(8), doubted=self._doubted)
            ended = drive(task, self._perform)
            if not ended.name:
                return min(ended.wait / 1000, LOOK) if ended.wait > 0 else LOOK if ended.wait < 0 else 0.01
            self._tell(ended)
        return 0

    def _perform(self, step: Step) -> object:
        if self._stop.is_set() and not (isinstance(step, Script) and step.name in ("release_task", "release")):
            raise NotNow(0, "the worker ends")
        if isinstance(step, Script):
            return self._store.run(step)
        assert isinstance(step, Call)
        try:
            return self._wire.send(step.request, permit=step.permit, send_by=monotonic() + step.send_by / 1000)
        except (Unsent, InDoubt) as error:
            return error

    def _tell(self, ended: TaskResult) -> None:
        """Write what came of a round; what keeps it from going on is told once by each process."""
        fields = {"account": self._config.account, "round": ended.name}
        if ended.name == NAMES and ended.over:
            self._doubted = False
            for finding in ended.new_findings:
                log.warning("A name in use is unknown to HappyFox", extra={**fields, "reason": finding})
        elif ended.why:
            if (ended.name, ended.why) not in self._told:
                self._told.add((ended.name, ended.why))
                log.warning("Periodic task could not finish", extra={**fields, "reason": ended.why})
        elif ended.put or ended.cut:
            log.info("Schedule matched tickets", extra={**fields, "count": ended.put})
            if ended.cut:
                log.warning("Schedule matched more tickets than one run takes", extra={**fields, "count": ended.put})
