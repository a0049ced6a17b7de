"""One captured delivery, sent again and again, costs few reads and little memory, and delays nothing else."""

from itertools import pairwise

import pytest
import redis

from tests.support.stores import untyped
from tests.support.turns import P
from workers import Event, Router, Ticket
from workers.testing.desk import SimulatedDeployment

STEP = 500


class Captured:
    """A ticket whose delivery somebody captured, and what the handler saw of it."""

    def __init__(self, store: redis.Redis) -> None:
        self.seen: list[str] = []
        router = Router("seen")

        @router.on("contact-replied")
        def see(ticket: Ticket, event: Event) -> None:
            self.seen.append(event.matched[0].text.strip())

        self.world = SimulatedDeployment(store, router)
        self.ticket = self.world.simulator.create_ticket("sam@bigcorp.example", subject="Help").id
        self.world.settle_down()
        self.reply("first")
        [delivery] = self.world.queued()
        self.body = delivery.body
        self.world.settle_down()
        assert self.seen == ["first"]

    def reply(self, text: str) -> None:
        self.world.simulator.contact_replies(self.ticket, text)

    def repeat(self, seconds: float) -> list[int]:
        """Send the body twice a second; return when the ticket was read, in ms from the start."""
        start, reads = self.world.now, []
        while self.world.now < start + seconds * 1000:
            self.world.receive(self.body)
            reads += [self.world.now - start for _ in self.world.work()]
            self.world.now += STEP
        return reads


@pytest.fixture
def captured(store: redis.Redis) -> Captured:
    return Captured(store)


def test_reads_that_bring_nothing_new_become_rare(captured: Captured) -> None:
    reads = captured.repeat(600)
    gaps = [later - earlier for earlier, later in pairwise(reads)]
    assert gaps[:4] == [2_000, 5_000, 15_000, 60_000]
    assert set(gaps[4:]) == {60_000}


def test_a_new_delivery_is_read_at_once(captured: Captured) -> None:
    captured.repeat(200)
    captured.reply("second")
    captured.world.receive(captured.body)
    assert captured.world.work() == []
    captured.world.receive(captured.body.replace(b"{", b'{"another": "body", ', 1))
    captured.world.work()
    assert captured.seen == ["first", "second"]


def test_what_a_repeated_delivery_is_the_only_one_to_announce_is_found_within_a_minute(captured: Captured) -> None:
    captured.repeat(200)
    captured.reply("second")
    captured.world.simulator.take_deliveries()  # lost
    captured.world.receive(captured.body)
    captured.world.settle_down(60_000)
    assert captured.seen == ["first", "second"]
    assert captured.repeat(1) == [0], "the next one is read at once again"


def test_a_repetition_during_the_turn_waits_too(captured: Captured, store: redis.Redis) -> None:
    captured.repeat(200)
    captured.world.now += 60_000
    lane = captured.world.claim()
    assert lane is not None
    captured.world.receive(captured.body)
    captured.world.drive(lane)
    assert store.zscore(P + "schedule", str(captured.ticket)) == captured.world.now + 60_000
    assert captured.world.claim() is None


def test_a_body_is_stored_once(captured: Captured, store: redis.Redis) -> None:
    captured.repeat(600)
    events = [untyped(store).hgetall(key) for key in store.scan_iter(P + "event:*")]
    repeated = [event for event in events if event.get(b"first")]
    assert len(repeated) > 5
    [first] = {event[b"first"].decode() for event in repeated}
    assert store.hget(f"{P}event:{first}", "body") == captured.body
    assert not [event for event in repeated if b"body" in event]


def test_a_handled_event_is_kept_for_a_minute_and_its_digest_for_the_retention(
    captured: Captured, store: redis.Redis
) -> None:
    handled = list(store.scan_iter(P + "event:*"))
    assert handled
    assert {0 < untyped(store).pttl(key) <= 60_000 for key in handled} == {True}
    for key in handled:
        store.delete(key)
    captured.repeat(10)
    waiting = untyped(store).lrange(f"{P}lane:{captured.ticket}", 0, -1)[-1]
    assert store.hget(f"{P}event:{waiting.decode()}", "first"), "the same body is recognized without its first event"
    assert 600_000 < untyped(store).pttl(f"{P}event:{waiting.decode()}") <= 604_800_000
