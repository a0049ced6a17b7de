"""Commands for whoever writes handlers."""

from typing import Annotated

import typer

from service.usage.options import LOOK, Json, OfAccount

writing = typer.Typer()


@writing.command(rich_help_panel=LOOK)
def new(
    name: Annotated[str, typer.Argument(help="The router's name, such as vip or after-hours.")],
) -> None:
    """Write a plug-in with its test into the current folder, to begin with."""
    from service.commands import new

    raise typer.Exit(new.run(name))


@writing.command(rich_help_panel=LOOK)
def backtest(
    tested: Annotated[
        str,
        typer.Argument(metavar="RULES_OR_ROUTER", help="A rules file, or a router as in the settings: vip:router."),
    ],
    since: Annotated[str, typer.Option(help="Turns of the last 12h, 7d.")] = "7d",
    ticket: Annotated[int | None, typer.Option(help="Only turns of this ticket.", min=1)] = None,
    account: OfAccount = "",
    json: Json = False,
) -> None:
    """Run changed rules or handlers on the turns of the past: what they would have done, and what is different.

    Nothing is called and nothing is stored.
    """
    from service.commands import backtest, times

    raise typer.Exit(backtest.run(backtest.Order(tested, times.span(since), ticket, account), json))
