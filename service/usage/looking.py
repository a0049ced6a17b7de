"""Commands that look at what happens, and ask for one thing to happen."""

from typing import Annotated, Literal

import typer

from service.usage.options import LOOK, Json, OfAccount

looking = typer.Typer()


@looking.command(rich_help_panel=LOOK)
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Make no calls to HappyFox.")] = False,
    json: Json = False,
) -> None:
    """Check settings, handlers, store and credentials; each finding comes with its cure."""
    from service.doctor import doctor

    raise typer.Exit(doctor.run(offline, json))


@looking.command(rich_help_panel=LOOK)
def send(
    file: Annotated[str, typer.Argument(help="A body to send as it is; - reads standard input.")] = "",
    sample: Annotated[
        Literal["created", "reply", "rule"] | None, typer.Option(help="A body as HappyFox would send it.")
    ] = None,
    ticket: Annotated[int | None, typer.Option(help="The ticket the sample speaks of.", min=1)] = None,
    shape: Annotated[
        Literal["flat", "rest", "wrapped"] | None, typer.Option(help="The sample's form.", show_default="flat")
    ] = None,
    to: Annotated[str, typer.Option(help="URL to deliver to; without it the web process of this machine.")] = "",
    account: OfAccount = "",
) -> None:
    """Sign a delivery and send it to the web process: a file, or a sample."""
    from service.commands import send

    if bool(file) == bool(sample):
        raise typer.BadParameter("give either a FILE or --sample created, reply or rule")
    if file and (ticket or shape):
        raise typer.BadParameter("a FILE is sent as it is: --ticket and --shape are for samples")
    raise typer.Exit(send.run(send.Order(file, sample, ticket, shape or "flat", to, account)))


@looking.command(rich_help_panel=LOOK)
def status(
    worker: Annotated[
        bool, typer.Option("--worker", help="Only tell whether a worker is alive: exit code 0 or 1.")
    ] = False,
    json: Json = False,
) -> None:
    """Show deliveries, budget, gate and backlog of each account."""
    from service.commands import status

    raise typer.Exit(status.run(worker, json))


@looking.command(rich_help_panel=LOOK)
def events(
    ticket: Annotated[int | None, typer.Option(help="Only events of this ticket.", min=1)] = None,
    kind: Annotated[str, typer.Option(help="Only events that led to a change of this kind.")] = "",
    since: Annotated[str, typer.Option(help="Only events of the last 90s, 10m, 2h, 1d.")] = "",
    json: Json = False,
) -> None:
    """List what came in lately and what became of it, newest first."""
    from service.commands import events

    raise typer.Exit(events.run(events.Filter(ticket, kind, since), json))


@looking.command(rich_help_panel=LOOK)
def explain(
    ticket: Annotated[int, typer.Argument(help="The ticket's number.", min=1)],
    account: OfAccount = "",
    json: Json = False,
) -> None:
    """Tell the story of a ticket: what came in, what each handler decided and why, what was done."""
    from service.commands import explain

    raise typer.Exit(explain.run(ticket, account, json))


@looking.command(rich_help_panel=LOOK)
def api(
    method: Annotated[str, typer.Argument(help="A method, such as ticket; without one they are listed.")] = "",
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="What it takes, in its order or as NAME=VALUE: texts, or JSON where it wants something else."
        ),
    ] = None,
    account: OfAccount = "",
    json: Json = False,
) -> None:
    """List the calls of HappyFox's API, or make one within the limits."""
    from service.commands import api

    raise typer.Exit(api.run(method, arguments or [], account, json))
