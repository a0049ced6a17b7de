"""`foxhooks up`: store, web and worker in one process tree, for a laptop or a single server."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from service.context import settings_of
from service.embedded import Embedded
from service.errors import CommandError
from service.processes.child import Child
from service.processes.output import OURSELVES, Output
from service.processes.supervisor import Supervisor
from workers.settings import Settings

LOOPBACK = "127.0.0.1"


def run() -> None:
    """Keeps everything running until Ctrl-C or SIGTERM."""
    settings = settings_of("all")
    store = Embedded(settings.data) if settings.redis_url is None else None
    with nullcontext() if store is None else only_one(store):
        output = Output(sys.stdout, plain=settings.log_format == "json" and not sys.stdout.isatty())
        environ = _environ(settings)
        children = [Child(name, [name], environ, Path.cwd()) for name in ("web", "worker")]
        supervisor = Supervisor(children, store, output.show)
        with supervisor.running():
            for line in _greeting(settings):
                output.show(OURSELVES, line)
            while not supervisor.stopping:
                supervisor.poll(0.5)
            output.show(OURSELVES, "stopping; press Ctrl-C again to stop at once")


@contextmanager
def only_one(store: Embedded) -> Iterator[None]:
    """Holds the store's folder for this process tree; raises ``CommandError`` while another one has it."""
    store.prepare()
    with (store.folder / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"process {lock.read().strip()} runs in {store.folder} already: stop it, or set FOXHOOKS_DATA"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _environ(settings: Settings) -> dict[str, str]:
    environ = dict(os.environ)
    if settings.host is None:
        environ["HOST"] = LOOPBACK
    if sys.stdout.isatty():
        environ.setdefault("LOG_FORMAT", "console")
    return environ


def _greeting(settings: Settings) -> Iterator[str]:
    host = settings.host or LOOPBACK
    for name in settings.accounts:
        yield f"account {name}: HappyFox's webhooks go to http://{host}:{settings.port}/webhooks/{name}/"
    yield "try it: `foxhooks send --sample created --ticket N`; see it: `foxhooks status`; stop it: Ctrl-C"
