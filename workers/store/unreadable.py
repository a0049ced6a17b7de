"""Find the keys of the store whose contents cannot be read: another program wrote them, or another version.

Functions that read one key of many, such as those of a ticket, name it themselves: they raise ``UnreadableKey``, or
leave it out and say so. Every other one expects what foxhooks has written, and fails otherwise. A command or a page
looks here for the reason only then, because trying every key takes longer than most commands.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import msgspec
import redis

from workers.errors import StoreUnavailable
from workers.store.client import store_time
from workers.store.client_figures import read_client_figures
from workers.store.completeness import read_completeness
from workers.store.failures import NOT_UNDERSTOOD, is_wrong_type
from workers.store.fleet import read_fleet
from workers.store.keys import ALERTS, FLEET_SEEN, MEMORY_USED, MISDIRECTED, WORKERS
from workers.store.recorder import read_shapes
from workers.store.records import HISTORY_LINE, AccountRecords, HistoryLine, read_workers
from workers.store.refusals import read_causes, read_keys_used, read_misdirected
from workers.store.storms import read_storm
from workers.store.usage import read_usage

#: How many members of a key, dead letters, scheduled tickets, and events of each are looked at: `doctor` always does.
MOST, DEAD_LETTERS, TICKETS, EVENTS = 1_000, 200, 100, 3

_Read = Callable[[], object]
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


def find_unreadable(client: redis.Redis, accounts: Iterable[str]) -> list[str]:
    """Return the keys that cannot be read; of tickets only those that are scheduled, and of dead letters."""
    now = store_time(client)
    readers = [*_shared(client, now), *(each for name in accounts for each in _of(AccountRecords(client, name)))]
    return [key for key, read in readers if _fails(read)]


def _shared(client: redis.Redis, now: int) -> Iterator[tuple[str, _Read]]:
    untyped: Any = client
    yield WORKERS, lambda: read_workers(client, now)
    yield FLEET_SEEN, lambda: read_fleet(client, now)
    yield MISDIRECTED, lambda: read_misdirected(client)
    yield MEMORY_USED, lambda: read_usage(client)
    yield ALERTS, lambda: [_OBJECT.decode(each) for each in untyped.hvals(ALERTS)]


def _of(records: AccountRecords) -> Iterator[tuple[str, _Read]]:
    client, keys, name = records.client, records.keys, records.account
    yield keys.calls_saved, records.calls_saved
    yield keys.client_counts, lambda: read_client_figures(client, name)
    yield keys.counts, records.delivery_counts
    yield keys.dead_letters, lambda: (records.dead_letter_ids(), records.dead_letter_count())
    yield keys.gate, lambda: _numbers(client.hmget(keys.gate, "until", "since", "epoch"))
    yield keys.hosts, records.hosts
    yield keys.keys_used, lambda: read_keys_used(client, name)
    yield keys.learned, lambda: read_completeness(client, name)
    yield keys.memory, records.memory
    yield keys.paused, records.pauses
    yield keys.periodic_tasks, records.schedules
    yield keys.refusals, lambda: read_causes(client, name)
    yield keys.schedule, lambda: _members(client.zrange(keys.schedule, 0, MOST, withscores=True))
    yield keys.timers, lambda: _members(client.zrange(keys.timers, 0, MOST, withscores=True))
    yield keys.shapes, lambda: read_shapes(client, name)
    yield keys.storm, lambda: read_storm(client, name)
    yield keys.turns, lambda: _turns(client.zrange(keys.turns, 0, MOST, withscores=True))
    yield keys.waiting_for_resume, lambda: _numbers(client.smembers(keys.waiting_for_resume))
    yield keys.quarantine, lambda: client.lrange(keys.quarantine, 0, 0)
    yield from _dead_letters(records)
    yield from _tickets(records)


def _tickets(records: AccountRecords) -> Iterator[tuple[str, _Read]]:
    client, keys = records.client, records.keys
    for ticket in [int(lane) for lane in _listed(client.zrange, keys.schedule)[:TICKETS] if lane.isdigit()]:
        yield keys.history(ticket), partial(_history, records, ticket)
        yield keys.turn(ticket), partial(_calls, records, ticket)
        yield keys.lane(ticket), partial(_lane, records, ticket)
        for id in _listed(client.lrange, keys.lane(ticket))[:EVENTS]:
            event = keys.event(id.decode("ascii", "replace"))
            yield event, partial(_event, records, event)


def _dead_letters(records: AccountRecords) -> Iterator[tuple[str, _Read]]:
    for id in _listed(records.client.zrange, records.keys.dead_letters)[:DEAD_LETTERS]:
        name = id.decode("utf-8", "replace")
        yield records.keys.dead_letter(name), partial(records.dead_letter, name)
    for id in _listed(records.client.lrange, records.keys.quarantine)[:DEAD_LETTERS]:
        name = id.decode("utf-8", "replace")
        yield records.keys.event(name), partial(records.quarantined_entry, name)


def _listed(read: Callable[[str, int, int], list[bytes]], key: str) -> list[bytes]:
    """Return the first members of a key; none if it has the wrong type."""
    try:
        return read(key, 0, MOST)
    except redis.ResponseError:
        return []


def _history(records: AccountRecords, ticket: int) -> list[HistoryLine]:
    return [HISTORY_LINE.decode(line) for line in records.client.lrange(records.keys.history(ticket), 0, -1)]


def _calls(records: AccountRecords, ticket: int) -> list[int]:
    return _numbers([records.client.hget(records.keys.turn(ticket), "calls")])


def _lane(records: AccountRecords, ticket: int) -> list[str]:
    return [event.decode() for event in records.client.lrange(records.keys.lane(ticket), 0, MOST)]


def _event(records: AccountRecords, key: str) -> tuple[list[int], list[str]]:
    at, *words = records.client.hmget(key, "at", "source", "kind")
    return _numbers([at]), [each.decode() for each in words if each is not None]


def _fails(read: _Read) -> bool:
    """Return whether a key has the wrong type, or something that is not understood."""
    try:
        read()
    except redis.ResponseError as error:
        return is_wrong_type(error)
    except (redis.RedisError, StoreUnavailable, RuntimeError):
        return False
    except NOT_UNDERSTOOD:
        return True
    return False


def _numbers(found: Iterable[Any]) -> list[int]:
    return [int(each) for each in found if each is not None]


def _turns(found: Iterable[tuple[bytes, float]]) -> list[tuple[str, int]]:
    return [(turn.decode(), int(at)) for turn, at in found]


def _members(found: Iterable[tuple[bytes, float]]) -> list[tuple[int, int]]:
    return [(int(ticket), int(at)) for ticket, at in found]
