"""Tickets that the API key may not read: HappyFox answers 403 to each read, until somebody gives access."""

from typing import Any

from tests.support.fleet import ACCOUNT, Fleet
from workers.simulator import ApiFault
from workers.simulator.faults import FaultList
from workers.store.client import Store
from workers.store.records import AccountRecords, replay

#: How the reason of a dead letter begins for such a ticket.
REASON = "HappyFox does not let this API key read"


class Denials(FaultList[ApiFault]):
    """The faults of calls, which come and go, and the denied tickets, which stay when the faults are cleared."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets: frozenset[int] = frozenset()

    def take(self, *subject: str) -> ApiFault | None:
        """Return the denial of a read of such a ticket, else the fault for this call."""
        method, path = subject
        if method == "GET" and any(path == f"ticket/{number}" for number in self.tickets):
            return ApiFault("status", status=403)
        return super().take(*subject)


def is_denial(call: dict[str, Any]) -> bool:
    """Return whether HappyFox refused this call because of its ticket."""
    return bool(call["status"] == 403)


def given_up(fleet: Fleet) -> frozenset[int]:
    """Return the tickets with a dead letter that says that the key may not read them."""
    with fleet.redis() as client:
        letters = list(AccountRecords(client, ACCOUNT).dead_letters())
    return frozenset(letter.ticket for letter in letters if letter.ticket and letter.reason.startswith(REASON))


def replay_all(fleet: Fleet) -> int:
    """Replay these dead letters, as a person does who has given access; return their number."""
    with fleet.redis() as client, Store(client) as store:
        letters = [each for each in AccountRecords(client, ACCOUNT).dead_letters() if each.reason.startswith(REASON)]
        for letter in letters:
            store.run(replay(ACCOUNT, letter.id))
    return len(letters)
