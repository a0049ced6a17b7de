"""The simulated HappyFox in this process: a caller of its API without sockets, and a client on it."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from httpx import SyncByteStream

from tests.support.settings import WHOLE
from workers.happyfox.endpoints import Client
from workers.happyfox.http import ApiConnection, encoded
from workers.happyfox.messages import BASE, Answer, Request
from workers.settings import load_account
from workers.simulator import ApiRequest, ApiResponse, Simulator
from workers.store.client import Store
from workers.store.permits import Governor

STAFF = 7
Files = list[tuple[str, str, str, bytes]]
"""Member, file name, content type, bytes."""
AUTH = "Basic " + base64.b64encode(b"demo-key:demo-code").decode()


def connect_to(
    url: str, governor: Governor, store: Store, *, timeout: float = 5.0, key: str = "key", code: str = "code"
) -> ApiConnection:
    """Return a connection to a server, with what an account would set."""
    environ = {**WHOLE, "HAPPYFOX_API_KEY": key, "HAPPYFOX_AUTH_CODE": code}
    account = load_account(environ, Path("/nowhere")).account
    return ApiConnection(replace(account, url=url, timeout=timeout), governor, store)


@dataclass
class FakeClock:
    """A clock that stands still until a test moves it."""

    now: float = 1_700_000_000.0  # 14 Nov 2023, 22:13:20 UTC

    def __call__(self) -> float:
        return self.now


@dataclass
class Caller:
    """Makes API calls without a socket."""

    simulator: Simulator
    auth: str = AUTH

    def request(
        self, method: str, path: str, body: Any = None, query: str = "", kind: str = "application/json"
    ) -> ApiRequest:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": self.auth, "content-type": kind}
        return ApiRequest(method, f"/api/1.1/json/{path}", query=query, headers=headers, body=content)

    def get(self, path: str, query: str = "") -> ApiResponse:
        return self.simulator.handle(self.request("GET", path, query=query))

    def post(self, path: str, body: Any = None, kind: str = "application/json") -> ApiResponse:
        return self.simulator.handle(self.request("POST", path, body, kind=kind))

    def send(self, method: str, path: str, body: Any = None, query: str = "") -> ApiResponse:
        return self.simulator.handle(self.request(method, path, body, query))

    def upload(self, path: str, members: dict[str, str], files: Files) -> ApiResponse:
        kind, body = multipart(members, files)
        return self.post(path, body, kind)

    def follow(self, url: str, headers: dict[str, str] | None = None) -> ApiResponse:
        """Follow a link, without credentials."""
        parts = urlsplit(url)
        return self.simulator.handle(ApiRequest("GET", unquote(parts.path), query=parts.query, headers=headers or {}))

    def got(self, path: str, query: str = "") -> Any:
        return read(self.get(path, query))

    def posted(self, path: str, body: Any = None) -> Any:
        return read(self.post(path, body))

    def refused(self, path: str, body: Any = None, status: int = 400) -> Any:
        response = self.post(path, body)
        assert response.status == status
        return json.loads(response.body)


def multipart(members: dict[str, str] | list[tuple[str, str]], files: Files) -> tuple[str, bytes]:
    """Return the content type and the body of a multipart form, whose members may be repeated."""
    parts = [
        b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value.encode())
        for name, value in (members.items() if isinstance(members, dict) else members)
    ]
    for name, filename, kind, content in files:
        head = f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        parts.append(f"{head}Content-Type: {kind}\r\n\r\n".encode() + content + b"\r\n")
    return "multipart/form-data; boundary=B", b"".join(parts) + b"--B--\r\n"


def read(response: ApiResponse) -> Any:
    """Return the JSON of a successful answer."""
    assert response.status == 200, response
    return json.loads(response.body)


class Asked(Exception):
    """Stop a method and carry the request that it would have sent."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request


def asked(method: Callable[[Client], object]) -> Request:
    """Return the first request that a method of the client makes."""

    def send(request: Request) -> Answer:
        raise Asked(request)

    with pytest.raises(Asked) as caught:
        method(Client(send, staff_id=STAFF))
    return caught.value.request


@dataclass
class ClientDesk:
    """A client whose requests go into a simulator, as bytes; `asked` keeps them."""

    options: dict[str, Any] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.simulator = Simulator(self.clock, **{"gets": 10_000, "posts": 10_000, **self.options})
        self.client = Client(self.send, staff_id=STAFF, site="https://demo.happyfox.example")

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        with encoded(request, "https://demo.happyfox.example" + BASE, {"Authorization": AUTH}) as sent:
            headers, body = dict(sent.headers), b"".join(cast(SyncByteStream, sent.stream))
        assert len(body) == int(headers.get("content-length", 0))
        query = urlencode(request.query, doseq=True)
        response = self.simulator.handle(
            ApiRequest(request.method, BASE + request.path, query=query, headers=headers, body=body)
        )
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)

    def ticket(self, **draft: Any) -> int:
        """Open a ticket as a contact and return its number."""
        return self.simulator.create_ticket(**draft).id
