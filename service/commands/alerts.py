"""`foxhooks alerts`: what people have been told and what is not over; with `--test` a message to every address."""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from service.commands.format import AsJson, ago, line, show
from service.context import settings_of, store_of
from service.errors import CommandError
from workers.alerts.sending import Message, NotSent, send
from workers.alerts.watchman import AlertState, read_alerts
from workers.settings import Settings
from workers.store.client import store_time


def alerts(
    test: Annotated[bool, typer.Option("--test", help="Send a test message to every address.")] = False,
    json: AsJson = False,
) -> None:
    """List the alerts that are on: what people have been told, and since when."""
    if test:
        _test(settings_of("web"))
        return
    settings = settings_of("store")
    with store_of(settings) as client:
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
    addresses = {each.target: (alert, each) for alert in settings.alerts for each in alert.to}
    if not addresses:
        raise CommandError("no [[alert]] is set; see docs/alerts.md")
    message = Message("begun", "test", "", "this is a test", "nothing", 0, int(time.time() * 1000))
    failed = False
    for alert, address in addresses.values():
        try:
            send(message, alert, address, settings.smtp_url, settings.mail_from)
            line(f"{address.shown}: sent")
        except NotSent as error:
            failed = True
            line((f"not sent: {error}", "red"))
    raise typer.Exit(int(failed))
