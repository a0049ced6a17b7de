"""The wire: calls to the simulated HappyFox, which take time and do not always bring an answer."""

from dataclasses import dataclass

import msgspec

from tests.simulation.agenda import Player
from tests.simulation.faults import STRIKES
from tests.simulation.history import Sent
from tests.simulation.post import Post
from tests.simulation.process import Process
from tests.simulation.stage import Stage
from workers.engine.plan import Plan
from workers.engine.steps import Call
from workers.errors import InDoubt, Unsent
from workers.happyfox.messages import BASE, Answer
from workers.simulator import ApiRequest
from workers.store.lanes import ClaimedLane
from workers.testing.desk import BASIC, Crash

#: A call's whole time, and how long after its deadline it may still land (ms).
TIMEOUT, DOUBT = 15_000, 30_000


@dataclass
class Turn:
    """A turn under way: its lane, whether its worker runs dry and, once there is one, its plan."""

    lane: ClaimedLane
    dry: bool
    plan: Plan | None = None


class Wire:
    """All calls of one seed."""

    def __init__(self, stage: Stage, post: Post) -> None:
        self._stage, self._post = stage, post

    def call(self, process: Process, turn: Turn, step: Call) -> Player:
        """Makes a call as the transport does: late or without the lease no byte leaves."""
        stage, rng = self._stage, self._stage.rng
        asked, fault = stage.world.now, stage.faults.draws("call")
        yield from process.pause(fault == "worker frozen before a call")
        if fault == "crash before a call":
            raise Crash
        if stage.world.now > asked + step.send_by or not process.leases.still_held(turn.lane):
            stage.faults.struck["a call was refused by send-by or lease"] += 1
            return Unsent("late")
        if fault == "unsent":
            return Unsent("no connection")
        deadline, landed = asked + TIMEOUT, list[Answer | InDoubt]()
        lag = rng.uniform(5, 200)
        if fault == "slow":
            lag = rng.uniform(2_000, TIMEOUT - 2_000)
        if fault == "lands after its deadline":
            lag = deadline - stage.world.now + rng.uniform(1, DOUBT - 2_000)
        stage.agenda.spawn(self._land(turn, step, fault, landed), lag)
        stage.under_way += 1
        if fault == "crash while a call is under way":
            raise Crash
        while not landed and stage.world.now < deadline:
            yield min(rng.uniform(20, 200), deadline - stage.world.now)
        return landed[0] if landed else InDoubt("no answer in time")

    def _land(self, turn: Turn, step: Call, fault: str, landed: list[Answer | InDoubt]) -> Player:
        """Lets a call arrive at HappyFox, be applied and be answered."""
        stage, simulator, asked = self._stage, self._stage.world.simulator, step.request
        if fault == "429 with a lockout":
            simulator.gate.lock(stage.world.now / 1000)
            stage.history.locks += 1
        if asked.method != "GET":
            fault = stage.faults.draws("write") or fault
        if fault in STRIKES:
            simulator.faults.add(STRIKES[fault])
        body = b"" if asked.body is None else msgspec.json.encode(asked.body)
        headers = {"authorization": BASIC, "content-type": "application/json"}
        query = "&".join(f"{name}={value}" for name, value in asked.query.items())
        pending = simulator.begin(ApiRequest(asked.method, BASE + asked.path, query=query, headers=headers, body=body))
        simulator.faults.clear()
        stage.history.sent.append(
            Sent(
                stage.granted.get(step.permit, stage.world.now),
                stage.world.now,
                asked.method,
                turn.lane.ticket,
                asked.body,
                turn.plan.turn if turn.plan else "",
                stage.effects.get(step.permit, "") if asked.method != "GET" else "",
                turn.plan,
                pending.call.number,
                turn.dry,
            )
        )
        yield stage.rng.uniform(5, 300)
        ticket = simulator.account.tickets.get(turn.lane.ticket)
        response = simulator.end(pending)
        if ticket is not None and ticket.id not in simulator.account.tickets:
            stage.history.removed[ticket.id] = ticket
        stage.under_way -= 1
        self._post.collect()
        yield stage.rng.uniform(5, 100)
        if response.cut:
            landed.append(InDoubt("cut"))
        else:
            names = {name.lower(): value for name, value in response.headers.items()}
            landed.append(Answer(response.status, names, response.body))
