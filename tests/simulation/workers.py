"""The workers of a seed: they claim lanes and take turns as the driver does, and die of it."""

from collections.abc import Generator

from tests.simulation.agenda import Player
from tests.simulation.process import Process
from tests.simulation.stage import Stage
from tests.simulation.wire import Turn, Wire
from workers.engine.perform import STALE
from workers.engine.plan import decode_plan
from workers.engine.steps import Step
from workers.engine.turn import take_turn
from workers.errors import StoreUnavailable
from workers.plugins.invoke import Decide, Failure
from workers.store.lanes import ClaimedLane, NothingDue, claim
from workers.store.scripts import Script
from workers.testing.desk import START, Crash


class Worker:
    """Worker processes under one name; a new one follows one that died."""

    def __init__(self, stage: Stage, wire: Wire, name: str) -> None:
        self._stage, self._wire, self._name = stage, wire, name

    def play(self) -> Player:
        """Runs one process after another."""
        while True:
            process = Process(self._stage, self._name)
            try:
                yield from self._live(process)
            except Crash:
                yield self._stage.rng.uniform(200, 5_000)

    def _live(self, process: Process) -> Player:
        """Claims and works lanes, and sleeps when there are none."""
        world = self._stage.world
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

    def _replaced(self, process: Process) -> bool:
        """Tells whether a new version is to take the place of this process, in the roll-out or at its end."""
        stage = self._stage
        return process.config is not stage.config and (stage.faults.calm or stage.rng.random() < 0.5)

    def _turn(
        self, process: Process, lane: ClaimedLane, began: float
    ) -> Generator[float, None, ClaimedLane | NothingDue | None]:
        """Takes the turn of a lane as the driver does."""
        stage, world = self._stage, self._stage.world
        process.leases.add(lane, began)
        working = [True]
        stage.agenda.spawn(process.renew(working), world.lease / 3)
        stage.history.witness.begins(lane.token)
        nonce = world.nonce() if stage.rng.random() < 0.5 and not self._replaced(process) else None
        turn = Turn(lane, process.config.dry_run, decode_plan(lane.plan) if lane.plan else None)
        steps = take_turn(lane, process.config, nonce)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Script) and step.name == "plan":
                    turn.plan = decode_plan(bytes(step.args[2]))  # type: ignore[arg-type]
                step = steps.send((yield from self._perform(process, turn, step)))
        except StopIteration as stop:
            # Parking again, after an answer that came late, finds the lease gone: no harm done.
            excused = process.frozen_until >= began * 1000 or stage.history.emptied >= began * 1000
            if stop.value.end == "lost" and not stop.value.why and not excused:
                stage.history.lost.append(f"lane {lane.name} by a turn claimed at {lane.now - START}")
            following: ClaimedLane | NothingDue | None = stop.value.next
            return following
        finally:
            working.clear()
            process.leases.drop(lane)

    def _perform(self, process: Process, turn: Turn, step: Step) -> Player:
        """Performs a step; what it brings, time and faults are drawn."""
        self._stage.history.steps += 1
        if isinstance(step, Script):
            return (yield from process.script(turn.lane.token, step))
        if isinstance(step, Decide):
            return (yield from self._decide(turn.lane, step))
        return (yield from self._wire.call(process, turn, step))

    def _decide(self, lane: ClaimedLane, step: Decide) -> Player:
        """Lets a handler decide, or fail."""
        stage = self._stage
        fault = stage.faults.draws("handler")
        yield stage.rng.uniform(0, 30)
        if fault == "crash in a handler":
            raise Crash
        if fault == "slow handler":  # so slow that its plan is old when it is made
            yield stage.rng.uniform(STALE + 1_000, 2 * STALE)
        said = {
            "handler raises": Failure("Boom"),
            "handler asks to retry": Failure("later", after=stage.rng.uniform(1, 60)),
            "gives up": Failure("no use", final=True),
        }.get(fault) or stage.world.decide(step)
        stage.history.witness.saw(lane.token, step, said)
        return said
