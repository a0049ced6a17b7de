"""`foxhooks dead`: list, show, replay and discard dead letters, and deliveries in quarantine."""

import json as jsonlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.address import AT
from service.commands.format import (
    AsJson,
    Cursor,
    Most,
    ago,
    details,
    duration,
    line,
    page_size,
    print_json,
    progress,
    say_more,
    ticket_option,
)
from service.commands.running import remote_source
from service.context import Why, accounts_of, acting, store_of
from service.errors import CommandError
from service.reading.dead_letters import GONE, NO_HANDLER, DeadLetterQuery
from workers.settings import Settings
from workers.store.client import Store, store_time, wake
from workers.store.inbox import accept, receive
from workers.store.pages import Page, UnknownCursor
from workers.store.recorder import as_learned, read_lessons
from workers.store.records import AccountRecords, DeadLetterEntry, discard, discard_quarantined, replay
from workers.webhook import UnreadableBody, known_hosts, parse
from workers.webhook.bodies import REASONS, key_names

if TYPE_CHECKING:
    from service.reading.remote import RemoteSource

#: The kind of the URL at which a delivery in quarantine arrived.
URL_KINDS: Mapping[str, Literal["created", "updated"]] = {"created": "created", "updated": "updated"}

Verb = Literal["replay", "discard"]

#: Why a selection at a dashboard leaves a dead letter out.
IN_DOUBT = "its effect may have happened: look at the ticket, then name it by its id"

Ids = Annotated[list[str] | None, typer.Argument(help="Ids, as `foxhooks dead list` shows them.")]
OfHandler = Annotated[str, typer.Option(help="Only those of this router or router.function.")]
OfError = Annotated[str, typer.Option(help="Only those whose error contains this.")]
OfTicket = Annotated[int | None, ticket_option("Only those of this ticket.")]
Since = Annotated[str, typer.Option(help="Only those of the last 90s, 10m, 2h, 1d.")]
InQuarantine = Annotated[bool, typer.Option("--quarantine", help="Deliveries that could not be read instead.")]

dead = typer.Typer(
    help="List, show, replay or discard dead letters (work that failed).",
    no_args_is_help=True,
    add_completion=False,
)


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters to select; an empty member selects all."""

    ids: tuple[str, ...] = ()
    handler: str = ""
    error: str = ""
    ticket: int | None = None
    since: float = 0.0
    """The greatest age in seconds."""

    def selects(self, entry: DeadLetterEntry, now: int) -> bool:
        """Return whether an entry is selected at the time ``now`` (ms)."""
        return (
            (not self.ids or entry.id in self.ids)
            and (not self.handler or entry.handler == self.handler or entry.handler.startswith(f"{self.handler}."))
            and self.error.casefold() in entry.reason.casefold()
            and self.ticket in (None, entry.ticket)
            and (not self.since or entry.at >= now - self.since * 1000)
        )


class Selection:
    """The entries that a filter selects, newest first, and what can be done with each."""

    def __init__(
        self, store: Store, settings: Settings, chosen: DeadLetterFilter, quarantine: bool, why: str = ""
    ) -> None:
        self.now, self._store, self._by = store_time(store.client), store, acting(why)
        self._retention = int(settings.retention_hours * 3600)
        self._records = {name: AccountRecords(store.client, name) for name in settings.accounts}
        self._hosts = known_hosts({name: account.url for name, account in settings.accounts.items()})
        stored = chain.from_iterable(
            records.quarantined() if quarantine else records.dead_letters() for records in self._records.values()
        )
        self.entries = sorted((each for each in stored if chosen.selects(each, self.now)), key=lambda each: -each.at)

    def replay(self, entry: DeadLetterEntry) -> str:
        """Requeue an entry; return why that is not possible, or nothing."""
        if entry.ticket is None:
            problem = self._read_again(entry)
        elif not entry.handler and not entry.evidence.get("events_since"):
            problem = NO_HANDLER
        else:
            problem = "" if self._store.run(replay(entry.account, entry.id, self._by)) else GONE
        wake(self._store.client)
        return problem

    def _read_again(self, entry: DeadLetterEntry) -> str:
        """Accept a delivery from quarantine if this version can read it."""
        kept = self._records[entry.account].quarantined_delivery(entry.id)
        if kept is None:
            return GONE
        kind: Literal["created", "updated", ""] = URL_KINDS.get(kept.kind, "")
        try:
            learned = as_learned(read_lessons(self._store.client, entry.account))
            delivery = parse(kept.body, entry.evidence["headers"].get("content-type", ""), kind, learned)
            host = self._hosts[entry.account].check(delivery.host)
        except UnreadableBody as error:
            return f"it still cannot be read ({error.reason}: {REASONS[error.reason]})"
        arrival = receive(delivery, kept.body, kept.headers, source="replay", host=host, since=entry.at)
        (accepted,) = self._store.run(accept(entry.account, [arrival], self._retention))
        if accepted.status == "quarantined":
            return f"it still contradicts what is known ({REASONS['other-help-desk']})"
        done = self._store.run(discard_quarantined(entry.account, entry.id, self._by, replayed=True))
        return "" if done else GONE

    def read_body(self, entry: DeadLetterEntry) -> bytes | None:
        """Return the body of an entry in quarantine, None for a dead letter."""
        kept = self._records[entry.account].quarantined_delivery(entry.id) if entry.ticket is None else None
        return kept.body if kept else None

    def act(self, verb: Verb) -> Iterator[tuple[str, str]]:
        """Replay or discard all; yield each id with what prevented it. Oldest first: handlers see changes in order."""
        for entry in self.entries[::-1]:
            yield entry.id, self.replay(entry) if verb == "replay" else self.discard(entry)

    def discard(self, entry: DeadLetterEntry) -> str:
        """Delete an entry; return why that is not possible, or nothing."""
        script = discard_quarantined if entry.ticket is None else discard
        done = self._store.run(script(entry.account, entry.id, self._by))
        return "" if done else GONE


class RemoteSelection:
    """What a filter selects at the dashboard that `--at` names."""

    def __init__(self, remote: "RemoteSource", chosen: DeadLetterFilter, why: str = "") -> None:
        self.now, self._remote, self._named, self._why = remote.now(), remote, bool(chosen.ids), why
        since = self.now - int(chosen.since * 1000) if chosen.since else 0
        query = DeadLetterQuery(chosen.handler, chosen.error, chosen.ticket, since)
        found = [
            (name, row)
            for name in remote.names()
            for row in remote.dead_letters(name, query)
            if not chosen.ids or row.id in chosen.ids
        ]
        self._rows = sorted(found, key=lambda each: -each[1].at)

    @property
    def entries(self) -> list[DeadLetterEntry]:
        """The entries, newest first, without their evidence."""
        return [
            DeadLetterEntry(row.id, name, row.ticket, row.at, row.handler, row.attempts, row.reason, {}, row.held)
            for name, row in self._rows
        ]

    def read_evidence(self, entry: DeadLetterEntry) -> DeadLetterEntry:
        """Return an entry with its evidence."""
        return self._remote.dead_letter(entry.account, entry.id) or entry

    def act(self, verb: Verb) -> Iterator[tuple[str, str]]:
        """Replay or discard all; yield each id with what prevented it. Those in doubt must be named by their ids."""
        if not self._why:
            raise CommandError("give a reason with --why: the dashboard writes it to the audit log")
        for account in dict.fromkeys(name for name, _ in self._rows):
            rows = [row for name, row in reversed(self._rows) if name == account]
            left = [] if self._named else [row for row in rows if row.in_doubt]
            yield from ((row.id, IN_DOUBT) for row in left)
            if ids := [row.id for row in rows if row not in left]:
                yield from self._remote.act(verb, account, ids, self._why)


@contextmanager
def _select(chosen: DeadLetterFilter, quarantine: bool, why: str = "") -> Iterator[Selection | RemoteSelection]:
    with remote_source() as remote:
        if remote is None:
            with _select_in_store(chosen, quarantine, why) as found:
                yield found
            return
        if quarantine:
            raise CommandError("deliveries in quarantine are shown where the store is, or on the dashboard's pages")
        yield RemoteSelection(remote, chosen, why)


@contextmanager
def _select_in_store(chosen: DeadLetterFilter, quarantine: bool, why: str) -> Iterator[Selection]:
    settings = accounts_of().settings
    with store_of(settings) as client, Store(client) as store:
        yield Selection(store, settings, chosen, quarantine, why)


@dead.command("list")
def list_(
    handler: OfHandler = "",
    error: OfError = "",
    ticket: OfTicket = None,
    since: Since = "",
    quarantine: InQuarantine = False,
    most: Most = None,
    cursor: Cursor = "",
    json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    with _select(DeadLetterFilter((), handler, error, ticket, duration(since)), quarantine) as found:
        page = _page(found.entries, cursor, page_size(most, json))
        if json:
            print_json([_summary(each) for each in page.items])
            say_more(page, as_json=True)
            return
        if not page.items:
            line("Nothing in quarantine." if quarantine else "No dead letters.")
        for each in page.items:
            # The id has a line of its own, so that it can be copied from a narrow terminal.
            line((each.id, "bold"))
            where = f"ticket {each.ticket} of {each.account}" if each.ticket else each.account
            parts = ", ".join(part for part in (where, ago(each.at, found.now), each.handler) if part)
            line(f"  {parts}: {_reason(each)}")
        say_more(page)


def _page(entries: Sequence[DeadLetterEntry], cursor: str, most: int) -> Page[DeadLetterEntry]:
    """Return a page of entries; the cursor is the id of the last one before it."""
    start = next((number for number, each in enumerate(entries, 1) if each.id == cursor), 0)
    if cursor and not start:
        raise UnknownCursor(cursor)
    shown = tuple(entries[start : start + most])
    left = len(entries) - start - len(shown)
    return Page(shown, shown[-1].id if left else "", left)


@dead.command()
def show(
    dead_letter: Annotated[str, typer.Argument(metavar="ID", help="Its id.")],
    body: Annotated[bool, typer.Option("--body", help="Also show the body of a delivery in quarantine.")] = False,
    json: AsJson = False,
) -> None:
    """Show a dead letter, or a delivery in quarantine, with its evidence."""
    for quarantine in (False, True) if not AT.get() else (False,):
        with _select(DeadLetterFilter(ids=(dead_letter,)), quarantine) as found:
            for entry in map(partial(_with_evidence, found, body), found.entries):
                if json:
                    print_json({**_summary(entry), "evidence": entry.evidence})
                else:
                    _show(entry, found.now)
                return
    raise CommandError(f"there is no dead letter {dead_letter!r}; `foxhooks dead list` lists them")


def _with_evidence(found: Selection | RemoteSelection, body: bool, entry: DeadLetterEntry) -> DeadLetterEntry:
    if isinstance(found, RemoteSelection):
        return found.read_evidence(entry)
    return replace(entry, evidence={**entry.evidence, **_read(found.read_body(entry), entry, body)})


def _add_command(verb: Verb, done: str, description: str) -> None:
    """Add a command that does something to every selected entry."""

    @dead.command(verb, help=description)
    def act(
        ids: Ids = None,
        handler: OfHandler = "",
        error: OfError = "",
        ticket: OfTicket = None,
        since: Since = "",
        quarantine: InQuarantine = False,
        why: Why = "",
    ) -> None:
        chosen = DeadLetterFilter(tuple(ids or ()), handler, error, ticket, duration(since))
        if chosen == DeadLetterFilter():
            usage = f"choose some: `foxhooks dead {verb} ID`, or --handler, --error, --ticket, --since"
            raise typer.BadParameter(usage)
        failed = False
        with _select(chosen, quarantine, why) as found:
            if not found.entries:
                raise CommandError("no such dead letter; `foxhooks dead list` lists them")
            text = f"{verb.capitalize()}ing dead letters"
            for name, problem in progress(found.act(verb), text, len(found.entries)):
                line(f"{name}: {f'not {verb}ed: {problem}' if problem else done}")
                failed = failed or bool(problem)
        raise typer.Exit(int(failed))


_add_command(
    "replay",
    "Requeued.",
    """Run failed work again, on the ticket as it is now.

    A handler runs once more with the changes that it missed, and `event.replay` is true. An effect is sent again
    without its handler: check first whether an effect that may have happened did.
    """,
)
_add_command("discard", "Discarded.", "Delete dead letters that need no more work.")


def _reason(entry: DeadLetterEntry) -> str:
    meaning = REASONS.get(entry.reason, "") if entry.ticket is None else ""
    return f"{entry.reason} ({meaning})" if meaning else entry.reason


def _summary(entry: DeadLetterEntry) -> dict[str, object]:
    return {name: value for name, value in asdict(entry).items() if name != "evidence"}


def _read(content: bytes | None, entry: DeadLetterEntry, with_body: bool) -> dict[str, object]:
    """Return what a person needs to recognize the form of a delivery in quarantine, on request with its body."""
    if content is None:
        return {}
    found: dict[str, object] = {
        "meaning": REASONS.get(entry.reason, ""),
        "keys": key_names(content, entry.evidence["headers"].get("content-type", "")),
    }
    return found | ({"body": content.decode(errors="backslashreplace")} if with_body else {})


def _show(entry: DeadLetterEntry, now: int) -> None:
    line((entry.id, "bold"), f" of {entry.account}, {ago(entry.at, now)}")
    known = {"ticket": entry.ticket, "handler": entry.handler, "reason": entry.reason, "attempts": entry.attempts}
    details(
        (name, value if isinstance(value, str | int) else jsonlib.dumps(value, indent=2))
        for name, value in {**known, **entry.evidence, **known}.items()
        if name != "id" and value not in (None, "", [], {})
    )
    if entry.ticket is not None:
        line(f"See `foxhooks explain {entry.ticket}` for the ticket's history.")
    else:
        if "body" not in entry.evidence:
            line("`--body` shows the body, which contains customers' words.")
        line(f"If a newer version can read it: `foxhooks dead replay {entry.id} --quarantine`; else discard it.")
