"""The clock of a test: it stands still until the test moves it."""

from datetime import UTC, datetime

from workers.errors import seconds

#: Where it begins: a Thursday evening, 2026-05-28 20:26:40 UTC.
START = 1_780_000_000_000


class Clock:
    """A clock that a test moves; ``ms`` counts from 1970, as the store does."""

    def __init__(self) -> None:
        self.ms = START

    @property
    def now(self) -> datetime:
        """The time it shows (aware, UTC)."""
        return datetime.fromtimestamp(self.ms / 1000, UTC)

    def seconds(self) -> float:
        """Gives epoch seconds, as the simulator wants them."""
        return self.ms / 1000

    def advance(self, span: float | str) -> None:
        """Moves it on by a number of seconds, or by ``"90s"``, ``"10m"``, ``"2h"``, ``"1d"``."""
        self.ms += int(seconds(span) * 1000)
