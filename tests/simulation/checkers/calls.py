"""The calls that HappyFox sees: none too many, none at the wrong time, none that overwrites a person."""

from collections.abc import Iterator

from tests.simulation.checkers.evidence import CHANGES, by_us, like_ours
from tests.simulation.history import History
from tests.simulation.transport import DOUBT, TIMEOUT
from workers.testing.desk import START

#: A write may go over what a person did this shortly before its permit (ms): a read counts as fresh for 30 s, and from
#: the look at its age to the permit it takes a few scripts. The permit is the last moment at which the engine looks: it
#: is taken in one step with the proof of the lease, the first byte leaves within 5 s of it or never does, and when it
#: lands after that is out of our hands, up to the deadline and HAPPYFOX_DOUBT_SECONDS. So neither the way of the call
#: nor its lateness widens what may be overwritten; a write judged by its arrival would be blamed for the transport.
WIDTH = 30_000 + 1_000

#: The calls to an unreachable HappyFox: those that show it and those that are under way then; and after each pause, the
#: read that probes, and another one that says whether only its ticket fails.
FIRST_FAILURES, PROBE = 6, 2
#: When the pauses end at the earliest (ms).
PROBES = (5_000, 15_000, 35_000, 75_000, 115_000)


def one_writer_per_ticket(history: History) -> Iterator[str]:
    """No write begins before another to the same ticket has ended."""
    for call in history.world.simulator.log:
        # One whose permit the emptied store forgot may still be on its way.
        if call.overlapped and call.number not in _forgotten(history):
            yield f"call {call.number} overlaps another write to ticket {call.ticket}"


def no_window_is_overrun(history: History) -> Iterator[str]:
    """HappyFox never had a reason to lock foxhooks out."""
    if history.world.simulator.gate.lockouts != history.lockouts:
        yield f"{history.world.simulator.gate.lockouts - history.lockouts} lockouts that no fault made"


def no_call_while_closed(history: History) -> Iterator[str]:
    """No permit is given while the gate is closed."""
    for call in history.sent:
        for at, until in history.closings:
            if at < call.granted and call.arrived < until:
                yield f"a {call.method} arrived at {call.arrived - START} in a closing from {at - START} on"


def a_denied_ticket_stops_no_other(history: History) -> Iterator[str]:
    """The gate never closes because of the API key: HappyFox refuses to send single tickets at most."""
    for at in history.rejected:
        yield f"the gate closed at {at - START} as if HappyFox had rejected the key; denied: {history.denied}"


def an_unreachable_happyfox_gets_few_calls(history: History) -> Iterator[str]:
    """Nobody calls an unreachable HappyFox but with a probe now and then.

    A worker that was frozen with an earlier answer reports it as new; then three calls notice the outage again.
    """
    frozen = history.faults["worker frozen"] + history.faults["worker frozen before a call"]
    for outage in history.outages:
        allowed = FIRST_FAILURES + PROBE * sum(since < outage.until - outage.since for since in PROBES) + 3 * frozen
        if len(outage.calls) > allowed:
            seconds = (outage.until - outage.since) / 1000
            yield f"{len(outage.calls)} calls in {seconds:.0f} s to an unreachable HappyFox, {allowed} are allowed"


def nothing_is_sent_dry(history: History) -> Iterator[str]:
    """A worker in a dry run writes nothing, even if it finds a stored plan."""
    for sent in history.sent:
        if sent.dry and sent.method != "GET":
            yield f"ticket {sent.ticket}: {sent.body} was sent in a dry run"


def nothing_overwrites_a_person(history: History) -> Iterator[str]:
    """No write overwrites what a person changed since the handlers' read, except within the width of a read."""
    for sent in history.sent:
        if sent.method == "GET" or sent.plan is None or not isinstance(sent.body, dict):
            continue
        for update in history.tickets[sent.ticket].updates:
            newer = not by_us(history, update) and not sent.plan.snapshot.knows(update.update_id)
            if not newer or update.visible_at * 1000 > sent.granted - WIDTH or like_ours(history, sent.ticket, update):
                continue
            for change, (_, name) in CHANGES.items():
                if name in sent.body and update.shown[change]:
                    yield f"ticket {sent.ticket}: {name} of update {update.update_id} was overwritten by {sent.body}"
            if sent.sort == "delete":
                yield f"ticket {sent.ticket} was deleted although somebody had just made update {update.update_id}"
            said = update.shown["message"]
            if sent.sort == "reply" and said and said["message_type"] != "p" and update.shown["by"]["type"] == "staff":
                yield f"ticket {sent.ticket}: a reply followed that of a colleague in update {update.update_id}"
        for written in history.staff_values.get(sent.ticket, ()):
            newer = sent.plan.read_at < written.at < sent.granted - WIDTH
            if newer and f"t-cf-{written.field}" in sent.body:
                yield f"ticket {sent.ticket}: the field with {written.value} was overwritten by {sent.body}"


def _forgotten(history: History) -> set[int]:
    late = history.emptied and history.emptied + TIMEOUT + DOUBT
    return {sent.number for sent in history.sent if history.emptied <= sent.arrived < late}
