"""Bodies with files: multipart, streamed, of a length known beforehand (KB 1039: 25 MB for all files of a request).

Whether HappyFox's megabytes are of 10**6 or 2**20 bytes is not said; the smaller is kept to.
"""

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from workers.errors import Unfit
from workers.happyfox.exchange import File

#: Bytes of all files of one request together.
MOST_UPLOADED = 25 * 1000 * 1000

PIECE = 64 * 1024


class CutOff(Exception):
    """A file became shorter, or could not be read any more, while it was sent."""


class Multipart:
    """A multipart body, read from its files while it is sent; use it as a context, so that they are closed.

    All files are open and measured before the first byte leaves: one deleted meanwhile is sent all the same, one that
    grows is sent as long as it was. Raises ``Unfit`` for files that cannot be read or are too large, and for a member
    that a form cannot express.
    """

    def __init__(self, members: Mapping[str, Any], files: Sequence[File]) -> None:
        self._boundary = secrets.token_hex(16)
        self._files: list[tuple[bytes, BinaryIO | None, File, int]] = []
        self._members = b"".join(self._member(name, value) for name, value in members.items())
        self._open = contextlib.ExitStack()
        try:
            for file in files:
                stream = None if file.path is None else self._open.enter_context(_opened(file))
                length = len(file.content) if stream is None else _length(stream)
                self._files.append((self._head(file.member, file), stream, file, length))
        except BaseException:
            self._open.close()
            raise
        if (total := sum(length for *_, length in self._files)) > MOST_UPLOADED:
            self._open.close()
            most = MOST_UPLOADED // 1_000_000
            raise Unfit(f"the files have {total} bytes together, and HappyFox takes {most} MB; nothing was sent")

    @property
    def content_type(self) -> str:
        """The header that tells the boundary."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def length(self) -> int:
        """The bytes of the whole body."""
        return len(self._members) + sum(len(head) + size + 2 for head, _, _, size in self._files) + len(self._end)

    def __enter__(self) -> "Multipart":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[bytes]:
        yield self._members
        for head, stream, file, length in self._files:
            yield head
            if stream is None:
                yield file.content
            else:
                yield from _pieces(stream, file, length)
            yield b"\r\n"
        yield self._end

    @property
    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()

    def _member(self, name: str, value: Any) -> bytes:
        values = value if isinstance(value, list | tuple) else [value]
        return b"".join(self._head(name) + _bytes(name, _text(name, each)) + b"\r\n" for each in values)

    def _head(self, name: str, file: File | None = None) -> bytes:
        lines = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if file is not None:
            lines += f'; filename="{_quoted(file.name)}"\r\nContent-Type: {" ".join(file.content_type.split())}'
        return _bytes("the name of a file", f"{lines}\r\n\r\n")


def _opened(file: File) -> BinaryIO:
    path = file.path or Path()
    if path.exists() and not path.is_file() and not path.is_dir():  # opening a pipe would wait for its other end
        raise Unfit(f"{file.name} is no file but a pipe or device; nothing was sent")
    try:
        return path.open("rb")
    except OSError as error:
        raise Unfit(f"the file {file.name} cannot be read ({error.strerror}); nothing was sent") from None


def _length(stream: BinaryIO) -> int:
    length = stream.seek(0, 2)
    stream.seek(0)
    return length


def _pieces(stream: BinaryIO, file: File, length: int) -> Iterator[bytes]:
    stream.seek(0)
    while length:
        try:
            piece = stream.read(min(PIECE, length))
        except OSError as error:
            raise CutOff(f"the file {file.name} could not be read to its end ({error.strerror})") from None
        if not piece:
            raise CutOff(f"the file {file.name} became shorter while it was sent")
        length -= len(piece)
        yield piece


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise Unfit(f"{name} cannot be sent together with files, which takes a form: make it a call of its own")


def _bytes(what: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as file systems and careless decoders leave it
        raise Unfit(f"{what} holds a character that cannot be sent; nothing was sent") from None


def _quoted(name: str) -> str:
    """Escapes what would end the name, as browsers do."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
