from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator
from workers.simulator.search.order import SORTS

KEYS: dict[str, Any] = {
    "category": lambda t: t["category"]["id"],
    "subject": lambda t: t["subject"].lower(),
    "status": lambda t: t["status"]["order"],
    "priority": lambda t: t["priority"]["order"],
    "update": lambda t: t["last_updated_at"],
    "create": lambda t: t["created_at"],
    "assignee": lambda t: (t["assigned_to"] or {"name": ""})["name"],
    "last_modified": lambda t: t["last_modified"],
    "ticket": lambda t: t["id"],
    "client": lambda t: t["user"]["id"],
    "due": lambda t: t["due_date"] or "9999",
    "unresponded": lambda t: not t["unresponded"],
}


@pytest.fixture
def api(clock: FakeClock) -> Caller:
    api = Caller(Simulator(clock))
    for number in range(8):
        clock.now += 60
        api.simulator.create_ticket(
            ("jose@cafe.example", "mia@smallshop.example", "sam@bigcorp.example")[number % 3],
            subject=f"{'bAcDeF'[number % 6]} {number}",
            category=1 + number % 2,
            priority=1 + number % 4,
            assignee=(None, "Lin Wu", "Ada King")[number % 3],
            due_date=(None, "2024-01-05", "2023-12-31", "2024-02-01")[number % 4],
        )
    for number in (2, 5, 7):
        clock.now += 60
        api.simulator.staff_updates(number, text="x", status="Closed" if number == 5 else "On Hold")
    api.simulator.staff_updates(1, private=True, text="a note moves only last_modified")
    return api


def test_there_are_22_sort_codes() -> None:
    assert len(SORTS) == 22


@pytest.mark.parametrize("code", sorted(SORTS))
def test_a_code_sorts_by_what_it_names(api: Caller, code: str) -> None:
    falling = code.endswith("d") and code != "unresponded"
    name = code if code in KEYS else code[:-1]
    keys = [KEYS[name](ticket) for ticket in api.got("tickets/", f"sort={code}&size=50")["data"]]
    assert keys == sorted(keys, reverse=falling)
    assert len(set(map(str, keys))) > 1
    assert len(keys) == 8


def test_a_search_ignores_the_sort_code(api: Caller) -> None:
    listed = api.got("tickets/", "sort=ticketa&q=unresponded:true")["data"]
    assert [ticket["id"] for ticket in listed] == [8, 6, 4, 3, 1]
