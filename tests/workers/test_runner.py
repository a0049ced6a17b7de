"""The lane runner: the time that a slow store takes is deducted from the time for sending."""

import time

import pytest
import redis

from service.processes.simulator import running
from tests.support.happyfox import connect_to
from workers.engine.steps import Call, Steps
from workers.engine.turn import TurnResult
from workers.errors import Unsent
from workers.happyfox.messages import Answer
from workers.happyfox.tickets import ticket
from workers.runner import AccountRuntime, LaneRunner
from workers.simulator import Simulator
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.lanes import ClaimedLane
from workers.store.leases import Leases
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.timeouts import HandlerTimeouts

#: Within how many ms the first byte must leave, and for how long a slow store hangs.
SEND_BY, SLOW = 1_000, 1_100


@pytest.mark.parametrize("slow", [False, True])
def test_a_call_is_not_sent_when_its_permit_took_too_long(store: redis.Redis, slow: bool) -> None:
    world, simulator = SimulatedDeployment(store), Simulator(time.time)
    governor = world.governor
    lane = ClaimedLane(account=ACCOUNT, ticket=1, token="1-n", now=0, permit=None, turn="t", claims=1, events=())
    outcomes: list[object] = []

    def turn() -> Steps[TurnResult]:
        yield governor.permit("get", "p", "interactive", 20_000)
        outcomes.append((yield Call(ticket(1), "p", SEND_BY)))
        return TurnResult(end="settled")

    with running(simulator) as happyfox:
        runtime_store = Store(store)
        connection = connect_to(happyfox, governor, runtime_store, key="demo-key", code="demo-code")
        leases = Leases(runtime_store, 60.0, monotonic, "w", lambda: None)
        timeouts = HandlerTimeouts(5.0, lambda: False)
        lane_runner = LaneRunner(AccountRuntime(world.config, connection), runtime_store, leases, timeouts)
        leases.add(lane, monotonic())
        if slow:
            store.client_pause(SLOW, all=True)
        lane_runner.drive(turn(), lane, monotonic())
        connection.close()

    assert isinstance(outcomes[0], Unsent if slow else Answer)
    assert len(simulator.log) == (0 if slow else 1)
