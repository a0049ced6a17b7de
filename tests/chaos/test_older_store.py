"""A store goes back in time: nothing is done twice, and no own update is taken for a colleague's.

A restored copy and a replica that was behind lack the same: what was done since. At the moment to which the store goes
back, each of four tickets is at a different point of its turn.
"""

import time
from collections.abc import Callable

import pytest

from tests.support.fleet import Fleet, P
from tests.support.plugins import FAITHFUL, SUSPICIOUS
from tests.support.replicas import ReplicatedStore
from tests.support.stores import Server

pytestmark = pytest.mark.timeout(180)

IDLE, DECIDING, CALLING, UNKNOWN = 1, 2, 3, 4


def restore(fleet: Fleet) -> Callable[[], None]:
    """Copy the store; return what puts the copy back."""
    store = fleet.store
    copy = store.copy()

    def complete() -> None:
        store.kill()
        store.put_back(copy)
        store.start()

    return complete


def fail_over(fleet: Fleet) -> Callable[[], None]:
    """Let the replica fall behind; return what makes it the primary."""
    assert isinstance(fleet.store, ReplicatedStore)
    fleet.store.wait_until_in_step()
    fleet.store.lag()
    return fleet.store.fail_over


@pytest.mark.parametrize(
    ("store", "fault"), [(Server, restore), pytest.param(ReplicatedStore, fail_over, marks=pytest.mark.e2e)]
)
def test_nothing_is_done_twice_after_the_store_went_back(
    deploy: Callable[..., Fleet],
    store: Callable[[], Server | ReplicatedStore],
    fault: Callable[[Fleet], Callable[[], None]],
) -> None:
    fleet = deploy(FAITHFUL + SUSPICIOUS, store=store())
    fleet.start_web()
    fleet.ready_worker()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    open_ticket(fleet, IDLE)
    fleet.wait(lambda: fleet.notes(IDLE) == texts(IDLE, 1), "its message is answered")
    hold = fleet.folder / f"hold-{DECIDING}"
    hold.touch()
    open_ticket(fleet, DECIDING)
    fleet.wait((fleet.folder / f"deciding-{DECIDING}").exists, "its handler decides")
    fleet.fault("hang", method="POST", path=f"ticket/{CALLING}/*", seconds=1.0)
    open_ticket(fleet, CALLING)
    fleet.wait(lambda: fleet.calls("POST", ticket=CALLING), "its first call is on its way")

    complete = fault(fleet)
    hold.unlink()
    reply(fleet, IDLE, 1)
    open_ticket(fleet, UNKNOWN)
    messages = {IDLE: 2, DECIDING: 1, CALLING: 1, UNKNOWN: 1}
    fleet.wait(lambda: written(fleet) == expected(messages), "all messages are answered")
    complete()

    # The store no longer knows of these messages, and HappyFox does not deliver them again. The next one shows them.
    for ticket in (IDLE, UNKNOWN):
        reply(fleet, ticket, messages[ticket])
        messages[ticket] += 1
    fleet.wait(lambda: texts(UNKNOWN, 2)[-1] in fleet.notes(UNKNOWN), "the last message is answered")
    fleet.wait(lambda: rests(fleet), "nothing is due soon")
    assert written(fleet) == expected(messages)
    assert fleet.mistaken() == []


def open_ticket(fleet: Fleet, number: int) -> None:
    assert fleet.open_ticket(text=words(number, 0)) == number


def reply(fleet: Fleet, ticket: int, message: int) -> None:
    fleet.reply(ticket, words(ticket, message))


def words(ticket: int, message: int) -> str:
    return f"this is message {message} of ticket {ticket}"


def texts(ticket: int, count: int) -> list[str]:
    """Return what the handlers write for a number of messages, one after another."""
    each = (words(ticket, message) for message in range(count))
    return [text for message in each for text in (f"noted: {message}", f"answer to: {message}")]


def expected(messages: dict[int, int]) -> dict[int, list[str]]:
    """Return what the handlers write into each ticket, for the number of its messages."""
    return {ticket: texts(ticket, count) for ticket, count in messages.items()}


def rests(fleet: Fleet) -> bool:
    """Return whether no lane is due within seconds; one may look again later for what a delivery has announced."""
    with fleet.redis() as client:
        return not client.zcount(f"{P}schedule", 0, (time.time() + 4) * 1000)


def written(fleet: Fleet) -> dict[int, list[str]]:
    """Return everything that we wrote into each ticket."""
    return {ticket: fleet.notes(ticket) for ticket in (IDLE, DECIDING, CALLING, UNKNOWN)}
