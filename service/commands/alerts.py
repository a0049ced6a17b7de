"""`foxhooks alerts`: what people have been told and what is not over; with `--test` a message to every address."""

from collections.abc import Callable
from typing import Annotated

import typer

from service.address import AT
from service.commands.format import AsJson, ago, line, show
from service.commands.running import remote_source
from service.context import settings_of, store_of
from service.errors import CommandError
from workers.alerts.sending import send_test
from workers.alerts.watchman import AlertState, read_alerts
from workers.settings import Settings
from workers.store.client import store_time


def alerts(
    test: Annotated[bool, typer.Option("--test", help="Send a test message to every address.")] = False,
    json: AsJson = False,
) -> None:
    """List current alerts: what is wrong, since when, and when people were told."""
    if test:
        if AT.get():
            raise CommandError("test messages are sent where [[alert]] is set: by a shell there, or on the page Alerts")
        _test(settings_of("web"))
        return
    with remote_source() as remote:
        if remote is not None:
            found, now = remote.alerts(), remote.now()
        else:
            with store_of(settings_of("store")) as client:
                found, now = read_alerts(client), store_time(client)
    columns: dict[str, Callable[[AlertState], object]] = {
        "alert": lambda state: state.when,
        "since": lambda state: ago(state.since, now),
        "told": lambda state: ago(state.told, now) if state.told else "not yet: see the logs",
        "what": lambda state: state.text,
    }
    show(found, columns, json, empty="No alert is on.")


def _test(settings: Settings) -> None:
    """Send a message to every address, each once."""
    if not settings.alerts:
        raise CommandError("no [[alert]] is set; see docs/alerts.md")
    failed = False
    for address, problem in send_test(settings):
        failed = failed or bool(problem)
        line((f"not sent: {problem}", "red") if problem else f"{address}: sent")
    raise typer.Exit(int(failed))
