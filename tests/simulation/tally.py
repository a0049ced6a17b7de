"""The tally: how often each kind of thing happened in a run, so that it shows when one never did."""

from collections import Counter

from tests.simulation.checkers.performed import pieces
from tests.simulation.deeds import WEIGHTS
from tests.simulation.faults import FAULTS
from tests.simulation.history import History
from tests.simulation.maintainer import VERSIONS

SORTS = ("tags", "note", "reply", "properties", "forward", "subscribe", "move", "delete")
ENDS = {
    "withheld": "an effect is withheld",
    "refused": "an effect is refused",
    "split": "a folded effect is split",
    "gone": "an effect meets a ticket that is gone",
}

#: Everything that has to happen in a long run.
NAMES = (
    *(name for sort in FAULTS.values() for name in sort),
    *WEIGHTS,
    *(f"rolled out: {version}" for version in VERSIONS),
    "the store is emptied",
    "a person replays a dead letter",
    "a person discards a dead letter",
    "a person works as our staff member",
    *(f"we do: {sort}" for sort in SORTS),
    *ENDS.values(),
    "a handler has acted once and for all",
)


def comparison(history: History) -> Counter[str]:
    """Counts the faults, what people did and what became of what we did."""
    found = Counter(history.faults)
    for _, _, _, _, effect, entry in pieces(history):
        if entry is not None and entry.state == "done":
            found[f"we do: {effect.kind}"] += 1
        elif entry is not None and entry.state in ENDS:
            found[ENDS[entry.state]] += 1
    for shown in history.witness.shown:
        found["a handler has acted once and for all"] += shown.handler in history.witness.once and bool(shown.actions)
    return found
