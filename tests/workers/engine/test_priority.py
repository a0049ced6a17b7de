"""The priority of writes: a turn that a contact waits for goes first, bulk routers go last."""

from typing import Any

import pytest
import redis

from workers import Event, Router, Ticket
from workers.store.keys import Keys
from workers.store.scripts import Script
from workers.testing.desk import SimulatedDeployment


def tagging(*, bulk: bool) -> Router:
    router = Router("tagging", bulk=bulk)

    @router.on("ticket-created")
    def tag(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("seen")

    return router


def priority_of_tag(store: redis.Redis, router: Router, lane: str) -> set[str]:
    """Return the priority of the write in answer to a new ticket whose lane has this class."""
    world = SimulatedDeployment(store, router)
    begun: list[Script[object]] = []

    def note(step: Any) -> None:
        if isinstance(step, Script) and step.name == "begin":
            begun.append(step)

    world.before = note
    number = world.simulator.create_ticket().id
    world.deliver()
    keys = Keys("demo")
    due = store.zscore(keys.schedule, str(number)) or 0
    for each in ("interactive", "normal"):
        store.delete(f"{keys.schedule}:{each}")
        if each == lane:
            store.zadd(f"{keys.schedule}:{each}", {str(number): due})
    world.work()
    assert world.ticket(number)["tags"] == "seen"
    assert len(begun) == 1
    return {str(each) for each in begun[0].args} & {"interactive", "normal", "bulk"}


@pytest.mark.parametrize(("bulk", "priority"), [(False, "interactive"), (True, "bulk")])
def test_a_router_may_lower_its_own_priority(store: redis.Redis, bulk: bool, priority: str) -> None:
    assert priority_of_tag(store, tagging(bulk=bulk), "interactive") == {priority}


def test_a_new_ticket_is_urgent_although_its_delivery_did_not_name_it(store: redis.Redis) -> None:
    assert priority_of_tag(store, tagging(bulk=False), "normal") == {"interactive"}


def test_a_new_ticket_that_a_sweep_has_found_leaves_the_reserve_to_others(store: redis.Redis) -> None:
    assert priority_of_tag(store, tagging(bulk=False), "bulk") == {"bulk"}
