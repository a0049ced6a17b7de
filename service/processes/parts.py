"""The parts as processes: web, worker, simulator, each with its own settings and the store's answer first."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.access import require_store, settings_of
from service.failures import CommandError
from service.processes.child import end_with_parent
from workers.settings import Settings

#: The staff member of the simulated account that stands for us.
BOT = 7


def run_web(child: bool) -> None:
    """Serves deliveries until a signal; imports no handler."""
    settings = _with_store(settings_of("web"))
    from service.web.app import serve

    listener = listen(settings.host or "0.0.0.0", settings.port, "PORT or HOST")
    _obey(child)
    serve(settings, [listener])


def run_worker(child: bool) -> int:
    """Takes turns until a signal; gives the exit code."""
    settings = _with_store(settings_of("worker"))
    from workers.main import run

    _obey(child)
    return run(settings)


@dataclass(frozen=True, slots=True)
class Play:
    """How the simulator is to play HappyFox: where, who may call it, and whom its webhooks tell."""

    host: str
    port: int
    account: str
    key: str
    code: str
    hook: str
    secret: str
    limits: Mapping[str, float]
    """Members of the simulator's options: gets, posts, window, lockout, latency."""


def run_simulator(play: Play, child: bool) -> None:
    """Plays HappyFox until a signal."""
    from service.processes.simulator import serve
    from workers.simulator import Hook, Simulator

    _obey(child)
    hooks = [Hook(play.hook, play.secret)] if play.hook else []
    options = {"account": play.account, "key": play.key, "code": play.code, **play.limits}
    listener = listen(play.host, play.port, "--port or --host (PORT or HOST)")
    simulator = Simulator(time.time, hooks, **options)
    if not child:  # a person finds a ticket to try things on: the one that `foxhooks send --sample` means
        simulator.create_ticket(subject="A ticket to try things on")
    serve(
        simulator, listener, announce=lambda address: print(*_announcement(play, address, child), sep="\n", flush=True)
    )


def _announcement(play: Play, address: str, child: bool) -> Iterator[str]:
    """Says where the simulator is and, to a person, what opens it: its keys are made up and open nothing else."""
    yield f"A simulated HappyFox answers at {address}; {address}/simulator/ tells what can be done there."
    yield f"HAPPYFOX_URL={address} HAPPYFOX_ACCOUNT={play.account} HAPPYFOX_STAFF_ID={BOT}"
    if not child:
        yield f"HAPPYFOX_API_KEY={play.key} HAPPYFOX_AUTH_CODE={play.code} HAPPYFOX_WEBHOOK_SECRETS={play.secret}"
        yield "Ticket 1 is there. This opens another one:"
        wish = '{"email": "sam@bigcorp.example", "text": "I want a refund."}'
        yield f"  curl {address}/simulator/tickets -d '{wish}'"


def listen(host: str, port: int, where: str) -> socket.socket:
    """Listens at an address; ``where`` names what chooses it. Raises ``CommandError`` for one that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as failed:
        raise CommandError(f"cannot listen: {failed.strerror}; change {where}") from None


def _with_store(settings: Settings) -> Settings:
    """Gives the settings with the store's address, also to the processes this one makes: they load theirs anew."""
    located = require_store(settings)
    if settings.redis_url is None and located.redis_url is not None:
        os.environ |= {"REDIS_URL": located.redis_url, "FOXHOOKS_DURABILITY": settings.durability}
    return located


def _obey(child: bool) -> None:
    """Makes a signal the regular end of the process, and the parent's death a signal.

    uvicorn raises the signal that ended it once more when it is done.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if child:
        end_with_parent()
