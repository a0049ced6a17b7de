"""The entry points of the long-running commands: `web`, `worker`, `simulator`, and `up` for all in one tree."""

import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from service.context import require_store, settings_of
from service.embedded import Embedded
from service.errors import CommandError
from service.processes.supervisor import Child, Output, Supervisor, end_with_parent
from workers.settings import Settings

LOOPBACK = "127.0.0.1"
#: The staff member of the simulated account that foxhooks writes as, "Foxhooks Bot".
BOT_ID = 7


def run_web(child: bool) -> None:
    """Receive webhooks until a signal; import no handler."""
    settings = _with_store(settings_of("web"))
    from service.web.app import serve

    listener = listen(settings.host or "0.0.0.0", settings.port, "PORT or HOST")
    _end_on_signal(child)
    serve(settings, [listener])


def run_worker(child: bool) -> int:
    """Work on events until a signal; return the exit code."""
    settings = _with_store(settings_of("worker"))
    from workers.worker import run

    _end_on_signal(child)
    return run(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """How to run the simulator."""

    host: str
    port: int
    account: str
    key: str
    """The API key it accepts."""
    code: str
    """The auth code it accepts."""
    hook: str
    """Where it sends webhooks; empty for nowhere."""
    secret: str
    """The signing key of its webhooks."""
    limits: Mapping[str, float]
    """Options of `workers.simulator.Simulator`: gets, posts, window, lockout, latency."""


def run_simulator(options: SimulatorOptions, child: bool) -> None:
    """Simulate HappyFox until a signal."""
    from service.processes.simulator import serve
    from workers.simulator import Hook, Simulator

    _end_on_signal(child)
    hooks = [Hook(options.hook, options.secret)] if options.hook else []
    listener = listen(options.host, options.port, "--port or --host (PORT or HOST)")
    simulator = Simulator(
        time.time, hooks, account=options.account, key=options.key, code=options.code, **options.limits
    )
    if not child:  # a first ticket to try things on; `foxhooks send --sample` uses it
        simulator.create_ticket(subject="A ticket to try things on")
    serve(simulator, listener, announce=lambda url: print(_announcement(options, url, child), flush=True))


def _announcement(options: SimulatorOptions, url: str, child: bool) -> str:
    """Describe how to use the simulator; a person also sees its keys, which open nothing else."""
    headline = f"Simulated HappyFox: {url} (see {url}/simulator/ for what it can do)"
    if child:
        return headline
    return f"""\
{headline}

Settings for foxhooks:
  HAPPYFOX_URL={url} HAPPYFOX_ACCOUNT={options.account} HAPPYFOX_STAFF_ID={BOT_ID}
  HAPPYFOX_API_KEY={options.key} HAPPYFOX_AUTH_CODE={options.code} HAPPYFOX_WEBHOOK_SECRETS={options.secret}

Ticket 1 is already open. To open another one:
  curl {url}/simulator/tickets -d '{{"email": "sam@bigcorp.example", "text": "I want a refund."}}'
"""


def run_up() -> None:
    """Run store, web and worker until Ctrl-C or SIGTERM."""
    settings = settings_of("all")
    store = Embedded(settings.data) if settings.redis_url is None else None
    with nullcontext() if store is None else _only_one(store):
        terminal = sys.stdout.isatty()
        output = Output(sys.stdout, as_json=settings.log_format == "json" and not terminal)
        environ = dict(os.environ)
        if settings.host is None:
            environ["HOST"] = LOOPBACK
        if terminal:
            environ.setdefault("LOG_FORMAT", "console")
        children = [Child(name, [name], environ, Path.cwd()) for name in ("web", "worker")]
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


@contextmanager
def _only_one(store: Embedded) -> Iterator[None]:
    """Lock the store's folder for this process tree; raise ``CommandError`` if another one has it."""
    store.prepare()
    with (store.folder / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"`foxhooks up` is already running in {store.folder} (process {lock.read().strip()}): "
                "stop it, or set FOXHOOKS_DATA to another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


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
