"""What sweeps find."""

from collections.abc import Iterator

from tests.simulation.history import History


def no_sweep_overlooks_a_change(history: History) -> Iterator[str]:
    """After a sweep, every change that was made before it is known, or its ticket waits to be read.

    With `presented`, which in swept seeds excuses no lost delivery: every change reaches its handlers exactly once.
    """
    yield from history.overlooked
