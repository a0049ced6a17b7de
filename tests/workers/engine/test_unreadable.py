"""A ticket that cannot be read stops only itself; a HappyFox that does not answer gets few calls."""

from typing import Any

import msgspec
import redis

from tests.support.turns import P, dead_letters, vip
from workers import Event, Router, Ticket
from workers.engine.steps import Call
from workers.errors import Unreachable
from workers.simulator import ApiFault
from workers.store.lanes import NothingDue, claim
from workers.store.records import replay
from workers.testing.desk import ACCOUNT, SimulatedDeployment

HOUR = 3_600_000


def noting() -> Router:
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def note(ticket: Ticket, event: Event) -> None:
        ticket.note(f"Seen: {', '.join(change.kind for change in event.matched)}.")

    return router


def broken(world: SimulatedDeployment, status: int, path: str, *, method: str = "GET") -> None:
    world.simulator.faults.add(ApiFault("status", method=method, path=path, status=status, count=None))


def pass_time(world: SimulatedDeployment, hours: float, *, step: int = 1_000) -> None:
    """Work for a time, skipping to the next moment something is due."""
    end = world.now + int(hours * HOUR)
    while world.now < end:
        world.deliver()
        world.work()
        got = world.store.run(claim(world.config.claim, world.nonce()))
        assert isinstance(got, NothingDue)
        world.now = min(end, world.now + (max(step, got.wait) if got.wait >= 0 else end))


def gets(world: SimulatedDeployment, path: str) -> int:
    return sum(call.method == "GET" and call.path.endswith(path) for call in world.simulator.log)


def gate(store: redis.Redis) -> str:
    return (store.hget(f"{P}gate", "state") or b"open").decode()  # type: ignore[union-attr]


def letters(store: redis.Redis) -> dict[str, Any]:
    """Return all dead letters, also those without a handler."""
    names: Any = store.zrange(f"{P}dead_letters", 0, -1)
    stored: list[Any] = [store.hget(f"{P}dead_letter:{name.decode()}", "evidence") for name in names]
    return {name.decode(): msgspec.json.decode(each) for name, each in zip(names, stored, strict=True)}


def test_tickets_that_the_key_may_not_read_stop_no_other_ticket(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    for number in (1, 2, 3):
        broken(world, 403, f"ticket/{number}")
    for _ in range(6):
        world.simulator.create_ticket()
    world.deliver()
    world.work()
    assert gate(store) == "open"
    assert [len(world.ticket(number)["updates"]) for number in range(1, 7)] == [1, 1, 1, 2, 2, 2]


def test_a_refused_ticket_is_read_rarely_and_ends_as_a_dead_letter_that_can_be_replayed(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    broken(world, 403, "ticket/1")
    world.simulator.create_ticket()
    pass_time(world, 3)
    assert gets(world, "ticket/1/") == 5
    [(name, letter)] = letters(store).items()
    assert letter["reason"].startswith("HappyFox does not let this API key read ticket 1 (403): give the owner of the")
    assert not store.zcard(f"{P}schedule")

    world.store.run(replay(ACCOUNT, name))
    world.work()
    pass_time(world, 3)
    [name] = letters(store)
    assert gets(world, "ticket/1/") == 10

    world.simulator.faults.clear()
    world.store.run(replay(ACCOUNT, name))
    world.settle_down()
    assert "Seen: ticket-created." in str(world.ticket(1)["updates"])
    assert letters(store) == {}


def test_work_of_a_ticket_that_becomes_unreadable_is_a_dead_letter_of_its_handler(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip())
    broken(world, 400, "ticket/1/*", method="POST")
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    names = list(dead_letters(store))
    world.simulator.faults.clear()
    broken(world, 403, "ticket/1")
    for name in names:
        world.store.run(replay(ACCOUNT, name))
    pass_time(world, 3)
    assert list(dead_letters(store)) == names
    assert all("does not let this API key" in each["reason"] for each in dead_letters(store).values())


def test_a_ticket_that_always_fails_is_given_up_after_a_day(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    broken(world, 500, "ticket/1")
    world.simulator.create_ticket()
    world.simulator.create_ticket()
    pass_time(world, 25)
    assert gets(world, "ticket/1/") == 18
    assert gate(store) == "open"
    assert "Seen: ticket-created." in str(world.ticket(2)["updates"])
    [letter] = letters(store).values()
    assert letter["reason"].startswith("HappyFox answered a read with something other than a ticket (500): look at")


def test_a_happyfox_that_fails_for_days_gets_few_calls_and_loses_nothing(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    broken(world, 500, "*")
    for _ in range(8):
        world.simulator.create_ticket()
    pass_time(world, 1)
    world.deliver()
    assert gate(store) == "unreachable"
    assert len(world.simulator.log) < 150, "two a minute, not eight every five seconds"
    pass_time(world, 48)
    assert letters(store) == {}

    world.simulator.faults.clear()
    pass_time(world, 61 / 3600)
    world.settle_down(60_000)
    assert gate(store) == "open"
    assert all("Seen: ticket-created." in str(world.ticket(number)["updates"]) for number in range(1, 9))


def test_an_unreachable_happyfox_is_called_by_no_waiting_lane(store: redis.Redis) -> None:
    world, calls = SimulatedDeployment(store, noting()), list[int]()

    def unreachable(step: Any, result: object) -> object:
        if isinstance(step, Call):
            calls.append(world.now)
            return Unreachable("HappyFox cannot be reached (ConnectionRefusedError)")
        return result

    world.after = unreachable
    for _ in range(20):
        world.simulator.create_ticket()
    pass_time(world, 1)
    assert (gate(store), letters(store)) == ("unreachable", {})
    assert len(calls) < 70


def test_a_probe_with_a_refused_ticket_opens_the_gate_if_the_key_works_again(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    broken(world, 401, "*")
    world.simulator.create_ticket()
    world.deliver()
    world.work()
    assert gate(store) == "denied"
    world.simulator.faults.clear()
    broken(world, 403, "ticket/1")
    world.now += 60_000
    world.work()
    assert gate(store) == "open"


def test_a_key_that_may_read_nothing_closes_the_gate(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    broken(world, 403, "*")
    for _ in range(5):
        world.simulator.create_ticket()
    pass_time(world, 1)
    assert (gate(store), letters(store)) == ("denied", {})
    assert len(world.simulator.log) < 130, "two a minute"


def test_an_effect_in_doubt_on_a_ticket_that_becomes_unreadable_is_given_up_with_its_doubt(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    broken(world, 500, "ticket/1/staff_pvtnote", method="POST")
    world.simulator.create_ticket()
    world.deliver()
    world.work()
    broken(world, 403, "ticket/1")
    pass_time(world, 3)
    [letter] = dead_letters(store).values()
    assert "does not let this API key read ticket 1" in letter["reason"]
    assert letter["doubt"]
    assert not store.zcard(f"{P}schedule")


def test_an_older_update_of_ours_does_not_stand_for_an_effect_that_was_given_up(store: redis.Redis) -> None:
    """Updates of tags have no words, so that one looks like the other."""
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def tag(ticket: Ticket, event: Event) -> None:
        ticket.add_tags(event.matched[-1].kind)

    world = SimulatedDeployment(store, router)
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    world.now += 3_600_000
    broken(world, 500, "ticket/1/update_tags", method="POST")
    world.simulator.contact_replies(1, "Hello?")
    world.deliver()
    world.work()
    broken(world, 403, "ticket/1")
    pass_time(world, 4)
    [name] = letters(store)
    assert "may or may not have happened" in str(store.lrange(f"{P}history:1", 0, -1))
    world.simulator.faults.clear()
    world.now += 120_000
    world.store.run(replay(ACCOUNT, name))
    world.settle_down()
    assert world.ticket(1)["tags"] == "ticket-created,contact-replied"
