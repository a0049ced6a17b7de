"""The end: every event is done or a dead letter, and no lane is ever forgotten."""

import re
from collections import Counter
from collections.abc import Iterator

from tests.simulation.checkers.evidence import UNREADABLE
from tests.simulation.history import History
from tests.simulation.plugins import ALLOW
from workers.engine.plan import DeadLetter
from workers.plugins.router import router_of
from workers.testing.desk import ACCOUNT

#: The reasons that dead letters may have: from a fault, a handler, HappyFox, or a doubt.
CAUSES = (
    *("no use", "Boom", "later", "hopeless"),
    "no status 'Nonsense' in HappyFox",
    "HappyFox refused the call (400)",
    *("it may or may not", "HappyFox did not take it", "HappyFox answered 404"),
    *("the handler crashed the worker", "this turn was interrupted"),
)

#: The reason if the ticket was deleted.
GONE = "the ticket is gone"


def everything_ends(history: History) -> Iterator[str]:
    """Every event is done or a dead letter, and nothing waits in the end."""
    if not history.at_rest:
        yield "the lanes did not come to rest"
    handled = Counter(event for settled in history.witness.settled for event in settled.handled)
    for event in set(history.accepted) - history.lost_events:
        if not handled[event]:
            yield f"event {event} was never handled"
    for key in history.world.client.scan_iter(f"foxhooks:{{{ACCOUNT}}}:*"):
        if key.split(b":")[2] in (b"lane", b"turn", b"leases", b"joins"):
            yield f"{key.decode()} is left over"


def dead_letters_have_a_cause(history: History) -> Iterator[str]:
    """Each dead letter has a cause that a fault gave; undecided ones are rare, and the run counts them."""
    for settled in history.witness.settled:
        for dead_letter in settled.dead_letters:
            gone = dead_letter.reason.startswith(GONE) and settled.ticket in history.removed
            caused = dead_letter.reason.startswith(CAUSES) or dead_letter.last_error in CAUSES
            caused = caused or (dead_letter.reason.startswith(UNREADABLE) and settled.ticket in history.denied)
            if not gone and not caused and not _by_a_guard(history, dead_letter):
                yield f"ticket {settled.ticket}: dead letter of {dead_letter.handler}: {dead_letter.reason}"


def _by_a_guard(history: History, dead_letter: DeadLetter) -> bool:
    """Return whether a guard is why: the loop guard, or a grant that was taken away and not one that never was."""
    reason, braked = dead_letter.reason, history.world.config.unanswered_replies < 1_000
    if reason.startswith("no longer allowed"):
        granted = {router for router, _ in ALLOW}
        return router_of(dead_letter.handler) in granted and history.faults["rolled out: fewer grants"] > 0
    limited = re.match(r"the loop guard |\d+ calls? planned|not sent after \d+ calls on this ticket", reason)
    return braked and limited is not None


def lanes_are_scheduled(history: History) -> Iterator[str]:
    """A lane with an event, an unfinished turn or pending work is in the schedule after every step."""
    yield from history.unscheduled[:5]


def leases_last(history: History) -> Iterator[str]:
    """Only a worker that was frozen or died loses its lease."""
    yield from history.lost_leases[:5]
