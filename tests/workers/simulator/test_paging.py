import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator


@given(st.integers(0, 130), st.integers(-2, 80), st.integers(-1, 15))
def test_a_page_reports_its_position(tickets: int, size: int, number: int) -> None:
    api = Caller(Simulator(FakeClock()))
    for _ in range(tickets):
        api.simulator.create_ticket()
    listed = api.got("tickets/", f"sort=ticketa&size={size}&page={number}")
    size, number = min(size, 50) if size > 0 else 10 if size == 0 else 1, max(number, 1)
    shown = [ticket["id"] for ticket in listed["data"]]
    assert shown == list(range(1, tickets + 1))[(number - 1) * size : number * size]
    info = listed["page_info"]
    assert (info["count"], info["last_index"], info["page_count"]) == (len(shown), tickets, -(-tickets // size))
    assert (info["start_index"], info["end_index"]) == ((shown[0], shown[-1]) if shown else (0, 0))


change = st.sampled_from(["open", "reply", "note", "delete"])


@given(st.integers(1, 25), st.integers(1, 7), st.lists(st.lists(st.tuples(change, st.integers(1, 40)), max_size=3)))
def test_paging_by_number_shows_no_ticket_twice_while_tickets_change(
    tickets: int, size: int, changes: list[list[tuple[str, int]]]
) -> None:
    """A ticket that exists all the time is skipped only when one before it was deleted."""
    clock = FakeClock()
    api = Caller(Simulator(clock))
    simulator = api.simulator
    for _ in range(tickets):
        simulator.create_ticket()
    lasting, seen, deleted, page = set(simulator.account.tickets), [], 0, 1
    while True:
        listed = api.got("tickets/", f"sort=ticketa&size={size}&page={page}")
        seen += [ticket["id"] for ticket in listed["data"]]
        if page >= listed["page_info"]["page_count"]:
            break
        for kind, number in changes[page - 1] if page <= len(changes) else []:
            clock.now += 1
            if kind == "open" and len(simulator.account.tickets) < 60:
                simulator.create_ticket()
            elif number in simulator.account.tickets:
                if kind == "delete":
                    api.posted(f"ticket/{number}/delete/", {"staff_id": 7})
                    lasting.discard(number)
                    deleted += 1
                elif kind == "reply":
                    simulator.contact_replies(number, "x")
                else:
                    simulator.staff_updates(number, text="x", private=True)
        page += 1
    assert sorted(set(seen)) == seen
    assert len(lasting - set(seen)) <= deleted


@pytest.mark.parametrize("path", ["tickets/", "users/", "assets/", "asset_types/", "asset_custom_fields/"])
def test_a_page_after_the_last_one_is_empty_or_404(clock: FakeClock, path: str) -> None:
    api = Caller(Simulator(clock))
    assert api.got(path, "page=9")["data"] == []
    api = Caller(Simulator(clock, past_the_end="missing"))
    assert json.loads(api.get(path, "page=9").body) == {"error": "Cannot find the requested object"}
    assert api.get(path, "page=1").status == 200
