"""Large answers and files pass in little memory, however slowly the clients read."""

import contextlib
import gc
import gzip
import threading
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from service.gateway import endpoint
from tests.support.gateway import BASE, Gateway, serving
from tests.support.processes import wait_until

#: A piece of a body, and how many a large body has: far more than the buffers of connections hold.
PIECE, PIECES = bytes(range(256)) * 256, 320
LENGTH = len(PIECE) * PIECES
PACKED = gzip.compress(PIECE * PIECES)

#: Bytes that Python may hold at most while large bodies pass: a quarter of one of them.
MOST_HELD = LENGTH // 4

CLIENTS: dict[str, dict[str, Any]] = {"reporting": {"allow": ["reports:read", "tickets:note"], "wait": 20}}
AUTH = ("reporting", "reporting-token")

FORM = "multipart/form-data; boundary=B"
HEAD = b'--B\r\nContent-Disposition: form-data; name="attachments"; filename="a"\r\n\r\n'
TAIL = b'\r\n--B\r\nContent-Disposition: form-data; name="staff"\r\n\r\n1\r\n--B--\r\n'


class Large(BaseHTTPRequestHandler):
    """A HappyFox with a ticket and a large report, which remembers the digest of what it gets."""

    protocol_version = "HTTP/1.1"
    received = ""

    def do_GET(self) -> None:
        if "/ticket/" in self.path:
            self.answer(b'{"id": 1, "updates": []}')
            return
        packed = self.path.endswith("/report/2/")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(PACKED) if packed else LENGTH))
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        for piece in [PACKED] if packed else [PIECE] * PIECES:
            self.wfile.write(piece)

    def do_POST(self) -> None:
        digest, left = sha256(), int(self.headers["Content-Length"])
        while left and (piece := self.rfile.read(min(left, len(PIECE)))):
            digest.update(piece)
            left -= len(piece)
        type(self).received = digest.hexdigest()
        self.answer(b'{"id": 1, "updates": []}')

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def shared(_valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Large) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        with serving(_valkey, tmp_path_factory.mktemp("gateway"), CLIENTS, happyfox=url, timeout=60) as served:
            yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def gateway(valkey_url: str, shared: Gateway) -> Gateway:
    """A gateway whose store is empty."""
    return shared


@contextlib.contextmanager
def held() -> Iterator[list[int]]:
    """Measure the bytes that Python holds at most during the block, beyond those before it."""
    found: list[int] = []
    gc.collect()
    tracemalloc.start()
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("report", [1, 2], ids=["plain", "compressed"])
def test_large_answers_wait_for_slow_clients_in_files(gateway: Gateway, report: int) -> None:
    expected = sha256(PIECE * PIECES).hexdigest()
    gateway.http.get(f"{gateway.url}/livez")
    with contextlib.ExitStack() as opened:
        with held() as most:
            answers = [
                opened.enter_context(gateway.http.stream("GET", f"{gateway.url}{BASE}/report/{report}/", auth=AUTH))
                for _ in range(2)
            ]
        assert [(each.status_code, each.headers["content-length"]) for each in answers] == [(200, str(LENGTH))] * 2
        for answer in answers:
            digest = sha256()
            for piece in answer.iter_bytes():
                digest.update(piece)
            assert digest.hexdigest() == expected
    assert most[0] < MOST_HELD


def test_a_large_file_reaches_happyfox_as_it_was_sent(gateway: Gateway) -> None:
    digest = sha256()

    def body() -> Iterator[bytes]:
        for piece in (HEAD, *[PIECE] * PIECES, TAIL):
            digest.update(piece)
            yield piece

    headers = {"Content-Type": FORM, "Content-Length": str(len(HEAD) + LENGTH + len(TAIL)), "Idempotency-Key": "k"}
    url = f"{gateway.url}{BASE}/ticket/1/staff_pvtnote/"
    with held() as most:
        answer = gateway.http.post(url, content=body(), headers=headers, auth=AUTH)
    assert (answer.status_code, Large.received) == (200, digest.hexdigest())
    assert most[0] < MOST_HELD


def test_many_unread_answers_keep_later_calls_out(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_WAITING", LENGTH - 1)
    url = f"{gateway.url}{BASE}/report/1/"

    def status() -> int:
        with gateway.http.stream("GET", url, auth=AUTH) as answer:
            return answer.status_code

    with gateway.http.stream("GET", url, auth=AUTH) as unread:
        assert unread.status_code == 200
        refused = httpx.get(url, auth=AUTH, trust_env=False)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    wait_until(lambda: status() == 200, "the answer that nobody reads any more is gone")
