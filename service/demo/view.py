"""What the person at the terminal sees: each scene as a small table, then the budget, then where to look."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.demo.happyfox import Json
from service.demo.scenes import Scene
from service.demo.stage import Stage
from workers.governor.governor import Forecast
from workers.turns.plan.effects import split
from workers.turns.plan.plan import Record

OK, BAD = "[green]✓[/green]", "[red]✗[/red]"
BASE = "/api/1.1/json/"
#: The staff member we write as, in the simulated account.
BOT = "Foxhooks Bot"


class View:
    """Prints the demo, readable at a glance."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begin(self, stage: Stage) -> None:
        """Says what runs now."""
        self.console.print("[bold]foxhooks demo[/bold]: store, HappyFox, web and worker, all real processes here")
        self.console.print(f"[dim]HappyFox[/dim]  {stage.happyfox} (simulated)")
        self.console.print(f"[dim]webhooks[/dim]  {stage.hook}")
        self.console.print(f"[dim]folder  [/dim]  {stage.folder}")

    def scene(
        self,
        number: int,
        scene: Scene,
        ticket: Json,
        deliveries: Sequence[Json],
        records: Sequence[Record],
        calls: Sequence[Json],
    ) -> bool:
        """Shows one scene; True when the ticket shows every effect wanted."""
        self.console.print()
        self.console.rule(f"[bold]{number}. {scene.title}[/bold]  (ticket {ticket['id']})", align="left")
        self.console.print(escape(scene.story))
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        _section(table, "came in", _arrivals(deliveries))
        _section(table, "decided", _decisions(records))
        _section(table, "called", _calls(calls))
        checked = [(check.says, check.holds(ticket)) for check in scene.checks]
        _section(table, "result", (f"{OK if holds else BAD} {escape(says)}" for says, holds in checked))
        self.console.print(table)
        return all(holds for _, holds in checked)

    def budget(self, forecast: Forecast) -> None:
        """Shows what is left of the budget."""
        self.console.print()
        self.console.rule("[bold]Budget[/bold]", align="left")
        self.console.print(
            f"left of this minute: [bold]{forecast.gets_free}[/bold] of {forecast.gets} reads and "
            f"[bold]{forecast.posts_free}[/bold] of {forecast.posts} writes; the gate is {forecast.gate}"
        )

    def verdict(self, fulfilled: bool) -> None:
        """Says whether the demo is a success."""
        if fulfilled:
            self.console.print(f"\n{OK} All tickets in HappyFox show what the handlers decided.")
        else:
            self.console.print(f"\n{BAD} [bold]Not every effect arrived in HappyFox.[/bold]")

    def failure(self, text: str, log: Sequence[str]) -> None:
        """Says what went wrong, with the last lines the processes printed."""
        self.console.print(f"\n{BAD} {escape(text)}")
        for line in log:
            self.console.print(f"   {escape(line)}", style="dim")

    def stay(self, stage: Stage) -> None:
        """Says where to look while everything keeps running."""
        contact = f"{stage.happyfox}/simulator/ticket/2/contact"
        self.console.print("\n[bold]Everything keeps running; Ctrl-C ends it.[/bold] In another terminal:")
        for says, line in {
            "Mia writes again, and is tagged": f'curl {contact} -d \'{{"text": "I want a refund"}}\'',
            "the ticket as it is now": f"curl {stage.happyfox}/simulator/ticket/2",
            "deliveries, budget, backlog": f"cd {stage.folder} && {_command()} status",
            "settings of handlers and account": f"less {stage.folder}/foxhooks.toml",
            "what the processes print": f"less {stage.folder}/demo.log",
        }.items():
            self.console.print(f"  [dim]# {says}[/dim]")
            self.console.print(f"  {escape(line)}", soft_wrap=True)


def _command() -> str:
    """How this command was called, for calling it again from elsewhere."""
    called = Path(sys.argv[0])
    return str(called.absolute()) if called.name == "foxhooks" else f"{sys.executable} -m service"


def _section(table: Table, label: str, lines: Iterable[str]) -> None:
    for line in list(lines) or ["[dim]nothing[/dim]"]:
        table.add_row(label, line)
        label = ""


def _arrivals(deliveries: Sequence[Json]) -> Iterator[str]:
    """The signed webhooks; those of our own writes in one line."""
    echoes = 0
    for delivery in deliveries:
        update = json.loads(delivery["body"]).get("update") or {}
        by = update.get("by", {}).get("name", "")
        if by == BOT:
            echoes += 1
            continue
        what = ", ".join(filter(None, (by, update.get("message_type"))))
        answer = delivery["status"] or delivery["error"]
        yield f"{delivery['label']}{f' ({escape(what)})' if what else ''}, signed; answered {answer}"
    if echoes:
        webhooks = "webhook of our own write" if echoes == 1 else "webhooks of our own writes"
        yield f"[dim]{echoes} {webhooks}: recognised, no handler runs[/dim]"


def _decisions(records: Sequence[Record]) -> Iterator[str]:
    """What each handler decided, and because of what."""
    for record in records:
        changes = ", ".join(f"{change.kind} by {change.actor.name or change.actor.kind}" for change in record.changes)
        yield f"because of [cyan]{escape(changes)}[/cyan]"
        idle = []
        for verdict in record.verdicts:
            if verdict.state == "decided":
                wants = "; ".join(_wants(record, verdict.handler))
            else:
                wants = f"{verdict.state}: {verdict.reason}"
            wants += "".join(f" (denied; add {line})" for line in verdict.denied)
            if wants:
                yield f"  [bold]{escape(verdict.handler)}[/bold] → {escape(wants)}"
            else:
                idle.append(verdict.handler)
        if idle:
            yield f"  [dim]{escape(', '.join(idle))} → nothing to do[/dim]"


def _wants(record: Record, handler: str) -> Iterator[str]:
    for effect in record.effects:
        for part in split(effect):
            if handler in part.handlers:
                yield f'{part.words}: "{part.text}"' if part.text else part.words


def _calls(calls: Sequence[Json]) -> Iterator[str]:
    """The calls as HappyFox saw them; reads of the reference lists in one line."""
    lists = [_path(call) for call in calls if _is_list(call)]
    if lists:
        yield f"GET  {', '.join(lists)} [dim](names and ids, kept for an hour)[/dim]"
    for call in calls:
        if not _is_list(call):
            answer = "" if call["status"] == 200 else f" [red]{call['status']}[/red]"
            yield f"{call['method']:4} {_path(call)}{answer}"


def _path(call: Json) -> str:
    return escape(call["path"].rpartition(BASE)[2].strip("/"))


def _is_list(call: Json) -> bool:
    return call["method"] == "GET" and call["ticket"] is None
