"""Commands that stay: the processes of a deployment, and the demo of them."""

from typing import Annotated

import typer

from service.usage.options import RUN, IsChild

processes = typer.Typer()


@processes.command(rich_help_panel=RUN)
def up() -> None:
    """Run store, web and worker in one process tree, with your settings. Ctrl-C stops all of it."""
    from service.processes.entrypoints import run_up

    run_up()


@processes.command(rich_help_panel=RUN)
def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself; exit code 0 only if it all worked.")] = False,
) -> None:
    """Show everything at work, with a simulated HappyFox in a temporary folder. Needs no settings."""
    from service.demo import run

    raise typer.Exit(run(once))


@processes.command(rich_help_panel=RUN)
def web(child: IsChild = False) -> None:
    """Run the web process, which takes HappyFox's webhooks."""
    from service.processes.entrypoints import run_web

    run_web(child)


@processes.command(rich_help_panel=RUN)
def worker(child: IsChild = False) -> None:
    """Run the worker process, which runs your handlers and calls HappyFox."""
    from service.processes.entrypoints import run_worker

    raise typer.Exit(run_worker(child))
