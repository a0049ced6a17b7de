"""The account acme in tests of the web process: settings, a client, deliveries, and what was counted."""

import tempfile
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from workers.settings import Settings, load
from workers.webhook import HEADER, sign

KEY = "hf-test-signing-key"
REPLY = b'{"ticket_id":3,"update":{"message_type":"Client Reply"}}'
P = "foxhooks:{acme}:"


def settings(url: str, **more: str) -> Settings:
    """Return the settings of a web process: account acme, two secrets, durability fsync."""
    names = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": f"newest,{KEY}"}
    environ = {**names, "REDIS_URL": url, "FOXHOOKS_DURABILITY": "fsync", **more}
    return load("web", environ, Path(tempfile.gettempdir()))


def client(app: Starlette) -> httpx.AsyncClient:
    """Return a client that calls the application in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://foxhooks")


async def deliver(
    http: httpx.AsyncClient, body: bytes = REPLY, path: str = "/webhooks/acme", **headers: str
) -> httpx.Response:
    """Post a body, signed."""
    signed = {HEADER: sign(KEY, body), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await http.post(path, content=body, headers=signed)


def counts(store: Any) -> dict[str, int]:
    """Return what was counted, without the times."""
    found = store.hgetall(P + "counts")
    return {name.decode(): int(value) for name, value in found.items() if not name.endswith(b":at")}
