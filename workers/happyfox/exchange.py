"""One call to HappyFox as values: the request to make and the answer that came back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What every path begins with (KB 360: version 1.1 is the only one).
BASE = "/api/1.1/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make: ``path`` is relative to ``BASE`` and percent-encoded, ``body`` is sent as JSON."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``headers`` have lower-case names, ``body`` is undecoded.

    ``at`` is when its headers arrived, in seconds of the transport's ``monotonic()``.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    at: float = 0.0
