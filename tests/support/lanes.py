"""An account whose lanes are claimed in a real store, at a time that the test sets."""

import redis

from workers.settings import Budget, Priority
from workers.store.client import Store
from workers.store.inbox import accept, receive
from workers.store.lanes import ClaimConfig, ClaimedLane, NothingDue, ReadPermit, claim, due, park
from workers.store.permits import Governor
from workers.webhook import parse

START = 1_700_000_000_000
WINDOW = 60_000
P = "foxhooks:{acme}:"
SOURCES = {"interactive": "webhook", "normal": "webhook", "bulk": "sweep"}


class LaneAccount:
    """An account with a hundred calls of each method a minute, and a clock that the test moves."""

    def __init__(self, client: redis.Redis, *, newest_first: bool = False, **changed: float) -> None:
        budget = {"gets": 100, "posts": 100, "window": 60.0, "lockout": 600.0, "share": 1.0, "in_flight": 1000}
        self.client, self.now = client, START
        self.governor = Governor("acme", Budget(**{**budget, **changed}))  # type: ignore[arg-type]
        self.config = ClaimConfig("acme", 600_000, True, self.governor.budget, 20_000, newest_first=newest_first)
        self.store = Store(client, lambda: self.now)
        self._calls = 0

    def event(self, ticket: int, priority: Priority) -> None:
        """Store an event of a priority."""
        self._calls += 1
        body = b'{"ticket_id":%d,"n":%d}' % (ticket, self._calls)
        arrival = receive(parse(body), body, source=SOURCES[priority])
        label = {"kind": "created"} if priority == "interactive" else {"kind": "updated"}
        arrival = type(arrival)(**{**{name: getattr(arrival, name) for name in arrival.__struct_fields__}, **label})
        self.store.run(accept("acme", [arrival], keep=3600))

    def claim(self) -> ClaimedLane | NothingDue:
        """Claim the next lane."""
        self._calls += 1
        return self.store.run(claim(self.config, f"n{self._calls}"))

    def claimed(self) -> int | None:
        """Claim a lane and return its ticket."""
        got = self.claim()
        return got.ticket if isinstance(got, ClaimedLane) else None

    def give_back(self, lane: ClaimedLane) -> None:
        """Return a claimed lane to its queue."""
        self.store.run(park(lane, 0, self.config.budget, ReadPermit(None), "", 1000))

    def use(self, method: str, calls: int) -> None:
        """Use up a number of calls."""
        for _ in range(calls):
            self._calls += 1
            assert not self.store.run(self.governor.permit(method, f"c{self._calls}", "interactive", 1_000)).wait
            self.store.run(self.governor.release(method, f"c{self._calls}", "answered"))

    def due(self, most: int = 1000) -> tuple[int, int]:
        """Return how many lanes can be claimed now, and the wait in ms if none."""
        return self.store.run(due(self.config, most))
