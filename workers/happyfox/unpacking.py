"""Reads the body of an answer, unpacked and bounded."""

import zlib
from collections.abc import Callable, Iterator

import httpcore

from workers.errors import InDoubt

#: The largest answer that is kept, unpacked.
MOST_BYTES = 32 * 1024 * 1024

#: What no longer holds once an answer is unpacked.
UNPACKED = (b"content-encoding", b"content-length", b"transfer-encoding")

#: How a connection fails while an answer is read.
FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, zlib.error)


def body(response: httpcore.Response, sink: Callable[[bytes], object] | None = None, most: int | None = None) -> bytes:
    """Reads an answer to its end; only a success has to be whole, for an error its status says it all.

    With ``sink`` the pieces of a success go there, and nothing is kept. Raises ``InDoubt`` for an answer of more than
    ``most`` bytes.
    """
    good = 200 <= response.status < 300
    try:
        if sink is not None and good:
            for piece in _pieces(response, most or MOST_BYTES):
                sink(piece)
            return b""
        return b"".join(_pieces(response, most or MOST_BYTES))
    except (*FAILURES, InDoubt):
        if good:
            raise
        return b""
    finally:
        response.close()


def _pieces(response: httpcore.Response, most: int) -> Iterator[bytes]:
    encoding = next((value for name, value in response.headers if name.lower() == b"content-encoding"), b"identity")
    if encoding.lower() not in (b"identity", b"gzip"):
        raise InDoubt("the answer is packed in a way nobody asked for")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding.lower() == b"gzip" else None
    length = 0
    for chunk in response.iter_stream():
        piece = unpack.decompress(chunk, most + 1 - length) if unpack else chunk
        length += len(piece)
        if length > most:
            raise InDoubt(f"the answer is larger than {most} bytes")
        yield piece
    if unpack and length and not unpack.eof:
        raise InDoubt("the answer is cut off")
