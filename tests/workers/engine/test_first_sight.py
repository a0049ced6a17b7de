"""The first read of a ticket: how old it may be to count as created."""

import pytest
import redis

from workers import Event, Router, Ticket
from workers.testing.desk import SimulatedDeployment

MINUTE = 60_000


@pytest.mark.parametrize(
    ("delivered_after", "worked_after", "greeted"), [(0, 0, True), (10, 0, True), (0, 120, True), (20, 0, False)]
)
def test_a_ticket_opened_long_before_its_creation_was_announced_is_not_new(
    store: redis.Redis, delivered_after: int, worked_after: int, greeted: bool
) -> None:
    router = Router("clerk")
    runs: list[int] = []

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        runs.append(ticket.id)

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.simulator.take_deliveries()
    world.now += delivered_after * MINUTE
    world.receive(b'{"event_type":"ticket-created","ticket_id":%d}' % number)
    world.now += worked_after * MINUTE
    world.settle_down()
    assert runs == [number] * greeted
