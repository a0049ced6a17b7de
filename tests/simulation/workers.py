"""The workers of a seed: they claim lanes and take turns as the driver does, and crash."""

from collections.abc import Generator

import msgspec

from tests.simulation.state import Activity, SimulationState
from tests.simulation.transport import Transport, Turn, WorkerProcess
from workers.engine.perform import STALE
from workers.engine.plan import Plan
from workers.engine.steps import Call, Step
from workers.engine.turn import take_turn
from workers.errors import StoreUnavailable
from workers.plugins.invoke import Decide, Failure
from workers.store.lanes import ClaimedLane, NothingDue, claim
from workers.store.scripts import Script
from workers.testing.desk import START, Crash


class Worker:
    """Worker processes with one name; a new one follows one that crashed."""

    def __init__(self, state: SimulationState, transport: Transport, name: str) -> None:
        self._state, self._transport, self._name = state, transport, name

    def run(self) -> Activity:
        """Run one process after another."""
        while True:
            process = WorkerProcess(self._state, self._name)
            try:
                yield from self._live(process)
            except Crash:
                yield self._state.rng.uniform(200, 5_000)

    def _live(self, process: WorkerProcess) -> Activity:
        """Claim lanes and take their turns; sleep while none is due."""
        world = self._state.world
        while not self._replaced(process):
            try:
                began = world.now / 1000
                nonce = world.nonce()
                got = yield from process.script(nonce, claim(process.config.claim, nonce))
                while isinstance(got, ClaimedLane):
                    got = yield from self._turn(process, got, began)
                    began = world.now / 1000
                wait = got.wait if isinstance(got, NothingDue) else 1
            except StoreUnavailable:
                wait = 1_000
            yield -min(wait if wait >= 0 else 60_000, 60_000)

    def _replaced(self, process: WorkerProcess) -> bool:
        """Return whether a new version replaces this process now."""
        state = self._state
        return process.config is not state.config and (state.faults.calm or state.rng.random() < 0.5)

    def _turn(
        self, process: WorkerProcess, lane: ClaimedLane, began: float
    ) -> Generator[float, None, ClaimedLane | NothingDue | None]:
        """Take the turn of a lane as the driver does."""
        state, world = self._state, self._state.world
        process.leases.add(lane, began)
        working = [True]
        state.agenda.spawn(process.renew(working), world.lease / 3)
        state.history.witness.begins(lane.token)
        nonce = world.nonce() if state.rng.random() < 0.5 and not self._replaced(process) else None
        config, plan = process.config, msgspec.json.decode(lane.plan, type=Plan) if lane.plan else None
        turn = Turn(lane, config.dry_run, config.allow, plan)
        if plan is None:
            state.history.allowed[lane.turn] = config.allow
        steps = take_turn(lane, process.config, nonce)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Script) and step.name == "plan":
                    turn.plan = msgspec.json.decode(bytes(step.args[2]), type=Plan)  # type: ignore[arg-type]
                step = steps.send((yield from self._perform(process, turn, step)))
        except StopIteration as stop:
            # Parking again, after an answer that came late, finds the lease gone: no harm done.
            excused = process.frozen_until >= began * 1000 or state.history.emptied >= began * 1000
            if stop.value.end == "lost" and not stop.value.why and not excused:
                state.history.lost_leases.append(f"lane {lane.name} by a turn claimed at {lane.now - START}")
            following: ClaimedLane | NothingDue | None = stop.value.next
            return following
        finally:
            working.clear()
            process.leases.drop(lane)

    def _perform(self, process: WorkerProcess, turn: Turn, step: Step) -> Activity:
        """Perform a step, with random time and faults."""
        self._state.history.steps += 1
        if isinstance(step, Script):
            return (yield from process.script(turn.lane.token, step))
        if isinstance(step, Decide):
            return (yield from self._decide(turn.lane, step))
        assert isinstance(step, Call), "no handler of the simulation attaches a file"
        return (yield from self._transport.call(process, turn, step))

    def _decide(self, lane: ClaimedLane, step: Decide) -> Activity:
        """Run a handler, or make it fail."""
        state = self._state
        fault = state.faults.draw("handler")
        yield state.rng.uniform(0, 30)
        if fault == "crash in a handler":
            raise Crash
        if fault == "slow handler":  # so slow that its plan is old when it is made
            yield state.rng.uniform(STALE + 1_000, 2 * STALE)
        answer = {
            "handler raises": Failure("Boom"),
            "handler asks to retry": Failure("later", after=state.rng.uniform(1, 60)),
            "gives up": Failure("no use", final=True),
        }.get(fault) or state.world.decide(step)
        state.history.witness.saw(lane.token, step, answer)
        return answer
