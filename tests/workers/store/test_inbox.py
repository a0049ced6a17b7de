"""The inbox against real stores: what is stored, what joins, when a lane becomes due."""

import json

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from workers.errors import StoreUnavailable
from workers.store import inbox, lanes
from workers.store.client import Store
from workers.store.inbox import Acceptance, Arrival, accept, receive, receive_hook, unreadable
from workers.store.lanes import ClaimConfig, ClaimedLane, claim
from workers.webhook import parse

P = "foxhooks:{acme}:"
NOW = 1_750_000_000_000
KEEP = 3600


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(either_store: redis.Redis, clock: Clock) -> Store:
    return Store(either_store, clock)


def delivery(ticket: int, text: str = "", **more: object) -> Arrival:
    body = json.dumps({"ticket_id": ticket, "update": {"message_type": "Client Reply", "text": text}, **more})
    return receive(parse(body.encode()), body.encode(), '{"content-type":"application/json"}')


def take(engine: Store, *arrivals: Arrival, refused: dict[str, int] | None = None) -> list[Acceptance]:
    return engine.run(accept("acme", arrivals, KEEP, refused))


def score(engine: Store, ticket: int) -> float | None:
    return engine.client.zscore(P + "schedule", str(ticket))


def test_an_accepted_delivery_waits_in_its_lane_and_is_due_now(engine: Store) -> None:
    arrival = delivery(3)
    assert take(engine, arrival) == [Acceptance("accepted", arrival.id)]
    assert engine.client.lrange(P + "lane:3", 0, -1) == [arrival.id.encode()]
    assert score(engine, 3) == NOW
    event = engine.client.hgetall(P + "event:" + arrival.id)
    assert event == {
        b"v": b"1",
        b"ticket": b"3",
        b"kind": b"updated",
        b"update": b"1",
        b"actor": b"unknown",
        b"label": b"contact-reply",
        b"source": b"webhook",
        b"at": str(NOW).encode(),
        b"body": arrival.body,
        b"headers": b'{"content-type":"application/json"}',
    }
    assert 0 < engine.client.ttl(P + "event:" + arrival.id) <= KEEP


def test_the_same_bytes_join_the_event_that_waits(engine: Store) -> None:
    first, second = delivery(3), delivery(3)
    take(engine, first)
    assert take(engine, second) == [Acceptance("duplicate", first.id)]
    assert engine.client.llen(P + "lane:3") == 1
    assert not engine.client.exists(P + "event:" + second.id)


def test_the_same_bytes_join_within_a_batch(engine: Store) -> None:
    first, second = delivery(3), delivery(3)
    assert take(engine, first, second) == [Acceptance("accepted", first.id), Acceptance("duplicate", first.id)]


def begin(engine: Store, nonce: str) -> ClaimedLane:
    config = ClaimConfig(account="acme", lease=15_000, read=False, budget=b"{}", life=0)
    lane = engine.run(claim(config, nonce))
    assert isinstance(lane, ClaimedLane)
    return lane


def test_the_same_bytes_are_a_new_event_once_the_first_is_claimed(engine: Store) -> None:
    first, second, third = delivery(3), delivery(3), delivery(3)
    take(engine, first)
    begin(engine, "one")
    assert take(engine, second) == [Acceptance("accepted", second.id)]
    assert take(engine, third) == [Acceptance("duplicate", second.id)]


def test_the_same_bytes_join_an_event_that_a_running_turn_has_not_taken(
    engine: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MAX_EVENTS", 1)
    first, second, third = delivery(3, "one"), delivery(3, "two"), delivery(3, "two")
    take(engine, first, second)
    assert len(begin(engine, "one").events) == 1
    assert take(engine, third) == [Acceptance("duplicate", second.id)]


def test_the_same_bytes_are_a_new_event_if_a_repeated_claim_has_taken_the_first(engine: Store) -> None:
    first, second, third = delivery(3, "one"), delivery(3, "two"), delivery(3, "two")
    take(engine, first)
    begin(engine, "one")
    take(engine, second)
    assert len(begin(engine, "one").events) == 2
    assert take(engine, third) == [Acceptance("accepted", third.id)]


def test_the_same_bytes_are_a_new_event_while_a_stored_plan_has_taken_the_first(engine: Store) -> None:
    first, second, third = delivery(3), delivery(3), delivery(3)
    take(engine, first)
    lane = begin(engine, "one")
    engine.client.hset(P + "turn:3", "events", json.dumps([first.id]))
    engine.client.hdel(P + "leases", "3", f"@{lane.turn}")  # as parking does
    assert take(engine, second) == [Acceptance("accepted", second.id)]
    assert take(engine, third) == [Acceptance("duplicate", second.id)]


def test_a_turn_of_the_wrong_type_keeps_no_delivery_from_its_lane(engine: Store) -> None:
    first, second = delivery(3, "one"), delivery(3, "two")
    engine.client.set(P + "turn:3", "corrupt")
    assert take(engine, first, second) == [Acceptance("accepted", first.id), Acceptance("accepted", second.id)]
    engine.client.delete(P + "turn:3")
    assert [event.id for event in begin(engine, "one").events] == [first.id, second.id]


@pytest.mark.parametrize("key", ["turn:3", "event:{}"])
def test_a_key_of_the_wrong_type_keeps_no_delivery_with_known_bytes_from_its_lane(engine: Store, key: str) -> None:
    first, second = delivery(3), delivery(3)
    take(engine, first)
    engine.client.delete(P + key.format(first.id))
    engine.client.set(P + key.format(first.id), "corrupt")
    assert take(engine, second) == [Acceptance("accepted", second.id)]
    engine.client.delete(P + key.format(first.id))
    assert [event.id for event in begin(engine, "one").events] == [first.id, second.id]


@pytest.mark.parametrize("value", ["", "not three words", " "])
def test_an_unreadable_note_of_a_body_keeps_no_delivery_from_its_lane(engine: Store, value: str) -> None:
    first, hook = delivery(3), receive_hook(4, "shop", "paid", b'{"ticket": 4}', id="message-1")
    for arrival in (first, hook):
        engine.client.set(P + "body:" + arrival.digest, value)
    accepted = [Acceptance("accepted", first.id), Acceptance("accepted", hook.id)]
    assert take(engine, first, hook) == accepted
    assert take(engine, first, hook) == accepted
    assert [engine.client.llen(P + "lane:" + ticket) for ticket in "34"] == [1, 1]


def test_a_claim_deletes_the_digests_that_an_earlier_version_left_of_expired_events(engine: Store) -> None:
    first = delivery(3)
    take(engine, first)
    engine.client.hset(P + "joins:3", first.digest, first.id)
    engine.client.delete(P + "event:" + first.id)
    begin(engine, "one")
    assert not engine.client.exists(P + "joins:3")


def test_a_batch_that_is_run_twice_is_stored_once_with_the_same_answer(engine: Store) -> None:
    batch = [delivery(3), delivery(4), unreadable("not-json", b"{")]
    once = take(engine, *batch)
    before = {key: engine.client.dump(key) for key in engine.client.scan_iter() if not key.endswith(b":batches")}
    assert take(engine, *batch) == once
    after = {key: engine.client.dump(key) for key in engine.client.scan_iter() if not key.endswith(b":batches")}
    assert after == before


def test_every_batch_writes_even_when_it_stores_nothing(engine: Store) -> None:
    take(engine)
    take(engine)
    assert engine.client.get(P + "batches") == b"2"


def test_the_store_epoch_stays_the_first_use(engine: Store, clock: Clock) -> None:
    take(engine)
    clock.now += 1000
    take(engine)
    assert engine.client.get(P + "store_epoch") == str(NOW).encode()


def test_a_leased_lane_keeps_the_end_of_its_lease(engine: Store) -> None:
    engine.client.zadd(P + "schedule", {"3": NOW + 15_000})
    engine.client.hset(P + "leases", "3", "7-abc")
    engine.client.hset(P + "turn:3", "retry", NOW + 15_000)
    take(engine, delivery(3))
    assert score(engine, 3) == NOW + 15_000


def test_a_parked_lane_stays_parked(engine: Store) -> None:
    engine.client.zadd(P + "schedule", {"3": NOW + 60_000})
    engine.client.hset(P + "turn:3", "retry", NOW + 90_000)
    take(engine, delivery(3))
    assert score(engine, 3) == NOW + 60_000


def test_a_new_event_makes_a_lane_with_pending_work_due(engine: Store) -> None:
    engine.client.zadd(P + "schedule", {"3": NOW + 60_000})
    engine.client.hset(P + "turn:3", "retry", NOW + 60_000)
    take(engine, delivery(3))
    assert score(engine, 3) == NOW


def test_new_events_wait_while_a_lane_settles(engine: Store) -> None:
    engine.client.set(P + "settling:3", NOW + 2000)
    engine.client.set(P + "settling:4", NOW + 2000)
    engine.client.zadd(P + "schedule", {"4": NOW + 60_000})
    engine.client.hset(P + "turn:4", "retry", NOW + 60_000)
    take(engine, delivery(3), delivery(4))
    assert (score(engine, 3), score(engine, 4)) == (NOW + 2000, NOW + 2000)


def test_a_lane_that_is_due_keeps_its_place(engine: Store) -> None:
    engine.client.zadd(P + "schedule", {"3": NOW - 500})
    take(engine, delivery(3))
    assert score(engine, 3) == NOW - 500


def test_events_of_a_ticket_stay_in_order(engine: Store) -> None:
    arrivals = [delivery(3, str(n)) for n in range(300)]
    take(engine, *arrivals[:128])
    take(engine, *arrivals[128:])
    assert engine.client.lrange(P + "lane:3", 0, -1) == [arrival.id.encode() for arrival in arrivals]


@pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe", b"x" * 5_000_000, "☕".encode()])
def test_a_body_may_be_any_bytes(engine: Store, body: bytes) -> None:
    arrival = unreadable("not-json", body)
    take(engine, arrival)
    assert engine.client.hget(P + "event:" + arrival.id, "body") == body


def test_a_lone_surrogate_in_a_rule_name_does_not_lose_the_event(engine: Store) -> None:
    body = b'{"ticket_id":3,"update":{"by":{"type":"smartrule","name":"\\ud83d rule"}}}'
    arrival = receive(parse(body), body)
    assert take(engine, arrival)[0].status == "accepted"
    assert engine.client.hget(P + "event:" + arrival.id, "rule") == b"? rule"


def test_the_largest_ticket_and_update_are_stored_digit_by_digit(engine: Store) -> None:
    body = b'{"ticket_id":9007199254740991,"update":{"update_id":9007199254740991}}'
    arrival = receive(parse(body), body)
    take(engine, arrival)
    assert engine.client.lrange(P + "lane:9007199254740991", 0, -1) == [arrival.id.encode()]
    assert engine.client.hget(P + "event:" + arrival.id, "update_id") == b"9007199254740991"


def test_an_unreadable_delivery_goes_to_quarantine_and_into_no_lane(engine: Store) -> None:
    arrival = unreadable("not-an-object", b"[1]", '{"content-type":"application/json"}')
    assert take(engine, arrival) == [Acceptance("quarantined", arrival.id)]
    assert engine.client.lrange(P + "quarantine", 0, -1) == [arrival.id.encode()]
    event = engine.client.hgetall(P + "event:" + arrival.id)
    assert (event[b"reason"], event[b"body"], event[b"ticket"]) == (b"not-an-object", b"[1]", b"")
    assert engine.client.zcard(P + "schedule") == 0


def test_the_same_unreadable_bytes_are_kept_once(engine: Store) -> None:
    first, second = unreadable("not-json", b"{"), unreadable("not-json", b"{")
    take(engine, first)
    assert take(engine, second) == [Acceptance("quarantined", first.id)]
    assert engine.client.llen(P + "quarantine") == 1


def test_a_full_quarantine_deletes_its_oldest_delivery(engine: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "QUARANTINE", 3)
    arrivals = [unreadable("not-json", str(n).encode()) for n in range(5)]
    take(engine, *arrivals)
    assert engine.client.lrange(P + "quarantine", 0, -1) == [arrival.id.encode() for arrival in arrivals[2:]]
    assert [engine.client.exists(P + "event:" + arrival.id) for arrival in arrivals] == [0, 0, 1, 1, 1]
    assert engine.client.hlen(P + "joins:quarantine") == 3


def linked(host: str, ticket: int = 3) -> Arrival:
    body = b'{"ticket_id": %d, "n": "%s"}' % (ticket, host.encode())
    return receive(parse(body), body, host=host)


def test_hosts_are_learned_and_another_help_desk_is_quarantined(engine: Store) -> None:
    arrivals = [linked(host) for host in ("help.acme.example", "acme.happyfox.net", "", "acme.happyfox.com")]
    assert [each.status for each in take(engine, *arrivals)] == ["accepted"] * 4
    assert engine.client.hget(P + "hosts", "help.acme.example") == str(NOW).encode()
    other = linked("beta.happyfox.com")
    for _ in range(2):  # a batch that is run twice has the same answer
        assert take(engine, other, linked("beta.example"))[0] == Acceptance("quarantined", other.id)
    assert engine.client.hget(P + "event:" + other.id, "reason") == b"other-help-desk"
    assert engine.client.lrange(P + "quarantine", 0, -1) == [other.id.encode()]
    known = {"help.acme.example", "acme.happyfox.net", "acme.happyfox.com", "beta.example"}
    assert {host.decode() for host in untyped(engine.client).hkeys(P + "hosts")} == known


def test_only_twenty_hosts_are_learned_and_all_are_accepted(engine: Store) -> None:
    accepted = take(engine, *(linked(f"{n}.example") for n in range(25)))
    assert {each.status for each in accepted} == {"accepted"}
    assert engine.client.hlen(P + "hosts") == 20


def test_the_first_arrival_of_a_replayed_delivery_is_kept(engine: Store) -> None:
    body = b'{"ticket_id": 3}'
    arrival = receive(parse(body), body, since=NOW - 5000)
    take(engine, arrival)
    assert engine.client.hget(P + "event:" + arrival.id, "since") == str(NOW - 5000).encode()


def test_deliveries_are_counted_with_the_time_of_the_last(engine: Store, clock: Clock) -> None:
    first = delivery(3)
    take(engine, first, delivery(3), unreadable("not-json", b"{"), refused={"bad-signature": 7})
    clock.now += 1000
    take(engine, delivery(4))
    counts = {name.decode(): int(value) for name, value in untyped(engine.client).hgetall(P + "counts").items()}
    assert counts == {
        "accepted": 2,
        "accepted:at": NOW + 1000,
        "duplicate": 1,
        "duplicate:at": NOW,
        "quarantined": 1,
        "quarantined:at": NOW,
        "refused:bad-signature": 7,
        "refused:bad-signature:at": NOW,
    }


def test_without_a_given_time_the_store_uses_its_own(either_store: redis.Redis) -> None:
    arrival = delivery(3)
    Store(either_store).run(accept("acme", [arrival], KEEP))
    seconds, _ = either_store.time()
    assert abs(int(either_store.hget(P + "event:" + arrival.id, "at") or 0) / 1000 - seconds) < 60


def test_a_key_of_the_wrong_type_affects_only_its_ticket(either_store: redis.Redis) -> None:
    either_store.set("foxhooks:{acme}:lane:3", "not a list")
    arrivals = [receive(parse(body), body) for body in (b'{"ticket_id": 3}', b'{"ticket_id": 4}')]

    taken = Store(either_store).run(accept("acme", arrivals, 60))

    assert [each.status for each in taken] == ["corrupt", "accepted"]
    assert either_store.llen("foxhooks:{acme}:lane:4") == 1
    assert not either_store.exists(f"foxhooks:{{acme}}:event:{arrivals[0].id}")


def test_a_full_store_accepts_a_whole_batch_or_nothing(engine: Store) -> None:
    engine.client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable, match="it is full"):
            take(engine, delivery(3), delivery(4))
        assert engine.client.keys() == []
    finally:
        engine.client.config_set("maxmemory", "0")


def test_ids_of_events_differ() -> None:
    assert len({inbox.new_id() for _ in range(10_000)}) == 10_000
    assert all(len(inbox.new_id()) == 20 for _ in range(1000))


def test_an_arrival_is_frozen() -> None:
    with pytest.raises(AttributeError):
        delivery(3).ticket = "4"  # type: ignore[misc]
    assert isinstance(delivery(3), msgspec.Struct)


def test_no_delivery_joins_an_event_whose_retention_has_ended(engine: Store) -> None:
    first = delivery(7)
    engine.run(accept("acme", [first], KEEP))
    engine.client.delete(f"{P}event:{first.id}")

    second = msgspec.structs.replace(first, id="second")

    assert engine.run(accept("acme", [second], KEEP)) == [Acceptance("accepted", "second")]
    assert engine.client.lrange(P + "lane:7", 0, -1) == [first.id.encode(), b"second"]


def test_no_delivery_joins_an_event_that_a_corrupt_key_kept_from_its_lane(engine: Store) -> None:
    first = delivery(7)
    engine.client.set(P + "lane:7", "corrupt")
    assert engine.run(accept("acme", [first], KEEP)) == [Acceptance("corrupt", "")]
    engine.client.delete(P + "lane:7")

    second = msgspec.structs.replace(first, id="second")

    assert engine.run(accept("acme", [second], KEEP)) == [Acceptance("accepted", "second")]


HALF = "\\ud83d"  # half a surrogate pair


@pytest.mark.parametrize(
    "member",
    [
        f'"agent_ticket_url": "https://{HALF}.example/staff/ticket/3"',
        f'"event": "{HALF}"',
        f'"update": {{"by": {{"type": "smartrule", "name": "{HALF}"}}, "message_type": "{HALF}", "id": "{HALF}"}}',
    ],
)
def test_half_a_surrogate_pair_anywhere_fails_no_batch(store: redis.Redis, member: str) -> None:
    body = f'{{"ticket_id": 3, {member}}}'.encode()
    delivery = parse(body)
    arrivals = [receive(delivery, body, host=delivery.host), receive(parse(b'{"ticket_id": 4}'), b'{"ticket_id": 4}')]
    answers = Store(store).run(accept("acme", arrivals, keep=60))
    assert [each.status for each in answers] == ["accepted", "accepted"]
