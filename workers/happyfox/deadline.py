"""A hard deadline for a call: every wait for the socket is cut to what is left of it.

The limits of HTTP libraries hold for each single wait, so that a server which sends a byte now and then could stretch a
call for ever. Only a name look-up can last longer, and nothing is sent after it.
"""

import socket
import ssl
import threading
from collections.abc import Iterable
from typing import Any

import httpcore

from workers.governor.clock import monotonic


class Deadline(threading.local):
    """When the call of this thread has to be over, in ``monotonic()``."""

    at: float | None = None

    def left(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Gives how long the next wait may last; raises ``error`` when the time is up."""
        if self.at is None:
            return timeout
        left = self.at - monotonic()
        if left <= 0:
            raise error("the deadline of the call has passed")
        return left if timeout is None else min(timeout, left)


class Backend(httpcore.SyncBackend):
    """Opens connections within the deadline of the call, all addresses of the host together."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Tries the addresses one after another."""
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the host's name is not known") from error
        failure: Exception | None = None
        for *_, address in addresses:
            left = self._deadline.left(timeout, httpcore.ConnectTimeout)
            try:
                stream = super().connect_tcp(str(address[0]), port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure or httpcore.ConnectError("the host has no address")


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline of the call."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # One piece at a time, for each may have to wait.
        for start in range(0, len(buffer), 16384):
            piece = buffer[start : start + 16384]
            self._stream.write(piece, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
