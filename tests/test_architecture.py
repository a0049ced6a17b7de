"""The architecture page follows a delivery through the modules that really run, in their order."""

import asyncio
import contextlib
import difflib
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import dramatiq
import pytest
import redis

from service.processes.simulator import running
from service.web import app as web
from tests.support import intake
from tests.support.processes import ROOT, wait_until
from workers import worker
from workers.settings import load
from workers.simulator import Simulator
from workers.store.keys import Keys, prefix
from workers.webhook import HEADER, sign

PAGE = (ROOT / "docs" / "architecture.md").read_text()
MODULE = re.compile(r"`((?:service|workers)/[\w/]*\.py)`")
#: The simulated HappyFox.
OUTSIDE = ("workers/simulator/", "service/processes/")
#: Threads whose work is not part of a turn.
BACKGROUND = ("leases", "scheduler-acme")

HANDLER = """
from workers import Router

router = Router("vip")


@router.on("ticket-created")
def greet(ticket, event):
    ticket.add_tags("vip")
    ticket.note("VIP contact: answer within the hour.")
    ticket.set(priority="High")
"""


class Trace:
    """The modules of the product that were entered, in the order of their first entry."""

    def __init__(self) -> None:
        self.modules: dict[str, None] = {}

    @contextlib.contextmanager
    def this_thread(self) -> Iterator[None]:
        """Trace the current thread during the block."""
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)

    @contextlib.contextmanager
    def new_threads(self) -> Iterator[None]:
        """Trace threads that start during the block."""
        threading.setprofile(self._profile)
        try:
            yield
        finally:
            threading.setprofile(None)

    def _profile(self, frame: FrameType, what: str, _: Any) -> None:
        path, inside = frame.f_code.co_filename, frame.f_code.co_filename.removeprefix(f"{ROOT}/")
        if what != "call" or path == inside or not inside.startswith(("service/", "workers/")):
            return
        if not inside.startswith(OUTSIDE) and threading.current_thread().name not in BACKGROUND:
            self.modules.setdefault(inside)


def trace_delivery(store: redis.Redis, url: str, folder: Path) -> list[str]:
    """Post a delivery to the endpoint and let a worker take its turn; return the modules that were entered."""
    simulator, trace = Simulator(time.time), Trace()
    with running(simulator) as happyfox:
        environ = {
            "FOXHOOKS_DURABILITY": "fsync",
            "FOXHOOKS_HANDLERS": "greeter:router",
            "HAPPYFOX_ACCOUNT": "acme",
            "HAPPYFOX_API_KEY": "demo-key",
            "HAPPYFOX_AUTH_CODE": "demo-code",
            "HAPPYFOX_STAFF_ID": "7",
            "HAPPYFOX_URL": happyfox,
            "HAPPYFOX_WEBHOOK_SECRETS": intake.KEY,
            "REDIS_URL": url,
        }
        app = web.build(load("web", environ, folder))
        threads = dramatiq.Worker(worker.build(load("worker", environ, folder)), worker_threads=1)
        ticket = simulator.create_ticket("sam@bigcorp.example", subject="Help").id
        body = b'{"ticket_id":%d}' % ticket
        headers = {HEADER: sign(intake.KEY, body)}

        async def deliver() -> None:
            async with app.router.lifespan_context(app), intake.client(app) as http:
                answer = await http.post("/webhooks/acme/created", content=body, headers=headers)
            assert answer.status_code == 200

        prefix.cache_clear()  # what other tests have cached runs no code of its module
        with trace.this_thread():
            asyncio.run(deliver())
        with trace.new_threads():
            threads.start()
            try:
                wait_until(lambda: store.zcard(Keys("acme").turns), "the turn is settled", 30)
            finally:
                threads.stop()
        assert simulator.account.tickets[ticket].tags == ("vip",)
    return list(trace.modules)


def section(title: str) -> str:
    """Return one section of the page."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_path_on_the_page_is_the_one_that_a_delivery_takes(
    store: redis.Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "greeter.py").write_text(HANDLER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(worker, "init_logging", lambda settings: None)
    path, _, helpers = section("The path of a delivery").partition("\nHelpers on the way:")
    steps = [module for step in re.split(r"^\d+\. ", path, flags=re.MULTILINE)[1:] for module in MODULE.findall(step)]
    small = MODULE.findall(helpers)

    entered = trace_delivery(store, valkey_url, tmp_path)

    assert [module for module in small if module not in entered] == []
    ran = [module for module in entered if module not in small]
    assert steps == ran, "\n".join(
        difflib.unified_diff(steps, ran, "the page", "the modules that ran", n=99, lineterm="")
    )


def test_every_path_on_the_page_exists() -> None:
    paths = re.findall(r"`((?:deploy|docs|examples|service|tests|workers)/[\w/.-]*)`", PAGE)
    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / path).exists()] == []
