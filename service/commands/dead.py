"""`foxhooks dead`: dead letters, and deliveries in quarantine: listed, shown, replayed, discarded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import redis
import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service.access import accounts_of, store_of
from service.commands.letters import Filter, Letter, Letters, Quarantine
from service.commands.times import ago, now_of
from service.commands.words import plain
from service.failures import CommandError

Verb = Literal["replay", "discard"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a filter found, with the shelf that each letter stands on."""

    client: redis.Redis
    letters: list[tuple[Letters | Quarantine, Letter]]
    now: int
    keep: int


@contextmanager
def _find(wanted: Filter, quarantine: bool) -> Iterator[Found]:
    settings = accounts_of().settings
    with store_of(settings) as client:
        now = now_of(client)
        shelves = [(Quarantine if quarantine else Letters)(client, name) for name in settings.accounts]
        letters = [(shelf, each) for shelf in shelves for each in shelf.found() if wanted.takes(each, now)]
        letters.sort(key=lambda found: found[1].at, reverse=True)
        yield Found(client, letters, now, int(settings.retention_hours * 3600))


def run(wanted: Filter, quarantine: bool, as_json: bool) -> int:
    """Prints the list; 0 also when it is empty."""
    with _find(wanted, quarantine) as found:
        letters = [letter for _, letter in found.letters]
        if as_json:
            print(json.dumps([_line(letter) for letter in letters], indent=2))
        else:
            _show(letters, "quarantine" if quarantine else "dead letters", found.now)
    return 0


def show(identity: str, as_json: bool) -> int:
    """Prints one letter with its evidence."""
    wanted = Filter(ids=(identity,))
    for quarantine in (False, True):
        with _find(wanted, quarantine) as found:
            for _, letter in found.letters:
                _tell(letter, as_json, found.now)
                return 0
    raise CommandError(f"there is no dead letter {identity!r}; `foxhooks dead list` names them")


def act(verb: Verb, wanted: Filter, quarantine: bool) -> int:
    """Replays or discards what is wanted; 1 when there was nothing or something could not be done."""
    if wanted.empty:
        raise typer.BadParameter(f"say which: `foxhooks dead {verb} ID`, or --handler, --error, --ticket, --since")
    failed = 0
    with _find(wanted, quarantine) as found:
        if not found.letters:
            raise CommandError("no such dead letter; `foxhooks dead list` names them")
        for shelf, letter in reversed(found.letters):  # the oldest first: handlers see changes in order
            problem = shelf.replay(letter, found.keep) if verb == "replay" else shelf.discard(letter)
            failed += bool(problem)
            done = "put back, it runs again now" if verb == "replay" else "discarded"
            print(f"{letter.id}: {f'not {verb}ed, {problem}' if problem else done}")
    return 1 if failed else 0


def _line(letter: Letter) -> dict[str, object]:
    return {name: value for name, value in asdict(letter).items() if name != "evidence"}


def _tell(letter: Letter, as_json: bool, now: int) -> None:
    if as_json:
        print(json.dumps({**_line(letter), "evidence": letter.evidence}, indent=2))
        return
    console = Console(highlight=False)
    console.print(f"[bold]{letter.id}[/bold] of {letter.account}, {ago(letter.at, now)}")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    rows = {"ticket": letter.ticket, "handler": letter.handler, "why": letter.reason, "attempts": letter.attempts}
    for name, value in {**rows, **letter.evidence}.items():
        if value not in (None, "", [], {}) and name not in ("id", "reason"):
            shown = value if isinstance(value, str | int) else json.dumps(value, indent=2)
            table.add_row(f"  {name}", Text("\n".join(map(plain, str(shown).splitlines()))))
    console.print(table)
    if letter.ticket is not None:
        console.print(f"`foxhooks explain {letter.ticket}` tells the ticket's story.")


def _show(letters: list[Letter], what: str, now: int) -> None:
    console = Console(highlight=False)
    if not letters:
        console.print(f"No {what}.")
        return
    for each in letters:
        # The id has a line of its own: it is there to be copied, however narrow the terminal.
        console.print(Text(plain(each.id), style="bold"), soft_wrap=True)
        where = f"ticket {each.ticket} of {each.account}" if each.ticket else each.account
        told = ", ".join(part for part in (where, ago(each.at, now), each.handler) if part)
        console.print(Padding(Text(plain(f"{told}: {each.reason}")), (0, 0, 0, 2)))
