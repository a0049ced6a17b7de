"""Seeds without a repeated delivery at the end: what is lost, also while the web process is down, only sweeps find."""

import random
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

from tests.simulation.people import DURATION
from tests.simulation.state import Activity, SimulationState
from workers.engine.context import Sweep
from workers.engine.schedules import PeriodicTasks, TaskResult, run_due_task
from workers.engine.steps import Call
from workers.errors import InDoubt, StoreUnavailable, Unreachable
from workers.store.keys import Keys
from workers.store.periodic import SWEEP, decode, decode_memo
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, START, Crash
from workers.tickets.snapshot import decode as decode_snapshot

KEYS = Keys(ACCOUNT)

#: One seed in this many.
SEEDS = 4

#: How often (ms) it is swept. A delivery may come long before a slow sweep.
PERIODS = (20_000, 20_000, 400_000)

#: How long the web process is down (ms).
DOWN = 120_000


class Sweeper:
    """The scheduler of a worker, which crashes as its workers do, and a web process that is down once."""

    def __init__(self, state: SimulationState, seed: int) -> None:
        self._state, self._rng = state, random.Random(f"sweeps {seed}")
        self._sweep = Sweep(random.Random(f"period {seed}").choice(PERIODS), 500)

    def happens(self) -> bool:
        """Return whether this seed has one."""
        return self._rng.randrange(SEEDS) == 0

    def start(self) -> None:
        """Switch sweeps on for the whole seed."""
        state = self._state
        state.swept = True
        state.config = state.world.config = replace(state.world.config, sweep=self._sweep)
        state.agenda.spawn(self._run())

    def _run(self) -> Activity:
        """Sweep until the seed ends."""
        state = self._state
        state.agenda.spawn(self._down(), self._rng.uniform(0, DURATION - DOWN))
        while not state.history.at_rest:
            try:
                result: TaskResult = yield from self._task()
                wait = result.wait if not result.name else 1
            except (Crash, StoreUnavailable):
                wait = 1_000
            yield max(1, wait)

    def _down(self) -> Activity:
        self._state.faults.counts["the web process is down"] += 1
        self._state.web_down_until = self._state.world.now + DOWN
        return
        yield

    def _task(self) -> Generator[float, None, Any]:
        state, world = self._state, self._state.world
        steps = run_due_task(world.config, PeriodicTasks((), sweep=self._sweep), world.nonce())
        try:
            step = next(steps)
            while True:
                yield self._rng.uniform(0, 50)
                answer = self._script(step) if isinstance(step, Script) else self._call(step)
                step = steps.send(answer)
        except StopIteration as stop:
            self._note_progress()
            state.agenda.wake()
            return stop.value

    def _script(self, step: Script[Any]) -> Any:
        fault = self._state.faults.draw("script")
        if fault == "crash before a script":
            raise Crash
        answer = self._state.world.store.run(step)
        if fault == "script run twice":
            answer = self._state.world.store.run(step)
        if fault in ("crash after a script", "script's answer lost"):
            raise Crash
        return answer

    def _call(self, step: Any) -> Any:
        assert isinstance(step, Call)
        fault = self._state.faults.draw("call")
        if self._state.outage is not None:
            self._state.outage.calls.append(self._state.world.now)
            return Unreachable("HappyFox refuses connections")
        if fault == "crash before a call":
            raise Crash
        answer = self._state.world.answer(step)
        if fault == "crash while a call is under way":
            raise Crash
        return InDoubt("cut") if fault.startswith("cut") else answer

    def _note_progress(self) -> None:
        stored: Any = self._state.client
        found = stored.hget(KEYS.periodic_tasks, SWEEP)
        covered = decode_memo(decode(found).memo).covered if found else 0
        if covered > self._state.covered:
            self._state.history.overlooked += self._overlooked(covered)
        self._state.covered = covered

    def _overlooked(self, covered: int) -> Iterator[str]:
        """Find changes made before a complete sweep began that are not known, and whose tickets nobody will read."""
        stored: Any = self._state.client
        for number, ticket in self._state.world.simulator.account.tickets.items():
            waits = stored.llen(KEYS.lane(number)) or stored.hexists(KEYS.leases, number)
            snapshot = decode_snapshot(stored.get(KEYS.snapshot(number)))
            for update in () if waits else ticket.updates:
                is_old = max(update.at, update.visible_at) * 1000 < covered
                if is_old and not (snapshot and snapshot.knows(update.update_id)):
                    yield f"ticket {number}: update {update.update_id} is unknown after the sweep of {covered - START}"
