"""A server that speaks the protocol of Redis and answers as a test says: with errors, or as another version."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator

import hiredis

OK = b"+OK\r\n"

Answer = Callable[[int, bytes], bytes]
"""Answers a command, whose name is in upper case; the connections are counted from 1."""


class FakeStore(socketserver.ThreadingTCPServer):
    """A server that accepts every login, and answers the other commands as it is told."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: Answer, name: str = "redis", version: str = "7.2.4") -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.answer, self.connections = answer, 0
        self.greeting = f"%3\r\n+server\r\n+{name}\r\n+version\r\n+{version}\r\n+proto\r\n:3\r\n".encode()
        self.url = f"redis://127.0.0.1:{self.server_address[1]}"

    def respond(self, connection: int, command: list[bytes]) -> bytes:
        """Return the answer to a command."""
        name = command[0].upper()
        if name == b"HELLO":
            return self.greeting
        return OK if name == b"CLIENT" else self.answer(connection, name)


class _Conversation(socketserver.BaseRequestHandler):
    server: FakeStore

    def handle(self) -> None:
        self.server.connections += 1
        number, reader = self.server.connections, hiredis.Reader()
        with contextlib.suppress(OSError):
            while received := self.request.recv(65536):
                reader.feed(received)
                try:
                    while command := reader.gets():
                        self.request.sendall(self.server.respond(number, command))
                except hiredis.ProtocolError:
                    self.request.sendall(b"-ERR Protocol error\r\n")
                    return


@contextlib.contextmanager
def answering(answer: Answer, name: str = "redis", version: str = "7.2.4") -> Iterator[FakeStore]:
    """Run such a server until the block ends."""
    with FakeStore(answer, name, version) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
