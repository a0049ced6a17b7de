"""Creations: which tickets are our own doing, and which of those that HappyFox is just being asked for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import redis

from workers.store.keys import WORKER_LIFE, WORKERS, Keys
from workers.store.lanes import Pause, Scope, listed
from workers.store.periodic import TaskState
from workers.store.periodic import decode as decode_schedule
from workers.store.scripts import Script
from workers.tickets.snapshot import Snapshot, decode

#: How long (ms) a creation is known by its look: until its turn is settled, else so long.
ANNOUNCED = 3_600_000

#: So many tickets may be created one from another: more are a circle, which the fuse of no single ticket would stop.
DEEPEST = 5


def announcing(account: str, effect: str, look: bytes, ticket: int) -> Script[bool]:
    """Write the look of a ticket that ``effect`` (turn and key) of a turn on ``ticket`` is about to create.

    False: that one is the last of too many created one from another.
    """
    return Script("announce_creation", account, [effect, look, ANNOUNCED, ticket, DEEPEST], bool)


def announced(account: str, tickets: Sequence[int]) -> Script[tuple[set[int], list[bytes]]]:
    """Return those of the tickets that are known to be our own doing, and the looks of those being created."""
    return Script(
        "our_creations", account, list(tickets), lambda raw: ({int(number) for number in raw[0]}, list(raw[1]))
    )


# Dead letters: put back into their lanes, or deleted.


def replay(account: str, dead_letter: str) -> Script[int]:
    """Put a letter back into its ticket's lane; return the ticket, 0 when there is no such letter.

    The handler it names will run once more, on the freshly read ticket, with the letter's changes.
    """
    return Script("replay", account, [dead_letter], int)


def discard(account: str, dead_letter: str) -> Script[bool]:
    """Deletes a letter; False when there is no such letter."""
    return Script("discard", account, [dead_letter], bool)


# The stored reference lists of an account: what the directory is made of.


#: How long (ms) a list is believed; an unknown name reads it anew at once.
LIFE = 3_600_000

#: How old (ms) a list must be before an unknown name makes it read again: a misspelt name costs no call each time.
MISS = 60_000


def recall(account: str, names: Sequence[str], age: int = LIFE) -> Script[list[bytes | None]]:
    """Return the stored lists that are younger than ``age`` ms, None for the others."""
    return Script("read_lists", account, [age, *names], list)


def remember(account: str, name: str, stored: bytes) -> Script[bool]:
    """Store a list as JSON."""
    return Script("store_list", account, [name, stored], bool)


# Memories: what is remembered of other tickets than the one whose lane is held.


def memories(account: str, tickets: Sequence[int]) -> Script[list[bytes | None]]:
    """Return what was last seen of each ticket, None for one that nothing is known of."""
    return Script("snapshots", account, list(tickets), list)


# Everything that commands read from the store about an account. Turns need none of it.
#
# Reads are single commands, not scripts: the figures of a running system may differ by a moment. Times are
# milliseconds of the store's clock. Records of turns are returned as stored, because only the engine can decode them.


#: How many lanes are read for the backlog, and how many lanes or events for a list.
MOST_LANES, MOST = 10_000, 1_000


@dataclass(frozen=True, slots=True)
class Workers:
    """The worker processes that the store knows."""

    alive: list[str]
    silent: list[str]
    """Those whose last sign of life is too old."""


def read_workers(client: redis.Redis, now: int) -> Workers:
    """Read which worker processes have given a sign of life recently."""
    snapshot = cast(dict[bytes, bytes], client.hgetall(WORKERS))
    alive = {name.decode(): now - int(at) < WORKER_LIFE for name, at in snapshot.items()}
    return Workers(sorted(name for name in alive if alive[name]), sorted(name for name in alive if not alive[name]))


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """How many deliveries had one outcome."""

    count: int
    last: int
    """When the last one arrived."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The events that wait to be processed."""

    lanes: int
    """Lanes with waiting events; those that wait for a timer alone or for the end of a pause do not count."""
    due: int
    """Lanes that may be claimed now."""
    events: int
    oldest: int | None
    """When the oldest waiting event arrived."""


@dataclass(frozen=True, slots=True)
class WaitingTimers:
    """The tickets that wait for a timer alone."""

    tickets: int
    next: int | None
    """When the first timer is due."""


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that no turn has processed yet."""

    id: str
    ticket: int
    at: int
    source: str
    kind: str


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a ticket's history."""

    at: int
    turn: str
    text: str


@dataclass(frozen=True, slots=True)
class TicketState:
    """What the store holds of a ticket now."""

    due: int | None
    """When its lane may be claimed; None if nothing is scheduled."""
    waiting: int
    """Events that wait."""
    claimed: bool
    """Whether a worker holds its lane."""
    pending: bytes | None
    """The handler work still to do, as stored."""
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """A dead letter, or a delivery in quarantine, which has neither ticket nor handler."""

    id: str
    account: str
    ticket: int | None
    at: int
    handler: str
    attempts: int
    reason: str
    evidence: Mapping[str, Any]


class AccountRecords:
    """Read one account's part of the store."""

    def __init__(self, client: redis.Redis, account: str) -> None:
        self.client, self.account, self.keys = client, account, Keys(account)

    def delivery_counts(self) -> dict[str, DeliveryCount]:
        """Return the deliveries by outcome: accepted, duplicate, quarantined, refused:REASON."""
        stored = cast(dict[bytes, bytes], self.client.hgetall(self.keys.counts))
        values = {name.decode(): int(value) for name, value in sorted(stored.items())}
        return {
            name: DeliveryCount(value, values.get(f"{name}:at", 0))
            for name, value in values.items()
            if not name.endswith(":at")
        }

    def backlog(self, now: int) -> Backlog:
        """Count the waiting events; of more than ``MOST_LANES`` lanes, those that are due first."""
        lanes = [lane.decode() for lane in cast(list[bytes], self.client.zrange(self.keys.schedule, 0, MOST_LANES - 1))]
        with self.client.pipeline(transaction=False) as batch:
            for lane in lanes:
                batch.llen(self.keys.lane(lane))
                batch.lindex(self.keys.lane(lane), 0)
            answers = batch.execute()
            for first in answers[1::2]:
                batch.hget(self.keys.event((first or b"").decode()), "at")
            times = [int(at) for at in batch.execute() if at]
        others = self.waiting_timers(now).tickets + self.paused_tickets()
        return Backlog(
            lanes=self.client.zcard(self.keys.schedule) - others,
            due=self.client.zcount(self.keys.schedule, "-inf", now),
            events=sum(answers[0::2]),
            oldest=min(times, default=None),
        )

    def waiting_timers(self, now: int) -> WaitingTimers:
        """Count the tickets that wait for a timer alone."""
        later = f"({now}"
        first = cast(
            list[tuple[bytes, float]],
            self.client.zrangebyscore(self.keys.timers, later, "+inf", 0, 1, withscores=True),
        )
        tickets = self.client.zcount(self.keys.timers, later, "+inf")
        return WaitingTimers(tickets, int(first[0][1]) if first else None)

    def waiting_events(self) -> Iterator[WaitingEvent]:
        """Yield the events that wait, lane by lane."""
        for lane in cast(list[bytes], self.client.zrange(self.keys.schedule, 0, MOST - 1)):
            for stored in cast(list[bytes], self.client.lrange(self.keys.lane(lane.decode()), 0, MOST - 1)):
                fields = cast(dict[bytes, bytes], self.client.hgetall(self.keys.event(stored.decode())))
                if fields:
                    source, kind = (fields.get(name, b"").decode() for name in (b"source", b"kind"))
                    yield WaitingEvent(stored.decode(), int(lane), int(fields.get(b"at", 0)), source, kind)

    def schedules(self) -> dict[str, TaskState]:
        """Return the state of each schedule, by the name of its handler."""
        stored = cast(dict[bytes, bytes], self.client.hgetall(self.keys.periodic_tasks))
        return {name.decode(): decode_schedule(state) for name, state in sorted(stored.items())}

    def pauses(self) -> dict[tuple[Scope, str], Pause]:
        """Return what is paused, by scope and name; a ticket that its tag pauses is not listed."""
        return listed(cast(dict[bytes, bytes], self.client.hgetall(self.keys.paused)))

    def paused_tickets(self) -> int:
        """Count the tickets whose handlers wait for the end of a pause, also of one by a tag."""
        return int(self.client.scard(self.keys.waiting_for_resume))

    def calls_saved(self) -> int:
        """Return how many API calls folding has saved."""
        return int(cast(bytes | None, self.client.get(self.keys.calls_saved)) or 0)

    def record(self, turn: str) -> bytes | None:
        """Return a settled turn's record; None if it has expired or the turn found nothing new."""
        return cast(bytes | None, self.client.get(self.keys.record(turn)))

    def records(self, since: int = 0, *, most: int | None = None, oldest_first: bool = False) -> Iterator[bytes]:
        """Yield the records of turns settled at ``since`` or later, newest first, of ``most`` turns if given."""
        first, last = (since, "+inf") if oldest_first else ("+inf", since)
        limit = {} if most is None else {"offset": 0, "num": most}
        turns = cast(
            list[bytes],
            self.client.zrange(self.keys.turns, first, last, desc=not oldest_first, byscore=True, **limit),  # type: ignore[arg-type]
        )
        for turn in turns:
            if (stored := self.record(turn.decode())) is not None:
                yield stored

    def history(self, ticket: int) -> list[HistoryLine]:
        """Return a ticket's history, oldest line first."""
        stored = cast(list[bytes], self.client.lrange(self.keys.history(ticket), 0, -1))
        lines = [msgspec.json.decode(each, type=dict[str, Any]) for each in stored]
        return [HistoryLine(int(line["at"]), str(line["turn"]), str(line["text"])) for line in lines]

    def ticket(self, ticket: int) -> TicketState:
        """Read what the store holds of a ticket."""
        due = self.client.zscore(self.keys.schedule, str(ticket))
        return TicketState(
            due=None if due is None else int(due),
            waiting=self.client.llen(self.keys.lane(ticket)),
            claimed=bool(self.client.hexists(self.keys.leases, str(ticket))),
            pending=cast(bytes | None, self.client.hget(self.keys.turn(ticket), "pending")),
            snapshot=decode(cast(bytes | None, self.client.get(self.keys.snapshot(ticket)))),
        )

    def knows(self, ticket: int) -> bool:
        """Return whether the store holds anything of a ticket."""
        keys = self.keys
        return bool(
            self.client.exists(keys.snapshot(ticket), keys.lane(ticket), keys.turn(ticket), keys.history(ticket))
        )

    def dead_letter_count(self) -> int:
        """Count the dead letters."""
        return int(self.client.zcard(self.keys.dead_letters))

    def dead_letters(self) -> Iterator[DeadLetterEntry]:
        """Yield the dead letters, newest first."""
        for stored in cast(list[bytes], self.client.zrange(self.keys.dead_letters, 0, -1, desc=True)):
            fields = cast(dict[bytes, bytes], self.client.hgetall(self.keys.dead_letter(stored.decode())))
            if fields:
                evidence = json.loads(fields[b"evidence"])
                yield DeadLetterEntry(
                    id=stored.decode(),
                    account=self.account,
                    ticket=int(fields[b"ticket"]),
                    at=int(fields[b"at"]),
                    handler=evidence.get("handler", ""),
                    attempts=evidence.get("attempts", 1),
                    reason=evidence.get("reason", ""),
                    evidence=evidence,
                )

    def quarantined(self) -> Iterator[DeadLetterEntry]:
        """Yield the deliveries in quarantine, newest first; their evidence is the size, never the content."""
        for stored in reversed(cast(list[bytes], self.client.lrange(self.keys.quarantine, 0, -1))):
            fields = cast(dict[bytes, bytes], self.client.hgetall(self.keys.event(stored.decode())))
            if fields:
                yield DeadLetterEntry(
                    id=stored.decode(),
                    account=self.account,
                    ticket=None,
                    at=int(fields[b"at"]),
                    handler="",
                    attempts=1,
                    reason=fields.get(b"reason", b"").decode(),
                    evidence={"bytes": len(fields.get(b"body", b""))},
                )

    def quarantined_body(self, event: str) -> bytes | None:
        """Return the body of a delivery in quarantine."""
        return cast(bytes | None, self.client.hget(self.keys.event(event), "body"))

    def discard_quarantined(self, event: str) -> bool:
        """Delete a delivery in quarantine; False if it is no longer there."""
        digest = cast(bytes | None, self.client.hget(self.keys.event(event), "digest"))
        if digest is not None:
            self.client.hdel(self.keys.quarantine_joins, digest.decode())
        self.client.delete(self.keys.event(event))
        return bool(self.client.lrem(self.keys.quarantine, 1, event))
