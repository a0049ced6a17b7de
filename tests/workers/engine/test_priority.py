"""The priority of writes: a turn that a contact waits for goes first, bulk routers go last."""

from typing import Any

import pytest
import redis

from workers import Event, Router, Ticket
from workers.store.scripts import Script
from workers.testing.desk import SimulatedDeployment


def tagging(*, bulk: bool) -> Router:
    router = Router("tagging", bulk=bulk)

    @router.on("ticket-created")
    def tag(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("seen")

    return router


@pytest.mark.parametrize(("bulk", "priority"), [(False, "interactive"), (True, "bulk")])
def test_a_router_may_lower_its_own_priority(store: redis.Redis, bulk: bool, priority: str) -> None:
    world = SimulatedDeployment(store, tagging(bulk=bulk))
    begun: list[Script[object]] = []

    def note(step: Any) -> None:
        if isinstance(step, Script) and step.name == "begin":
            begun.append(step)

    world.before = note
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()

    assert [priority in step.args for step in begun] == [True]
    assert world.ticket(number)["tags"] == "seen"
