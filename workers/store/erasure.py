"""Erase what the store holds about tickets and email addresses.

Everything that may contain what a customer wrote is an ``Item``. An address erases every ticket in whose items it
occurs, because the other items of such a ticket are about the same conversation. New kinds of keys that hold customers'
words need a reader in ``READERS``.
"""

import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote_plus

import msgspec
import redis

from workers.store.audit import UNKNOWN, By
from workers.store.client import Store
from workers.store.cluster import nodes_of
from workers.store.keys import Keys
from workers.store.records import discard, discard_quarantined
from workers.store.scripts import Script

#: Why a ticket cannot be forgotten now; empty if it is forgotten.
Refusal = Literal["", "running", "unfinished"]

#: How the rewrite of the append-only file ended: ``none`` if there is no such file.
Rewrite = Literal["done", "none", "forbidden", "failed", "running"]

#: A ticket's number where a record or a dead letter of another ticket mentions it.
_MENTION = re.compile(rb'"(?:number|ticket|origin)":(\d+)')

#: A ticket's number in the result of a job.
_TICKET = re.compile(r"\bticket (\d+)")

_ESCAPE = re.compile(r"\\(?:u(00[0-9a-fA-F]{2})|.)")


def forget(account: str, ticket: int, unfinished: bool, by: By = UNKNOWN) -> Script[Refusal]:
    """Delete what is stored under a ticket's number, unless a turn of it runs.

    A turn that has begun and does not run is dropped only if ``unfinished`` is set.
    """
    return Script("forget", account, [ticket, int(unfinished), by.encode()], lambda raw: raw.decode())


class Item(NamedTuple):
    """Something in the store that may contain what a customer wrote."""

    kind: str
    """A name of ``NOUNS`` in the command, or ``ticket``: a key that ``forget`` deletes with its ticket."""
    key: str
    field: bytes
    """The field of a hash or the element of a list, if it is only that."""
    ticket: int | None
    mentions: frozenset[int]
    """Other tickets that it is about."""
    texts: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased."""

    tickets: tuple[int, ...]
    items: tuple[Item, ...]
    """Without those of the kind ``ticket``."""


class Eraser:
    """Find and erase things in one account; ``watch`` sees each item that a search reads, and passes it on."""

    def __init__(
        self, store: Store, account: str, by: By = UNKNOWN, watch: Callable[[Iterator["Item"]], Iterable["Item"]] = iter
    ) -> None:
        self._store, self._account, self._by, self._watch = store, account, by, watch
        # Any, because redis-py types each result as if the client might be asynchronous.
        self._client: Any = store.client
        self._keys = Keys(account)

    def find(self, tickets: Iterable[int], addresses: Iterable[str]) -> Erasure:
        """Find what is stored about tickets, and about those in which an address occurs."""
        pattern, chosen = _pattern(addresses), set(tickets)
        # Only the matching items keep their texts: a store may hold more than this process has memory for.
        seen = self._watch(self._items())
        found = [(item._replace(texts=""), bool(pattern and pattern.search(item.texts))) for item in seen]
        chosen |= {item.ticket for item, matched in found if matched and item.ticket}
        known = {item.ticket for item, _ in found if item.ticket}
        items = [
            item
            for item, matched in found
            if item.kind != "ticket" and (matched or item.ticket in chosen or item.mentions & chosen)
        ]
        return Erasure(tuple(sorted(chosen & known)), tuple(items))

    def forget(self, ticket: int, unfinished: bool, patience: float) -> Refusal:
        """Forget a ticket; wait up to ``patience`` seconds for a turn of it to end. Return why it is not forgotten."""
        deadline = time.monotonic() + patience
        while True:
            refusal = self._store.run(forget(self._account, ticket, unfinished, self._by))
            if not refusal or time.monotonic() > deadline:
                return refusal
            time.sleep(0.2)

    def erase(self, items: Iterable[Item]) -> None:
        """Delete items."""
        for item in items:
            if item.kind == "quarantined":
                self._discard(discard_quarantined, item.key.removeprefix(self._keys.event("")))
            elif item.kind == "dead letter":
                self._discard(discard, item.key.removeprefix(self._keys.dead_letter("")))
            elif item.kind == "held email":
                self._erase_held(item)
            elif item.kind == "audit line":
                self._client.xdel(item.key, item.field)
            elif item.field:
                self._client.hdel(item.key, item.field)
            else:
                self._client.delete(item.key)
                self._client.zrem(self._keys.turns, item.key.removeprefix(self._keys.record("")))

    def _erase_held(self, item: Item) -> None:
        dead_letter = item.key.removeprefix(self._keys.held(""))
        removed = self._client.lrem(item.key, 1, item.field)
        if not self._client.exists(item.key):
            self._discard(discard, dead_letter)
        elif removed:
            self._client.hincrby(self._keys.dead_letter(dead_letter), "held", -1)

    def _discard(self, script: Callable[[str, str, By], Script[bool]], name: str) -> None:
        self._store.run(script(self._account, name, self._by))

    def _items(self) -> Iterator[Item]:
        prefix = self._keys.prefix
        for found in self._client.scan_iter(match=f"{prefix}*", count=1000):
            key = found.decode()
            if reader := READERS.get(key.removeprefix(prefix).partition(":")[0]):
                with suppress(redis.exceptions.ResponseError):  # a key of the wrong type is not ours
                    yield from reader(self._client, key)


def _pattern(addresses: Iterable[str]) -> re.Pattern[str] | None:
    """Return what finds the addresses in a text, but not as a part of a longer one."""
    words = "|".join(map(re.escape, addresses))
    return re.compile(rf"(?<![\w.+-])(?:{words})(?![\w-]|\.\w)", re.IGNORECASE) if words else None


def _texts(*values: bytes) -> str:
    """Return all texts in stored values, decoded, so that no escape sequence hides a part of an address."""
    return "\n".join(text for value in values for text in _texts_of(value))


def _texts_of(value: bytes) -> Iterator[str]:
    try:
        found = list(_strings(msgspec.json.decode(value)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raw = value.decode("utf-8", "replace")
        found = [raw, unquote_plus(raw)]  # it may be a form
    for text in found:
        yield text
        if "\\" in text:  # JSON in a form or in a text, or damaged JSON
            yield _ESCAPE.sub(lambda it: chr(int(it[1], 16)) if it[1] else " ", text)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from _strings(member)


def _number(value: bytes | None) -> int | None:
    return int(value) if value and value.isdigit() else None


def _mentions(text: bytes) -> frozenset[int]:
    return frozenset(map(int, _MENTION.findall(text)))


class _Owner(msgspec.Struct):
    number: int


_OWNER = msgspec.json.Decoder(_Owner)


def _event(client: Any, key: str) -> Iterator[Item]:
    fields = client.hgetall(key)
    yield Item(
        "quarantined" if b"reason" in fields else "delivery",
        key,
        b"",
        _number(fields.get(b"ticket")),
        frozenset(),
        _texts(*fields.values()),
    )


def _record(client: Any, key: str) -> Iterator[Item]:
    stored, number = client.get(key) or b"", None
    with suppress(zlib.error):
        stored = zlib.decompress(stored)
    with suppress(msgspec.DecodeError):
        number = _OWNER.decode(stored).number
    yield Item("turn", key, b"", number, _mentions(stored), _texts(stored))


def _dead_letter(client: Any, key: str) -> Iterator[Item]:
    fields = client.hgetall(key)
    if b"held" not in fields:  # else its content is in the list of what it holds
        evidence = fields.get(b"evidence", b"")
        yield Item("dead letter", key, b"", _number(fields.get(b"ticket")), _mentions(evidence), _texts(evidence))


def _held(client: Any, key: str) -> Iterator[Item]:
    for element in client.lrange(key, 0, -1):
        _, ticket, evidence = msgspec.msgpack.decode(element)
        text = evidence.encode()
        yield Item("held email", key, element, int(ticket), _mentions(text), _texts(text))


def _drafts(client: Any, key: str) -> Iterator[Item]:
    for name, draft in client.hgetall(key).items():
        yield Item("draft", key, name, None, frozenset(), _texts(draft))


def _audit(client: Any, key: str) -> Iterator[Item]:
    """Yield the reasons that people gave: they may quote a customer, whatever the documents advise."""
    for name, fields in client.xrange(key):
        if why := fields.get(b"why"):
            yield Item("audit line", key, name, None, frozenset(), _texts(why))


def _job(client: Any, key: str) -> Iterator[Item]:
    """Yield a job: its result may quote what handlers would write."""
    stored = client.get(key) or b""
    texts = _texts(stored)
    yield Item("job", key, b"", None, frozenset(map(int, _TICKET.findall(texts))), texts)


def _state(client: Any, key: str) -> Iterator[Item]:
    """Yield what a router remembers: each member of a set, or the whole entry.

    Values and members belong to the ticket whose turn stored them; a counter or a rotation belongs to none.
    """
    kind, _, name = key.partition(":state:")[2].partition(":")[2].partition(":")
    fields = client.hgetall(key)
    for field, value in fields.items() if kind == "set" else ():
        if field.startswith(b"m:"):
            owner = _number(value.partition(b" ")[2])
            yield Item("state", key, field, owner, frozenset(), _texts(name.encode(), field[2:]))
    if kind != "set":
        owner = _number(fields.get(b"ticket")) if kind == "value" else None
        value = fields.get(b"value", b"")
        yield Item("state", key, b"", owner, _mentions(value), _texts(name.encode(), value))


def _answer(client: Any, key: str) -> Iterator[Item]:
    fields = client.hgetall(key)
    text = fields.get(b"answer", b"") + fields.get(b"call", b"")
    yield Item("answer", key, b"", _number(fields.get(b"ticket")), _mentions(text), _texts(text))


def _value(client: Any, key: str) -> Iterator[Item]:
    yield Item("ticket", key, b"", _ticket_of(key), frozenset(), _texts(client.get(key) or b""))


def _list(client: Any, key: str) -> Iterator[Item]:
    yield Item("ticket", key, b"", _ticket_of(key), frozenset(), _texts(*client.lrange(key, 0, -1)))


def _hash(client: Any, key: str) -> Iterator[Item]:
    yield Item("ticket", key, b"", _ticket_of(key), frozenset(), _texts(*client.hvals(key)))


def _ticket_of(key: str) -> int | None:
    return _number(key.rpartition(":")[2].encode())


#: How the items in a key are read, by the kind of the key.
READERS: dict[str, Callable[[Any, str], Iterator[Item]]] = {
    "event": _event,
    "record": _record,
    "dead_letter": _dead_letter,
    "held": _held,
    "drafts": _drafts,
    "audit": _audit,
    "job": _job,
    "state": _state,
    "client_key": _answer,
    "client_writes": _list,
    "turn": _hash,
    "snapshot": _value,
    "history": _list,
    "lane": _list,
}


def rewrite_log(client: redis.Redis, patience: float) -> Rewrite:
    """Let the store rewrite its append-only file, which still contains what was deleted; wait until it is done.

    Of a cluster, each node does that; the result is the worst one.
    """
    deadline = time.monotonic() + patience
    results = {_rewrite_log(node, deadline) for node in nodes_of(client)}
    worst: tuple[Rewrite, ...] = ("failed", "forbidden", "running", "none", "done")
    return next(each for each in worst if each in results)


def _rewrite_log(client: redis.Redis, deadline: float) -> Rewrite:
    untyped: Any = client
    if _persistence(untyped).get("aof_enabled") == 0:
        return "none"
    while True:
        try:
            untyped.bgrewriteaof()
            break
        except redis.exceptions.NoPermissionError:
            return "forbidden"
        except redis.exceptions.ResponseError as error:
            if "unknown command" in str(error).lower():
                return "forbidden"
            # A rewrite that runs may have begun before the deletion.
            if "in progress" not in str(error) or time.monotonic() > deadline:
                return "failed"
        time.sleep(0.1)
    while time.monotonic() <= deadline:
        state = _persistence(untyped)
        if not state.get("aof_rewrite_in_progress") and not state.get("aof_rewrite_scheduled"):
            return "done" if state.get("aof_last_bgrewrite_status", "ok") == "ok" else "failed"
        time.sleep(0.1)
    return "running"


def _persistence(client: Any) -> dict[str, Any]:
    """Return the state of the files, empty if the store's user may not see it."""
    try:
        found: dict[str, Any] = client.info("persistence")
    except redis.exceptions.ResponseError:
        return {}
    return found
