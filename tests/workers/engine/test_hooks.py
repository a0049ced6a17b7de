"""Calls of other systems are changes of the ticket's next turn, for the router that they name."""

from typing import Any

import pytest
import redis

from tests.support.turns import dead_letters, finish, put_back
from workers import Event, Retry, Router, Ticket
from workers.testing import Desk
from workers.testing.desk import SimulatedDeployment


def jira(calls: list[Any], fail: int = 0) -> Router:
    router = Router("jira")

    @router.on("hook", name="closed")
    def close(ticket: Ticket, event: Event) -> None:
        calls.append(("close", [(change.name, dict(change.data)) for change in event.matched], event.kind))
        if len(calls) <= fail:
            raise Retry("later", after="1m")
        ticket.note(f"Closed in Jira: {event.matched[-1].data['key']}")

    @router.on("hook")
    def every(ticket: Ticket, event: Event) -> None:
        calls.append(("every", [change.name for change in event.matched], event.kind))

    return router


@pytest.mark.parametrize("crash", [False, True])
def test_a_hook_calls_the_handlers_of_its_router_and_name(desk: Desk, crash: bool) -> None:
    calls: list[Any] = []
    other = Router("other")

    @other.on("hook", "ticket-updated")
    def never(ticket: Ticket, event: Event) -> None:
        calls.append("other")

    desk.use(jira(calls), other)
    number = desk.simulator.create_ticket().id
    desk.advance("1m")
    desk.crash = crash
    desk.hook("jira", "closed", number, key="OPS-1")
    desk.advance("1m")
    assert desk.notes(number) == ["Closed in Jira: OPS-1"]
    data = {"ticket": number, "key": "OPS-1"}
    assert calls[-2:] == [("close", [("closed", data)], "hook"), ("every", ["closed"], "hook")]
    desk.hook("jira", "moved", number)
    desk.advance("1m")
    assert calls[-1] == ("every", ["moved"], "hook")
    assert "other" not in calls


def test_calls_in_a_row_reach_a_handler_together_and_in_order(desk: Desk) -> None:
    calls: list[Any] = []
    desk.use(jira(calls))
    number = desk.simulator.create_ticket().id
    desk.advance("1m")
    for key in ("OPS-1", "OPS-2"):
        desk.hook("jira", "closed", number, key=key)
    desk.advance("1m")
    assert [data["key"] for _, data in calls[0][1]] == ["OPS-1", "OPS-2"]


def test_a_failing_handler_gets_the_data_again(desk: Desk) -> None:
    calls: list[Any] = []
    desk.use(jira(calls, fail=1))
    number = desk.simulator.create_ticket().id
    desk.advance("1m")
    desk.hook("jira", "closed", number, key="OPS-1")
    desk.advance("5m")
    assert desk.notes(number) == ["Closed in Jira: OPS-1"]
    assert [name for name, *_ in calls] == ["close", "every", "close"]


def test_a_hook_of_a_ticket_that_was_never_seen_is_no_creation(store: redis.Redis) -> None:
    kinds: list[str] = []
    router = Router("jira")

    @router.on("hook", "ticket-created", "ticket-updated")
    def see(ticket: Ticket, event: Event) -> None:
        kinds.extend(change.kind for change in event.matched)

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket(text="long ago").id
    world.simulator.take_deliveries()
    world.now += 3_600_000
    world.call_hook("jira", "closed", number, {})
    finish(world)
    assert kinds == ["hook"]


@pytest.mark.parametrize("router", ["jira", "gone"])
def test_a_hook_that_nobody_receives_becomes_a_dead_letter(store: redis.Redis, router: str) -> None:
    known = Router("jira")

    @known.on("hook", name="closed")
    def close(ticket: Ticket, event: Event) -> None:
        ticket.note("closed")

    world = SimulatedDeployment(store, known)
    number = world.simulator.create_ticket().id
    finish(world)
    world.call_hook(router, "opened", number, {"key": "OPS-1"})
    world.call_hook(router, "opened", number, {"key": "OPS-2"})
    finish(world)
    [letter] = dead_letters(store).values()
    assert letter["handler"] == f"{router}.*"
    assert [change["data"]["key"] for change in letter["changes"]] == ["OPS-1", "OPS-2"]
    assert "no handler receives it" in letter["reason"]
    # Once a handler receives it, a replay calls it.
    opened = Router(router)

    @opened.on("hook", name="opened")
    def opening(ticket: Ticket, event: Event) -> None:
        ticket.note(" ".join(change.data["key"] for change in event.matched))

    later = SimulatedDeployment(store, opened, clock=world.clock, simulator=world.simulator)
    put_back(later)
    assert "OPS-1 OPS-2" in str(later.ticket(number))


def test_a_hook_for_a_ticket_that_does_not_exist_becomes_a_dead_letter(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, jira([]))
    world.call_hook("jira", "closed", 999, {"key": "OPS-1"})
    finish(world)
    [letter] = dead_letters(store).values()
    assert letter["handler"] == "jira.*"
    assert "no such ticket" in letter["reason"]
