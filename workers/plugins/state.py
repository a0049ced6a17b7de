"""``ctx.store``: what a router remembers across tickets, as counters, sets, values and rotations.

A handler reads what is stored and records changes as actions. The engine writes the changes together with the plan of
the turn, unless what the handler has read was changed by another turn; then the handler decides again.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar, overload

import msgspec

from workers.errors import LONGEST, InvalidAction, seconds
from workers.plugins.actions import AnyAction, StateChange
from workers.plugins.arguments import LONGEST_NAME, NameOrId, several
from workers.tickets.folding import fold

#: How long an entry is kept after its last change, and the shortest time, in seconds.
KEEP, SHORTEST = "90d", 1.0

#: The largest value, in bytes of JSON; the most members of a set, and the most options that a rotation remembers.
MAX_VALUE_BYTES, MAX_MEMBERS = 64_000, 1_000

#: The most that one change may add to a counter or subtract from it.
MAX_STEP = 10**12

_ROTATION = msgspec.json.Decoder(dict[str, int])

Duration = float | str | timedelta
Value = TypeVar("Value")
Option = TypeVar("Option", bound=NameOrId)


class StateRead(msgspec.Struct, frozen=True):
    """What a handler has read; its decision counts only if this is still so when it is stored."""

    entry: str
    field: str
    value: str
    """As stored, empty if there was none."""


class StoredEntry(NamedTuple):
    """An entry as a handler finds it."""

    fields: Mapping[str, str]
    """As stored, see ``store/lua/state.lua``."""
    changes: Sequence[StateChange] = ()
    """The changes of handlers that ran earlier in the turn."""


class RouterStore:
    """The state of one router in one account; ``read`` returns an entry, ``actions`` are those recorded so far."""

    def __init__(
        self, read: Callable[[str], StoredEntry], actions: list[AnyAction], now: Callable[[], datetime]
    ) -> None:
        self._read, self._actions, self._now = read, actions, now
        self._seen: dict[tuple[str, str], str] = {}

    @property
    def seen(self) -> tuple[StateRead, ...]:
        """Everything that was read."""
        return tuple(StateRead(entry, field, value) for (entry, field), value in self._seen.items())

    # Values

    @overload
    def get(self, name: str) -> Any: ...

    @overload
    def get(self, name: str, default: Value) -> Value: ...

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or ``default`` if there is none; raise ``InvalidAction`` if it has another type than that."""
        stored = self._fields("value", name).get("value")
        found = default if stored is None else json.loads(stored)
        if default is not None and not _same_type(found, default):
            wanted, actual = type(default).__name__, type(found).__name__
            raise InvalidAction(f"store.get({name!r}): the value is of type {actual}, and the default is {wanted}")
        return found

    def set(self, name: str, value: Any, *, keep: Duration = KEEP) -> None:
        """Store a value, at most 64 kB of JSON, and keep it for this long."""
        self._change("value", name, keep, value=_encoded(f"store.set({name!r})", value))

    def delete(self, name: str) -> None:
        """Delete a value."""
        self._change("value", name, delete=True)

    # Counters

    def count(self, name: str) -> int:
        """Return a counter, 0 if there is none."""
        return _integer(self._fields("counter", name).get("value", "0"))

    def increment(self, name: str, by: int = 1, *, keep: Duration = KEEP) -> None:
        """Add to a counter; turns that only add never disturb each other.

        It is kept for this long after each change.
        """
        if isinstance(by, bool) or not isinstance(by, int) or abs(by) > MAX_STEP:
            raise InvalidAction(f"store.increment({name!r}): `by` is not a whole number of at most {MAX_STEP:,}")
        if by:
            self._change("counter", name, keep, by=by)

    # Sets

    def members(self, name: str) -> frozenset[str]:
        """Return the members of a set."""
        return frozenset(_members(self._fields("set", name), self._ms()))

    def contains(self, name: str, member: str) -> bool:
        """Return whether a set has a member."""
        return member in _members(self._fields("set", name, _member(member)), self._ms())

    def add(self, name: str, *members: str, keep: Duration = KEEP) -> None:
        """Add members to a set, each for this long; a set has at most 1,000 members."""
        added = _checked_members("add", name, members)
        known = set(_members(_applied(*self._entry("set", name), self._ms()), self._ms()))
        if len(known | set(added)) > MAX_MEMBERS:
            raise InvalidAction(
                f"the set {name!r} of the store would have more than {MAX_MEMBERS:,} members; keep them for a shorter "
                "time, or set a value of its own for each"
            )
        if added:
            self._change("set", name, keep, add=added)

    def remove(self, name: str, *members: str) -> None:
        """Remove members from a set."""
        if removed := _checked_members("remove", name, members):
            self._change("set", name, remove=removed)

    # Rotations

    def choose(self, name: str, options: Sequence[Option]) -> Option:
        """Return the option whose turn it is; see ``Context.choose``."""
        listed = tuple(options) if not isinstance(options, str) else ()
        if not listed or len(listed) > MAX_MEMBERS or not all(type(each) in (int, str) for each in listed):
            raise InvalidAction(
                f"choose({name!r}): the options are not a list of 1 to {MAX_MEMBERS:,} names (str) or ids (int)"
            )
        turns: dict[str, int] = _rotation(self._fields("rotation", name).get("value"))
        chosen = min(listed, key=lambda option: turns.get(fold(str(option)), 0))
        turns[fold(str(chosen))] = max(turns.values(), default=0) + 1
        latest = sorted(turns.items(), key=lambda each: each[1])[-MAX_MEMBERS:]
        value = _encoded(f"choose({name!r})", dict(latest))
        self._change("rotation", name, KEEP, value=value, option=str(chosen))
        return chosen

    def _ms(self) -> int:
        return int(self._now().timestamp() * 1000)

    def _entry(self, kind: str, name: str) -> StoredEntry:
        entry = _entry_name(kind, name)
        stored = self._read(entry)
        own = [each for each in self._actions if isinstance(each, StateChange) and each.entry == entry]
        return StoredEntry(stored.fields, (*stored.changes, *own))

    def _fields(self, kind: str, name: str, field: str = "version") -> Mapping[str, str]:
        """Return an entry with all changes of the turn, and remember that its ``field`` was read."""
        stored = self._entry(kind, name)
        self._seen.setdefault((_entry_name(kind, name), field), stored.fields.get(field, ""))
        return _applied(*stored, self._ms())

    def _change(self, kind: str, name: str, keep: Duration = KEEP, **change: Any) -> None:
        self._actions.append(StateChange(_entry_name(kind, name), _lifetime(keep), **change))


def _entry_name(kind: str, name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidAction(f"a name in the store is not a text of 1 to {LONGEST_NAME} characters on a single line")
    return f"{kind}:{name}"


def _lifetime(keep: Duration) -> int:
    """Return a lifetime in ms."""
    try:
        length = seconds(keep)
    except ValueError:
        raise InvalidAction(f"ctx.store: keep={keep!r} is not a duration; write it as 10m, 2h or 3d") from None
    if not SHORTEST <= length <= LONGEST:
        raise InvalidAction(f"ctx.store: keep={keep!r} is out of range; use 1s to 366d")
    return round(length * 1000)


def _encoded(what: str, value: Any) -> str:
    try:
        stored = json.dumps(value, allow_nan=False, separators=(",", ":"))
        size = len(stored.encode())
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise InvalidAction(
            f"{what}: a {type(value).__name__} that is not JSON; pass texts, numbers, lists, dicts"
        ) from None
    if size > MAX_VALUE_BYTES:
        raise InvalidAction(f"{what}: {size:,} bytes of JSON; at most {MAX_VALUE_BYTES:,} are stored")
    return stored


def _same_type(found: object, default: object) -> bool:
    """Return whether a stored value can stand in for the default."""
    if isinstance(default, float):
        return type(found) in (int, float)
    return type(found) is type(default) or (isinstance(default, tuple) and isinstance(found, list))


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0  # only somebody else can have written it


def _rotation(stored: str | None) -> dict[str, int]:
    try:
        return _ROTATION.decode(stored or "{}")
    except msgspec.DecodeError:
        return {}


def _member(member: str) -> str:
    return f"m:{member}"


def _checked_members(what: str, name: str, members: Iterable[str]) -> tuple[str, ...]:
    for each in (listed := several(f"store.{what}", members)):
        if not isinstance(each, str) or not 0 < len(each) <= LONGEST_NAME:
            raise InvalidAction(
                f"store.{what}({name!r}): a member is not a text of 1 to {LONGEST_NAME} characters; pass each as a "
                "string of its own"
            )
    return tuple(dict.fromkeys(listed))


def _members(fields: Mapping[str, str], now: int) -> Iterator[str]:
    """Yield the members of a set."""
    for name, value in fields.items():
        if name.startswith("m:") and _integer(value.partition(" ")[0]) > now:
            yield name[2:]


# The same changes as in ``store/lua/state.lua``, for what handlers see before they are stored, and for tests


def _applied(fields: Mapping[str, str], changes: Sequence[StateChange], now: int) -> Mapping[str, str]:
    if _integer(fields.get("until", "0")) <= now:
        fields = {}
    for change in changes:
        fields = changed(fields, change, now)
    return fields


def changed(
    fields: Mapping[str, str], change: StateChange, now: int, turn: str = "", ticket: int = 0
) -> dict[str, str]:
    """Return the fields of an entry after a change; empty if nothing is left of it."""
    until = _integer(fields.get("until", "0"))
    after = {} if until <= now or change.delete else dict(fields)
    if change.delete:
        return {}
    if change.by:
        after["value"] = str(_integer(after.get("value", "0")) + change.by)
    elif change.value is not None:
        after["value"] = change.value
    else:
        known = {_member(each): after[_member(each)] for each in _members(after, now)}
        added = {_member(each): f"{now + change.keep} {ticket}" for each in change.add}
        after = {name: value for name, value in {**known, **added}.items() if name[2:] not in change.remove}
    life = now + change.keep
    until = life if change.by or change.value is not None else max(life, until)
    return (
        {**after, "version": turn or fields.get("version", ""), "ticket": str(ticket), "until": str(until)}
        if after
        else {}
    )


class MemoryState:
    """State in memory, for tests and backtests: the entries of all routers."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, str]] = {}
        self._turns = 0

    def read(self, entry: str) -> dict[str, str]:
        """Return the fields of an entry, named with its router."""
        return self._entries.get(entry, {})

    def apply(self, router: str, changes: Iterable[StateChange], now: int, ticket: int = 0) -> None:
        """Make the changes of a turn."""
        self._turns += 1
        for change in changes:
            entry = f"{router}:{change.entry}"
            self._entries[entry] = changed(self.read(entry), change, now, f"turn-{self._turns}", ticket)
