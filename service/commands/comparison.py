"""What a backtest found, for a person's eyes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.commands.words import many, plain
from workers.turns.plan.deeds import Deed
from workers.turns.plan.tally import Tally

#: So many differences are shown of a handler, each way; `--json` has them all.
MOST = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """One account: its turns since the first of them (ms), and what the tested handlers would have done in them."""

    account: str
    turns: int
    skipped: int
    """Records that this version cannot read."""
    since: int
    named: bool
    """Whether the account's names were known."""
    tallies: Mapping[str, Tally]
    posts: int
    """Calls they would have cost, and those that were made for routers of their names."""
    made: int
    peak: int
    """The most calls in one window."""
    mean: float
    """Calls a minute."""
    limit: int | None
    """Calls that we allow ourselves in a window; None where the settings that tell are not set."""
    window: float


def show(found: Comparison) -> None:
    """Prints it."""
    console = Console(highlight=False, soft_wrap=True)
    turns = f"{many(found.turns, 'turn')} since {_when(found.since)}" if found.turns else "no turns to test on"
    skipped = f"; {many(found.skipped, 'record')} of another format skipped" if found.skipped else ""
    console.print(f"[bold]{found.account}[/bold]: {turns}{skipped}")
    if not found.turns and not any(tally.missing for tally in found.tallies.values()):
        return
    table = Table("handler", "turns it acts in", "same", "added", "missing", "otherwise mostly", box=None)
    table.header_style = "dim"
    for name, tally in found.tallies.items():
        counts = (tally.acted, tally.same, len(tally.added), len(tally.missing))
        why = next((f"{reason} ({count})" for reason, count in tally.skipped.most_common(1)), "")
        table.add_row(plain(name), *map(str, counts), plain(why))
    console.print(table)
    for line in (*_differences(found.tallies), *_troubles(found.tallies)):
        console.print(line)
    console.print(_cost(found))
    if not found.named:
        console.print("Names are kept as they are written: the store has no lists of this account. `foxhooks doctor`")
        console.print("fetches them; then names that HappyFox does not know are found.")


def _differences(tallies: Mapping[str, Tally]) -> Iterator[Text]:
    for title, sign, style in (("added", "+", "green"), ("missing", "-", "red")):
        for name, tally in tallies.items():
            deeds: list[Deed] = getattr(tally, title)
            if deeds:
                yield Text(f"{title} by {plain(name)}", style="bold")
            for (ticket, at), same in groupby(deeds[:MOST], key=lambda deed: (deed.ticket, deed.at)):
                what = ", ".join(f'{deed.words}: "{deed.text}"' if deed.text else deed.words for deed in same)
                yield Text(f"  {sign} ticket {ticket}, {_when(at)}: {plain(what)}", style=style)
            if len(deeds) > MOST:
                yield Text(f"  and {len(deeds) - MOST} more; --json has them all")


def _troubles(tallies: Mapping[str, Tally]) -> Iterator[Text]:
    for name, tally in tallies.items():
        for reason, count in tally.failed.most_common():
            yield Text(f"{plain(name)} failed, {many(count, 'time')}: {plain(reason)}", style="yellow")
        for line, count in tally.denied.most_common():
            yield Text(f"{plain(name)} was denied something, {many(count, 'time')}: add {line}", style="yellow")


def _cost(found: Comparison) -> str:
    limit = f"the limit is {found.limit}" if found.limit is not None else "the limit is not known here"
    mean = f"{found.mean:.2f}" if found.mean >= 0.01 or not found.posts else "less than 0.01"
    return (
        f"POSTs: {found.posts} (those of then: {found.made}), at most {found.peak} in any {found.window:g} s "
        f"({limit}), {mean} a minute on average"
    )


def _when(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M} UTC"
