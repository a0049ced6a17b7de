"""The gateway in this process, on a real socket, in front of a simulated HappyFox on another one."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from service.processes.gateway import LIMITS, build
from service.processes.simulator import running
from tests.support.web import on_socket
from workers.settings import load
from workers.simulator import LoggedCall, Simulator

BASE = "/gateway/demo/api/1.1/json"

SETTINGS = """
handlers = ["quiet:router"]
{top}
[accounts.demo]
url = "{happyfox}"
api_key = "demo-key"
auth_code = "demo-code"
webhook_secrets = ["hook-secret"]
staff_id = 7
timeout_seconds = {timeout}
doubt_seconds = 1
{account}
{clients}
"""


def clients_table(clients: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the tables of clients as TOML; each has the token ``NAME-token``."""
    tables = []
    for name, values in clients.items():
        rows = [f"{key} = {_toml(value)}" for key, value in {"token": f"{name}-token", **values}.items()]
        tables.append("\n".join((f"[clients.{name}]", *rows)))
    return "\n".join(tables)


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


@dataclass
class Gateway:
    """A running gateway, and the simulator behind it."""

    url: str
    simulator: Simulator
    store: str
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20, trust_env=False))

    def call(self, client: str, method: str, path: str, **request: Any) -> httpx.Response:
        """Make a request as a client."""
        return self.http.request(method, f"{self.url}{BASE}{path}", auth=(client, f"{client}-token"), **request)

    def calls(self, method: str = "", ending: str = "") -> list[LoggedCall]:
        """Return the calls that arrived at HappyFox."""
        return [
            call
            for call in list(self.simulator.log)
            if call.method.startswith(method) and call.path.strip("/").endswith(ending)
        ]


@contextlib.contextmanager
def serving(
    store: str,
    folder: Path,
    clients: Mapping[str, Mapping[str, Any]],
    *,
    top: str = "",
    account: str = "",
    simulator: Simulator | None = None,
    happyfox: str = "",
    timeout: int = 2,
    **options: Any,
) -> Iterator[Gateway]:
    """Run a gateway for the block, in front of a simulator with these options or of another ``happyfox``."""
    simulator = simulator or Simulator(time.time, **{"gets": 100_000, "posts": 100_000, **options})
    with running(simulator) as simulated:
        url = happyfox or simulated
        text = SETTINGS.format(happyfox=url, timeout=timeout, top=top, account=account, clients=clients_table(clients))
        (folder / "foxhooks.toml").write_text(text)
        settings = load("gateway", {"REDIS_URL": store}, folder)
        with on_socket(build(settings), LIMITS) as port:
            gateway = Gateway(f"http://127.0.0.1:{port}", simulator, store)
            try:
                yield gateway
            finally:
                gateway.http.close()
