"""What goes between foxhooks, its store and HappyFox: deliveries, scripts and calls. All take time and may fail."""

from dataclasses import dataclass
from typing import Any

import msgspec

from tests.simulation.faults import STRIKES
from tests.simulation.history import Sent
from tests.simulation.state import Activity, SimulationState
from workers.engine.plan import Plan
from workers.engine.steps import Call
from workers.errors import InDoubt, StoreUnavailable, Unreachable, Unsent
from workers.happyfox.messages import BASE, Answer
from workers.simulator import ApiFault, ApiRequest
from workers.store.inbox import accept, receive
from workers.store.lanes import Begun, ClaimedLane
from workers.store.leases import Leases
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, BASIC, Crash
from workers.webhook import parse


class DeliveryService:
    """The deliveries of one seed: some are lost, repeated or out of order."""

    def __init__(self, state: SimulationState) -> None:
        self._state = state
        self._last: dict[int, bytes] = {}
        self._events = 0

    def collect(self) -> None:
        """Send the webhooks that are due."""
        state, rng = self._state, self._state.rng
        for delivery in state.world.simulator.take_deliveries():
            fault, delay = state.faults.draw("delivery"), rng.uniform(0, 300)
            self._last[delivery.ticket] = delivery.body
            if fault == "dropped" and (state.swept or delivery.label != "ticket-created"):
                continue
            if state.world.now < state.web_down_until:
                state.faults.counts["lost while the web process is down"] += 1
                continue
            if fault == "shuffled":
                delay = rng.uniform(0, 60_000)
            state.agenda.spawn(self._arrive(delivery.body, fault == "accepted twice"), delay)
            if fault == "duplicated":
                state.agenda.spawn(self._arrive(delivery.body), rng.uniform(0, 10_000))

    def repeat(self, ticket: int) -> None:
        """Send the last delivery of a ticket again."""
        self._state.agenda.spawn(self._arrive(self._last[ticket]))

    def _arrive(self, body: bytes, twice: bool = False) -> Activity:
        """Accept one delivery into the inbox."""
        self._events += 1
        arrival = msgspec.structs.replace(receive(parse(body), body), id=f"e{self._events}")
        for _ in range(2 if twice else 1):
            taken = self._state.world.store.run(accept(ACCOUNT, [arrival], keep=604_800))
            self._state.check_schedule(f"accept {arrival.id}")
        self._state.history.accepted.append(taken[0].event)
        if self._state.history.emptied:
            self._state.history.first_heard.setdefault(int(arrival.ticket), self._state.world.now)
        self._state.agenda.wake()
        return
        yield


class WorkerProcess:
    """One worker process, from its start to its crash."""

    def __init__(self, state: SimulationState, name: str) -> None:
        world = state.world
        self._state = state
        self.leases = Leases(world.store, world.lease / 1000, lambda: world.now / 1000, name, lambda: None)
        self.config = state.config
        self.frozen_until = 0

    def pause(self, frozen: bool) -> Activity:
        """Wait for a moment, or until the lease has expired."""
        world, rng = self._state.world, self._state.rng
        if frozen:
            self.frozen_until = world.now + rng.randint(world.lease, 4 * world.lease)
        yield rng.uniform(0, 8)
        if world.now < self.frozen_until:
            yield self.frozen_until - world.now

    def renew(self, working: list[bool]) -> Activity:
        """Renew the leases while a turn runs and the process is not frozen."""
        while working:
            if self._state.world.now >= self.frozen_until:
                self.leases.renew()
                self._state.check_schedule("renew")
            yield self._state.world.lease / 3

    def script(self, worker: str, script: Script[Any]) -> Activity:
        """Run a script, unless a fault prevents that or its answer."""
        fault = self._state.faults.draw("script")
        yield from self.pause(fault == "worker frozen")
        if fault == "crash before a script":
            raise Crash
        if fault == "store down":
            raise StoreUnavailable("down")
        answer = self._run(worker, script)
        if fault in ("script run twice", "script run again later"):
            if fault == "script run again later":
                yield self._state.rng.uniform(10, 3_000)
            answer = self._run(worker, script)
        if fault == "crash after a script":
            raise Crash
        if fault == "script's answer lost":
            raise StoreUnavailable("lost")
        return answer

    def _run(self, worker: str, script: Script[Any]) -> Any:
        """Run a script once; record what it did and when it granted a permit."""
        state = self._state
        answer = state.world.store.run(script)
        state.history.witness.saw(worker, script, answer)
        lane = answer[1] if isinstance(answer, tuple) else answer
        if isinstance(lane, ClaimedLane) and lane.permit:
            state.granted.setdefault(lane.permit, state.world.now)
        if isinstance(answer, Begun):
            state.granted.setdefault(str(script.args[3]), state.world.now)
            state.effects[str(script.args[3])] = str(script.args[2])
        if script.name == "permit":
            state.granted.setdefault(str(script.args[2]), state.world.now)
        state.check_schedule(script.name)
        return answer


#: A call's total time, and how long after its deadline it may still land (ms).
TIMEOUT, DOUBT = 15_000, 30_000


@dataclass
class Turn:
    """A turn in progress: its lane, its worker's dry run and grants, and its plan once it has one."""

    lane: ClaimedLane
    dry: bool
    allow: frozenset[tuple[str, str]]
    plan: Plan | None = None


class Transport:
    """All calls of one seed."""

    def __init__(self, state: SimulationState, deliveries: DeliveryService) -> None:
        self._state, self._deliveries = state, deliveries

    def call(self, process: WorkerProcess, turn: Turn, step: Call) -> Activity:
        """Make a call as the real transport does: no byte leaves late or without the lease."""
        state, rng = self._state, self._state.rng
        asked, fault = state.world.now, state.faults.draw("call")
        yield from process.pause(fault == "worker frozen before a call")
        if fault == "crash before a call":
            raise Crash
        if state.world.now > asked + step.send_by or not process.leases.still_held(turn.lane):
            state.faults.counts["a call was refused by send-by or lease"] += 1
            return Unsent("late")
        if fault == "unsent":
            return Unsent("no connection")
        deadline, landed = asked + TIMEOUT, list[Answer | InDoubt]()
        if (outage := state.outage) is not None:
            outage.calls.append(state.world.now)
            if outage.refuses:
                return Unreachable("HappyFox refuses connections")
            yield deadline - state.world.now
            return InDoubt("no answer in time")
        lag = rng.uniform(5, 200)
        if fault == "slow":
            lag = rng.uniform(2_000, TIMEOUT - 2_000)
        if fault == "lands after its deadline":
            lag = deadline - state.world.now + rng.uniform(1, DOUBT - 2_000)
        state.agenda.spawn(self._land(turn, step, fault, landed), lag)
        state.in_progress += 1
        if fault == "crash while a call is under way":
            raise Crash
        while not landed and state.world.now < deadline:
            yield min(rng.uniform(20, 200), deadline - state.world.now)
        return landed[0] if landed else InDoubt("no answer in time")

    def _land(self, turn: Turn, step: Call, fault: str, landed: list[Answer | InDoubt]) -> Activity:
        """Deliver a call to HappyFox, apply it and answer it."""
        state, simulator, asked = self._state, self._state.world.simulator, step.request
        if fault == "429 with a lockout":
            simulator.gate.lock(state.world.now / 1000)
            state.history.lockouts += 1
        if asked.method != "GET":
            fault = state.faults.draw("write") or fault
        for number in sorted(state.denied):
            simulator.faults.add(ApiFault("status", method="GET", path=f"ticket/{number}", status=403))
        if fault in STRIKES:
            simulator.faults.add(STRIKES[fault])
        body = b"" if asked.body is None else msgspec.json.encode(asked.body)
        headers = {"authorization": BASIC, "content-type": "application/json"}
        query = "&".join(f"{name}={value}" for name, value in asked.query.items())
        pending = simulator.begin(ApiRequest(asked.method, BASE + asked.path, query=query, headers=headers, body=body))
        simulator.faults.clear()
        state.history.sent.append(
            Sent(
                state.granted.get(step.permit, state.world.now),
                state.world.now,
                asked.method,
                turn.lane.ticket,
                asked.body,
                turn.plan.turn if turn.plan else "",
                state.effects.get(step.permit, "") if asked.method != "GET" else "",
                turn.plan,
                pending.call.number,
                turn.dry,
                turn.allow,
            )
        )
        yield state.rng.uniform(5, 300)
        ticket = simulator.account.tickets.get(turn.lane.ticket)
        response = simulator.end(pending)
        if ticket is not None and ticket.id not in simulator.account.tickets:
            state.history.removed[ticket.id] = ticket
        state.in_progress -= 1
        self._deliveries.collect()
        yield state.rng.uniform(5, 100)
        if response.cut:
            landed.append(InDoubt("cut"))
        else:
            names = {name.lower(): value for name, value in response.headers.items()}
            landed.append(Answer(response.status, names, response.body))
