"""Dead letters and deliveries in quarantine, found in the store, put back or deleted."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from workers.events.delivery import Unreadable, parse
from workers.lanes.inbox import accept, receive
from workers.lanes.keys import WAKE, prefix
from workers.lanes.letters import discard, replay
from workers.lanes.store import Store

#: A list longer than this is cut; filters make it shorter.
MOST = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are wanted; empty members want all. ``since`` is the longest they may be ago, in seconds."""

    ids: tuple[str, ...] = ()
    handler: str = ""
    error: str = ""
    ticket: int | None = None
    since: float = 0.0

    @property
    def empty(self) -> bool:
        """Tells whether it would take everything."""
        return self == Filter()

    def takes(self, letter: "Letter", now: int) -> bool:
        """Tells whether a letter is wanted at the time ``now`` (ms)."""
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.handler or letter.handler == self.handler or letter.handler.startswith(f"{self.handler}."))
            and self.error.casefold() in letter.reason.casefold()
            and self.ticket in (None, letter.ticket)
            and (not self.since or letter.at >= now - self.since * 1000)
        )


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, or a delivery in quarantine, which has no ticket; ``evidence`` is all that is known of it."""

    id: str
    account: str
    ticket: int | None
    at: int
    handler: str
    attempts: int
    reason: str
    evidence: Mapping[str, Any]


class Letters:
    """The dead letters of one account."""

    def __init__(self, client: redis.Redis, account: str) -> None:
        self._client, self.account, self._keys = client, account, prefix(account)

    def found(self) -> Iterator[Letter]:
        """Gives the letters, the newest first."""
        for stored in cast(list[bytes], self._client.zrange(self._keys + "dead", 0, MOST - 1, desc=True)):
            identity = stored.decode()
            fields = cast(dict[bytes, bytes], self._client.hgetall(f"{self._keys}letter:{identity}"))
            if fields:
                told = json.loads(fields[b"evidence"])
                handler, attempts, reason = told.get("handler", ""), told.get("attempts", 1), told.get("reason", "")
                ticket, at = int(fields[b"ticket"]), int(fields[b"at"])
                yield Letter(identity, self.account, ticket, at, handler, attempts, reason, told)

    def replay(self, letter: Letter, keep: int) -> str:
        """Puts a letter back into its lane, where it is kept until it is handled; gives why not, or nothing."""
        if not letter.handler:
            return "it names no handler that could run again; look at it with `foxhooks dead show` and discard it"
        with Store(self._client) as store:
            found = store.run(replay(self.account, letter.id))
        if not found:
            return "it is gone"
        _wake(self._client)
        return ""

    def discard(self, letter: Letter) -> str:
        """Deletes a letter; gives why not, or nothing."""
        with Store(self._client) as store:
            return "" if store.run(discard(self.account, letter.id)) else "it is gone"


class Quarantine:
    """The deliveries of one account that were signed and could not be read."""

    def __init__(self, client: redis.Redis, account: str) -> None:
        self._client, self.account, self._keys = client, account, prefix(account)

    def found(self) -> Iterator[Letter]:
        """Gives the deliveries, the newest first; their evidence is the size, never the words."""
        for stored in reversed(cast(list[bytes], self._client.lrange(self._keys + "quarantine", -MOST, -1))):
            identity = stored.decode()
            fields = cast(dict[bytes, bytes], self._client.hgetall(f"{self._keys}event:{identity}"))
            if fields:
                reason, size = fields.get(b"reason", b"").decode(), len(fields.get(b"body", b""))
                yield Letter(identity, self.account, None, int(fields[b"at"]), "", 1, reason, {"bytes": size})

    def replay(self, letter: Letter, keep: int) -> str:
        """Reads a delivery again, with what this version understands; gives why not, or nothing."""
        body = cast(bytes | None, self._client.hget(f"{self._keys}event:{letter.id}", "body"))
        if body is None:
            return "it is gone"
        try:
            arrival = receive(parse(body), body, source="replay")
        except Unreadable as error:
            return f"it still cannot be read ({error.reason})"
        with Store(self._client) as store:
            store.run(accept(self.account, [arrival], keep))
        _wake(self._client)
        return self.discard(letter)

    def discard(self, letter: Letter) -> str:
        """Deletes a delivery; gives why not, or nothing."""
        key = f"{self._keys}event:{letter.id}"
        digest = cast(bytes | None, self._client.hget(key, "digest"))
        if digest is not None:
            self._client.hdel(self._keys + "joins:quarantine", digest.decode())
        self._client.delete(key)
        return "" if self._client.lrem(self._keys + "quarantine", 1, letter.id) else "it is gone"


def _wake(client: redis.Redis) -> None:
    client.lpush(WAKE, 1)
    client.ltrim(WAKE, 0, 0)
