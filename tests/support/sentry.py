"""A fake Sentry: it accepts envelopes on the loopback address and keeps them."""

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeSentry(ThreadingHTTPServer):
    """Keeps every envelope that arrives, unpacked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.envelopes: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Intake)

    @property
    def dsn(self) -> str:
        """Its address as the setting SENTRY_DSN."""
        return f"http://public@127.0.0.1:{self.server_port}/1"

    @property
    def text(self) -> str:
        """Everything that arrived."""
        return b"\n".join(self.envelopes).decode()

    def events(self) -> list[dict[str, Any]]:
        """Return the error reports and messages that arrived, without sessions and the like."""
        found = []
        for envelope in list(self.envelopes):
            _, *items = envelope.split(b"\n")
            for head, payload in zip(items[::2], items[1::2], strict=False):
                if head and json.loads(head).get("type") == "event":
                    found.append(json.loads(payload))
        return found


class _Intake(BaseHTTPRequestHandler):
    server: FakeSentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.envelopes.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextlib.contextmanager
def listening() -> Iterator[FakeSentry]:
    """Run a fake Sentry until the block ends."""
    with FakeSentry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
