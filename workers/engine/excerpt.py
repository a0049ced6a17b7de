"""What plans and records keep of a ticket, so that no turn stores a long ticket as a whole again.

A plan and its record have the opening update, those of the turn's changes, and the newest ones. Together, the records
of a ticket have all updates since its first turn; ``Histories`` puts them together again. A record that is still too
large loses first parts of its texts, then the ticket, then everything but the verdicts, and says so.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from workers.engine.plan import Record
from workers.tickets.change import Change
from workers.tickets.model import TicketRead, items, mapping, number

#: How many of the newest updates are kept beside those of the changes. Our own updates are no changes.
NEWEST = 10

#: How many updates are kept in all.
MOST_UPDATES = 100

#: The most bytes of a record, before it is compressed.
MOST_BYTES = 256 * 1024

#: The characters to which the texts of a larger record are cut, one after the other until it fits.
CUTS = (16_000, 2_000, 200)

#: How many verdicts are kept of a turn that is too large in any other form.
MOST_VERDICTS = 200


def excerpt(ticket: TicketRead, changes: Sequence[Change]) -> Mapping[str, Any]:
    """Return the response of HappyFox with only the updates that matter for a turn with these changes."""
    history = ticket.history
    if len(history) <= NEWEST + 1:
        return ticket.raw
    wanted = {change.update_id for change in changes} | {update.id for update in history[-NEWEST:]}
    newest = [update for update in history[1:] if update.id in wanted][-MOST_UPDATES:]
    return {**ticket.raw, "updates": [update.raw for update in (history[0], *newest)]}


class Histories:
    """The updates of tickets, collected from their records in the order of the turns."""

    def __init__(self) -> None:
        self._updates: defaultdict[int, dict[int, Any]] = defaultdict(dict)

    def add(self, record: Record) -> None:
        """Collect the updates of a record."""
        known = self._updates[record.number]
        for update in items(record.ticket.get("updates")):
            if (identity := number(mapping(update).get("update_id"))) is not None:
                known[identity] = update

    def complete(self, record: Record) -> Record:
        """Return a record whose ticket has all updates that this and earlier records have."""
        self.add(record)
        known = self._updates[record.number]
        if not record.ticket or len(items(record.ticket.get("updates"))) >= record.updates:
            return record
        updates = [known[identity] for identity in sorted(known)]
        return msgspec.structs.replace(record, ticket={**record.ticket, "updates": updates})

    def lacks(self, record: Record) -> bool:
        """Return whether the ticket had more updates in the turn of a record than its records have."""
        return record.updates > len(self._updates[record.number])


def encode_record(record: Record) -> bytes:
    """Return the record as it is stored, no larger than ``MOST_BYTES``."""
    encoded = msgspec.json.encode(record)
    if len(encoded) > MOST_BYTES:
        encoded = next(each for each in _shortened(record) if len(each) <= MOST_BYTES)
    return zlib.compress(encoded, 1)


def _shortened(record: Record) -> Iterator[bytes]:
    """Yield shorter and shorter forms of a record."""
    whole: dict[str, Any] = msgspec.to_builtins(record)
    for most in CUTS:
        cut = {name: _cut(whole[name], most) for name in ("ticket", "changes")}
        yield _with_remark(whole | cut, f"its texts of more than {most:,} characters are cut")
    last = {"ticket": {}, "changes": _cut(whole["changes"], CUTS[-1])}
    yield _with_remark(whole | last, "the ticket is left out, and texts are cut")
    empty: dict[str, Any] = {
        "changes": [],
        "effects": [],
        "handovers": [],
        "external": {},
        "state": [],
        "journal": {},
        "remarks": [],
    }
    verdicts = _cut(whole["verdicts"][:MOST_VERDICTS], CUTS[-1])
    events = whole["events"][:MOST_UPDATES]
    yield _with_remark(
        whole | last | empty | {"verdicts": verdicts, "events": events},
        "only what the handlers decided is kept",
    )


def _with_remark(record: Mapping[str, Any], what: str) -> bytes:
    remark = f"this turn was too large to be kept as a whole: {what}"
    return msgspec.json.encode({**record, "remarks": [*record["remarks"], remark]})


def _cut(value: Any, most: int) -> Any:
    """Cut all texts in a value."""
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]}…"
    if isinstance(value, dict):
        return {name: _cut(member, most) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(member, most) for member in value]
    return value
