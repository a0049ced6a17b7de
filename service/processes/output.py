"""The output of several processes as one: each line says whose it is."""

import json
import threading
from datetime import UTC, datetime
from typing import Literal, Protocol, TextIO

#: How grave a line of ours is.
Level = Literal["info", "warning", "error"]

#: The name under which the supervisor speaks.
OURSELVES = "foxhooks"

COLOURS = {"web": "36", "worker": "32", "simulator": "35", OURSELVES: "1"}
WIDTH = max(map(len, COLOURS))


class Show(Protocol):
    """Whoever takes lines, each with the name of the part it comes from; the level is for our own."""

    def __call__(self, name: str, line: str, level: Level = "info") -> None: ...


class Output:
    """Writes whole lines of parts to one stream; ``plain`` leaves them as they are, JSON for machines."""

    def __init__(self, stream: TextIO, plain: bool = False) -> None:
        self._stream, self._plain = stream, plain
        self._colour = stream.isatty()
        self._lock = threading.Lock()

    def show(self, name: str, line: str, level: Level = "info") -> None:
        """Writes one line of a part; the level is told of our own, the others' lines say theirs."""
        if self._plain and name == OURSELVES:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"at": at, "level": level, "logger": "service.processes.supervisor", "message": line})
        prefix = "" if self._plain else f"{name:>{WIDTH}} | "
        if self._colour and not self._plain:
            prefix = f"\x1b[{COLOURS.get(name, '0')}m{prefix}\x1b[0m"
        with self._lock:
            self._stream.write(f"{prefix}{line}\n")
            self._stream.flush()
