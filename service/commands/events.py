"""`foxhooks events`: what came in lately and what became of it, newest first."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import cast

import redis
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.access import accounts_of, store_of
from service.commands.records import Records
from service.commands.times import ago, now_of, span
from service.commands.words import plain
from workers.errors import suggest
from workers.events.kinds import CALLS, KINDS
from workers.lanes.keys import prefix

#: A list longer than this is cut; filters make it shorter.
MOST = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted; empty members want all. ``kind`` is one of a change that the event led to."""

    ticket: int | None
    kind: str
    since: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One event: when it came (ms), what it said, and what the turn that took it found."""

    id: str
    account: str
    ticket: int
    at: int
    source: str
    said: str
    state: str
    found: tuple[str, ...]


def run(wanted: Filter, as_json: bool) -> int:
    """Prints the list; 0 also when it is empty."""
    since = span(wanted.since)
    if wanted.kind not in ("", *KINDS, *CALLS):
        raise typer.BadParameter(
            f"no kind {wanted.kind!r}; {suggest(wanted.kind, (*KINDS, *CALLS))}", param_hint="--kind"
        )
    settings = accounts_of().settings
    with store_of(settings) as client:
        now = now_of(client)
        after = now - int(since * 1000) if since else 0
        found = [
            each
            for name in settings.accounts
            for each in (*_waiting(client, name), *_settled(Records(client, name), after))
            if each.at >= after
            and wanted.ticket in (None, each.ticket)
            and (not wanted.kind or _led(each.found, wanted.kind))
        ]
    found.sort(key=lambda each: each.at, reverse=True)
    if as_json:
        print(json.dumps([asdict(each) for each in found[:MOST]], indent=2))
    else:
        _show(found[:MOST], now)
    return 0


def _led(found: Iterable[str], kind: str) -> bool:
    """Tells whether one of the kinds found is the one asked for; `ticket-updated` is any but the creation."""
    return any(each == kind or (kind == "ticket-updated" and each != "ticket-created") for each in found)


def _waiting(client: redis.Redis, account: str) -> Iterator[Seen]:
    keys = prefix(account)
    for lane in cast(list[bytes], client.zrange(keys + "sched", 0, MOST - 1)):
        ticket = int(lane)
        for stored in cast(list[bytes], client.lrange(f"{keys}lane:{ticket}", 0, MOST - 1)):
            fields = cast(Mapping[bytes, bytes], client.hgetall(f"{keys}event:{stored.decode()}"))
            if fields:
                source, said = fields.get(b"source", b"").decode(), fields.get(b"kind", b"").decode()
                yield Seen(stored.decode(), account, ticket, int(fields.get(b"at", 0)), source, said, "waits", ())


def _settled(records: Records, after: int) -> Iterator[Seen]:
    for record in records.since(after, MOST):
        found = tuple(dict.fromkeys(change.kind for change in record.changes))
        for hint in record.events:
            yield Seen(hint.id, records.account, record.number, hint.at, hint.source, hint.kind, "settled", found)


def _show(found: list[Seen], now: int) -> None:
    console = Console(highlight=False)
    if not found:
        console.print("No events.")
        return
    table = Table("when", "account", "ticket", "from", "said", "state", "found", box=None, header_style="dim")
    for each in found:
        row = (ago(each.at, now), each.account, str(each.ticket), each.source, each.said, each.state)
        table.add_row(*(Text(plain(cell)) for cell in (*row, ", ".join(each.found))))
    console.print(table)
