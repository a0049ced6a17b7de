"""One call to HappyFox as values: the request to make and the answer that came back."""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What every path begins with (KB 360: version 1.1 is the only one).
BASE = "/api/1.1/json"


@dataclass(frozen=True, slots=True)
class File:
    """A file to upload, from ``path`` or, for a small one, from ``content``; ``member`` is what it is sent as."""

    name: str
    path: Path | None = None
    content: bytes = field(default=b"", repr=False)
    content_type: str = "application/octet-stream"
    member: str = "attachments"


def file(path: str | Path, *, name: str = "", content_type: str = "") -> File:
    """Makes a file of a path; name and content type are those of the path unless given. Reads nothing."""
    path = Path(path)
    guessed, packed = mimetypes.guess_type(path.name)
    kind = content_type or (guessed if guessed and not packed else "application/octet-stream")
    return File(name or path.name, path, b"", kind)


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make: ``path`` is relative to ``BASE`` and percent-encoded, ``body`` is sent as JSON.

    With ``files`` it is sent as multipart, which takes an object of plain values as ``body``.
    """

    method: str
    path: str
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``headers`` have lower-case names, ``body`` is undecoded.

    ``at`` is when its headers arrived, in seconds of the transport's ``monotonic()``.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    at: float = 0.0
