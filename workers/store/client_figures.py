"""What the gateway's clients do: each call as a line of the audit log, and figures for `status`, alerts and metrics."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec
import redis

from workers.store.client import store_time
from workers.store.keys import Keys
from workers.store.scripts import Script

#: How a call can end: ``refused`` by HappyFox, ``denied`` for lack of a permission, ``limited`` by the budget or a
#: lockout, ``held`` by a pause, a dry run or a brake on email, in ``doubt``, or ``failed``.
CallResult = Literal["done", "refused", "denied", "limited", "held", "doubt", "failed"]
RESULTS: Final[tuple[CallResult, ...]] = get_args(CallResult)

#: The minutes over which the rate is measured: the current one is not over.
MINUTES = 5


class ClientFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one client."""

    name: str
    calls: Mapping[str, int]
    """How many calls ended in each way, see ``RESULTS``."""
    per_minute: float
    """Calls a minute, over the last minutes."""
    denied_lately: int
    """How many calls were denied in the last minutes."""
    last_at: int
    """When the last call ended (ms)."""
    last_call: str
    denied_at: int = 0
    """When a call was denied last (ms); 0 if none was."""
    last_denial: str = ""
    """What was denied last, and the grant that would allow it."""


def note_call(
    account: str, client: str, result: CallResult, what: str, about: str = "", why: str = "", denial: str = ""
) -> Script[bool]:
    """List a client's call in the audit log, such as "reporting read ticket 12", and count it."""
    return Script("client_note", account, [client, result, what, about, why, denial], bool)


def read_client_figures(client: redis.Redis, account: str) -> list[ClientFigures]:
    """Return the figures of all clients that have made a call, by name."""
    untyped: Any = client
    stored = {name.decode(): value.decode() for name, value in untyped.hgetall(Keys(account).client_counts).items()}
    of: dict[str, dict[str, str]] = {}
    for name, value in stored.items():
        who, _, field = name.partition(":")
        of.setdefault(who, {})[field] = value
    now = store_time(client) // 60_000
    return [_figures(name, fields, now) for name, fields in sorted(of.items())]


_TEXTS = ("last", "last_call", "denied_at", "last_denial")


def _figures(name: str, fields: Mapping[str, str], minute: int) -> ClientFigures:
    slots = [
        tuple(map(int, value.split())) for field, value in fields.items() if field[0] == "m" and field[1:].isdigit()
    ]
    recent = [slot for slot in slots if minute - MINUTES <= slot[0] < minute]
    now = [slot for slot in slots if slot[0] == minute]
    calls = {field: int(value) for field, value in fields.items() if field not in _TEXTS and not field[1:].isdigit()}
    return ClientFigures(
        name=name,
        calls=calls,
        per_minute=sum(slot[1] for slot in recent) / MINUTES,
        denied_lately=sum(slot[2] for slot in (*recent, *now)),
        last_at=int(fields.get("last", 0)),
        last_call=fields.get("last_call", "").strip(),
        denied_at=int(fields.get("denied_at", 0)),
        last_denial=fields.get("last_denial", ""),
    )
