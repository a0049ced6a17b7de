"""Commands that are refused until they are built, whatever is typed behind them."""

from typing import NoReturn

import typer

from service.usage.options import LATER

ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}

later = typer.Typer()


def _not_yet(name: str, help: str) -> None:
    def refuse(_: typer.Context) -> NoReturn:
        from service.failures import CommandError

        raise CommandError(f"`foxhooks {name}` is not available yet")

    told = f"(not available yet) {help}"
    later.command(name, help=told, context_settings=ANYTHING, rich_help_panel=LATER)(refuse)


_not_yet("pause", "Stop taking turns; deliveries are still accepted.")
_not_yet("resume", "Take turns again.")
