import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from workers.simulator import ApiRequest, ApiResponse, Hook, Simulator

Files = list[tuple[str, str, str, bytes]]
"""Member, file name, content type, bytes."""
AUTH = "Basic " + base64.b64encode(b"demo-key:demo-code").decode()


@dataclass
class Clock:
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
        """Follow a link without credentials."""
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


def multipart(members: dict[str, str], files: Files) -> tuple[str, bytes]:
    """Return the content type and the body of a multipart form."""
    parts = [
        b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value.encode())
        for name, value in members.items()
    ]
    for name, filename, kind, content in files:
        head = f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        parts.append(f"{head}Content-Type: {kind}\r\n\r\n".encode() + content + b"\r\n")
    return "multipart/form-data; boundary=B", b"".join(parts) + b"--B--\r\n"


def read(response: ApiResponse) -> Any:
    assert response.status == 200, response
    return json.loads(response.body)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    return Simulator(clock, [Hook("http://hooks.example/acme", "hook-key")])


@pytest.fixture
def api(simulator: Simulator) -> Caller:
    return Caller(simulator)
