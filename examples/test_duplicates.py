"""Tests of `duplicates.py`."""

from duplicates import router

from workers.testing import Desk, MemoryStore, run, ticket

SAM = "sam@bigcorp.example"


def test_the_second_of_two_equal_messages_is_closed() -> None:
    store = MemoryStore()
    first = run(router, ticket(id=1, email=SAM, text="It is broken."), "ticket-created", store=store)
    second = run(router, ticket(id=2, email=SAM, text="It is  BROKEN.\n"), "ticket-created", store=store)
    assert first.actions[1:] == ()
    assert second.tags_added == {"duplicate"}
    assert second.properties == {"status": "Closed"}
    assert "ticket 2 is closed" in second.on_tickets[1].notes[0]


def test_another_contact_or_another_message_is_no_duplicate() -> None:
    store = MemoryStore()
    run(router, ticket(id=1, email=SAM, text="It is broken."), "ticket-created", store=store)
    for number, (email, text) in enumerate([("mia@x.example", "It is broken."), (SAM, "It works.")], 2):
        result = run(router, ticket(id=number, email=email, text=text), "ticket-created", store=store)
        assert result.tags_added == frozenset()


def test_of_two_equal_tickets_at_the_same_time_one_stays_even_if_workers_crash(desk: Desk) -> None:
    desk.use(router)
    desk.crash = True
    numbers = [desk.simulator.create_ticket(SAM, subject="Broken", text="It is broken.").id for _ in range(2)]
    desk.advance("10m")
    closed = [desk.ticket(number).status.name for number in numbers]
    assert sorted(closed) == ["Closed", "New"]
    [stays] = [number for number in numbers if desk.ticket(number).status.name == "New"]
    assert len(desk.notes(stays)) == 1


def test_the_same_message_on_the_next_day_is_a_new_ticket(desk: Desk) -> None:
    desk.use(router)
    desk.simulator.create_ticket(SAM, subject="Broken", text="It is broken.")
    desk.advance("1d")
    number = desk.simulator.create_ticket(SAM, subject="Broken", text="It is broken.").id
    desk.advance("10m")
    assert desk.ticket(number).status.name == "New"
