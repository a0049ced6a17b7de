"""What a turn stores has a limit, however long its ticket, its texts or its list of handlers."""

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from tests.support.turns import P, dead_letters
from workers import Event, GiveUp, Router, Ticket
from workers.engine.excerpt import MOST_BYTES, NEWEST, Histories, encode_record
from workers.engine.plan import Record, Verdict, decode_record
from workers.store.records import AccountRecords
from workers.testing.desk import ACCOUNT, SimulatedDeployment

#: The most bytes that a turn may leave in the store, of a plain ticket and of one with 2,000 updates.
PLAIN, LONG = 6_000, 10_000
UPDATES = 2_000


def noting() -> Router:
    router = Router("noting")

    @router.on("ticket-created", "contact-replied")
    def note(ticket: Ticket, event: Event) -> None:
        ticket.note(f"{len(ticket.history)} updates so far.")

    return router


def stored(client: Any) -> int:
    """Return the bytes of all keys, without events, which are kept for a minute after their turn."""
    sizes = [client.memory_usage(key, samples=0) for key in client.scan_iter(count=10_000) if b":event:" not in key]
    return sum(size or 0 for size in sizes)


def records(client: redis.Redis) -> list[Record]:
    return [decode_record(each) for each in AccountRecords(client, ACCOUNT).records(oldest_first=True)]


def reply(world: SimulatedDeployment, number: int, text: str) -> None:
    world.now += 60_000
    world.simulator.contact_replies(number, text)
    world.settle_down(60_000)


def test_a_settled_turn_leaves_few_bytes(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    number = world.simulator.create_ticket().id
    world.settle_down(60_000)
    before = stored(untyped(store))
    for turn in range(5):
        reply(world, number, f"{turn}: still broken, please help. " * 10)
    assert (stored(untyped(store)) - before) / 5 < PLAIN


def test_a_turn_on_a_very_long_ticket_costs_as_much_as_any(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    number = world.simulator.create_ticket().id
    for update in range(UPDATES):
        world.now += 60_000
        world.simulator.contact_replies(number, f"{update}: {update * 7919 % 10_007} is broken, too.")
    world.simulator.take_deliveries()
    for turn in range(4):
        before = stored(untyped(store))
        reply(world, number, f"Hello {turn}")
        assert stored(untyped(store)) - before < LONG
    *_, last = records(store)
    assert last.updates > UPDATES
    assert len(last.ticket["updates"]) == NEWEST + 1


def test_the_records_of_a_ticket_together_have_all_its_updates(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    number = world.simulator.create_ticket().id
    world.settle_down(60_000)
    for turn in range(20):
        reply(world, number, f"Hello {turn}")
    histories = Histories()
    for record in records(store):
        complete = histories.complete(record)
        assert len(complete.ticket["updates"]) == record.updates
        assert not histories.lacks(record)
    ids = [update["update_id"] for update in complete.ticket["updates"]]
    assert ids == sorted(ids)
    assert histories.lacks(msgspec.structs.replace(record, updates=record.updates + 1))


def large() -> Iterator[Record]:
    """Yield records that are too large for one reason each."""
    text = "".join(chr(33 + n * 7919 % 90) for n in range(400_000))
    updates = [{"update_id": n, "message": {"text": text[n : n + 9_000], "html": ""}} for n in range(100)]
    whole: dict[str, Any] = {
        "turn": "t",
        "account": "demo",
        "number": 1,
        "at": 1,
        "dry": False,
        "events": (),
        "journal": {},
    }
    yield Record(format=1, ticket={"id": 1, "subject": text}, **whole)
    yield Record(format=1, ticket={"id": 1, "updates": updates}, **whole)
    yield Record(format=1, ticket={"id": 1, "names": {str(n): "x" * 150 for n in range(5_000)}}, **whole)
    verdicts = tuple(Verdict(handler=f"a.h{n}", state="dead", reason=text[:5_000]) for n in range(900))
    yield Record(format=1, ticket={"id": 1}, verdicts=verdicts, **whole)


@pytest.mark.parametrize("record", [*large()], ids=["a long text", "many texts", "many members", "many verdicts"])
def test_a_record_has_a_limit_and_says_what_it_lacks(record: Record) -> None:
    encoded = encode_record(record)
    assert len(zlib.decompress(encoded)) <= MOST_BYTES
    kept = decode_record(encoded)
    assert len(kept.remarks) == 1
    assert kept.remarks[0].startswith("this turn was too large to be kept as a whole: ")
    assert [verdict.handler for verdict in kept.verdicts] == [each.handler for each in record.verdicts[:200]]


def test_actions_that_are_too_large_for_a_plan_become_a_dead_letter(store: redis.Redis) -> None:
    router = noting()

    @router.on("ticket-created")
    def shout(ticket: Ticket, event: Event) -> None:
        for letter in "ABCDE":
            ticket.note(letter * 900_000)

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.settle_down(60_000)
    [dead_letter] = dead_letters(store).values()
    assert dead_letter["handler"] == "noting.shout"
    assert "at most 4,000,000 are stored" in dead_letter["reason"]
    notes = [update["message"]["text"].strip() for update in world.ticket(number)["updates"] if update["message"]]
    assert notes[-1] == "1 updates so far."


def test_a_line_of_the_history_has_a_limit_and_a_turn_few_lines(store: redis.Redis) -> None:
    router = Router("many")
    for index in range(400):

        def fail(ticket: Ticket, event: Event) -> None:
            raise GiveUp("x" * 5_000)

        fail.__name__ = f"fail_{index}"
        router.on("ticket-created")(fail)

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()
    lines = untyped(store).lrange(f"{P}history:{number}", 0, -1)
    assert len(lines) == 151
    assert b"more lines are left out" in lines[-1]
    assert max(map(len, lines)) < 1_200


def test_a_turn_that_is_given_up_keeps_only_parts_of_what_was_stored(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, noting())
    number = world.simulator.create_ticket().id
    world.deliver()
    store.hset(f"{P}turn:{number}", mapping={"id": "t", "plan": '{"broken": "' + "x" * 100_000 + '"}'})
    world.work()
    [name] = [each for each in untyped(store).scan_iter(f"{P}dead_letter:*") if each.endswith(b".turn")]
    evidence = msgspec.json.decode(untyped(store).hget(name, "evidence"))["evidence"]["plan"]
    assert len(evidence) < 21_000
    assert evidence.endswith("… (100,014 characters)")
