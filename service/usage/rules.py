"""`foxhooks rules ...`, for rules files."""

from typing import Annotated

import typer

from service.usage.options import Json

rules = typer.Typer(help="Rules: automation in TOML, without code.", no_args_is_help=True)


@rules.command()
def check(
    file: Annotated[str, typer.Argument(help="The rules file; without it, that of the settings.")] = "",
    json: Json = False,
) -> None:
    """Tell what is wrong with a rules file, with line and cure; also names that HappyFox does not know."""
    from service.commands import rules

    raise typer.Exit(rules.run(file, json))
