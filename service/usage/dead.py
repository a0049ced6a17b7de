"""`foxhooks dead ...`: all but `show` find their letters by the same options."""

from typing import Annotated, Literal

import typer

from service.usage.options import Json

dead = typer.Typer(help="Dead letters: what was given up, with the evidence.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(help="Ids, as `foxhooks dead list` shows them.")]
OfHandler = Annotated[str, typer.Option(help="Only letters of this router or router.function.")]
OfError = Annotated[str, typer.Option(help="Only letters whose error contains this.")]
OfTicket = Annotated[int | None, typer.Option(help="Only letters of this ticket.", min=1)]
Since = Annotated[str, typer.Option(help="Only letters of the last 90s, 10m, 2h, 1d.")]
InQuarantine = Annotated[bool, typer.Option("--quarantine", help="Deliveries that could not be read instead.")]


@dead.command("list")
def list_(
    handler: OfHandler = "",
    error: OfError = "",
    ticket: OfTicket = None,
    since: Since = "",
    quarantine: InQuarantine = False,
    json: Json = False,
) -> None:
    """List dead letters, newest first."""
    from service.commands import dead, letters, times

    wanted = letters.Filter((), handler, error, ticket, times.span(since))
    raise typer.Exit(dead.run(wanted, quarantine, json))


@dead.command()
def show(letter: Annotated[str, typer.Argument(help="Its id.")], json: Json = False) -> None:
    """Show a letter with its evidence."""
    from service.commands import dead

    raise typer.Exit(dead.show(letter, json))


def _act(verb: Literal["replay", "discard"], help: str) -> None:
    """Adds a command that does something with letters, given by their ids or by options."""

    def act(
        ids: Ids = None,
        handler: OfHandler = "",
        error: OfError = "",
        ticket: OfTicket = None,
        since: Since = "",
        quarantine: InQuarantine = False,
    ) -> None:
        from service.commands import dead, letters, times

        wanted = letters.Filter(tuple(ids or ()), handler, error, ticket, times.span(since))
        raise typer.Exit(dead.act(verb, wanted, quarantine))

    dead.command(verb, help=help)(act)


_act(
    "replay",
    "Let what was given up run again, on the ticket as it is now.\n\n"
    "A handler runs once more, with the changes it missed; `event.replay` tells it. An effect is brought about alone, "
    "without its handler: look first whether one that may have happened did.",
)
_act("discard", "Delete letters that need no more work.")
