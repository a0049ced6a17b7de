"""What the engine wrote down about its turns, read from the store for the eyes of a person."""

from typing import cast

import redis

from service.demo.stage import ACCOUNT
from workers.governor.governor import Forecast, Governor
from workers.lanes.keys import prefix
from workers.lanes.records import AccountRecords
from workers.lanes.store import Store
from workers.settings import Budget
from workers.turns.plan.plan import Record
from workers.turns.plan.stored import read_record

P = prefix(ACCOUNT)


class Turns:
    """Reads the demo's store: which lanes still have work, the records of settled turns, the budget."""

    def __init__(self, client: redis.Redis, budget: Budget) -> None:
        self._client, self._governor = client, Governor(ACCOUNT, budget)
        self._shown: set[bytes] = set()

    def idle(self) -> bool:
        """Tells whether no lane waits, is being worked or owes anything."""
        return self._client.zcard(P + "sched") == 0

    def new_records(self) -> list[Record]:
        """Gives the records of the turns settled since the last time, oldest first; turns of echoes have none."""
        settled = cast(list[bytes], self._client.zrange(P + "turns", 0, -1))
        new = [turn for turn in settled if turn not in self._shown]
        self._shown.update(new)
        records = AccountRecords(self._client, ACCOUNT)
        return [record for turn in new if (record := read_record(records.record(turn.decode()))) is not None]

    def forecast(self) -> Forecast:
        """Gives what is used of the budget, and how the gate stands."""
        with Store(self._client) as store:
            return store.run(self._governor.forecast())
