"""The command `simulator`: every member of `Options` and `Hook` is an option of the command line.

Their names, defaults and help come from the two classes, so that none can be missing here.
"""

import inspect
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

import typer

from service.processes.entrypoints import BOT_ID, LOOPBACK, IsChild, end_on_signal, listen
from service.processes.simulator import serve, url_of
from workers.simulator import Hook, Options, Simulator
from workers.simulator.options import descriptions

#: Longest time that is accepted as an option, in seconds.
DAY = 86_400

#: The smallest values of numbers, where it is neither 0 seconds nor 1.
LEAST = {"window": 0.001, "day_offset": -DAY, "link_uses": 0}

#: The prefix of the options that are members of `Hook`.
HOOK = "hook_"


def run_simulator(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535, envvar="PORT")] = 8010,
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar="HOST")] = LOOPBACK,
    hook: Annotated[str, typer.Option(help="URL for webhooks.", show_default="none")] = "",
    secret: Annotated[str, typer.Option(help="Signing key of its webhooks.")] = "demo-secret",  # noqa: S107 - it opens nothing else
    child: IsChild = False,
    **switches: Any,
) -> None:
    """Run a simulated HappyFox to try handlers on, all in memory.

    It has tickets, rate limits and webhooks.
    """
    hooks = {name.removeprefix(HOOK): switches.pop(name) for name in list(switches) if name.startswith(HOOK)}
    hooks["event_key"] = hooks["event_key"] or None
    if hook:
        _check_url(hook)
    try:
        happyfox = Simulator(time.time, [Hook(hook, secret, **hooks)] if hook else [], **switches)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    listener = listen(host, port, "--port or --host (PORT or HOST)")
    end_on_signal(child)
    url = url_of(listener)
    print(f"Simulated HappyFox: {url} (see {url}/simulator/ for what it can do)", flush=True)
    if not child:
        happyfox.create_ticket(subject="A ticket to try things on")  # `foxhooks send --sample` uses it
        options = happyfox.options
        print(
            f"\nSettings for foxhooks:\n"
            f"  HAPPYFOX_URL={url} HAPPYFOX_ACCOUNT={options.account} HAPPYFOX_STAFF_ID={BOT_ID}\n"
            f"  HAPPYFOX_API_KEY={options.key} HAPPYFOX_AUTH_CODE={options.code} HAPPYFOX_WEBHOOK_SECRETS={secret}\n\n"
            f"Ticket 1 is already open. To open another one:\n"
            f"  curl {url}/simulator/tickets "
            """-d '{"email": "sam@bigcorp.example", "text": "I want a refund."}'\n""",
            flush=True,
        )
    serve(happyfox, listener)


def _check_url(value: str) -> None:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise typer.BadParameter("write a URL, such as http://127.0.0.1:8000/webhooks/demo/", param_hint="--hook")


def _account_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", value):
        raise typer.BadParameter("use only a to z, 0 to 9 and hyphens, such as acme")
    return value


def _number(value: float) -> float:
    """Refuse nan, which is neither below nor above any limit."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number of seconds")
    return value


def _checks(name: str, kind: Any) -> dict[str, Any]:
    """Return what an option's value must be, besides its type."""
    if name == "account":
        return {"callback": _account_name}
    if kind is float:
        return {"min": LEAST.get(name, 0), "max": DAY, "callback": _number}
    return {"min": LEAST.get(name, 1)} if kind in (int, int | None) else {}


def _parameters(model: type[Any], members: Iterable[Field[Any]], prefix: str) -> list[inspect.Parameter]:
    """Return the options for the members of a class."""
    types, help = get_type_hints(model), descriptions(model)
    found = []
    for each in members:
        kind = list[str] if each.name == "events" else types[each.name]
        option = typer.Option(
            help=" ".join(help[each.name].partition("\n\n")[0].split()),
            **_checks(each.name, kind),
        )
        default = list(each.default) if isinstance(each.default, tuple) else each.default
        found.append(
            inspect.Parameter(
                prefix + each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
            )
        )
    return found


def _with_options(command: Callable[..., None]) -> None:
    """Give the command an option for each switch, in place of its ``**switches``."""
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "switches"]
    hooks = [each for each in fields(Hook) if each.default is not MISSING and each.name != "_"]
    switches = [
        *_parameters(Options, fields(Options), ""),
        *_parameters(Hook, hooks, HOOK),
    ]
    all_of_them = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *switches)]
    command.__signature__ = inspect.Signature(all_of_them)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in all_of_them}


_with_options(run_simulator)

#: Help without frames, because a terminal of 80 columns cuts long names in frames.
simulator = typer.Typer(add_completion=False, rich_markup_mode=None)
simulator.command()(run_simulator)
