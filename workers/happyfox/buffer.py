"""A body of any size in little memory: while it is small, in memory, then in a temporary file."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import BinaryIO, Final

#: Bytes of a body that are kept in memory; a larger one is written to a temporary file.
IN_MEMORY: Final = 256 * 1024

#: Bytes that are read at once.
PIECE: Final = 64 * 1024


class Buffer:
    """A body as it arrives; its file, if it has one, is deleted when it is closed."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None
        self.length = 0

    def add(self, piece: bytes) -> None:
        """Add the next bytes."""
        self.length += len(piece)
        if self._file is None and self.length > IN_MEMORY:
            self._file = TemporaryFile(prefix="foxhooks-")  # noqa: SIM115 - closed by `close`
            self._file.write(b"".join(self._pieces))
            self._pieces = []
        if self._file is None:
            self._pieces.append(piece)
        else:
            self._file.write(piece)

    @property
    def is_large(self) -> bool:
        """Whether it is in a file."""
        return self._file is not None

    @property
    def content(self) -> bytes | BinaryIO:
        """Return the whole body: bytes, or an open file that the next reader rewinds."""
        if self._file is None:
            return b"".join(self._pieces)
        self._file.flush()
        return self._file

    @contextmanager
    def view(self) -> Iterator[bytes | mmap.mmap]:
        """Show the whole body for the block, without a copy in memory: it can be searched and sliced like bytes."""
        content = self.content
        if isinstance(content, bytes):
            yield content
            return
        with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped

    def read(self, most: int = -1) -> bytes:
        """Return the body, or its first ``most`` bytes, as bytes."""
        content = self.content
        if isinstance(content, bytes):
            return content if most < 0 else content[:most]
        content.seek(0)
        return content.read(most)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces."""
        with self.view() as body:
            for at in range(0, self.length, PIECE):
                yield body[at : at + PIECE]

    def close(self) -> None:
        """Delete the file; the body cannot be read any more."""
        if self._file is not None:
            self._file.close()
