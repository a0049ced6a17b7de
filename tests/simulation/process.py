"""A worker process of the simulation, and the scripts that it runs: perhaps twice, and perhaps unanswered."""

from typing import Any

from tests.simulation.agenda import Player
from tests.simulation.stage import Stage
from workers.errors import StoreUnavailable
from workers.store.lanes import Begun, ClaimedLane
from workers.store.leases import Leases
from workers.store.scripts import Script
from workers.testing.desk import Crash


class Process:
    """One worker process, from its start to its death."""

    def __init__(self, stage: Stage, name: str) -> None:
        world = stage.world
        self._stage = stage
        self.leases = Leases(world.store, world.lease / 1000, lambda: world.now / 1000, name, lambda: None)
        self.config = stage.config
        self.frozen_until = 0

    def pause(self, frozen: bool) -> Player:
        """Lets a moment pass, or so much that the lease has run out."""
        world, rng = self._stage.world, self._stage.rng
        if frozen:
            self.frozen_until = world.now + rng.randint(world.lease, 4 * world.lease)
        yield rng.uniform(0, 8)
        if world.now < self.frozen_until:
            yield self.frozen_until - world.now

    def renew(self, working: list[bool]) -> Player:
        """Renews its leases while it works a lane and is not frozen."""
        while working:
            if self._stage.world.now >= self.frozen_until:
                self.leases.renew()
                self._stage.look("renew")
            yield self._stage.world.lease / 3

    def script(self, worker: str, script: Script[Any]) -> Player:
        """Runs a script; what becomes of it is drawn."""
        fault = self._stage.faults.draws("script")
        yield from self.pause(fault == "worker frozen")
        if fault == "crash before a script":
            raise Crash
        if fault == "store down":
            raise StoreUnavailable("down")
        answer = self._ran(worker, script)
        if fault in ("script run twice", "script run again later"):
            if fault == "script run again later":
                yield self._stage.rng.uniform(10, 3_000)
            answer = self._ran(worker, script)
        if fault == "crash after a script":
            raise Crash
        if fault == "script's answer lost":
            raise StoreUnavailable("lost")
        return answer

    def _ran(self, worker: str, script: Script[Any]) -> Any:
        """Runs a script once and notes what it did, and when it gave a permit."""
        stage = self._stage
        answer = stage.world.store.run(script)
        stage.history.witness.saw(worker, script, answer)
        lane = answer[1] if isinstance(answer, tuple) else answer
        if isinstance(lane, ClaimedLane) and lane.permit:
            stage.granted.setdefault(lane.permit, stage.world.now)
        if isinstance(answer, Begun):
            stage.granted.setdefault(str(script.args[3]), stage.world.now)
            stage.effects[str(script.args[3])] = str(script.args[2])
        if script.name == "permit":
            stage.granted.setdefault(str(script.args[2]), stage.world.now)
        stage.look(script.name)
        return answer
