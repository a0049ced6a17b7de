"""`foxhooks events`: recent events and what they led to, newest first."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated

import typer

from service.commands.format import AsJson, ago, duration, show, ticket_option
from service.context import accounts_of, store_of
from workers.engine.plan import read_record
from workers.errors import suggest
from workers.store.client import store_time
from workers.store.records import MOST, AccountRecords
from workers.tickets.change import CALLS, KINDS


@dataclass(frozen=True, slots=True)
class EventLine:
    """One row of the list."""

    id: str
    account: str
    ticket: int
    at: int
    """When it arrived (ms)."""
    source: str
    kind: str
    """What the delivery said."""
    state: str
    """``waiting`` or ``settled``."""
    changes: tuple[str, ...]
    """The kinds of the changes that its turn found."""


def events(
    ticket: Annotated[int | None, ticket_option("Only events of this ticket.")] = None,
    kind: Annotated[str, typer.Option(help="Only events that led to a change of this kind.")] = "",
    since: Annotated[str, typer.Option(help="Only events from the last 10m (or 90s, 2h, 1d).")] = "",
    json: AsJson = False,
) -> None:
    """List recent events and what they led to, newest first."""
    seconds = duration(since)
    if kind not in ("", *KINDS, *CALLS):
        raise typer.BadParameter(f"no kind {kind!r}; {suggest(kind, (*KINDS, *CALLS))}", param_hint="--kind")
    settings = accounts_of().settings
    with store_of(settings) as client:
        now = store_time(client)
        after = now - int(seconds * 1000) if seconds else 0
        found = [
            event
            for name in settings.accounts
            for event in _events(AccountRecords(client, name), after)
            if event.at >= after and ticket in (None, event.ticket) and (not kind or _led_to(event.changes, kind))
        ]
    found.sort(key=lambda event: event.at, reverse=True)
    columns: dict[str, Callable[[EventLine], object]] = {
        "received": lambda event: ago(event.at, now),
        **{name: attrgetter(name) for name in ("account", "ticket", "source", "kind", "state")},
        "changes": lambda event: ", ".join(event.changes),
    }
    show(found[:MOST], columns, json, empty="No events.")


def _events(records: AccountRecords, after: int) -> Iterator[EventLine]:
    name = records.account
    for each in records.waiting_events():
        yield EventLine(each.id, name, each.ticket, each.at, each.source, each.kind, "waiting", ())
    for record in filter(None, map(read_record, records.records(after, most=MOST))):
        kinds = tuple(dict.fromkeys(change.kind for change in record.changes))
        for event in record.events:
            yield EventLine(event.id, name, record.number, event.at, event.source, event.kind, "settled", kinds)


def _led_to(changes: Iterable[str], kind: str) -> bool:
    """Return whether one of the changes is of a kind; `ticket-updated` matches any change but the creation."""
    return any(each == kind or (kind == "ticket-updated" and each != "ticket-created") for each in changes)
