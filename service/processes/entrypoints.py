"""The commands that keep running: `up`, `web`, `worker`, `gateway` and `dashboard`; the simulator has its own module.

Each imports only what its process needs: a web process never loads the engine.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from service.context import require_store, settings_of
from service.embedded import UP_LOCK, Embedded, lock_file
from service.errors import CommandError
from service.processes.supervisor import Child, Output, Supervisor, end_with_parent
from workers.errors import suggest
from workers.settings import ROLES, Settings, environ_for

LOOPBACK = "127.0.0.1"
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - a platform's router calls from outside; HOST limits it
#: The staff member of the simulated account that foxhooks writes as, "Foxhooks Bot".
BOT_ID = 7

#: A child of `up` or `demo`, which ends with its parent.
IsChild = Annotated[bool, typer.Option("--child", hidden=True)]


def up(
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart the worker when plug-ins, rules or settings change.")
    ] = False,
) -> None:
    """Run store, web and worker in one process tree, with your settings.

    Ctrl-C stops all of it. `--reload` is for development: a change restarts the worker, which needs about a second.
    """
    settings = settings_of("all")
    on_dyno = bool(os.environ.get("DYNO"))
    if on_dyno and settings.redis_url is None:
        raise CommandError(
            "Heroku deletes a dyno's files at least once a day, so the embedded store would lose what was accepted: "
            "add a store, which sets REDIS_URL (heroku addons:create heroku-redis:premium-0)"
        )
    store = Embedded(settings.data, maxmemory=settings.store_maxmemory) if settings.redis_url is None else None
    if store is not None:
        _only_one(store)
    terminal = sys.stdout.isatty()
    output = Output(sys.stdout, as_json=settings.log_format == "json" and not terminal)
    environ = dict(os.environ)
    host = settings.host or (EVERY_INTERFACE if on_dyno else LOOPBACK)
    environ["HOST"] = host
    if terminal:
        environ.setdefault("LOG_FORMAT", "console")
    # The worker keeps everything, because plug-ins may need any variable.
    environs = {"web": environ_for("web", environ, Path.cwd()), "worker": environ}
    if settings.clients:
        served = environ_for("gateway", environ, Path.cwd())
        environs["gateway"] = {**served, "FOXHOOKS_GATEWAY_PORT": str(settings.gateway_port)}
    children = [Child(name, [name], own, Path.cwd()) for name, own in environs.items()]
    supervisor = Supervisor(children, store, output)
    with supervisor.running():
        url = f"http://{host}:{settings.port}"
        for account in settings.accounts:
            output.say(f"webhooks of the account {account}: {url}/webhooks/{account}/")
        if settings.has_people and settings.dashboard:
            output.say(f"dashboard: {url}/dashboard/")
        for client in settings.clients:
            address = f"http://{settings.host or LOOPBACK}:{settings.gateway_port}/gateway/ACCOUNT"
            output.say(f"HappyFox's API for the client {client}: {address}")
        output.say("try it with `foxhooks send --sample created --ticket N`, then see `foxhooks status`")
        output.say("press Ctrl-C to stop")
        rules = [account.rules for account in settings.accounts.values()]
        watched = WatchedFiles((*rules, settings.config_path), Path.cwd()) if reload else None
        while not supervisor.stopping:
            supervisor.poll(0.5)
            if watched and (changed := watched.changed()):
                output.say(f"{changed} has changed; restarting the worker")
                supervisor.replace("worker")
        output.say("stopping; press Ctrl-C again to stop at once")


class WatchedFiles:
    """The files that a worker reads at its start: rules and settings, and Python files in the folder."""

    def __init__(self, files: Iterable[Path | None], folder: Path) -> None:
        self._files, self._folder = [path for path in files if path], folder
        self._seen = self._times()

    def changed(self) -> str:
        """Return a file that was changed, added or removed since the last call, or an empty string."""
        before, self._seen = self._seen, self._times()
        different = {path for path, _ in before.items() ^ self._seen.items()}
        return os.path.relpath(min(different), self._folder) if different else ""

    def _times(self) -> dict[Path, int]:
        found = {}
        for path in (*self._files, *self._python_files()):
            with suppress(OSError):
                found[path] = path.stat().st_mtime_ns
        return found

    def _python_files(self) -> Iterator[Path]:
        """Yield the Python files of the folder, without hidden folders and virtual environments."""
        for folder, folders, files in os.walk(self._folder):
            place = Path(folder)
            hidden = (".", "__")
            folders[:] = [
                each for each in folders if not each.startswith(hidden) and not (place / each / "pyvenv.cfg").exists()
            ]
            yield from (place / each for each in files if each.endswith(".py"))


def web(child: IsChild = False) -> None:
    """Run the web process, which receives HappyFox's webhooks."""
    settings = _with_store(settings_of("web"))
    from service.web.app import serve

    listener = listen(settings.host or EVERY_INTERFACE, settings.port, "PORT or HOST")
    end_on_signal(child)
    serve(settings, listener)


def gateway(child: IsChild = False) -> None:
    """Run the gateway, through which other programs use HappyFox within the same limits."""
    settings = _with_store(settings_of("gateway"))
    if not settings.clients:
        raise CommandError(
            "no program may use the gateway: add a table [clients.NAME] with token and allow to "
            f"{settings.config_path or 'foxhooks.toml'}"
        )
    from service.processes.gateway import serve

    listener = listen(settings.host or LOOPBACK, settings.gateway_port, "FOXHOOKS_GATEWAY_PORT or HOST")
    end_on_signal(child)
    serve(settings, listener)


def mcp(
    client: Annotated[str, typer.Option("--client", help="The client, as in [clients.NAME], whose permissions hold.")],
) -> None:
    """Serve a language model over standard input and output (MCP).

    A program on this machine starts this command. Others use the gateway's address with the path /mcp and the client's
    token.
    """
    settings = _with_store(settings_of("gateway"))
    if client not in settings.clients:
        raise CommandError(suggest(client, settings.clients, f"add [clients.{client}] with token and allow"))
    try:
        from service.mcp.stdio import serve
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise CommandError("MCP needs another package: pip install 'foxhooks[mcp]'") from None

    serve(settings, settings.clients[client])


def worker(child: IsChild = False) -> None:
    """Run the worker process, which runs handlers and calls HappyFox."""
    settings = _with_store(settings_of("worker"))
    from workers.worker import run

    end_on_signal(child)
    raise typer.Exit(run(settings, "service.processes.worker_process:start"))


dashboard = typer.Typer(help="Run the dashboard as a process of its own.", add_completion=False)


@dashboard.callback(invoke_without_command=True)
def serve_dashboard(context: typer.Context, child: IsChild = False) -> None:
    """Run the dashboard as a process of its own.

    The web process serves it, too, unless FOXHOOKS_DASHBOARD=off is set there.
    """
    if context.invoked_subcommand is not None:
        return
    settings = _with_store(settings_of("dashboard"))
    if not settings.has_people:
        names = "FOXHOOKS_ADMIN_PASSWORD, FOXHOOKS_DASHBOARD_USERS or FOXHOOKS_DASHBOARD_PROXY"
        raise CommandError(f"nobody could log in: set {names}")
    from service.web.app import serve_pages

    listener = listen(settings.host or EVERY_INTERFACE, settings.port, "PORT or HOST")
    end_on_signal(child)
    serve_pages(settings, listener)


@dashboard.command()
def password(
    user: Annotated[str, typer.Argument(help="The user's name.")] = "ada",
    role: Annotated[str, typer.Option(help=f"What the user may do: {', '.join(ROLES)}.")] = "admin",
) -> None:
    """Ask for a password and print the user for FOXHOOKS_DASHBOARD_USERS."""
    from service.dashboard.people import HASHER
    from workers.settings.parse import InvalidValueError, dashboard_users

    typed = typer.prompt("Password", hide_input=True, confirmation_prompt=sys.stdin.isatty(), err=True)
    line = f"{user}:{role}:{HASHER.hash(typed)}"
    try:
        dashboard_users(line)
    except InvalidValueError:
        raise typer.BadParameter(f"the name has a to z, 0 to 9 and . _ - @ +; the role is {', '.join(ROLES)}") from None
    print(line)


def _only_one(store: Embedded) -> None:
    """Lock the store's folder until this process ends; raise ``CommandError`` if another `up` has locked it."""
    store.prepare()
    path = store.folder / UP_LOCK
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


def end_on_signal(child: bool) -> None:
    """Exit normally on a signal; treat the end of the parent as one.

    uvicorn handles the signal first and raises it again after its shutdown.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if child:
        end_with_parent()
