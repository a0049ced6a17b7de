"""An HTTP server on the loopback address that behaves as badly as a test asks for."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

Behaviour = Callable[["Peer", socket.socket, bytes], None]


class Peer:
    """Accepts connections and answers each request by `behaviour`; keeps what arrived."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.over = threading.Event()
        """Set at the end of the test, so that hanging connections end."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(0.05)
            while (request := self._request(connection)) is not None:
                self.requests.append(request)
                self.behaviour(self, connection, request)

    def _request(self, connection: socket.socket) -> bytes | None:
        """Read one whole request; None when the connection or the test is over."""
        received = b""
        while not self.over.is_set():
            head, end, body = received.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if end and len(body) >= (int(lengths[0].split(b":")[1]) if lengths else 0):
                return received
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                continue
            if not piece:
                return None
            received += piece
        return None


@contextlib.contextmanager
def peer(behaviour: Behaviour) -> Iterator[Peer]:
    """Run a peer until the block ends."""
    server = Peer(behaviour)
    try:
        yield server
    finally:
        server.close()


def says(status: int = 200, body: bytes = b"{}", headers: str = "") -> Behaviour:
    """Return a behaviour that answers properly."""
    text = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
    return lambda _, connection, __: connection.sendall(text + body)


def sends(raw: bytes) -> Behaviour:
    """Return a behaviour that sends these bytes and closes the connection."""

    def behave(_: Peer, connection: socket.socket, __: bytes) -> None:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


def trickles(peer: Peer, connection: socket.socket, _: bytes) -> None:
    """Send a byte every 20 ms for as long as the client listens."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not peer.over.wait(0.02):
        connection.sendall(b"x")


def trickles_headers(peer: Peer, connection: socket.socket, _: bytes) -> None:
    """Send headers without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not peer.over.wait(0.02):
        connection.sendall(b"x")


def hangs(peer: Peer, _: socket.socket, __: bytes) -> None:
    """Never answer."""
    peer.over.wait()


def resets(_: Peer, connection: socket.socket, __: bytes) -> None:
    """End the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
