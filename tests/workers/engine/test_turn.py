"""A whole turn: from a delivery to the ticket in HappyFox."""

import pytest
import redis

from tests.support.turns import vip
from workers import Event, Router, Ticket
from workers.engine.plan import decode_record
from workers.store.records import AccountRecords
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, SimulatedDeployment


def test_a_delivery_ends_in_the_ticket(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip())
    number = world.simulator.create_ticket(subject="Printer").id

    assert [taken.status for taken in world.deliver()] == ["accepted"]
    results = world.settle_down()

    ticket = world.ticket(number)
    assert ticket["tags"] == "vip"
    assert ticket["priority"]["name"] == "High"
    notes = [update for update in ticket["updates"] if update["message"] and update["message"]["message_type"] == "p"]
    assert [note["message"]["text"].strip() for note in notes] == ["VIP contact: answer within the hour."]
    assert [result.end for result in results] == ["settled"] * len(results)


def test_a_dry_run_sends_nothing_and_keeps_effects_with_names(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip(), dry_run=True)
    number = world.simulator.create_ticket(subject="Printer").id
    world.deliver()
    world.settle_down()

    assert not world.ticket(number)["tags"]
    [record] = map(decode_record, AccountRecords(store, ACCOUNT).records())
    assert [effect.summary for effect in record.effects] == ["tag +vip", "private note, priority = High"]
    assert [record.journal[key].state for key in ("0", "1")] == ["dry", "dry"]
    told = [line.text for line in AccountRecords(store, ACCOUNT).history(number)]
    assert "private note, priority = High: not sent (dry run)" in told


@pytest.mark.parametrize(("dry", "saved"), [(True, None), (False, b"1")])
def test_saved_calls_are_counted_once_and_not_in_a_dry_run(store: redis.Redis, dry: bool, saved: bytes | None) -> None:
    world = SimulatedDeployment(store, vip(), dry_run=dry)
    world.after = lambda step, result: (  # every script may run twice
        world.store.run(step) if isinstance(step, Script) and step.name == "settle" else result
    )
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    assert store.get(f"foxhooks:{{{ACCOUNT}}}:calls_saved") == saved


def test_what_the_ticket_already_shows_is_reported_and_not_written(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip(), dry_run=True)
    world.simulator.create_ticket(subject="Printer", tags=["vip"], priority="High")
    world.deliver()
    world.settle_down()

    [record] = map(decode_record, AccountRecords(store, ACCOUNT).records())
    assert [effect.summary for effect in record.effects] == ["private note"]
    assert record.remarks == ("tag +vip: already up to date", "priority: already up to date")


def test_our_own_writes_start_no_handler(store: redis.Redis) -> None:
    router = Router("loop")
    snapshot: list[str] = []

    @router.on("ticket-created", "ticket-updated")
    def answer(ticket: Ticket, event: Event) -> None:
        snapshot.extend(change.kind for change in event.changes)
        ticket.note(f"Note {len(snapshot)}")
        ticket.add_tags(f"t{len(snapshot)}")
        ticket.set(status="In Progress", fields={})

    world = SimulatedDeployment(store, router)
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()

    assert snapshot == ["ticket-created"]


def test_a_reply_to_a_closed_ticket_is_answered_and_reopens_it(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip())
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    world.simulator.staff_updates(number, status="Closed")
    world.deliver()
    world.settle_down()
    world.simulator.contact_replies(number, "It is broken again.")
    world.deliver()
    world.settle_down()

    ticket = world.ticket(number)
    assert ticket["status"]["name"] == "In Progress"
    assert "on it again" in ticket["updates"][-1]["message"]["text"]


def test_a_new_event_does_not_wait_for_the_recheck_of_an_unexplained_one(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip())
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    world.now += 60_000
    world.simulator.contact_replies(number, "Hello?", late=60)
    world.deliver()
    world.work()
    waits = world.client.zscore("foxhooks:{demo}:schedule", str(number))
    world.simulator.staff_updates(number, status="Closed")
    world.deliver()

    assert waits is not None
    assert waits > world.now
    assert world.client.zscore("foxhooks:{demo}:schedule", str(number)) == world.now
