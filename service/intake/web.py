"""The web process: uvicorn around the application."""

import gc
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from socket import socket

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from service.intake.app import build
from workers.observe import init_logging, init_sentry
from workers.settings import Settings, load

#: Seconds in which requests under way are finished after SIGTERM.
GRACE = 10


def serve(settings: Settings, sockets: Sequence[socket] | None = None) -> None:
    """Serves until SIGTERM or SIGINT, in ``settings.web_concurrency`` processes.

    ``sockets`` are listening already; without them it listens on host and port of the settings. With more
    than one process each loads the settings anew from the environment, because a secret is never handed on.
    """
    prepare(settings)
    several = settings.web_concurrency > 1
    config = uvicorn.Config(
        "service.intake.web:application" if several else build(settings),
        factory=several,
        workers=settings.web_concurrency,
        host=settings.host or "0.0.0.0",
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = uvicorn.Server(config)
    if several:
        Multiprocess(config, list(sockets) if sockets else [config.bind_socket()]).run()
    else:
        server.run(list(sockets) if sockets else None)


def application() -> Starlette:
    """Builds the application in a process of its own, from the environment and the current folder."""
    settings = load("web", os.environ, Path.cwd())
    prepare(settings)
    return build(settings)


def prepare(settings: Settings) -> None:
    """Sets logs and error reports up, once in each process."""
    init_logging(settings)
    init_sentry(settings, "web")
    logging.getLogger("uvicorn.error").addFilter(_demote)
    calm()


def _demote(record: logging.LogRecord) -> bool:
    """Leaves what is no HTTP to those who debug: whoever scans the port could fill the log with it."""
    if record.msg == "Invalid HTTP request received.":
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return logging.getLogger().isEnabledFor(record.levelno)


def calm() -> None:
    """Lets the garbage collector look rarely: a delivery leaves no cycles, and looking costs a tenth."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
