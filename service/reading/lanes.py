"""The lanes of an account: which are due, claimed, waiting for a time, a timer or the end of a pause, and why."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from workers.store.pages import Page
from workers.store.records import AccountRecords

LaneState = Literal["due", "claimed", "later", "pending", "timer", "paused"]
STATES: tuple[LaneState, ...] = get_args(LaneState)

#: How many lanes are examined for one that has pending work.
EXAMINED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRow:
    """A lane in a list."""

    ticket: int
    state: LaneState
    at: int
    """When it was or will be due, or its lease ends (ms)."""
    events: int
    oldest: int
    """When its first waiting event arrived; 0 if none waits."""
    has_plan: bool
    """Whether its turn has decided and not finished."""
    has_pending: bool


def read_lanes(
    records: AccountRecords, now: int, state: LaneState = "due", cursor: str = "", most: int = 50
) -> Page[LaneRow]:
    """Return lanes in one state, those first that are due first."""
    client, keys, start = records.client, records.keys, int(cursor) if cursor.isdecimal() else 0
    later = f"({now}"
    if state == "claimed":
        names = sorted(name.decode() for name in client.hkeys(keys.leases) if not name.startswith(b"@"))
        found = [(name, client.zscore(keys.schedule, name) or 0) for name in names[start : start + most]]
        total = len(names)
    elif state == "paused":
        names = sorted((name.decode() for name in client.smembers(keys.waiting_for_resume)), key=int)
        found = [(name, client.zscore(keys.schedule, name) or 0) for name in names[start : start + most]]
        total = len(names)
    else:
        key = keys.timers if state == "timer" else keys.schedule
        low, high = ("-inf", now) if state == "due" else (later, "+inf")
        total = client.zcount(key, low, high)
        size = EXAMINED if state == "pending" else most
        low, high = ("-inf", "+inf") if state == "pending" else (low, high)
        raw: Any = client.zrange(key, low, high, byscore=True, offset=start, num=size, withscores=True)
        found = [(name.decode(), at) for name, at in raw]
    rows = _rows(records, found, state)
    if state in ("later", "pending"):
        rows = [row for row in rows if row.has_pending == (state == "pending")]
    shown = tuple(rows[:most])
    if state == "pending":
        return Page(shown, more=max(0, len(rows) - most))
    left = max(0, total - start - len(found))
    return Page(shown, str(start + len(found)) if left else "", left)


def _rows(records: AccountRecords, found: list[tuple[str, float]], state: LaneState) -> list[LaneRow]:
    keys = records.keys
    with records.client.pipeline(transaction=False) as batch:
        for name, _ in found:
            batch.llen(keys.lane(name)).lindex(keys.lane(name), 0).hmget(f"{keys.prefix}turn:{name}", "plan", "pending")
        answers = batch.execute()
        for first in answers[1::3]:
            batch.hget(keys.event((first or b"").decode()), "at")
        arrived = batch.execute()
    return [
        LaneRow(
            ticket=int(name),
            state=state,
            at=int(at),
            events=answers[3 * number],
            oldest=int(arrived[number] or 0),
            has_plan=answers[3 * number + 2][0] is not None,
            has_pending=answers[3 * number + 2][1] is not None,
        )
        for number, (name, at) in enumerate(found)
        if name.isdecimal()
    ]
