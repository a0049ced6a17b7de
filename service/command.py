"""The command `foxhooks`: its help, and the subjects in the order in which they are shown."""

from typing import Annotated

import typer

from service.usage.dead import dead
from service.usage.looking import looking
from service.usage.options import LOOK
from service.usage.processes import processes
from service.usage.rules import rules
from service.usage.simulator import play
from service.usage.stopping import stopping
from service.usage.writing import writing

START = """\
Handlers for HappyFox webhooks.

[bold]New here?[/bold] `foxhooks demo` shows everything at work with a simulated HappyFox; there is \
nothing to set up.

[bold]With your own HappyFox:[/bold] put your settings into foxhooks.toml or the environment and let \
`foxhooks doctor` check them. `foxhooks up` starts everything, `foxhooks send --sample created --ticket N` \
tries it, `foxhooks status` shows what came in.
"""
AFTER = "Exit codes: 0 done, 1 failed, 2 wrong usage.  `foxhooks COMMAND --help` tells more about one command."

app = typer.Typer(
    name="foxhooks",
    help=START,
    epilog=AFTER,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(processes)
app.add_typer(play)
app.add_typer(stopping)
app.add_typer(looking)
app.add_typer(writing)
app.add_typer(dead, name="dead", rich_help_panel=LOOK)
app.add_typer(rules, name="rules", rich_help_panel=LOOK)


def show_version(asked: bool) -> None:
    """Print the version and exit if ``--version`` was given."""
    if asked:
        from workers.version import __version__

        typer.echo(f"foxhooks {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Accept the options that come before a command."""


def main() -> None:
    """Runs the command that was typed."""
    try:
        app()
    except Exception as error:
        from service.failures import report

        if not report(error):
            raise
        raise SystemExit(1) from None
