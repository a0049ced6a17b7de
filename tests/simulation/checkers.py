"""What must hold of a history, whatever happened in it: each checker gives its complaints, none when all is well.

They compare what people did and what HappyFox shows with what became durable; the engine's own account of itself counts
only where it says that it withheld or gave up something, and then its reason is checked.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tests.simulation.history import History, Sent
from tests.simulation.witness import Shown
from workers.events.last_seen import LastSeen
from workers.simulator.world import Row
from workers.testing.world import ACCOUNT, BOT, START
from workers.turns.plan import Record

#: A write may go over what a person did this shortly before it began (ms): a read's age, the way to the permit. When
#: it lands is out of our hands.
WIDTH = 30_000 + 1_000

#: Properties and the members that set them in a call, and that tell of them in a row.
PROPERTIES = {"status": "status_change", "priority": "priority_change"}


def by_us(history: History, row: Row) -> bool:
    """Tells whether we made the row, and not a person who works as our staff member."""
    by = row.shown["by"]
    return bool(by["type"] == "staff" and by["id"] == BOT and row.update_id not in history.as_us)


def bare(row: Row) -> bool:
    """Tells whether a row says nothing itself; the tags or fields it stands for are checked on their own."""
    told = any(row.shown[name] for name in row.shown if name.endswith("_change"))
    return not row.shown["message"] and not told and row.shown["by"]["type"] != "smartrule"


def asked_for(row: Row, opening: bool, kinds: frozenset[str]) -> bool:
    """Tells whether a row is of the kinds that a handler asked for."""
    shown, by = row.shown, row.shown["by"]["type"]
    if opening:
        return "ticket-created" in kinds
    return (
        "ticket-updated" in kinds
        or ("contact-replied" in kinds and by == "user" and shown["message"] is not None)
        or ("smart-rule" in kinds and by == "smartrule")
        or ("status-changed" in kinds and shown["status_change"] is not None)
    )


def told_early(history: History, number: int, handler: str, row: Row) -> bool:
    """Tells whether a row that came late tells a handler only of what was shown by a difference already."""
    kinds = history.witness.kinds[handler]
    speaks = row.shown["message"] or row.shown["by"]["type"] == "smartrule"
    if speaks and kinds & {"ticket-updated", "contact-replied", "smart-rule"}:
        return False
    changes = [change for shown in _shown(history, number, handler) for change in shown.changes]
    shown = {
        (change.kind, side and str(side.id))
        for change in changes
        if change.update_id is None
        for side in (change.old, change.new)
    }
    asked = [name for name in PROPERTIES if kinds & {f"{name}-changed", "ticket-updated"}]
    told = [(name, row.shown[PROPERTIES[name]]) for name in asked if row.shown[PROPERTIES[name]]]
    return bool(told) and all(
        {(f"{name}-changed", str(change["old"])), (f"{name}-changed", str(change["new"]))} & shown
        for name, change in told
    )


def rows_are_shown_once(history: History) -> Iterator[str]:
    """Every row of a contact, a staff member or a rule is shown to each handler that asked for it, exactly once."""
    for number, ticket in history.world.simulator.world.tickets.items():
        first = history.witness.first.get(number, LastSeen())
        for handler, kinds in history.witness.kinds.items():
            times = Counter(
                row
                for shown in _shown(history, number, handler)
                for row in {change.update_id for change in shown.matched}
            )
            for index, row in enumerate(ticket.rows):
                if by_us(history, row) or not asked_for(row, index == 0, kinds):
                    continue
                if times[row.update_id] == 0 and row.update_id in history.as_us and first.knows(row.update_id):
                    continue  # when a ticket is first seen, every row by our staff member counts as ours
                if times[row.update_id] == 0 and told_early(history, number, handler, row):
                    continue
                if times[row.update_id] > 1 or (times[row.update_id] == 0 and not bare(row)):
                    yield f"ticket {number}: row {row.update_id} was shown to {handler} {times[row.update_id]} times"


def rows_are_shown_in_order(history: History) -> Iterator[str]:
    """Rows are shown in the order of their ids, those that became visible late in the order of their appearance."""
    for number, ticket in history.world.simulator.world.tickets.items():
        visible = {row.update_id: (row.at, row.visible_at) for row in ticket.rows}
        for handler in history.witness.kinds:
            before = 0
            for shown in _shown(history, number, handler):
                for change in shown.matched:
                    row = change.update_id or before
                    at, seen = visible[row]
                    if row < before and seen == at:
                        yield f"ticket {number}: {handler} was shown row {row} after row {before}"
                    before = max(before, row)


def tags_are_shown_once(history: History) -> Iterator[str]:
    """Every tag that a person set is news to a handler once, or was there when it first saw the ticket."""
    for number, tags in history.staff_tags.items():
        for handler, kinds in history.witness.kinds.items():
            if not kinds & {"tags-changed", "ticket-updated"}:
                continue
            shown = _shown(history, number, handler)
            times = Counter(tag for each in shown for change in each.changes for tag in change.added)
            known = history.witness.first[number].tags
            for tag in tags:
                if times[tag] != (0 if tag in known else 1):
                    yield f"ticket {number}: the tag {tag} was news to {handler} {times[tag]} times"


def fields_are_shown(history: History) -> Iterator[str]:
    """A value that a person set is news at most once, and the last one is."""
    for number, values in history.staff_values.items():
        for handler, kinds in history.witness.kinds.items():
            if not kinds & {"field-changed", "ticket-updated"}:
                continue
            changes = [change for each in _shown(history, number, handler) for change in each.changes]
            times = Counter(change.new.name for change in changes if change.kind == "field-changed" and change.new)
            told = [value for _, value in values]
            known = history.witness.first[number].fields.get("2")
            for value in told:
                if times[value] > 1 or (value == told[-1] and value != known and not times[value]):
                    yield f"ticket {number}: the value {value} was news to {handler} {times[value]} times"


def no_echo_is_shown(history: History) -> Iterator[str]:
    """Nothing that we did ourselves starts a handler."""
    for number, ticket in history.world.simulator.world.tickets.items():
        ours = {row.update_id for row in ticket.rows if by_us(history, row)}
        theirs = {*history.staff_tags.get(number, ())}
        for shown in history.witness.shown:
            if shown.ticket != number:
                continue
            for change in shown.changes:
                if (
                    change.update_id in ours
                    or change.added - theirs
                    or change.removed
                    or change.field == "Refund reason"
                ):
                    yield f"ticket {number}: {shown.handler} was shown an echo, {change}"


def one_writer_per_ticket(history: History) -> Iterator[str]:
    """No write begins before another to the same ticket has ended."""
    for call in history.world.simulator.log:
        if call.overlapped:
            yield f"call {call.number} overlaps another write to ticket {call.ticket}"


def no_window_is_overrun(history: History) -> Iterator[str]:
    """HappyFox never had a reason to lock us out."""
    if history.world.simulator.gate.lockouts != history.locks:
        yield f"{history.world.simulator.gate.lockouts - history.locks} lockouts that no fault made"


def no_call_while_closed(history: History) -> Iterator[str]:
    """No permit is given while the gate is closed."""
    for call in history.sent:
        for at, until in history.closings:
            if at < call.granted and call.arrived < until:
                yield f"a {call.method} arrived at {call.arrived - START} in a closing from {at - START} on"


def effects_happen_once(history: History) -> Iterator[str]:
    """Every effect of a stored plan was applied once, or withheld for a reason that holds, or given up as evidence."""
    log = history.world.simulator.log
    applied: defaultdict[tuple[str, str], list[Sent]] = defaultdict(list)
    for sent in history.sent:
        if sent.method != "GET" and log[sent.number - 1].applied:
            applied[sent.turn, sent.effect].append(sent)
    for turn, (number, plan) in history.witness.plans.items():
        record = read_record(history, turn)
        for index, effect in enumerate(plan.effects):
            key = str(index)
            entry = record.journal.get(key) if record else None
            times = len(applied[turn, key])
            if times > 1:
                yield f"ticket {number}: {effect.words} of turn {turn} happened {times} times"
            elif entry is None or entry.state == "begun":
                yield f"ticket {number}: {effect.words} of turn {turn} was never ended"
            elif times == 0 and entry.state == "done" and effect.sort in ("note", "reply"):
                yield f"ticket {number}: {effect.words} of turn {turn} is said to be done and is not there"
            elif times == 1 and entry.state in ("withheld", "gone"):
                yield f"ticket {number}: {effect.words} of turn {turn} is said to be withheld and happened"
            elif entry.state == "withheld" and not _overtaken(history, number, effect, plan.seen.knows):
                yield f"ticket {number}: {effect.words} of turn {turn} was withheld for no reason"


def nothing_goes_over_a_person(history: History) -> Iterator[str]:
    """No write sets a property that a person changed since the handlers' read; the width of a read aside."""
    tickets = history.world.simulator.world.tickets
    for sent in history.sent:
        if sent.method == "GET" or sent.plan is None or not isinstance(sent.body, dict):
            continue
        for row in tickets[sent.ticket].rows:
            newer = not by_us(history, row) and not sent.plan.seen.knows(row.update_id)
            if not newer or row.visible_at * 1000 > sent.granted - WIDTH:
                continue
            for name, change in PROPERTIES.items():
                if name in sent.body and row.shown[change]:
                    yield f"ticket {sent.ticket}: {name} of row {row.update_id} was overwritten by {sent.body}"


def everything_ends(history: History) -> Iterator[str]:
    """Every event is done, owed or dead, and in the end nothing waits."""
    if not history.rest:
        yield "the lanes did not come to rest"
    handled = Counter(event for settled in history.witness.settled for event in settled.handled)
    for event in set(history.accepted):
        if not handled[event]:
            yield f"event {event} was never handled"
    client = history.world.client
    for key in client.scan_iter(f"foxhooks:{{{ACCOUNT}}}:*"):
        if key.split(b":")[2] in (b"lane", b"turn", b"own", b"joins"):
            yield f"{key.decode()} is left over"


def dead_letters_have_a_cause(history: History) -> Iterator[str]:
    """Stopping to try has a reason that a fault gave; what cannot be decided is rare and counted by the run."""
    for settled in history.witness.settled:
        for letter in settled.letters:
            caused = letter.last_error in ("no use", "Boom", "later") or letter.reason.startswith(
                ("it may or may not", "HappyFox did not take it", "it ended the worker")
            )
            if not caused:
                yield f"ticket {settled.ticket}: dead letter of {letter.handler}: {letter.reason}"


def lanes_are_scheduled(history: History) -> Iterator[str]:
    """A lane with an event, an unfinished turn or an owed handler is in the schedule, after every step."""
    yield from history.stray[:5]


def leases_last(history: History) -> Iterator[str]:
    """Only a worker that was frozen or died loses its lease."""
    yield from history.lost[:5]


CHECKERS: tuple[Callable[[History], Iterator[str]], ...] = (
    rows_are_shown_once,
    rows_are_shown_in_order,
    tags_are_shown_once,
    fields_are_shown,
    no_echo_is_shown,
    one_writer_per_ticket,
    no_window_is_overrun,
    no_call_while_closed,
    effects_happen_once,
    nothing_goes_over_a_person,
    everything_ends,
    dead_letters_have_a_cause,
    lanes_are_scheduled,
    leases_last,
)


def check(history: History) -> list[str]:
    """Asks every checker."""
    return [f"{checker.__name__}: {line}" for checker in CHECKERS for line in checker(history)]


def undecided(history: History) -> int:
    """Counts the effects of which nobody could tell whether they happened."""
    letters = [letter for settled in history.witness.settled for letter in settled.letters]
    # An effect that several handlers wanted has a letter for each of them.
    return len({letter.id.rpartition(letter.handler)[0] for letter in letters if letter.reason.startswith("it may or")})


def read_record(history: History, turn: str) -> Record | None:
    """Reads the settled turn that the engine keeps."""
    stored: Any = history.world.client.get(f"foxhooks:{{{ACCOUNT}}}:record:{turn}")
    return None if stored is None else msgspec.json.decode(zlib.decompress(stored), type=Record)


def _shown(history: History, number: int, handler: str) -> list[Shown]:
    return [shown for shown in history.witness.shown if shown.ticket == number and shown.handler == handler]


def _overtaken(history: History, number: int, effect: Any, knows: Callable[[int], bool]) -> bool:
    for row in history.world.simulator.world.tickets[number].rows:
        said = row.shown["message"]
        if by_us(history, row) or knows(row.update_id):
            continue
        if effect.sort == "reply" and row.shown["by"]["type"] == "staff" and said and said["message_type"] != "p":
            return True
        if any(name in effect.set and row.shown[change] for name, change in PROPERTIES.items()):
            return True
    return False
