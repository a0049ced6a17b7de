"""Dead letters are put back into their lanes, or deleted."""

import redis

from tests.support.stores import untyped
from workers import Event, GiveUp, Router, Ticket
from workers.store.records import discard, replay
from workers.testing.desk import ACCOUNT, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"


class Fragile:
    """A router whose handler fails until it is repaired."""

    def __init__(self) -> None:
        self.router = Router("fragile")
        self.reset = False
        self.events: list[Event] = []

        @self.router.on("contact-replied")
        def answer(ticket: Ticket, event: Event) -> None:
            if not self.reset:
                raise GiveUp("the other system is gone")
            self.events.append(event)
            ticket.note("Answered late.")


def dead(world: SimulatedDeployment, fragile: Fragile) -> tuple[int, str]:
    """Make a handler fail on a reply; return the ticket and the dead letter."""
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    world.settle_down()
    (dead_letter,) = untyped(world.client).zrange(P + "dead_letters", 0, -1)
    return number, dead_letter.decode()


def test_a_replayed_dead_letter_runs_its_handler_once_with_its_changes(store: redis.Redis) -> None:
    fragile = Fragile()
    world = SimulatedDeployment(store, fragile.router)
    number, dead_letter = dead(world, fragile)
    fragile.reset = True

    assert world.store.run(replay(ACCOUNT, dead_letter)) == number
    world.settle_down()

    (event,) = fragile.events
    assert event.replay
    assert [change.kind for change in event.matched] == ["contact-replied"]
    assert "Answered late." in world.ticket(number)["updates"][-1]["message"]["text"]
    assert store.zcard(P + "dead_letters") == 0


def test_a_repeated_replay_gets_the_same_answer_and_happens_once(store: redis.Redis) -> None:
    fragile = Fragile()
    world = SimulatedDeployment(store, fragile.router)
    number, dead_letter = dead(world, fragile)
    fragile.reset = True

    assert [world.store.run(replay(ACCOUNT, dead_letter)) for _ in range(2)] == [number] * 2
    world.settle_down()

    assert len(fragile.events) == 1
    assert world.store.run(replay(ACCOUNT, dead_letter)) == 0


def test_a_replay_that_fails_again_is_a_dead_letter_again(store: redis.Redis) -> None:
    fragile = Fragile()
    world = SimulatedDeployment(store, fragile.router)
    _, dead_letter = dead(world, fragile)

    world.store.run(replay(ACCOUNT, dead_letter))
    world.settle_down()

    (again,) = untyped(store).zrange(P + "dead_letters", 0, -1)
    assert again.decode() != dead_letter


def test_a_dead_letter_is_replayed_or_discarded_only_once(store: redis.Redis) -> None:
    fragile = Fragile()
    world = SimulatedDeployment(store, fragile.router)
    _, dead_letter = dead(world, fragile)

    assert world.store.run(discard(ACCOUNT, dead_letter))
    assert not world.store.run(discard(ACCOUNT, dead_letter))
    assert world.store.run(replay(ACCOUNT, dead_letter)) == 0


def test_a_replay_is_kept_however_long_it_waits(store: redis.Redis) -> None:
    fragile = Fragile()
    world = SimulatedDeployment(store, fragile.router)
    number, dead_letter = dead(world, fragile)
    fragile.reset = True
    world.store.run(replay(ACCOUNT, dead_letter))
    assert store.ttl(f"{P}event:replay-{dead_letter}") == -1
    world.settle_down()

    assert "Answered late." in str(world.ticket(number)["updates"])
    assert store.ttl(f"{P}event:replay-{dead_letter}") > 0
