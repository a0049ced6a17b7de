"""`foxhooks simulator`: a HappyFox to play with."""

import math
import re
from typing import Annotated
from urllib.parse import urlsplit

import typer

from service.usage.options import RUN, IsChild

DAY = 86_400

play = typer.Typer()


def _number(value: float) -> float:
    """Refuses nan, which is neither below nor above any limit."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number of seconds")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", value):
        raise typer.BadParameter("use only a to z, 0 to 9 and hyphens, as acme")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if value and not sound:
        raise typer.BadParameter("write an address, as http://127.0.0.1:8000/webhooks/demo/")
    return value


@play.command(rich_help_panel=RUN)
def simulator(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535, envvar="PORT")] = 8010,
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar="HOST")] = "127.0.0.1",
    hook: Annotated[str, typer.Option(help="URL its webhooks go to.", show_default="none", callback=_url)] = "",
    secret: Annotated[str, typer.Option(help="Signing key of its webhooks.")] = "demo-secret",
    account: Annotated[str, typer.Option(help="Name of the account.", callback=_name)] = "demo",
    key: Annotated[str, typer.Option(help="API key that is accepted.")] = "demo-key",
    code: Annotated[str, typer.Option(help="Auth code that is accepted.")] = "demo-code",
    gets: Annotated[int, typer.Option(help="GET calls in a window.", min=1)] = 500,
    posts: Annotated[int, typer.Option(help="POST calls in a window.", min=1)] = 300,
    window: Annotated[float, typer.Option(help="Seconds of a window.", min=0.001, max=DAY, callback=_number)] = 60,
    lockout: Annotated[float, typer.Option(help="Seconds of a lockout.", min=0, max=DAY, callback=_number)] = 600,
    latency: Annotated[float, typer.Option(help="Seconds a write takes.", min=0, max=DAY, callback=_number)] = 0,
    child: IsChild = False,
) -> None:
    """Run a HappyFox of your own to try handlers on: tickets, limits, webhooks, all in memory."""
    from service.processes.entrypoints import SimulatorOptions, run_simulator

    limits = {"gets": gets, "posts": posts, "window": window, "lockout": lockout, "latency": latency}
    options = SimulatorOptions(
        host=host, port=port, account=account, key=key, code=code, hook=hook, secret=secret, limits=limits
    )
    run_simulator(options, child)
