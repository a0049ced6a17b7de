"""Figures: what was counted is in the right minute and hour and in the totals, once, whatever happens in between."""

from collections.abc import Callable

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from workers import GiveUp, Retry, Router, Ticket
from workers.store.figures import (
    CALL,
    HOUR,
    LAG,
    MINUTE,
    Figures,
    hour_of,
    minute_of,
    pack,
    read_hours,
    read_lockouts,
    read_minutes,
    read_same_hours,
    read_totals,
)
from workers.store.inbox import accept, receive, unreadable
from workers.store.keys import prefix
from workers.store.lanes import due
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.webhook import parse

P = prefix(ACCOUNT)
FULL = 32_768


def router() -> Router:
    """A router whose handlers note, fail, and ask for a retry."""
    found = Router("main")

    @found.on("ticket-created")
    def note(ticket: Ticket) -> None:
        ticket.note("seen")

    @found.on("ticket-created", when=lambda ticket: ticket.subject == "fail")
    def fail(ticket: Ticket) -> None:
        raise GiveUp("no")

    @found.on("ticket-created", when=lambda ticket: ticket.subject == "again")
    def again(ticket: Ticket) -> None:
        raise Retry("later", after="1h")

    return found


@pytest.fixture
def world(store: redis.Redis) -> SimulatedDeployment:
    return SimulatedDeployment(store, router())


def totals(world: SimulatedDeployment) -> Figures:
    return read_totals(world.store, ACCOUNT)


def count(world: SimulatedDeployment, counted: dict[str, int]) -> None:
    """Count something with a batch without deliveries."""
    world.store.run(accept(ACCOUNT, [], 3600, None, pack(counted)))


def fill(world: SimulatedDeployment) -> None:
    """Make the next count store all that has come together."""
    world.client.append(f"{P}stats:new", b"\x80" * FULL)


def test_deliveries_are_counted_by_outcome_and_reason(world: SimulatedDeployment) -> None:
    body = b'{"ticket_id": 3}'
    arrivals = [receive(parse(body), body), receive(parse(body), body), unreadable("no", b"?")]
    world.store.run(accept(ACCOUNT, arrivals, 3600, {"bad-signature": 2}, pack({"ack_us 1000": 3})))

    found = totals(world)

    assert found.by("in") == {"accepted": 1, "duplicate": 1, "quarantined": 1, "refused": 2}
    assert found.sum("in", "refused", "bad-signature") == 2
    assert found.sum("ack_us") == 3


def test_a_turn_is_counted_with_all_that_happened_in_it(world: SimulatedDeployment) -> None:
    world.simulator.create_ticket(subject="fail")
    world.deliver()
    world.settle_down(60_000)

    found = totals(world)

    assert found.by("turn")["acted"] == 1
    assert found.by("change") == {"ticket-created": 1}
    assert (found.by("handler", "decided"), found.by("handler", "dead")) == ({"main.note": 1}, {"main.fail": 1})
    assert found.by("effect", "note") == {"done": 1}
    assert found.by("write") == {"main": 1}
    assert found.by("dead_letter") == {"main.fail": 1}
    assert found.buckets(LAG)[0][-1][1] == found.sum("in", "accepted")


def test_every_call_that_left_is_counted_with_its_outcome(world: SimulatedDeployment) -> None:
    world.simulator.create_ticket(subject="again")
    world.deliver()
    world.work()
    world.simulator.gate.lock(world.clock.seconds())
    world.simulator.create_ticket()
    world.deliver()
    world.work()

    found = totals(world)
    made = [*world.simulator.log]

    assert found.sum("call", "get") == sum(call.method == "GET" for call in made)
    assert found.sum("call", "post") == sum(call.method != "GET" for call in made)
    assert found.sum("call", "get", "limited") == 1
    assert read_lockouts(world.store, ACCOUNT, world.now) == [(hour_of(world.now) * HOUR, 1)]
    assert read_lockouts(world.store, ACCOUNT, world.now - HOUR) == []
    assert found.buckets(CALL, "get")[0][-1][1] == found.sum("call", "get")


def test_a_repeated_script_counts_nothing_again(world: SimulatedDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.store.run

    def twice(script: Script[object]) -> object:
        run(msgspec.structs.replace(script, read=lambda raw: raw))
        return run(script)

    world.simulator.create_ticket()
    world.deliver()
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "run", twice)
        world.work()

    found = totals(world)

    assert found.by("turn") == {"acted": 1}
    assert found.by("call") == {"get": 1, "post": 1}


def test_the_call_of_a_dead_worker_is_counted_as_unknown(world: SimulatedDeployment) -> None:
    world.simulator.create_ticket()
    world.deliver()
    assert world.claim() is not None
    world.now += 3 * MINUTE

    world.store.run(due(world.config.claim, 1))

    assert totals(world).by("call", "get") == {"unknown": 1}
    assert not untyped(world.client).zcard(f"{P}in_flight")


@pytest.mark.parametrize("stored", [False, True])
def test_figures_are_found_by_minute_and_hour(world: SimulatedDeployment, stored: bool) -> None:
    world.now = 1_000 * HOUR - MINUTE
    for n in (1, 2, 4):
        count(world, {"saved": n})
        world.now += MINUTE
    if stored:
        fill(world)
        count(world, {"saved": 0})
        assert not world.client.exists(f"{P}stats:new")

    minute = 1_000 * 60
    minutes = read_minutes(world.store, ACCOUNT, range(minute - 2, minute + 2))
    hours = read_hours(world.store, ACCOUNT, [999, 1_000])

    assert [each.sum("saved") for each in minutes] == [0, 1, 2, 4]
    assert [each.sum("saved") for each in hours] == [1, 6]
    assert totals(world).sum("saved") == 7


def test_what_is_stored_and_what_is_new_is_added(world: SimulatedDeployment) -> None:
    count(world, {"saved": 1})
    fill(world)
    count(world, {"saved": 2})
    count(world, {"saved": 4})

    assert totals(world).sum("saved") == 7
    assert [each.sum("saved") for each in read_minutes(world.store, ACCOUNT, [minute_of(world.now)])] == [7]


def test_figures_expire_a_day_and_five_weeks_later(world: SimulatedDeployment) -> None:
    count(world, {"saved": 1})
    fill(world)
    count(world, {"saved": 1})
    client = untyped(world.client)

    assert 26 * HOUR <= client.pttl(f"{P}stats:minute:{minute_of(world.now)}") <= 26 * HOUR + MINUTE
    assert 35 * 24 * HOUR <= client.pttl(f"{P}stats:hour:{hour_of(world.now)}") <= (35 * 24 + 1) * HOUR


def test_the_same_hour_of_the_last_weeks_is_found(world: SimulatedDeployment) -> None:
    now = world.now
    for week in (1, 3):
        world.now = now - week * 7 * 24 * HOUR
        count(world, {"in accepted": week})
    world.now = now

    found = read_same_hours(world.store, ACCOUNT, now)

    assert [each.sum("in", "accepted") for each in found] == [1, 0, 3, 0]


def broken_new(client: redis.Redis) -> None:
    client.delete(f"{P}stats:new")
    client.rpush(f"{P}stats:new", "x")


def broken_totals(client: redis.Redis) -> None:
    client.rpush(f"{P}stats:totals", "x")
    client.append(f"{P}stats:new", b"\x80" * FULL)


def broken_text(client: redis.Redis) -> None:
    client.append(f"{P}stats:new", b"\xa1x" * FULL)


@pytest.mark.parametrize("spoil", [broken_new, broken_totals, broken_text])
def test_corrupt_figures_fail_no_turn(world: SimulatedDeployment, spoil: Callable[[redis.Redis], None]) -> None:
    spoil(world.client)
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down(10_000)

    assert not untyped(world.client).zcard(f"{P}schedule")
    assert totals(world).sum("turn") > 0


def test_figures_are_summed_by_prefix_and_label() -> None:
    found = Figures({"handler decided a.b": 2, "handler decided c d": 3, "handler dead a.b": 1, "call_ms 25 get": 3})
    found += Figures({"call_ms inf get": 1, "call_ms sum get": 90_000, "call_ms 50 post": 7})

    assert found.by("handler") == {"decided": 5, "dead": 1}
    assert found.by("handler", "decided") == {"a.b": 2, "c d": 3}
    buckets, total = found.buckets(CALL, "get")
    assert (buckets[0], buckets[-1], total) == ((0.025, 3), (float("inf"), 4), 90.0)
    assert (found.quantile(CALL, 0.5, "get"), found.quantile(CALL, 0.9, "get")) == (0.025, float("inf"))
    assert found.quantile(CALL, 0.5, "put") is None
