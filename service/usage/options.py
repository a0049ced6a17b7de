"""Options that several commands take, and the panels of the help they stand in."""

from typing import Annotated

import typer

RUN, LOOK = "Run", "Look and try"

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
OfAccount = Annotated[str, typer.Option("--account", help="The account, where there are several.")]
IsChild = Annotated[bool, typer.Option("--child", hidden=True)]
