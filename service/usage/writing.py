"""Commands for whoever writes handlers."""

from typing import Annotated

import typer

from service.usage.options import LOOK

writing = typer.Typer()


@writing.command(rich_help_panel=LOOK)
def new(
    name: Annotated[str, typer.Argument(help="The router's name, such as vip or after-hours.")],
) -> None:
    """Write a plug-in with its test into the current folder, to begin with."""
    from service.commands import new

    raise typer.Exit(new.run(name))
