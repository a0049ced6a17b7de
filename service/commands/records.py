"""What the store still knows of settled turns and of a ticket's trail, read for looking at it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import msgspec
import redis

from workers.lanes.keys import prefix
from workers.turns.plan.plan import Record
from workers.turns.plan.stored import Unreadable, decode_record

#: A line of a trail, as turns write it.
_LINE = msgspec.json.Decoder(dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a ticket's trail: when (ms), in which turn, what."""

    at: int
    turn: str
    text: str


class Records:
    """The records and trails of one account."""

    def __init__(self, client: redis.Redis, account: str) -> None:
        self._client, self.account, self._keys = client, account, prefix(account)

    def of(self, turn: str) -> Record | None:
        """Gives the record of a turn; None when its time is over, nothing was new in it, or it cannot be read."""
        stored = self._stored(turn)
        try:
            return None if stored is None else decode_record(stored)
        except Unreadable:
            return None

    def oldest_first(self, at: int) -> Iterator[Record | None]:
        """Gives the records of turns settled at ``at`` (ms) or later; None for each that this version cannot read."""
        for turn in cast(list[bytes], self._client.zrange(self._keys + "turns", at, "+inf", byscore=True)):
            if (stored := self._stored(turn.decode())) is not None:
                try:
                    yield decode_record(stored)
                except Unreadable:
                    yield None

    def _stored(self, turn: str) -> bytes | None:
        return cast(bytes | None, self._client.get(f"{self._keys}record:{turn}"))

    def since(self, at: int, most: int) -> Iterator[Record]:
        """Gives the records of turns settled at ``at`` (ms) or later, the newest first."""
        turns = cast(
            list[bytes],
            self._client.zrange(self._keys + "turns", "+inf", at, desc=True, byscore=True, offset=0, num=most),
        )
        return (record for turn in turns if (record := self.of(turn.decode())) is not None)

    def trail(self, ticket: int) -> list[Line]:
        """Gives the trail of a ticket, oldest line first."""
        stored = cast(list[bytes], self._client.lrange(f"{self._keys}trail:{ticket}", 0, -1))
        lines = (_LINE.decode(each) for each in stored)
        return [Line(int(line["at"]), str(line["turn"]), str(line["text"])) for line in lines]
