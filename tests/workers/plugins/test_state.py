"""``ctx.store`` as a handler sees it, on the store of the test kit."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from workers import Context, Retry, Router, Ticket
from workers.errors import InvalidAction
from workers.plugins.state import MAX_MEMBERS
from workers.testing import NOON, MemoryStore, run, ticket


def test_a_run_reads_and_changes_the_store_of_the_test() -> None:
    router, store = Router("team"), MemoryStore()
    store.increment("open", 3)

    @router.on("ticket-created")
    def route(ticket: Ticket, ctx: Context) -> None:
        ticket.note(f"{ctx.store.count('open')} open")
        ctx.store.increment("open")

    assert run(router, ticket(), "ticket-created", store=store).notes == ("3 open",)
    assert run(router, ticket(), "ticket-created", store=store).notes == ("4 open",)
    assert store.count("open") == 5


def test_a_failed_handler_leaves_the_store_as_it_was() -> None:
    router, store = Router("team"), MemoryStore()

    @router.on("ticket-created")
    def route(ticket: Ticket, ctx: Context) -> None:
        ctx.store.increment("open")
        raise Retry("later")

    run(router, ticket(), "ticket-created", store=store)
    assert store.count("open") == 0


def test_a_handler_sees_its_own_changes() -> None:
    router = Router("team")
    seen: list[Any] = []

    @router.on("ticket-created")
    def route(ticket: Ticket, ctx: Context) -> None:
        ctx.store.set("last", {"id": 1})
        ctx.store.add("people", "ada", "ben")
        ctx.store.remove("people", "ada")
        ctx.store.increment("count", 5)
        ctx.store.increment("count", -2)
        seen.append((ctx.store.get("last"), ctx.store.members("people"), ctx.store.count("count")))
        ctx.store.delete("last")
        seen.append(ctx.store.get("last", "none"))

    assert run(router, ticket(), "ticket-created").failed == {}
    assert seen == [({"id": 1}, {"ben"}, 3), "none"]


def test_everyone_gets_the_same_number_of_turns() -> None:
    store = MemoryStore()
    assert [store.choose("agents", ["ada", "ben", "cy"]) for _ in range(6)] == ["ada", "ben", "cy"] * 2


def test_who_was_absent_is_next_and_does_not_make_up_for_it() -> None:
    store = MemoryStore()
    for _ in range(10):
        store.choose("agents", ["ada", "ben"])
    chosen = Counter(store.choose("agents", ["ada", "ben", "cy"]) for _ in range(6))
    assert store.choose("agents", ["ben", "cy"]) in ("ben", "cy")
    assert chosen == {"ada": 2, "ben": 2, "cy": 2}


def test_ids_and_names_can_be_options() -> None:
    store = MemoryStore()
    assert [store.choose("staff", [7, 8]) for _ in range(3)] == [7, 8, 7]


@pytest.mark.parametrize("options", [[], "ada", [None], [True], list(range(MAX_MEMBERS + 1))])
def test_other_options_are_refused(options: Any) -> None:
    with pytest.raises(InvalidAction, match="not a list of 1 to 1,000 names"):
        MemoryStore().choose("agents", options)


def test_members_are_kept_each_for_its_own_time() -> None:
    store = MemoryStore()
    store.add("seen", "short", keep="1h")
    store.add("seen", "long", keep="1d")
    store.now = NOON + timedelta(hours=2)
    assert store.members("seen") == {"long"}
    assert not store.contains("seen", "short")


def test_a_counter_starts_again_when_its_time_is_over() -> None:
    store = MemoryStore()
    store.increment("today", keep="1d")
    store.now = NOON + timedelta(days=1)
    assert store.count("today") == 0
    store.increment("today")
    assert store.count("today") == 1


def test_a_value_has_the_type_of_the_default() -> None:
    store = MemoryStore()
    store.set("last", "text")
    store.set("share", 1)
    assert store.get("share", 0.5) == 1
    assert store.get("nothing", 7) == 7
    with pytest.raises(InvalidAction, match="the value is of type str, and the default is int"):
        store.get("last", 0)


MISTAKES = {
    "an empty name": lambda store: store.get(""),
    "a name on two lines": lambda store: store.count("a\nb"),
    "a name that is a number": lambda store: store.set(3, 1),
    "a value that is not JSON": lambda store: store.set("x", {1, 2}),
    "a number that is not one": lambda store: store.set("x", float("nan")),
    "a large value": lambda store: store.set("x", "y" * 64_001),
    "half a step": lambda store: store.increment("x", 0.5),
    "a huge step": lambda store: store.increment("x", 10**13),
    "a list as a member": lambda store: store.add("x", ["a"]),
    "an empty member": lambda store: store.add("x", ""),
    "no lifetime": lambda store: store.set("x", 1, keep=0),
    "a lifetime that is too long": lambda store: store.set("x", 1, keep="400d"),
    "a lifetime that is none": lambda store: store.set("x", 1, keep="forever"),
    "too many members": lambda store: store.add("x", *map(str, range(MAX_MEMBERS + 1))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_its_fix(mistake: str) -> None:
    with pytest.raises(InvalidAction):
        MISTAKES[mistake](MemoryStore())
