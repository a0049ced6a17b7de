"""What the store knows about an account beyond one lane, for turns and commands.

``AccountRecords`` reads without scripts: its results may be inconsistent by a moment. Times are milliseconds of the
store's clock. Records of turns are returned as stored, because only the engine can decode them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import redis

from workers.store.audit import UNKNOWN, By
from workers.store.failures import Problems, UnreadableKey, answered, reading
from workers.store.keys import WORKER_LIFE, WORKERS, Keys
from workers.store.memory import Memory, decode_memory
from workers.store.pauses import Pause, Scope, read_all_pauses
from workers.store.periodic import TaskState
from workers.store.periodic import decode as decode_schedule
from workers.store.scripts import Script

if TYPE_CHECKING:
    from workers.tickets.snapshot import Snapshot

#: How the ids of the dead letters begin that hold emails: of a ticket whose number follows, and of an address.
UNANSWERED, ADDRESS = "unanswered-", "address-"

#: How long (ms) a stored reference list is used.
MAX_LIST_AGE = 3_600_000

#: How old (ms) a list must be before an unknown name causes another read; else a misspelled name would cost a call
#: each time.
REREAD_AGE = 60_000

#: How long (ms) the draft of a new ticket is kept, if its turn is not settled earlier.
DRAFT_LIFE = 3_600_000

#: How many tickets may be created one from another. More are a loop that no ticket's own loop guard notices.
MAX_DEPTH = 5

#: How many of the oldest dead letters are looked at in one step for those that have expired.
FIRST = 200

#: The lifetime of a key that does not exist.
GONE = -2


def announce_creation(account: str, effect: str, draft: bytes, ticket: int) -> Script[bool]:
    """Store the draft of a ticket that ``effect`` (turn and key) of a turn on ``ticket`` is about to create.

    False: ``ticket`` is already the last of ``MAX_DEPTH`` tickets created one from another.
    """
    return Script("announce_creation", account, [effect, draft, DRAFT_LIFE, ticket, MAX_DEPTH], bool)


def read_creations(account: str, tickets: Sequence[int]) -> Script[tuple[set[int], list[bytes]]]:
    """Return which of the tickets we created, and the drafts of all tickets being created."""
    return Script("read_creations", account, tickets, lambda raw: (set(map(int, raw[0])), raw[1]))


def read_emails(account: str, addresses: Sequence[str]) -> Script[list[list[str]]]:
    """Return the emails that each address (an HMAC) got within a day, as ``<ticket> <turn>.<effect>``, oldest first."""
    return Script("read_emails", account, list(addresses), lambda raw: [[one.decode() for one in each] for each in raw])


def read_snapshots(account: str, tickets: Sequence[int]) -> Script[list[bytes | None]]:
    """Return the snapshot of each ticket, None where there is none."""
    return Script("read_snapshots", account, tickets, list)


def read_lists(account: str, names: Sequence[str], age: int = MAX_LIST_AGE) -> Script[list[bytes | None]]:
    """Return the stored reference lists that are younger than ``age`` ms, None for the others."""
    return Script("read_lists", account, [age, *names], list)


def store_list(account: str, name: str, stored: bytes) -> Script[bool]:
    """Store a reference list as JSON."""
    return Script("store_list", account, [name, stored, MAX_LIST_AGE], bool)


def replay(account: str, dead_letter: str, by: By = UNKNOWN) -> Script[int]:
    """Put a dead letter back into its ticket's lane; return the ticket, 0 if there is no such dead letter.

    Its handler runs once more, on the freshly read ticket, with the changes of the dead letter.
    """
    return Script("replay", account, [dead_letter, by.encode()], int)


def discard(account: str, dead_letter: str, by: By = UNKNOWN) -> Script[bool]:
    """Delete a dead letter; False if there is no such dead letter."""
    return Script("discard", account, [dead_letter, by.encode()], bool)


def discard_quarantined(account: str, event: str, by: By = UNKNOWN, *, replayed: bool = False) -> Script[bool]:
    """Delete a delivery in quarantine, also one that was read again (``replayed``); False if it is no longer there."""
    what = "replay" if replayed else "discard"
    return Script("discard_quarantined", account, [event, by.encode(), what], bool)


@dataclass(frozen=True, slots=True)
class Workers:
    """The worker processes that the store knows."""

    alive: list[str]
    silent: list[str]
    """Those whose last heartbeat is too old."""


def read_workers(client: redis.Redis, now: int) -> Workers:
    """Read which worker processes have sent a heartbeat recently."""
    beats: Any = client.hgetall(WORKERS)
    alive = {name.decode() for name, at in beats.items() if now - int(at) < WORKER_LIFE}
    return Workers(sorted(alive), sorted({name.decode() for name in beats} - alive))


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """How many deliveries had one outcome."""

    count: int
    last: int
    """When the last one arrived."""


@dataclass(frozen=True, slots=True)
class WaitingTimers:
    """The tickets that only wait for a timer."""

    tickets: int
    next: int | None
    """When the first timer is due."""


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a ticket's history."""

    at: int
    turn: str
    text: str


@dataclass(frozen=True, slots=True)
class TicketState:
    """What the store knows about a ticket now."""

    due: int | None
    """When its lane may be claimed; None if nothing is scheduled."""
    waiting: int
    """Waiting events."""
    claimed: bool
    """Whether a worker has claimed its lane."""
    pending: bytes | None
    """The pending handler work, as stored."""
    snapshot: "Snapshot | None"
    unreadable: tuple[str, ...] = ()
    """What is wrong with keys of the ticket; what they would say is left out."""


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
    held: int = 0
    """How many emails it holds back."""


@dataclass(frozen=True, slots=True)
class QuarantinedDelivery:
    """A delivery in quarantine, with what is needed to read it again."""

    body: bytes
    headers: str
    """JSON object."""
    kind: str
    """created or updated, by its URL, else unknown."""
    at: int


def _held(emails: int) -> str:
    return f"{emails} email{'' if emails == 1 else 's'} held back: " if emails else ""


HISTORY_LINE = msgspec.json.Decoder(HistoryLine)


class AccountRecords:
    """Read what the store knows about one account."""

    def __init__(self, client: redis.Redis, account: str) -> None:
        # Any, because redis-py types each result as if the client might be asynchronous.
        self.client: Any = client
        self.account, self.keys = account, Keys(account)

    def delivery_counts(self) -> dict[str, DeliveryCount]:
        """Return the deliveries by outcome: accepted, duplicate, quarantined, refused:REASON."""
        values = {name.decode(): int(value) for name, value in sorted(self.client.hgetall(self.keys.counts).items())}
        return {
            name: DeliveryCount(value, values.get(f"{name}:at", 0))
            for name, value in values.items()
            if not name.endswith(":at")
        }

    def waiting_timers(self, now: int) -> WaitingTimers:
        """Count the tickets that only wait for a timer."""
        later = f"({now}"
        first = self.client.zrangebyscore(self.keys.timers, later, "+inf", 0, 1, withscores=True)
        tickets = self.client.zcount(self.keys.timers, later, "+inf")
        return WaitingTimers(tickets, int(first[0][1]) if first else None)

    def schedules(self) -> dict[str, TaskState]:
        """Return the state of each schedule, by the name of its handler."""
        stored = sorted(self.client.hgetall(self.keys.periodic_tasks).items())
        return {name.decode(): decode_schedule(state) for name, state in stored}

    def pauses(self) -> dict[tuple[Scope, str], Pause]:
        """Return the pauses by scope and name; a ticket that is paused by its tag is not listed."""
        return read_all_pauses(self.client.hgetall(self.keys.paused))

    def memory(self) -> Memory:
        """Return since when the memory of the store is in doubt, and why."""
        return decode_memory(self.client.hgetall(self.keys.memory))

    def paused_tickets(self) -> int:
        """Count the tickets whose handlers wait for the end of a pause, including pauses by tag."""
        return int(self.client.scard(self.keys.waiting_for_resume))

    def calls_saved(self) -> int:
        """Return how many API calls folding has saved."""
        return int(self.client.get(self.keys.calls_saved) or 0)

    def record(self, turn: str) -> bytes | None:
        """Return a settled turn's record; None if it has expired or the turn found nothing new."""
        with reading(self.keys.record(turn)):
            stored: bytes | None = self.client.get(self.keys.record(turn))
        return stored

    def records(self, since: int = 0, *, most: int | None = None, oldest_first: bool = False) -> Iterator[bytes]:
        """Yield the records of turns settled at ``since`` or later, newest first, at most ``most`` turns."""
        first, last = (since, "+inf") if oldest_first else ("+inf", since)
        limit = {} if most is None else {"offset": 0, "num": most}
        for turn in self.client.zrange(self.keys.turns, first, last, desc=not oldest_first, byscore=True, **limit):
            with Problems().noted(self.keys.record(turn.decode())):
                if (stored := self.record(turn.decode())) is not None:
                    yield stored

    def epoch(self) -> int:
        """Return when this store was first used for the account (ms), 0 if it never was."""
        return int(self.client.get(self.keys.store_epoch) or 0)

    def turn_count(self) -> int:
        """Count the settled turns whose records may still be stored."""
        return int(self.client.zcard(self.keys.turns))

    def history(self, ticket: int) -> list[HistoryLine]:
        """Return a ticket's history, oldest line first, without what cannot be read."""
        return self._history(ticket, Problems())

    def _history(self, ticket: int, problems: Problems) -> list[HistoryLine]:
        key, stored, lines = self.keys.history(ticket), [], []
        with problems.noted(key):
            stored = self.client.lrange(key, 0, -1)
        for line in stored:
            with problems.noted(key):
                lines.append(HISTORY_LINE.decode(line))
        return lines

    def ticket(self, ticket: int) -> TicketState:
        """Read what the store knows about a ticket, without what cannot be read."""
        from workers.tickets.snapshot import decode  # slow to import, and most reads are not about one ticket

        keys, problems = self.keys, Problems()
        waiting, pending, snapshot = 0, None, None
        due = self.client.zscore(keys.schedule, str(ticket))
        with problems.noted(keys.lane(ticket)):
            waiting = self.client.llen(keys.lane(ticket))
        with problems.noted(keys.turn(ticket)):
            pending = self.client.hget(keys.turn(ticket), "pending")
        with problems.noted(keys.snapshot(ticket)):
            stored = self.client.get(keys.snapshot(ticket))
            snapshot = decode(stored)
            if stored and snapshot is None:
                raise ValueError
        self._history(ticket, problems)
        return TicketState(
            due=None if due is None else int(due),
            waiting=waiting,
            claimed=self.client.hexists(keys.leases, str(ticket)),
            pending=pending,
            snapshot=snapshot,
            unreadable=tuple(problems),
        )

    def knows(self, ticket: int) -> bool:
        """Return whether the store knows anything about a ticket."""
        kinds = (self.keys.snapshot, self.keys.lane, self.keys.turn, self.keys.history)
        return bool(self.client.exists(*(key(ticket) for key in kinds)))

    def dead_letter_count(self) -> int:
        """Count the dead letters that have not expired."""
        expired, listed = 0, self.client.zcard(self.keys.dead_letters)
        while expired < listed:
            found = self._ages(expired)
            expired += sum(left == GONE for left in found)
            if not found or found[-1] != GONE:
                break
        return max(0, int(listed) - expired)

    def _ages(self, first: int) -> list[int]:
        """Return how long (ms) some of the oldest dead letters are still kept, ``GONE`` of those that have expired."""
        with self.client.pipeline(transaction=False) as batch:
            for dead_letter in self.client.zrange(self.keys.dead_letters, first, first + FIRST - 1):
                batch.pttl(self.keys.dead_letter(dead_letter.decode()))
            return list(batch.execute())

    def dead_letter_ids(self, start: str = "") -> list[str]:
        """Return the ids of the dead letters that begin with a text, newest first, also of those that have expired."""
        found = (name.decode() for name in self.client.zrange(self.keys.dead_letters, 0, -1, desc=True))
        return [name for name in found if name.startswith(start)]

    def held_emails(self) -> dict[str, int]:
        """Return how many emails the brakes hold, by the id of their dead letter, newest first."""
        ids = [name.decode() for name in self.client.zrange(self.keys.dead_letters, 0, -1, desc=True)]
        holding = [name for name in ids if name.startswith((UNANSWERED, ADDRESS))]
        with self.client.pipeline(transaction=False) as batch:
            for name in holding:
                batch.hget(self.keys.dead_letter(name), "held")
            found = dict(zip(holding, batch.execute(raise_on_error=False), strict=True))
        counts: dict[str, int] = {}
        for name, held in found.items():
            with Problems().noted(self.keys.dead_letter(name)):
                counts |= {name: int(held)} if answered(held) else {}
        return counts

    def dead_letters_left(self) -> int | None:
        """Return the ms until the first of the oldest dead letters expires, None if there are none."""
        return min((left for left in self._ages(0) if left >= 0), default=None)

    def dead_letters(self) -> Iterator[DeadLetterEntry]:
        """Yield the dead letters, newest first; the reason of one that cannot be read says so."""
        for name in self.client.zrange(self.keys.dead_letters, 0, -1, desc=True):
            try:
                found = self.dead_letter(name.decode())
            except UnreadableKey as error:
                found = self._unreadable(name.decode(), 0, error)
            if found is not None:
                yield found

    def _unreadable(self, id: str, ticket: int | None, error: UnreadableKey) -> DeadLetterEntry:
        return DeadLetterEntry(id, self.account, ticket, 0, "", 0, str(error), {})

    def dead_letter(self, dead_letter: str) -> DeadLetterEntry | None:
        """Return a dead letter, None if there is none with this id; raise ``UnreadableKey`` if it cannot be read."""
        with reading(self.keys.dead_letter(dead_letter)):
            return self._dead_letter(dead_letter)

    def _dead_letter(self, dead_letter: str) -> DeadLetterEntry | None:
        fields = self.client.hgetall(self.keys.dead_letter(dead_letter))
        if not fields:
            return None
        evidence = json.loads(fields[b"evidence"])
        return DeadLetterEntry(
            id=dead_letter,
            account=self.account,
            ticket=int(fields[b"ticket"]),
            at=int(fields[b"at"]),
            handler=evidence.get("handler", ""),
            attempts=evidence.get("attempts", 1),
            reason=_held(held := int(fields.get(b"held", 0))) + evidence.get("reason", ""),
            evidence=evidence,
            held=held,
        )

    def quarantined(self) -> Iterator[DeadLetterEntry]:
        """Yield the deliveries in quarantine, newest first; their evidence is headers and size, never the content."""
        for event in reversed(self.client.lrange(self.keys.quarantine, 0, -1)):
            id = event.decode("utf-8", "backslashreplace")
            try:
                found = self.quarantined_entry(id)
            except UnreadableKey as error:
                found = self._unreadable(id, None, error)
            if found is not None:
                yield found

    def quarantined_entry(self, event: str) -> DeadLetterEntry | None:
        """Return a delivery in quarantine as a dead letter; raise ``UnreadableKey`` if it cannot be read."""
        with reading(self.keys.event(event)):
            return self._quarantined_entry(event)

    def _quarantined_entry(self, event: str) -> DeadLetterEntry | None:
        fields = self.client.hgetall(self.keys.event(event))
        if not fields:
            return None
        return DeadLetterEntry(
            id=event,
            account=self.account,
            ticket=None,
            at=int(fields[b"at"]),
            handler="",
            attempts=1,
            reason=fields.get(b"reason", b"").decode(),
            evidence={
                "bytes": len(fields.get(b"body", b"")),
                "headers": json.loads(fields.get(b"headers") or b"{}"),
            },
        )

    def quarantine_count(self) -> int:
        """Count the deliveries in quarantine."""
        return int(self.client.llen(self.keys.quarantine))

    def hosts(self) -> dict[str, int]:
        """Return the hosts that links of deliveries have taught, with the time of each."""
        found = {host.decode(): int(at) for host, at in self.client.hgetall(self.keys.hosts).items()}
        return dict(sorted(found.items(), key=lambda each: each[1]))

    def forget_hosts(self, hosts: Sequence[str]) -> None:
        """Forget learned hosts."""
        self.client.hdel(self.keys.hosts, *hosts)

    def quarantined_delivery(self, event: str) -> QuarantinedDelivery | None:
        """Return a delivery in quarantine, None if it is no longer there."""
        with reading(self.keys.event(event)):
            fields = self.client.hgetall(self.keys.event(event))
            if b"body" not in fields:
                return None
            headers, kind = fields.get(b"headers", b"{}").decode(), fields.get(b"kind", b"").decode()
            return QuarantinedDelivery(fields[b"body"], headers, kind, int(fields[b"at"]))
