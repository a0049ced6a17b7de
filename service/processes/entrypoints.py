"""The commands that keep running: `up`, `web`, `worker` and `simulator`.

Each imports only what its process needs: a web process never loads the engine.
"""

import math
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from service.context import require_store, settings_of
from service.embedded import Embedded, lock_file
from service.errors import CommandError
from service.processes.supervisor import Child, Output, Supervisor, end_with_parent
from workers.settings import Settings, environ_for

LOOPBACK = "127.0.0.1"
#: The staff member of the simulated account that foxhooks writes as, "Foxhooks Bot".
BOT_ID = 7

#: Longest time that the simulator accepts as an option, in seconds.
DAY = 86_400

#: A child of `up` or `demo`, which ends with its parent.
IsChild = Annotated[bool, typer.Option("--child", hidden=True)]


def up() -> None:
    """Run store, web and worker in one process tree, with your settings.

    Ctrl-C stops all of it.
    """
    settings = settings_of("all")
    store = Embedded(settings.data, maxmemory=settings.store_maxmemory) if settings.redis_url is None else None
    if store is not None:
        _only_one(store)
    terminal = sys.stdout.isatty()
    output = Output(sys.stdout, as_json=settings.log_format == "json" and not terminal)
    environ = dict(os.environ)
    if settings.host is None:
        environ["HOST"] = LOOPBACK
    if terminal:
        environ.setdefault("LOG_FORMAT", "console")
    # The worker keeps everything, because plug-ins may need any variable.
    environs = {"web": environ_for("web", environ, Path.cwd()), "worker": environ}
    children = [Child(name, [name], own, Path.cwd()) for name, own in environs.items()]
    supervisor = Supervisor(children, store, output)
    with supervisor.running():
        url = f"http://{settings.host or LOOPBACK}:{settings.port}"
        for account in settings.accounts:
            output.say(f"webhooks of the account {account}: {url}/webhooks/{account}/")
        output.say("try it with `foxhooks send --sample created --ticket N`, then see `foxhooks status`")
        output.say("press Ctrl-C to stop")
        while not supervisor.stopping:
            supervisor.poll(0.5)
        output.say("stopping; press Ctrl-C again to stop at once")


def web(child: IsChild = False) -> None:
    """Run the web process, which receives HappyFox's webhooks."""
    settings = _with_store(settings_of("web"))
    from service.web.app import serve

    every_interface = "0.0.0.0"  # noqa: S104 - a platform's router calls from outside; HOST limits it
    listener = listen(settings.host or every_interface, settings.port, "PORT or HOST")
    _end_on_signal(child)
    serve(settings, listener)


def worker(child: IsChild = False) -> None:
    """Run the worker process, which runs handlers and calls HappyFox."""
    settings = _with_store(settings_of("worker"))
    from workers.worker import run

    _end_on_signal(child)
    raise typer.Exit(run(settings))


def _seconds(value: float) -> float:
    """Refuse nan, which is neither below nor above any limit."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number of seconds")
    return value


def _account_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", value):
        raise typer.BadParameter("use only a to z, 0 to 9 and hyphens, such as acme")
    return value


def _url_or_empty(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if value and not valid:
        raise typer.BadParameter("write a URL, such as http://127.0.0.1:8000/webhooks/demo/")
    return value


def simulator(  # noqa: PLR0913 - each argument is an option of the command
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535, envvar="PORT")] = 8010,
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar="HOST")] = LOOPBACK,
    hook: Annotated[str, typer.Option(help="URL for webhooks.", show_default="none", callback=_url_or_empty)] = "",
    secret: Annotated[str, typer.Option(help="Signing key of its webhooks.")] = "demo-secret",  # noqa: S107 - it opens nothing else
    account: Annotated[str, typer.Option(help="Name of the account.", callback=_account_name)] = "demo",
    key: Annotated[str, typer.Option(help="API key to accept.")] = "demo-key",
    code: Annotated[str, typer.Option(help="Auth code to accept.")] = "demo-code",
    gets: Annotated[int, typer.Option(help="GET calls allowed in a window.", min=1)] = 500,
    posts: Annotated[int, typer.Option(help="POST calls allowed in a window.", min=1)] = 300,
    window: Annotated[float, typer.Option(help="Seconds of a window.", min=0.001, max=DAY, callback=_seconds)] = 60,
    lockout: Annotated[float, typer.Option(help="Seconds of a lockout.", min=0, max=DAY, callback=_seconds)] = 600,
    latency: Annotated[float, typer.Option(help="Seconds that a write takes.", min=0, max=DAY, callback=_seconds)] = 0,
    child: IsChild = False,
) -> None:
    """Run a simulated HappyFox to try handlers on, all in memory.

    It has tickets, rate limits and webhooks.
    """
    from service.processes.simulator import serve, url_of
    from workers.simulator import Hook, Simulator

    _end_on_signal(child)
    listener = listen(host, port, "--port or --host (PORT or HOST)")
    limits = {"gets": gets, "posts": posts, "window": window, "lockout": lockout, "latency": latency}
    hooks = [Hook(hook, secret)] if hook else []
    happyfox = Simulator(time.time, hooks, account=account, key=key, code=code, **limits)
    url = url_of(listener)
    print(f"Simulated HappyFox: {url} (see {url}/simulator/ for what it can do)", flush=True)
    if not child:
        happyfox.create_ticket(subject="A ticket to try things on")  # `foxhooks send --sample` uses it
        print(
            f"\nSettings for foxhooks:\n"
            f"  HAPPYFOX_URL={url} HAPPYFOX_ACCOUNT={account} HAPPYFOX_STAFF_ID={BOT_ID}\n"
            f"  HAPPYFOX_API_KEY={key} HAPPYFOX_AUTH_CODE={code} HAPPYFOX_WEBHOOK_SECRETS={secret}\n\n"
            f"Ticket 1 is already open. To open another one:\n"
            f"  curl {url}/simulator/tickets "
            """-d '{"email": "sam@bigcorp.example", "text": "I want a refund."}'\n""",
            flush=True,
        )
    serve(happyfox, listener)


def _only_one(store: Embedded) -> None:
    """Lock the store's folder until this process ends; raise ``CommandError`` if another `up` has locked it."""
    store.prepare()
    path = store.folder / "up.lock"
    lock = lock_file(path)
    if lock is None:
        raise CommandError(
            f"`foxhooks up` is already running in {store.folder} (process {path.read_text()}): "
            "stop it, or set FOXHOOKS_DATA to another folder"
        )
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Listen on an address; raise ``CommandError``, which names the setting to change, if it is not free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python appends the address
        raise CommandError(f"cannot listen on {host}:{port}: {reason}; change {setting}") from None


def _with_store(settings: Settings) -> Settings:
    """Return the settings with the store's URL; also set it for child processes, which load their own settings."""
    located = require_store(settings)
    if settings.redis_url is None and located.redis_url is not None:
        os.environ |= {"REDIS_URL": located.redis_url, "FOXHOOKS_DURABILITY": settings.durability}
    return located


def _end_on_signal(child: bool) -> None:
    """Exit normally on a signal; treat the end of the parent as one.

    uvicorn handles the signal first and raises it again after its shutdown.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if child:
        end_with_parent()
