"""HappyFox's API without the wire: how a request looks, what an answer means.

Facts come from the articles KB 1039 (tickets), KB 360 (reference data), KB 1148 (limits) and KB 476 (keys).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What every path begins with (KB 360: version 1.1 is the only one).
BASE = "/api/1.1/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make: ``path`` is relative to ``BASE``, ``body`` is sent as JSON."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``headers`` have lower-case names, ``body`` is undecoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes
