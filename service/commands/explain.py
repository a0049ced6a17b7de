"""`foxhooks explain`: the story of a ticket, turn by turn, for whoever wants to know why."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.access import accounts_of, store_of
from service.commands.present import Present, present_of, sentences
from service.commands.records import Line, Records
from service.commands.times import ago, now_of
from service.commands.words import plain
from service.failures import CommandError
from workers.events.change import Change, told
from workers.turns.deciding.ballot import NOT_ASKED
from workers.turns.plan.effects import Effect, split
from workers.turns.plan.owed import whom
from workers.turns.plan.plan import Entry, Record, Verdict
from workers.turns.plugin.permissions import denials
from workers.turns.story import ENDS, effect_story, foreign_story, handed_story


@dataclass(frozen=True, slots=True)
class Chapter:
    """One turn of the ticket's story: its record, if that is still kept, and its lines of the trail."""

    turn: str
    at: int
    record: Record | None
    lines: tuple[Line, ...]


def run(ticket: int, account: str, as_json: bool) -> int:
    """Prints the story; 1 when nothing is known of the ticket."""
    settings = accounts_of().settings
    names = [account] if account else list(settings.accounts)
    if unknown := [name for name in names if name not in settings.accounts]:
        raise CommandError(f"no account {unknown[0]!r} here; there are: {', '.join(settings.accounts)}")
    found = False
    with store_of(settings) as client:
        for name in names:
            chapters = list(_chapters(Records(client, name), ticket))
            state = present_of(client, settings.accounts[name], ticket)
            if not chapters and state.due is None:
                continue
            found = True
            if as_json:
                print(json.dumps(_data(name, ticket, chapters, state), indent=2))
            else:
                _show(name, ticket, chapters, state, now_of(client))
    if not found:
        raise CommandError(f"nothing is known of ticket {ticket}; a delivery that speaks of it would change that")
    return 0


def _chapters(records: Records, ticket: int) -> Iterator[Chapter]:
    for turn, lines in groupby(records.trail(ticket), key=lambda line: line.turn):
        told = tuple(lines)
        yield Chapter(turn, told[0].at, records.of(turn), told)


def _data(account: str, ticket: int, chapters: list[Chapter], state: Present) -> dict[str, Any]:
    told: list[Any] = [msgspec.to_builtins(chapter) for chapter in chapters]
    now = msgspec.to_builtins(state)
    now["timers"] = [msgspec.structs.asdict(timer) for timer in state.timers]
    return {"account": account, "ticket": ticket, "turns": told, "now": now}


def _show(account: str, ticket: int, chapters: list[Chapter], state: Present, now: int) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]Ticket {ticket}[/bold] of {account}")
    for chapter in chapters:
        when = datetime.fromtimestamp(chapter.at / 1000, UTC)
        console.print()
        console.print(
            f"[bold]{when:%Y-%m-%d %H:%M:%S} UTC[/bold] [dim]({ago(chapter.at, now)}, turn {chapter.turn})[/dim]"
        )
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        for label, text in _story(chapter):
            table.add_row(f"  {label}", Text(plain(text)))
        console.print(table)
    console.print()
    for line in sentences(state, now):
        console.print(Text(plain(line)))


def _story(chapter: Chapter) -> Iterator[tuple[str, str]]:
    record = chapter.record
    if record is None:
        for line in chapter.lines:
            yield "", line.text
        return
    for count, (source, kind) in _heard(record):
        yield "came in", f"{source}: {kind}" + (f", {count} times" if count > 1 else "")
    for change in record.changes:
        yield "happened", _change(change)
    for words in _verdicts(record.verdicts):
        yield "decided", words
    for each in foreign_story(record.turn, record.foreign):
        yield "outside", each
    for each in handed_story(record.handed, record.dry):
        yield "others", each
    for remark in record.remarks:
        yield "noted", remark
    for effect, entry in _effects(record):
        yield "would do" if entry is not None and entry.state == "dry" else "did", _effect(effect, entry)


def _heard(record: Record) -> Iterator[tuple[int, tuple[str, str]]]:
    for key, same in groupby(record.events, key=lambda hint: (hint.source, hint.kind)):
        yield len(list(same)), key


def _change(change: Change) -> str:
    if words := told(change):
        return words
    who = " ".join(part for part in (change.actor.kind, change.actor.name) if part)
    what = ""
    if change.added or change.removed:
        what = ", ".join([f"+{tag}" for tag in sorted(change.added)] + [f"-{tag}" for tag in sorted(change.removed)])
    elif change.old or change.new:
        sides = [side.name or str(side.id) if side else "none" for side in (change.old, change.new)]
        what = f"{change.field} {' → '.join(sides)}".strip()
    return (
        f"{change.kind} by {who}"
        + (f": {what}" if what else "")
        + (f" (row {change.update_id})" if change.update_id else "")
    )


def _verdicts(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Tells each decision; handlers that were not meant are told together, after those that were."""
    aside = [verdict for verdict in verdicts if verdict.state == "skipped" and verdict.reason == NOT_ASKED]
    for verdict in verdicts:
        if verdict not in aside:
            yield _verdict(verdict)
    if aside:
        yield f"{', '.join(whom(each.handler) for each in aside)} did not run: {NOT_ASKED}"


def _verdict(verdict: Verdict) -> str:
    attempt = f" (attempt {verdict.attempt})" if verdict.attempt > 1 else ""
    said = {
        "decided": "wants",
        "skipped": "did not run:",
        "waits": "waits:",
        "owed": "failed, runs again:",
        "dead": "given up:",
    }
    return f"{whom(verdict.handler)} {said[verdict.state]} {verdict.reason}{attempt}{denials(verdict.denied)}"


def _effects(record: Record) -> Iterator[tuple[Effect, Entry | None]]:
    for index, effect in enumerate(record.effects):
        entry = record.journal.get(str(index))
        if entry is not None and entry.state == "split":
            for part, piece in enumerate(split(effect)):
                yield piece, record.journal.get(f"{index}.{part}")
        else:
            yield effect, entry


def _effect(effect: Effect, entry: Entry | None) -> str:
    if entry is None:
        return f"{effect.words}: not begun"
    if entry.state == "dry":  # the message too: HappyFox will not show it
        return f"{effect.words}: {ENDS['dry']}" + (f': "{effect.text}"' if effect.text else "")
    return effect_story(effect, entry)
