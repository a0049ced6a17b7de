"""`foxhooks up`, `demo`, `web`, `worker` and `simulator`: the commands that keep running.

Each imports only the process that it starts: a web process never loads the engine.
"""

import math
import re
from typing import Annotated
from urllib.parse import urlsplit

import typer

DAY = 86_400

#: A child of `up` or `demo`, which ends with its parent.
IsChild = Annotated[bool, typer.Option("--child", hidden=True)]


def up() -> None:
    """Run store, web and worker in one process tree, with your settings.

    Ctrl-C stops all of it.
    """
    from service.processes.entrypoints import run_up

    run_up()


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop by itself; exit code 0 only if everything worked.")
    ] = False,
) -> None:
    """Show everything working, with a simulated HappyFox in a temporary folder.

    Needs no settings.
    """
    from service.demo import run

    raise typer.Exit(run(once))


def web(child: IsChild = False) -> None:
    """Run the web process, which receives HappyFox's webhooks."""
    from service.processes.entrypoints import run_web

    run_web(child)


def worker(child: IsChild = False) -> None:
    """Run the worker process, which runs your handlers and calls HappyFox."""
    from service.processes.entrypoints import run_worker

    raise typer.Exit(run_worker(child))


def _number(value: float) -> float:
    """Refuse nan, which is neither below nor above any limit."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number of seconds")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", value):
        raise typer.BadParameter("use only a to z, 0 to 9 and hyphens, such as acme")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if value and not valid:
        raise typer.BadParameter("write a URL, such as http://127.0.0.1:8000/webhooks/demo/")
    return value


def simulator(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535, envvar="PORT")] = 8010,
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar="HOST")] = "127.0.0.1",
    hook: Annotated[str, typer.Option(help="URL to send webhooks to.", show_default="none", callback=_url)] = "",
    secret: Annotated[str, typer.Option(help="Signing key of its webhooks.")] = "demo-secret",
    account: Annotated[str, typer.Option(help="Name of the account.", callback=_name)] = "demo",
    key: Annotated[str, typer.Option(help="API key to accept.")] = "demo-key",
    code: Annotated[str, typer.Option(help="Auth code to accept.")] = "demo-code",
    gets: Annotated[int, typer.Option(help="GET calls allowed in a window.", min=1)] = 500,
    posts: Annotated[int, typer.Option(help="POST calls allowed in a window.", min=1)] = 300,
    window: Annotated[
        float, typer.Option(help="Length of a window in seconds.", min=0.001, max=DAY, callback=_number)
    ] = 60,
    lockout: Annotated[
        float, typer.Option(help="Length of a lockout in seconds.", min=0, max=DAY, callback=_number)
    ] = 600,
    latency: Annotated[float, typer.Option(help="Seconds that a write takes.", min=0, max=DAY, callback=_number)] = 0,
    child: IsChild = False,
) -> None:
    """Run a simulated HappyFox to try handlers on, all in memory.

    It has tickets, rate limits and webhooks.
    """
    from service.processes.entrypoints import SimulatorOptions, run_simulator

    limits = {"gets": gets, "posts": posts, "window": window, "lockout": lockout, "latency": latency}
    options = SimulatorOptions(
        host=host, port=port, account=account, key=key, code=code, hook=hook, secret=secret, limits=limits
    )
    run_simulator(options, child)
