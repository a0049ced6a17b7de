"""`foxhooks events`: events and what they led to, newest first; with `--follow` as they come."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, NamedTuple

import typer

from service.commands.format import (
    AsJson,
    Cursor,
    Most,
    ago,
    clock,
    duration,
    line,
    page_size,
    print_json,
    say_more,
    show,
    ticket_option,
)
from service.commands.running import running_system
from service.context import AccountName
from service.reading.events import EventFilter, EventRow
from service.reading.source import Source
from workers.errors import suggest
from workers.store.pages import Page
from workers.tickets.change import CALLS, KINDS

#: Seconds between two looks with `--follow`, and how many events each looks at.
LOOK, LOOKED_AT = 1.0, 200

#: What to do to continue a list of several accounts.
NAME_ONE = "...: name one with --account"

#: The states of events.
STATES = ("waiting", "settled", "failed")


class Found(NamedTuple):
    """An event with its account."""

    account: str
    event: EventRow

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"account": self.account, "state": self.event.state, **asdict(self.event)}


def events(  # noqa: PLR0913 - one parameter per option
    ticket: Annotated[int | None, ticket_option("Only events of this ticket.")] = None,
    kind: Annotated[str, typer.Option(help="Only events that led to a change of this kind.")] = "",
    state: Annotated[str, typer.Option(help="Only those that are waiting, settled or failed.")] = "",
    handler: Annotated[str, typer.Option(help="Only those on which this router or router.function acted.")] = "",
    since: Annotated[str, typer.Option(help="Only events from the last 10m (or 90s, 2h, 1d).")] = "",
    account: AccountName = "",
    most: Most = None,
    cursor: Cursor = "",
    follow: Annotated[bool, typer.Option("--follow", help="Print events as they come, until Ctrl-C.")] = False,
    json: AsJson = False,
) -> None:
    """List events and what they led to, newest first."""
    seconds = duration(since)
    if kind not in ("", *KINDS, *CALLS):
        raise typer.BadParameter(f"no kind {kind!r}; {suggest(kind, (*KINDS, *CALLS))}", param_hint="--kind")
    if state not in ("", *STATES):
        raise typer.BadParameter(f"no state {state!r}; {suggest(state, STATES)}", param_hint="--state")
    with running_system() as system:
        names, now = system.names(account), system.now()
        if cursor and len(names) > 1:
            raise typer.BadParameter("a cursor belongs to one account: add --account", param_hint="--cursor")
        after = now - int(seconds * 1000) if seconds else 0
        chosen = EventFilter(ticket=ticket, kind=kind, state=state, handler=handler, since=after)
        if follow:
            _follow(system, names, chosen, json)
            return
        pages = {name: _read(system, name, chosen, cursor, page_size(most, json)) for name in names}
    page = _join(pages, page_size(most, json))
    if json:
        print_json([found.as_json() for found in page.items])
        say_more(page, as_json=True)
        return
    columns: dict[str, Callable[[Found], object]] = {
        "received": lambda found: ago(found.event.at, now),
        "account": lambda found: found.account,
        "ticket": lambda found: found.event.ticket,
        "source": lambda found: found.event.source,
        "kind": lambda found: found.event.kind,
        "state": lambda found: found.event.state,
        "changes": lambda found: ", ".join(found.event.changes),
    }
    show(page.items, columns, empty="No events.")
    say_more(page)


def _read(system: Source, account: str, chosen: EventFilter, cursor: str, most: int) -> Page[EventRow]:
    """Read a whole page: one search looks at a limited number of turns, so it may take several."""
    found: list[EventRow] = []
    while True:
        page = system.events(account, chosen, cursor, most - len(found))
        found += page.items
        cursor = page.next
        if not cursor or len(found) >= most:
            return Page(tuple(found), cursor, page.more)


def _join(pages: dict[str, Page[EventRow]], most: int) -> Page[Found]:
    """Join the pages of several accounts, the newest events first."""
    found = [Found(name, event) for name, page in pages.items() for event in page.items]
    if len(pages) == 1:
        (page,) = pages.values()
        return Page(tuple(found), page.next, page.more)
    found.sort(key=lambda each: -each.event.at)
    left = len(found[most:]) + sum(page.more or 0 for page in pages.values())
    if any(page.next for page in pages.values()):
        return Page(tuple(found[:most]), NAME_ONE)
    return Page(tuple(found[:most]), more=left)


def _follow(system: Source, names: Sequence[str], chosen: EventFilter, as_json: bool) -> None:
    """Print each event when it comes, and again when it is settled."""
    printed: dict[str, str] = {found.event.id: found.event.state for found in _recent(system, names, chosen)}
    while True:
        for found in reversed(list(_recent(system, names, chosen))):
            if printed.get(found.event.id) != found.event.state:
                printed[found.event.id] = found.event.state
                _print(found, as_json)
        time.sleep(LOOK)


def _recent(system: Source, names: Sequence[str], chosen: EventFilter) -> Iterator[Found]:
    for name in names:
        for event in system.events(name, chosen, most=LOOKED_AT).items:
            yield Found(name, event)


def _print(found: Found, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
        return
    event = found.event
    led_to = f": {', '.join(event.changes)}" if event.changes else ""
    line(f"{clock(event.at, '%H:%M:%S')}  {found.account} ticket {event.ticket}  {event.kind}  {event.state}{led_to}")
