"""A lockout with several processes: each has its own connection, all share the store."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

import redis

from tests.support.happyfox import connect_to
from tests.support.peer import Peer, peer, says
from workers.errors import InDoubt, NotNow, Unsent
from workers.happyfox.http import ApiConnection
from workers.happyfox.tickets import staff_update, ticket
from workers.settings import Budget
from workers.store.client import Store, connect
from workers.store.clock import monotonic
from workers.store.permits import Governor

LOCKOUT = 1.0
IN_FLIGHT = 4
PROBE_TAKES = 0.3


@dataclass
class Desk:
    """A HappyFox that locks out at its 20th call, and takes its time for the first call afterwards."""

    arrived: list[tuple[float, str]] = field(default_factory=list)
    locked_at: float | None = None
    probed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, server: Peer, connection: socket.socket, request: bytes) -> None:
        with self.lock:
            now = monotonic()
            self.arrived.append((now, request[:4].decode().strip()))
            if self.locked_at is None and len(self.arrived) == 20:
                self.locked_at = now
            locked = self.locked_at is not None and now < self.locked_at + LOCKOUT
            probe = self.locked_at is not None and not locked and not self.probed
            self.probed = self.probed or probe
        if probe:
            server.over.wait(PROBE_TAKES)
        says(429 if locked else 200)(server, connection, request)


def work(connection: ApiConnection, over: threading.Event, post: bool) -> None:
    """One thread that calls as often as it may."""
    while not over.is_set():
        try:
            connection.send(staff_update(1, staff=1, text="x") if post else ticket(1))
        except NotNow as error:
            over.wait(min(error.wait, 100) / 1000)
        except (Unsent, InDoubt):
            pass


def test_one_probe_of_the_whole_fleet_reopens_the_account(valkey_url: str) -> None:
    desk, over = Desk(), threading.Event()
    budget = Budget(1000, 1000, 2.0, LOCKOUT, 1.0, IN_FLIGHT)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(peer(desk.answer))
        connections = []
        for _ in range(3):
            client: redis.Redis = stack.enter_context(connect(valkey_url))
            connection = connect_to(server.url, Governor("acme", budget), Store(client))
            connections.append(connection)
            stack.callback(connection.close)
        threads = [
            threading.Thread(target=work, args=(connection, over, post))
            for connection in connections
            for post in (False, True)
        ]
        for thread in threads:
            thread.start()
        give_up = time.monotonic() + 50
        while len(desk.arrived) < 60 and time.monotonic() < give_up:
            time.sleep(0.01)
        over.set()
        for thread in threads:
            thread.join()
    assert desk.locked_at is not None
    after = [(at - desk.locked_at, method) for at, method in desk.arrived if at >= desk.locked_at]
    refused = [at for at, _ in after if at < LOCKOUT]
    assert len(refused) <= len(threads), "nobody met the lockout twice"
    (first, method), (second, _), *_ = after[len(refused) :]
    assert method == "GET"
    assert first >= LOCKOUT
    assert first < LOCKOUT + 5
    assert second >= first + PROBE_TAKES, "no second call before the probe was answered"
    writes = [at for at, method in after[len(refused) :] if method == "POST"]
    assert writes
