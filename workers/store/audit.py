"""The audit log: what people and programs have done, in the order in which they did it.

    P audit  STREAM  at, who, role, from, what, object, before, after, why

The functions of the store that pause, resume, replay, discard and forget write the line themselves (``audit`` in
lua/header.lua), so that nothing is done without its line, whatever dies in between. `note` writes a line about
something that has no such function. No line quotes a customer: objects are tickets, routers and dead letters by their
numbers and names; only ``why`` is a text that a person typed.
"""

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, takewhile
from typing import Any, Final, NamedTuple

import msgspec
import redis

from workers.store.keys import Keys
from workers.store.pages import Page, UnknownCursor
from workers.store.scripts import Script

#: How many lines are read in one step of a search.
STEP = 500

#: The longest reason that is kept.
LONGEST_WHY = 500


#: What people do, as the log calls it. What clients of the gateway do has words of its own, such as "read".
ACTS: Final = (
    *("pause", "resume", "replay", "discard", "forget", "allow", "reset loop guard", "store restored"),
    *("look", "sweep", "test alerts", "backtest", "doctor", "trial"),
)

#: The role of somebody who uses commands.
SHELL = "shell"


class By(msgspec.Struct, frozen=True, rename={"origin": "from"}):
    """Who does something."""

    who: str
    """A user of the dashboard, a client of the gateway, or ``name on host`` of a shell."""
    role: str = SHELL
    """shell, or the role of a user or token of the dashboard, or of a client."""
    origin: str = "command line"
    """Where it comes from: the command line, or a part of foxhooks and an address."""
    why: str = ""
    """The reason that they gave."""

    def encode(self) -> bytes:
        """Return what the store's functions take."""
        return msgspec.json.encode(msgspec.structs.replace(self, why=self.why[:LONGEST_WHY]))


#: Somebody who did not say who they are.
UNKNOWN = By("unknown", "", "")


class AuditLine(msgspec.Struct, frozen=True, kw_only=True, rename={"origin": "from"}):
    """One line of the audit log."""

    id: str
    account: str
    source: str = ""
    """The list that it is from: that of what people did, or of clients' calls."""
    at: int
    """When (ms of the store's clock)."""
    who: str
    role: str
    origin: str
    what: str
    """One of ``ACTS``, or what a client did."""
    object: str
    """What it was done to: the account, a router, a ticket, a dead letter."""
    before: str
    after: str
    why: str


def note(account: str, by: By, what: str, obj: str, before: str = "", after: str = "") -> Script[bool]:
    """Write to the audit log that somebody has done something, such as "reporting read ticket 12"."""
    return Script("audit", account, [by.encode(), what, obj, before, after], bool)


def read_audit(
    client: redis.Redis,
    accounts: Iterable[str],
    *,
    since: int = 0,
    who: str = "",
    what: str = "",
    about: str = "",
    cursor: str = "",
    most: int = 50,
) -> Page[AuditLine]:
    """Return the lines of some accounts, newest first.

    ``since`` is a time (ms); ``who`` and ``about`` (the object) are parts of a text in any case; ``cursor`` is the
    ``next`` of the page before.
    """

    def matches(line: AuditLine) -> bool:
        return (
            who.casefold() in line.who.casefold()
            and what in ("", line.what)
            and about.casefold() in f"{line.object} {line.after} {line.before}".casefold()
        )

    position, _, last = cursor.partition("@")
    if cursor and not re.fullmatch(r"\d+-\d+", position):
        raise UnknownCursor(cursor)
    sources = [source for name in sorted(accounts) for source in _sources(name)]
    streams = (_lines(client, source, position, inclusive=source.name > last) for source in sources)
    recent = takewhile(lambda line: line.at >= since, heapq.merge(*streams, key=_newest_first))
    found = filter(matches, recent)
    lines = tuple(islice(found, most + 1))
    more = len(lines) > most
    return Page(lines[:most], f"{lines[most - 1].id}@{lines[most - 1].source}" if more else "")


class _Source(NamedTuple):
    """A stream of lines."""

    name: str
    account: str
    key: str


def _sources(account: str) -> tuple[_Source, ...]:
    """Return the streams of an account: what people have done, and what clients of the gateway have."""
    keys = Keys(account)
    return _Source(account, account, keys.audit), _Source(f"{account}/calls", account, keys.client_calls)


def _newest_first(line: AuditLine) -> tuple[int, int, str]:
    milliseconds, _, number = line.id.partition("-")
    return -int(milliseconds), -int(number), line.source


def _lines(client: redis.Redis, source: _Source, position: str, *, inclusive: bool) -> Iterator[AuditLine]:
    """Yield the lines of one stream from a position, newest first."""
    untyped: Any = client
    end = "+" if not position else position if inclusive else f"({position}"
    while True:
        step = untyped.xrevrange(source.key, end, "-", STEP)
        for name, fields in step:
            yield _decode(source, name, fields)
        if len(step) < STEP:
            return
        end = f"({step[-1][0].decode()}"


def _decode(source: _Source, name: bytes, fields: dict[bytes, bytes]) -> AuditLine:
    text: Callable[[str], str] = partial(_text, fields)
    return AuditLine(
        id=name.decode(),
        account=source.account,
        source=source.name,
        at=int(at) if (at := fields.get(b"at", b"")).isdigit() else int(name.partition(b"-")[0]),
        who=text("who"),
        role=text("role"),
        origin=text("from"),
        what=text("what"),
        object=text("object"),
        before=text("before"),
        after=text("after"),
        why=text("why"),
    )


def _text(fields: dict[bytes, bytes], name: str) -> str:
    return fields.get(name.encode(), b"").decode("utf-8", "replace")
