"""The command `foxhooks`: its help and its list of commands.

A command's module is imported only when that command runs, so that help is fast. To add a command, write a function or
a Typer app with its name, and add a line to ``RUN`` or ``INSPECT``.
"""

import gc
import sys
from importlib import import_module
from inspect import signature
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from service.address import AT

START = """\
Handlers for HappyFox webhooks.

[bold]New here?[/bold] `foxhooks demo` shows everything working with a simulated HappyFox. It needs no settings.

[bold]With your own HappyFox:[/bold] put your settings into foxhooks.toml or the environment and check them with \
`foxhooks doctor`. `foxhooks up` starts everything, `foxhooks send --sample created --ticket N` sends a test \
delivery, `foxhooks status` shows what was received.
"""
AFTER = "Exit codes: 0 done, 1 failed, 2 wrong usage.  Run `foxhooks COMMAND --help` for details."


class CommandEntry(NamedTuple):
    """A command before its module is imported."""

    module: str
    """The module in ``service`` that has a function or a Typer app of the command's name."""
    summary: str
    """The first line of its help."""
    remote: bool = False
    """Whether it can use a dashboard instead of the store."""


RUN = {
    "up": CommandEntry("processes.entrypoints", "Run store, web and worker in one process tree, with your settings."),
    "demo": CommandEntry("demo", "Show everything working, with a simulated HappyFox in a temporary folder."),
    "web": CommandEntry("processes.entrypoints", "Run the web process, which receives HappyFox's webhooks."),
    "worker": CommandEntry("processes.entrypoints", "Run the worker process, which runs handlers and calls HappyFox."),
    "gateway": CommandEntry(
        "processes.entrypoints", "Run the gateway, through which other programs use HappyFox within the same limits."
    ),
    "mcp": CommandEntry("processes.entrypoints", "Serve a language model over standard input and output (MCP)."),
    "simulator": CommandEntry(
        "processes.simulator_command", "Run a simulated HappyFox to try handlers on, all in memory."
    ),
    "dashboard": CommandEntry("processes.entrypoints", "Run the dashboard as a process of its own."),
    "pause": CommandEntry("commands.pause", "Stop the handlers of a router, a ticket or an account.", remote=True),
    "resume": CommandEntry("commands.pause", "End a pause and process the events that were queued.", remote=True),
}
INSPECT = {
    "doctor": CommandEntry(
        "commands.doctor", "Check settings, handlers, store and credentials, and show the fixes.", remote=True
    ),
    "send": CommandEntry("commands.send", "Sign a delivery and send it to the web process: a file, or a sample."),
    "status": CommandEntry("commands.status", "Show deliveries, call budget and backlog of each account.", remote=True),
    "webhooks": CommandEntry(
        "commands.webhooks", "Show refused signatures, signing keys, hosts and misdirected requests."
    ),
    "sweep": CommandEntry("commands.sweep", "Look for changes that no delivery announced, and show what was missed."),
    "record": CommandEntry("commands.record", "Show the form of HappyFox's webhooks and answers, and what it settles."),
    "events": CommandEntry("commands.events", "List events and what they led to, newest first.", remote=True),
    "audit": CommandEntry("commands.audit", "List who did what and why, newest first.", remote=True),
    "alerts": CommandEntry(
        "commands.alerts", "List current alerts: what is wrong, since when, and when people were told.", remote=True
    ),
    "explain": CommandEntry(
        "commands.explain", "Show what was received, decided and done for a ticket, and why.", remote=True
    ),
    "api": CommandEntry("commands.api", "List the calls of HappyFox's API, or make one within the limits."),
    "new": CommandEntry(
        "commands.new",
        "Write a plug-in and its test into the current folder, or a whole project to deploy (`new project FOLDER`).",
    ),
    "backtest": CommandEntry("commands.backtest", "Run changed rules or handlers on past turns; show the differences."),
    "store": CommandEntry(
        "commands.store", "Verify a backup, report a restore; list, move and drop the accounts in the store."
    ),
    "dead": CommandEntry(
        "commands.dead_letters", "List, show, replay or discard dead letters (work that failed).", remote=True
    ),
    "forget": CommandEntry("commands.forget", "Erase what the store holds about tickets or email addresses."),
    "rules": CommandEntry("commands.rules", "Check, try and test rules: automation in TOML, without code."),
}
COMMANDS = RUN | INSPECT


class PlainOption(TyperOption):
    """An option whose value needs no conversion: for that Typer imports Pydantic, a fifth of a short command's time."""

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Return the value as it was typed."""
        return value if self.callback is None else self.callback(ctx, self, value)


def _plain(options: list[Any]) -> list[Any]:
    """Convert nothing for the two options that every command has."""
    for option in options:
        if option.name in ("at", "help"):
            option.__class__ = PlainOption
    return options


class Command(TyperCommand):
    """A command that is one function."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments."""
        return _plain(super().get_params(ctx))


class Commands(TyperGroup):
    """Import a command's module when it runs, and report its errors."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options that come before a command."""
        return _plain(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command itself instead of its entry."""
        name, _, rest = super().resolve_command(ctx, args)
        if ctx.params.get("at") and not COMMANDS[name or ""].remote:
            from service.errors import CommandError

            offered = ", ".join(sorted(each for each, entry in COMMANDS.items() if entry.remote))
            raise CommandError(f"`foxhooks {name}` needs the store or this machine's files; --at works with {offered}")
        return name, load(name or ""), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print an error that a person can fix, and exit with code 1."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Imported late: `foxhooks --help` needs none of it.
            from service.commands.format import safe_lines
            from service.errors import CommandError
            from workers.errors import FoxhooksError
            from workers.settings import SettingsError

            if isinstance(error, SettingsError):
                problems = (f"  - {problem}" for problem in error.problems)
                print("These settings need correcting:", *map(safe_lines, problems), sep="\n", file=sys.stderr)
            elif isinstance(error, CommandError | FoxhooksError):
                print(f"foxhooks: {safe_lines(str(error))}", file=sys.stderr)
            else:
                raise  # a bug, which needs its traceback
            raise typer.Exit(1) from None


def load(name: str) -> Any:
    """Import a command and return it."""
    gc.disable()  # modules stay: looking for garbage among them again and again takes a tenth of the time
    try:
        module = import_module(f"service.{COMMANDS[name].module}")
    finally:
        gc.enable()
    command = getattr(module, name)
    if not isinstance(command, typer.Typer):
        function, command = command, typer.Typer(add_completion=False)
        own_help = "help" in signature(function).parameters
        command.command(cls=Command, add_help_option=not own_help)(function)
    return typer.main.get_command(command)


app = typer.Typer(
    name="foxhooks",
    cls=Commands,
    help=START,
    epilog=AFTER,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def options(
    at: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Use the dashboard at this URL instead of the store. Its token is read from FOXHOOKS_TOKEN: "
            "everybody on this machine can read an argument.",
        ),
    ] = "",
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Accept the options that come before a command."""
    AT.set(at)
    if version:
        from workers.version import __version__

        typer.echo(f"foxhooks {__version__}")
        raise typer.Exit


for panel, commands in (("Run", RUN), ("Inspect and try", INSPECT)):
    for name, entry in commands.items():
        app.command(name, help=entry.summary, rich_help_panel=panel)(lambda: None)


def main() -> None:
    """Run the command that was typed."""
    app()
