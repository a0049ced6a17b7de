"""The accounts that the store knows, also those that no setting names any more: list, move and drop them.

An account that was renamed leaves behind what waited under its old name. Moving gives it to the new name, ticket by
ticket, while workers run for the new name: each step is one script, and a move that was interrupted is continued by
calling it again.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
import redis

from workers.store.client import Store, store_time
from workers.store.cluster import slot_of
from workers.store.failures import known_failure
from workers.store.keys import (
    ACCOUNT_LOG,
    ANY_ACCOUNT,
    ARRIVALS,
    KINDS,
    SHARED,
    Keys,
    account_of,
    arriving,
    leaving,
    pattern,
    prefix,
)
from workers.store.memory import MOVED
from workers.store.permits import backlog
from workers.store.records import AccountRecords, HistoryLine
from workers.store.scripts import Args, Script
from workers.tickets.snapshot import Snapshot, carry_over, decode, encode

#: How many entries the log of moves and drops has, and how long (s) it is kept.
LOG, LOG_LIFE = 20, 30 * 86_400

#: How many keys one step moves or deletes, and how many the store looks at in one step of a search.
BATCH, SCANNED = 200, 5_000

#: Why a ticket has not been moved; empty if it has.
Refusal = Literal["", "corrupt", "running-old", "running-new", "unfinished", "changed"]

_OF_TICKET = re.compile(r"(?:lane|joins|turn|settling|quiet|snapshot|history|created|client_writes):(\d+)")


class AccountChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that a person did with a whole account."""

    at: int
    """When (ms)."""
    by: str
    action: Literal["move", "drop"]
    account: str
    to: str = ""
    """The new name, of a move."""
    keys: int = -1
    """How many keys were moved or deleted; -1 when it begins."""


_CHANGE = msgspec.json.Decoder(AccountChange)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """What waits in the store for an account."""

    account: str
    keys: int
    lanes: int
    """Tickets that are scheduled: with events, with pending work, or with a timer."""
    events: int
    """Waiting events."""
    dead_letters: int
    quarantined: int
    schedules: int
    last: int | None
    """When the last delivery arrived or the last turn was settled (ms)."""
    unreadable: bool = False
    """Whether the counts are unknown, because a key has the wrong type or a value that foxhooks did not write."""


def find_accounts(client: redis.Redis) -> dict[str, int]:
    """Return the accounts that have keys in the store, and how many."""
    found: dict[str, int] = defaultdict(int)
    for key in client.scan_iter(match=ANY_ACCOUNT, count=SCANNED):
        found[account_of(key.decode("utf-8", "replace"))] += 1
    return dict(sorted(found.items()))


def describe(client: redis.Redis, account: str, keys: int) -> StoredAccount:
    """Return what waits for an account, as far as it can be read."""
    try:
        return _describe(client, account, keys)
    except (redis.exceptions.ResponseError, RuntimeError, ValueError) as error:
        if known_failure(error):
            raise
        return StoredAccount(account, keys, 0, 0, 0, 0, 0, None, unreadable=True)


def _describe(client: redis.Redis, account: str, keys: int) -> StoredAccount:
    records, untyped = AccountRecords(client, account), _untyped(client)
    with Store(client) as store:
        waiting = store.run(backlog(account))
    turn = untyped.zrange(records.keys.turns, 0, 0, desc=True, withscores=True)
    arrivals = [each.last for name, each in records.delivery_counts().items() if name in ("accepted", "duplicate")]
    return StoredAccount(
        account=account,
        keys=keys,
        lanes=untyped.zcard(records.keys.schedule),
        events=waiting.events,
        dead_letters=records.dead_letter_count(),
        quarantined=records.quarantine_count(),
        schedules=sum(not name.startswith(":") for name in records.schedules()),
        last=max([*arrivals, *(int(at) for _, at in turn)], default=None),
    )


def read_log(client: redis.Redis) -> list[AccountChange]:
    """Return what people did with accounts, oldest first."""
    return [_CHANGE.decode(each) for each in _untyped(client).lrange(ACCOUNT_LOG, 0, -1)]


def interrupted_move(log: Iterable[AccountChange], account: str) -> str:
    """Return the new name of an account whose move has begun and did not end, else nothing."""
    last = [entry for entry in log if entry.account == account][-1:]
    return last[0].to if last and last[0].keys < 0 else ""


def half_moved_to(client: redis.Redis, account: str) -> list[str]:
    """Return the old names of an account whose move to it was interrupted, and of which something is left."""
    log = read_log(client)
    began = {entry.account for entry in log if interrupted_move(log, entry.account) == account}
    return sorted(began & find_accounts(client).keys()) if began else []


def delete(client: redis.Redis, account: str, who: str) -> int:
    """Delete all keys of an account; return how many."""
    _log(client, AccountChange(store_time(client), who, "drop", account))
    deleted = 0
    for match in (pattern(account), ARRIVALS):
        while keys := [key for key in _untyped(client).scan_iter(match=match, count=SCANNED) if _is_of(account, key)]:
            for first in range(0, len(keys), BATCH):
                deleted += _untyped(client).delete(*keys[first : first + BATCH])
    _log(client, AccountChange(store_time(client), who, "drop", account, keys=deleted))
    return deleted


def _is_of(account: str, key: bytes) -> bool:
    return account_of(key.decode("utf-8", "replace")) == account


def _log(client: redis.Redis, entry: AccountChange) -> None:
    untyped = _untyped(client)
    untyped.rpush(ACCOUNT_LOG, msgspec.json.encode(entry))
    untyped.ltrim(ACCOUNT_LOG, -LOG, -1)
    untyped.expire(ACCOUNT_LOG, LOG_LIFE)


def is_worked_on(client: redis.Redis, account: str) -> bool:
    """Return whether a worker has a valid lease on a lane of the account."""
    keys, untyped = Keys(account), _untyped(client)
    if {keys.leases, keys.schedule} & {key for key, _ in find_corrupt(client, [account])}:
        return False  # nobody can work with them
    lanes = [name.decode() for name in untyped.hgetall(keys.leases) if not name.startswith(b"@")]
    now = store_time(client)
    return any((untyped.zscore(keys.schedule, lane) or 0) > now for lane in lanes)


def _fixed_kinds() -> Iterator[tuple[str, str]]:
    """Yield the keys that every account has at most once, without its prefix, with their types."""
    for kind, type_ in KINDS.items():
        for name in (kind.replace("<class>", each) for each in ("interactive", "normal")):
            if "<" not in name:
                yield name, type_


def find_corrupt(client: redis.Redis, accounts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the keys that have the wrong type, each with what is wrong; those of single tickets are not examined."""
    expected = dict(SHARED)
    for account in accounts:
        expected |= {prefix(account) + name: type_ for name, type_ in _fixed_kinds()}
    with client.pipeline(transaction=False) as batch:
        for key in expected:
            batch.type(key)
        found: list[bytes] = batch.execute()
    types = zip(expected, map(bytes.decode, found), expected.values(), strict=True)
    return [(key, f"is a {is_}, not a {should}") for key, is_, should in types if is_ not in ("none", should)]


@dataclass(frozen=True, slots=True)
class Moved:
    """The result of a move."""

    tickets: int
    keys: int
    refused: Mapping[int, Refusal]
    """Why tickets stay where they are."""
    stay: tuple[str, ...]
    """Other keys that stay, because the new account has a key of another type."""


class Mover:
    """Move what the store has under an old name to a new one."""

    def __init__(self, store: Store, old: str, new: str, who: str) -> None:
        self._store, self._old, self._new, self._who = store, old, new, who

    def run(self, patience: float) -> Moved:
        """Move everything; wait up to ``patience`` seconds for turns that run."""
        client = self._store.client
        _log(client, AccountChange(store_time(client), self._who, "move", self._old, self._new))
        before = find_accounts(client).get(self._old, 0)
        one_slot = not self._store.is_cluster or slot_of(prefix(self._old)) == slot_of(prefix(self._new))
        tickets, refused, stay = (self._in_one_slot if one_slot else self._across)(patience)
        moved = before - find_accounts(client).get(self._old, 0)
        if not refused and not stay:
            _log(client, AccountChange(store_time(client), self._who, "move", self._old, self._new, moved))
        return Moved(tickets, moved, refused, stay)

    def _in_one_slot(self, patience: float) -> "_Result":
        return self._step(self._old, self._new, note=True).run(patience)

    def _across(self, patience: float) -> "_Result":
        """Move to another slot of a cluster: aside in its own slot, then key by key, then under the new name there.

        Only the first and the last step meet processes that work under these names, and both are functions in one slot.
        The second step copies everything before it deletes anything, and the last one begins when all is copied. So it
        is known from the keys where a move was interrupted.
        """
        aside = self._step(self._old, leaving(self._old, self._new))
        last = self._step(arriving(self._new, self._old), self._new, note=True)
        self._carry()
        before = last.run(patience) if last.is_needed() else _Result(0, {}, ())
        if before.refused or before.stay:
            return before
        first = aside.run(patience)
        self._carry()
        second = last.run(patience)
        tickets = before.tickets + second.tickets
        return _Result(tickets, {**first.refused, **second.refused}, (*first.stay, *second.stay))

    def _carry(self) -> None:
        """Copy what waits in the slot of the old name to that of the new one, then delete it here."""
        client, start = _untyped(self._store.client), prefix(leaving(self._old, self._new))
        keys = sorted(client.scan_iter(match=pattern(leaving(self._old, self._new)), count=SCANNED))
        for key in keys:
            name = key.decode().removeprefix(start)
            value, left = client.dump(key), client.pttl(key)
            if value is None or left == -2:
                continue  # it has expired
            to = prefix(arriving(self._new, self._old)) + name
            client.restore(to, 0 if left == -1 else max(left, 1), value, replace=True)
        for first in range(0, len(keys), BATCH):
            client.delete(*keys[first : first + BATCH])

    def _step(self, old: str, new: str, *, note: bool = False) -> "_Step":
        text = f"moved from the account {self._old} to {self._new} by {self._who}" if note else ""
        return _Step(self._store, old, new, f"{MOVED}{self._old} {self._who}", text)


class _Result(NamedTuple):
    """The result of a step of a move."""

    tickets: int
    refused: Mapping[int, Refusal]
    stay: tuple[str, ...]


class _Step:
    """Move everything from one prefix to another one in the same slot."""

    def __init__(self, store: Store, old: str, new: str, why: str, note: str) -> None:
        self._store, self._old, self._new, self._why, self._note = store, old, new, why, note
        self._client = _untyped(store.client)
        self._from, self._to = Keys(old), Keys(new)

    def run(self, patience: float) -> _Result:
        """Move everything; wait up to ``patience`` seconds for turns that run."""
        self._store.run(Script("move_account", self._new, [self._from.prefix, self._why], bool))
        tickets, refused = self._move_tickets(patience)
        stay = self._move_others(refused)
        if not refused:
            self._store.run(Script("move_rest", self._new, [self._from.prefix], bool))
        return _Result(tickets, refused, stay)

    def is_needed(self) -> bool:
        """Return whether there is anything to move."""
        return next(self._names(), None) is not None

    def _move_tickets(self, patience: float) -> tuple[int, dict[int, Refusal]]:
        deadline, moved = time.monotonic() + patience, 0
        while True:
            refused: dict[int, Refusal] = {}
            for ticket in self._tickets():
                if refusal := self._move_ticket(ticket):
                    refused[ticket] = refusal
                else:
                    moved += 1
            if not refused or time.monotonic() > deadline:
                return moved, refused
            time.sleep(0.2)

    def _tickets(self) -> list[int]:
        """Return the tickets that the old account has anything of."""
        found = {match[1] for name in self._names() if (match := _OF_TICKET.fullmatch(name))}
        found |= {lane.decode() for lane in self._client.zrange(self._from.schedule, 0, -1)}
        return sorted(int(lane) for lane in found if lane.isdigit())

    def _names(self) -> Iterator[str]:
        start = self._from.prefix
        for key in self._client.scan_iter(match=pattern(self._old), count=SCANNED):
            name = key.decode("utf-8", "replace").removeprefix(start)
            if not name.startswith(("to:{", "from:{")):  # another step moves these
                yield name

    def _move_ticket(self, ticket: int) -> Refusal:
        now = store_time(self._store.client)
        old, new = (self._snapshot(keys, ticket) for keys in (self._from, self._to))
        line = msgspec.json.encode(HistoryLine(now, "", self._note)) if self._note else b""
        args: Args = [self._from.prefix, ticket, line, old, new, _join(old, new, now) if old and new else b""]
        return self._store.run(Script("move_ticket", self._new, args, lambda raw: raw.decode()))

    def _snapshot(self, keys: Keys, ticket: int) -> bytes:
        with suppress(redis.exceptions.ResponseError):  # a key of the wrong type: the script says so
            return self._client.get(keys.snapshot(ticket)) or b""
        return b""

    def _move_others(self, refused: Mapping[int, Refusal]) -> tuple[str, ...]:
        names, stay = list(self._others(refused)), []
        for first in range(0, len(names), BATCH):
            args = [self._from.prefix, *names[first : first + BATCH]]
            stay += self._store.run(Script("move_keys", self._new, args, lambda raw: [each.decode() for each in raw]))
        return tuple(stay)

    def _others(self, refused: Mapping[int, Refusal]) -> Iterator[str]:
        """Yield the keys that belong to no ticket that stays, and that no other step moves."""
        kept = {self._from.event(event.decode()) for ticket in refused for event in self._events(ticket)}
        for name in self._names():
            kind, _, rest = name.partition(":")
            is_other = rest and kind not in ("schedule", "matches") and not _OF_TICKET.fullmatch(name)
            if is_other and self._from.prefix + name not in kept:
                yield name

    def _events(self, ticket: int) -> list[bytes]:
        with suppress(redis.exceptions.ResponseError):
            return list(self._client.lrange(self._from.lane(ticket), 0, -1))
        return []


def _join(old: bytes, new: bytes, now: int) -> bytes:
    """Join two snapshots of a ticket: the newer read, with what only the older one knows."""
    first, second = decode(old), decode(new)
    if first is None or second is None:
        return new if second else old
    return encode(_join_snapshots(first, second, now))


def _join_snapshots(old: Snapshot, new: Snapshot, now: int) -> Snapshot:
    timers = {(timer.router, timer.name): timer for timer in (*old.timers, *new.timers)}
    return msgspec.structs.replace(
        carry_over(old, new, now),
        created=old.created or new.created,
        once=tuple(dict.fromkeys((*old.once, *new.once))),
        expected=(*old.expected, *new.expected),
        fingerprints=(*old.fingerprints, *new.fingerprints),
        writes=tuple(sorted((*old.writes, *new.writes))),
        undelivered=tuple(sorted((*old.undelivered, *new.undelivered))),
        announced_early=(*old.announced_early, *new.announced_early),
        untrusted_until=max(old.untrusted_until, new.untrusted_until),
        loop_guard=new.loop_guard if new.loop_guard.tripped or not old.loop_guard.tripped else old.loop_guard,
        timers=tuple(timers.values()),
        emails=new.emails if new.emails.any else old.emails,
        doubts=min(old.doubts, new.doubts),
    )


def _untyped(client: redis.Redis) -> Any:
    """Return the client without types: redis-py types each result as if the client might be asynchronous."""
    return client
