"""What waits in an account, and when it is worked off: one function for `foxhooks status` and whoever else asks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from workers.governor.governor import Forecast, Governor
from workers.lanes.scripts import Script

T = TypeVar("T")

#: So many lanes are looked into for planned calls; what more lanes have planned is taken to be alike.
SAMPLE = 1_000


class Store(Protocol):
    """What runs scripts."""

    def run(self, script: Script[T], /) -> T:
        """Runs a script and gives its answer."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """An account's budget and gate, its backlog, and the seconds until that is worked off at the limits of now.

    Every lane costs a read. ``planned`` are the writes of turns that have decided and not ended; those that have begun
    are among them, and what lanes will want that have not decided yet is not.
    """

    forecast: Forecast
    lanes: int
    due: int
    planned: int
    drained: float


def outlook(store: Store, governor: Governor) -> Outlook:
    """Looks at an account in two calls of the store, whatever waits there."""
    forecast = store.run(governor.forecast())
    lanes, due, looked, planned = store.run(_backlog(governor))
    planned = round(planned * lanes / looked) if looked else 0
    drained = forecast.drained(lanes, planned, governor.window) if lanes else 0.0
    return Outlook(forecast, lanes, due, planned, drained)


def _backlog(governor: Governor) -> Script[tuple[int, int, int, int]]:
    read: Callable[[Any], tuple[int, int, int, int]] = tuple
    return Script("backlog", governor.prefix, (SAMPLE,), read)
