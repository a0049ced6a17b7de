"""Sweeps with real processes: without a web process, with killed workers, and with a web process that was away."""

import json
import time
from collections.abc import Callable

import pytest

from tests.support.fleet import Fleet, P

pytestmark = [pytest.mark.timeout(180), pytest.mark.e2e]

PLUGIN = """
from workers import Router

router = Router("test")


@router.on("ticket-created", "contact-replied")
def answer(ticket, event):
    for change in event.matched:
        ticket.note(f"noted {change.kind} {change.update_id}")
"""

EDITS = """
from workers import Router

router = Router("test")


@router.on("ticket-created", "note-added")
def note(ticket, event):
    ticket.note(f"noted {event.matched[0].kind}")
"""

OFTEN = {"FOXHOOKS_SWEEP_MINUTES": "0.03"}


def rests(fleet: Fleet) -> bool:
    """Return whether no lane has work left; webhooks that nobody receives do not matter."""
    with fleet.redis() as store:
        return not store.zcard(f"{P}schedule")


def test_without_a_web_process_every_change_is_handled_once(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(PLUGIN)
    workers = [fleet.ready_worker(**OFTEN) for _ in range(2)]
    numbers = [fleet.open_ticket() for _ in range(20)]
    fleet.wait(lambda: all(fleet.notes(number) for number in numbers), "all new tickets are handled")
    workers[0].kill()
    for number in numbers:
        fleet.reply(number, "Hello?")
    fleet.wait(lambda: all(len(fleet.notes(number)) == 2 for number in numbers), "all replies are handled")
    fleet.wait(lambda: rests(fleet), "all lanes are done")
    assert all(len(fleet.notes(number)) == 2 for number in numbers)


def test_what_happened_while_the_web_process_was_away_is_handled_once(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(PLUGIN)
    fleet.ready_worker(**OFTEN)
    fleet.start_web()
    fleet.wait(fleet.answers, "the web process answers")
    known = fleet.open_ticket()
    fleet.wait(lambda: fleet.notes(known), "the first ticket is handled")
    assert fleet.web
    fleet.web.kill()
    fleet.reply(known, "Are you there?")
    new = fleet.open_ticket()
    fleet.wait(lambda: len(fleet.notes(known)) == 2 and fleet.notes(new), "what was missed is handled")
    fleet.wait(lambda: rests(fleet), "all lanes are done")
    assert (len(fleet.notes(known)), len(fleet.notes(new))) == (2, 1)


def permits_taken(fleet: Fleet) -> int:
    """Return how many slots of the budget are not free."""
    with fleet.redis() as store:
        return sum(store.zcount(f"{P}permits:{method}", time.time() * 1000, "+inf") for method in ("get", "post"))


def test_a_new_ticket_in_the_middle_of_2000_edits_does_not_wait_for_the_budget(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(EDITS)
    fleet.simulator.set_hooks([])
    fleet.start_web()
    fleet.wait(fleet.answers, "the web process answers")

    def create() -> int:
        ticket = fleet.open_ticket()
        assert fleet.deliver(b'{"ticket_id":%d,"event_type":"ticket-created"}' % ticket).status_code == 200
        return ticket

    def edit(rounds: range) -> None:
        for round_ in rounds:
            for number in numbers:
                update = {"by": {"type": "staff"}, "update_id": 10_000 * round_ + number}
                fleet.deliver(json.dumps({"ticket_id": number, "update": update}).encode())

    first = fleet.ready_worker(HAPPYFOX_WINDOW_SECONDS="1")
    numbers = [create() for _ in range(400)]
    fleet.wait(lambda: rests(fleet) and all(fleet.calls("POST", ticket=each) for each in numbers), "all are known")
    first.kill()
    fleet.wait(lambda: not permits_taken(fleet), "the budget is free")
    for number in numbers:
        fleet.simulator.staff_updates(number, staff=1, text="Edited.", private=True)
    fleet.ready_worker(HAPPYFOX_WINDOW_SECONDS="60", HAPPYFOX_GETS_PER_MINUTE="100", HAPPYFOX_POSTS_PER_MINUTE="60")
    begun = time.time()
    edit(range(1, 4))
    fleet.wait(lambda: permits_taken(fleet) > 80, "the edits have used up their part of the budget")
    new = create()
    edit(range(4, 6))
    fleet.wait(lambda: fleet.notes(new), "the new ticket is handled")
    assert fleet.calls("POST", ticket=new)[0].arrived < begun + 60, "it waited until the first slot became free"
    with fleet.redis() as store:
        assert store.zcard(f"{P}schedule") > 100  # the edits still wait
