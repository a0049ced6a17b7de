from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Fault, Hook, Simulator

NOTE = {"staff": 7, "html": "<p>hello</p>"}


def busy(simulator: Simulator) -> None:
    api = Caller(simulator)
    simulator.create_ticket(subject="Café")
    simulator.faults.add(Fault("hang", seconds=3))
    api.post("ticket/1/staff_update/", NOTE | {"status": 2})
    api.post("tickets/", {"email": "x@y.example", "name": "X", "subject": "S", "text": "T", "category": 1})
    simulator.fire_rule(2, "R", priority="High")
    api.get("tickets/", "show_updates=1")


def test_the_same_calls_give_the_same_bytes() -> None:
    first, second = (Simulator(FakeClock(), [Hook("http://hooks.example/", "k")]) for _ in range(2))
    busy(first)
    busy(second)
    assert first.log == second.log
    assert first.deliveries == second.deliveries
    assert Caller(first).get("tickets/").body == Caller(second).get("tickets/").body


def test_a_fork_goes_its_own_way(simulator: Simulator, clock: FakeClock) -> None:
    busy(simulator)
    before = Caller(simulator).get("tickets/", "show_updates=1").body
    simulator.faults.add(Fault("status"))
    later = FakeClock(clock.now + 1000)
    fork = simulator.fork(later)
    api = Caller(fork)
    assert [api.get("staff/").status, api.get("staff/").status] == [500, 200]
    api.post("ticket/1/delete/", {"staff_id": 7})
    fork.contact_replies(2, "only here")
    assert fork.take_deliveries()[-1].due == later.now
    assert len(simulator.faults.faults) == 1
    simulator.faults.clear()
    assert Caller(simulator).get("tickets/", "show_updates=1").body == before
    assert [call.method for call in fork.log[4:]] == ["GET", "GET", "POST"]
    assert len(simulator.log) == 5
    assert simulator.gate.used("post", clock.now) == 2
    assert len(simulator.deliveries) == len(fork.deliveries) - 1


def test_a_reset_forgets_all_but_hooks_and_options(simulator: Simulator) -> None:
    busy(simulator)
    simulator.reset()
    assert (simulator.world.tickets, simulator.log, simulator.deliveries) == ({}, [], [])
    assert simulator.create_ticket().id == 1
    assert [delivery.hook.url for delivery in simulator.take_deliveries()] == ["http://hooks.example/acme"]


def test_a_call_from_before_a_reset_ends_in_the_world_it_began_in(api: Caller, simulator: Simulator) -> None:
    simulator.create_ticket()
    pending = simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    simulator.reset()
    assert simulator.end(pending).status == 200
    assert (simulator.log, simulator.take_deliveries(), simulator.world.tickets) == ([], [], {})


def test_a_ticket_held_by_somebody_stays_as_it_was(simulator: Simulator) -> None:
    held = simulator.create_ticket()
    simulator.staff_updates(1, status="Closed", add_tags=["x"])
    assert (held.status, held.tags, len(held.rows)) == (1, (), 1)
