"""Tests of `round_robin.py`."""

from typing import Any

from round_robin import router

from workers.testing import Desk, MemoryStore, run, ticket
from workers.tickets.change import Actor

AGENTS: dict[str, Any] = {"agents": ["Ada King", "Lin Wu"], "most_per_day": 2}


def assigned(store: MemoryStore, times: int = 1) -> list[Any]:
    """Return who gets the next tickets."""
    results = [run(router, ticket(), "ticket-created", settings=AGENTS, store=store) for _ in range(times)]
    assert all(result.failed == {} for result in results)
    return [result.properties.get("assignee", *result.tags_added) for result in results]


def test_the_agents_take_turns_until_each_has_enough_for_today() -> None:
    assert assigned(MemoryStore(), 5) == ["Ada King", "Lin Wu", "Ada King", "Lin Wu", "unassigned"]


def test_an_agent_who_is_away_gets_no_ticket_until_a_note_says_back() -> None:
    store, ada = MemoryStore(), Actor("staff", 1, "Ada King")
    run(router, ticket(), "note-added", by=ada, text="away 5d", settings=AGENTS, store=store)
    assert assigned(store) == ["Lin Wu"]
    run(router, ticket(), "note-added", by=ada, text="Back!", settings=AGENTS, store=store)
    assert assigned(store) == ["Ada King"]


def test_a_note_of_somebody_else_changes_nothing() -> None:
    store = MemoryStore()
    run(
        router,
        ticket(),
        "note-added",
        by=Actor("staff", 3, "Omar Haddad"),
        text="away 5d",
        settings=AGENTS,
        store=store,
    )
    assert store.members("absent") == frozenset()


def test_an_assigned_ticket_keeps_its_assignee() -> None:
    assert run(router, ticket(assignee="Ada King"), "ticket-created", settings=AGENTS).properties == {}


def test_simultaneous_tickets_go_to_different_agents_even_if_workers_crash(desk: Desk) -> None:
    desk.use(router, settings={"round-robin": {"agents": ["Ada King", "Lin Wu", "Grace Park"]}})
    desk.crash = True
    numbers = [desk.simulator.create_ticket(f"sam{n}@example.com").id for n in range(3)]
    desk.advance("10m")
    names = [found.name for number in numbers if (found := desk.ticket(number).assignee)]
    assert sorted(names) == ["Ada King", "Grace Park", "Lin Wu"]
    assert desk.store("round-robin").count(f"{desk.now:%Y-%m-%d} Lin Wu") == 1
