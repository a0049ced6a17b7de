"""The lanes of an account: which are due, claimed, waiting for a time, a timer or the end of a pause, and why."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from workers.store.failures import Problems, answered
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
    unreadable: tuple[str, ...] = ()
    """What is wrong with its keys; what they would say is left out."""


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
        answers = batch.execute(raise_on_error=False)
        for first in answers[1::3]:
            batch.hget(keys.event(_name(first)), "at")
        arrived = batch.execute(raise_on_error=False)
    lanes = zip(found, zip(answers[::3], answers[1::3], answers[2::3], arrived, strict=True), strict=True)
    return [
        _row(records, state, int(name), int(at), _Answers._make(each)) for (name, at), each in lanes if name.isdecimal()
    ]


class _Answers(NamedTuple):
    """What the store has answered for one lane; each may be an error."""

    events: Any
    first: Any
    turn: Any
    arrived: Any


def _row(records: AccountRecords, state: LaneState, ticket: int, at: int, answers: _Answers) -> LaneRow:
    keys, problems = records.keys, Problems()
    events, oldest, plan, pending = 0, 0, None, None
    with problems.noted(keys.lane(ticket)):
        events = answered(answers.events)
    with problems.noted(keys.turn(ticket)):
        plan, pending = answered(answers.turn)
    with problems.noted(keys.event(_name(answers.first))):
        oldest = int(answered(answers.arrived) or 0)
    return LaneRow(
        ticket=ticket,
        state=state,
        at=at,
        events=events,
        oldest=oldest,
        has_plan=plan is not None,
        has_pending=pending is not None,
        unreadable=tuple(problems),
    )


def _name(first: Any) -> str:
    return first.decode("utf-8", "backslashreplace") if isinstance(first, bytes) else ""
