"""Dead letters on the dashboard: a frozen selection is previewed, then exactly that is replayed or discarded."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.support.dashboard import Visitor, visiting, words
from tests.support.stores import untyped
from workers import GiveUp, Router, Ticket
from workers.store.records import AccountRecords
from workers.testing.desk import ACCOUNT, SimulatedDeployment

DEAD = f"/dashboard/{ACCOUNT}/dead"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.dashboard.operations.PACE", 0)


@pytest.fixture
def world(store: redis.Redis) -> SimulatedDeployment:
    """Five tickets whose handler has given up, for two reasons."""
    router = Router("main")

    @router.on("ticket-created")
    def fail(ticket: Ticket) -> None:
        raise GiveUp(f"order {ticket.id} is unknown" if "order" in ticket.subject else "the contact is unknown")

    world = SimulatedDeployment(store, router)
    for subject in ("order 1", "order 2", "order 3", "call me", "call us"):
        world.simulator.create_ticket(subject=subject)
        world.deliver()
    world.settle_down()
    return world


def ids(world: SimulatedDeployment) -> list[str]:
    return [letter.id for letter in AccountRecords(world.client, ACCOUNT).dead_letters()]


def join_jobs() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("job "):
            thread.join(20)


def previewed(visitor: Visitor, query: str = "", **fields: Any) -> str:
    """Open the list, preview a selection and return its id."""
    visitor.get(f"{DEAD}{query}")
    answer = visitor.post(f"{DEAD}/preview", **fields)
    assert answer.status_code == 303
    return str(answer.headers["location"].rpartition("/")[2])


def test_dead_letters_are_grouped_by_what_failed(valkey_url: str, world: SimulatedDeployment) -> None:
    with visiting(valkey_url, "vera", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        text = words(visitor.get(DEAD))
        assert "main.fail order … is unknown 3 3" in text
        assert "main.fail the contact is unknown 2 2" in text
        assert "5 letters" in text
        assert "Preview" not in text
        assert "2 letters" in words(visitor.get(f"{DEAD}?error=contact"))
        assert "3 letters" in words(visitor.get(f"{DEAD}?error=order+…+is+unknown"))
        assert "No dead letter matches." in words(visitor.get(f"{DEAD}?handler=other"))


def test_exactly_the_previewed_letters_are_replayed(valkey_url: str, world: SimulatedDeployment) -> None:
    with visiting(valkey_url, "olga", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        job = previewed(visitor, "?error=order", which="all", error="order")
        text = words(visitor.get(f"{DEAD}/selection/{job}"))
        assert "Replay or discard 3 dead letters" in text
        assert "3 letters in 3 tickets: 3 reads and about 3 writes" in text
        world.simulator.create_ticket(subject="order 4")
        world.deliver()
        world.settle_down()
        assert len(ids(world)) == 6
        answer = visitor.post(f"{DEAD}/replay", job=job, why="the orders exist now")
        join_jobs()
        text = words(visitor.get(answer.headers["location"]))
        assert "3 requeued." in text
        assert "the orders exist now" in text
        assert len(ids(world)) == 3
        audit = words(visitor.get("/dashboard/audit?what=replay"))
        assert audit.count("the orders exist now") == 3


def test_ticked_letters_are_discarded_and_those_gone_are_counted(valkey_url: str, world: SimulatedDeployment) -> None:
    first, second, *others = ids(world)
    with visiting(valkey_url, "olga", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        visitor.get(DEAD)
        answer = visitor.http.post(
            f"{DEAD}/preview",
            data={"csrf": visitor.csrf, "which": "ticked", "id": [first, second]},
            headers={"origin": "http://127.0.0.1:8000"},
        )
        job = answer.headers["location"].rpartition("/")[2]
        with visiting(valkey_url, "ada", HAPPYFOX_ACCOUNT=ACCOUNT) as ada:
            other = previewed(ada, which="ticked", id=second)
            ada.post(f"{DEAD}/discard", job=other, why="done by hand")
            join_jobs()
        assert "1 letter, replayed or discarded meanwhile" in words(visitor.get(f"{DEAD}/selection/{job}"))
        answer = visitor.post(f"{DEAD}/discard", job=job, why="a test")
        join_jobs()
        assert "1 discarded. 1 was gone meanwhile." in words(visitor.get(answer.headers["location"]))
    assert ids(world) == others


def test_acting_needs_a_reason_a_selection_and_a_role(
    valkey_url: str, world: SimulatedDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with visiting(valkey_url, "olga", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        job = previewed(visitor, which="all")
        assert visitor.post(f"{DEAD}/replay", job=job, why=" ").status_code == 400
        assert visitor.post(f"{DEAD}/replay", job="none", why="x").status_code == 404
        assert visitor.post(f"{DEAD}/preview", which="ticked").headers["location"].endswith("?done=nothing-ticked")
        monkeypatch.setattr("service.dashboard.operations.OPERATORS_MOST", 4)
        assert "needs the role admin" in words(visitor.get(f"{DEAD}/selection/{job}"))
        assert visitor.post(f"{DEAD}/replay", job=job, why="x").status_code == 403
    with visiting(valkey_url, "vera", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        visitor.get(DEAD)
        assert visitor.post(f"{DEAD}/preview", which="all").status_code == 403
        assert visitor.post(f"{DEAD}/replay", job=job, why="x").status_code == 403
    assert len(ids(world)) == 5


def test_what_may_have_happened_is_only_replayed_by_hand(valkey_url: str, world: SimulatedDeployment) -> None:
    key = f"foxhooks:{{{ACCOUNT}}}:dead_letter:{ids(world)[0]}"
    evidence = untyped(world.client).hget(key, "evidence")
    untyped(world.client).hset(key, "evidence", evidence[:-1] + b',"doubt":{"staff":7,"floor":1,"other_updates":[]}}')
    with visiting(valkey_url, "olga", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        assert "may have happened" in words(visitor.get(DEAD))
        text = words(visitor.get(f"{DEAD}/selection/{previewed(visitor, which='all')}"))
        assert "Replay or discard 4 dead letters" in text
        assert "1 letter whose effect may have happened" in text
        text = words(visitor.get(f"{DEAD}/selection/{previewed(visitor, which='ticked', id=ids(world)[0])}"))
        assert "Replay or discard 1 dead letter" in text


def test_a_cancelled_job_stops(valkey_url: str, world: SimulatedDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    waits: Callable[[float], Any] = lambda _: go_on.wait(20)  # noqa: E731
    monkeypatch.setattr("service.dashboard.operations.run_bulk.__defaults__", (waits,))
    with visiting(valkey_url, "olga", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        job = previewed(visitor, which="all")
        location = visitor.post(f"{DEAD}/discard", job=job, why="x").headers["location"]
        assert "Is running." in words(visitor.get(location))
        visitor.post(f"{location}/cancel")
        go_on.set()
        join_jobs()
        assert "Was cancelled." in words(visitor.get(location))
