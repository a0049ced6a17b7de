"""Commands that stop an account, a router or a ticket for a while."""

from typing import Annotated

import typer

from service.usage.options import RUN, OfAccount

stopping = typer.Typer()

OfRouter = Annotated[str, typer.Option("--router", help="This router, such as vip or rules.")]
OfTicket = Annotated[int | None, typer.Option("--ticket", help="This ticket.", min=1)]


@stopping.command(rich_help_panel=RUN)
def pause(
    account: OfAccount = "",
    router: OfRouter = "",
    ticket: OfTicket = None,
    skip: Annotated[bool, typer.Option("--skip", help="What comes meanwhile is skipped instead of waiting.")] = False,
) -> None:
    """Stop the handlers of a router, of a ticket, or all of an account; deliveries are still taken.

    What comes meanwhile waits, in order. `foxhooks status` lists what is paused.
    """
    from service.commands import pausing

    _one(router, ticket)
    raise typer.Exit(pausing.halt(pausing.Target(account, router, ticket), skip))


@stopping.command(rich_help_panel=RUN)
def resume(account: OfAccount = "", router: OfRouter = "", ticket: OfTicket = None) -> None:
    """End a pause: what waited runs now."""
    from service.commands import pausing

    _one(router, ticket)
    raise typer.Exit(pausing.go_on(pausing.Target(account, router, ticket)))


def _one(router: str, ticket: int | None) -> None:
    if router and ticket is not None:
        raise typer.BadParameter("give --router or --ticket, not both")
