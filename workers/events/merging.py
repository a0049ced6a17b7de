"""Merging: a ticket into which others were merged shows their rows, too. What was answered there is no news here. Pure.

Nobody knows whether HappyFox keeps the ids and dates of such rows. Where it keeps ids, the memory of the merged ticket
tells which of them its own turns have shown. Where that tells nothing only young rows are news, as on first sight: a
missed change is better than a second answer.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import msgspec

from workers.events.change import MERGED, Change
from workers.events.changes import News
from workers.events.differences import KIND_OF
from workers.events.last_seen import LastSeen, properties
from workers.models.reference import Named
from workers.models.row import Row
from workers.models.ticket import TicketRead


def merged_since(ticket: TicketRead, seen: LastSeen | None) -> tuple[int, ...]:
    """Gives the tickets that were merged into this one since it was last seen; on first sight all there are."""
    if seen is None:
        return ticket.merged
    # A memory from before merges were known of cannot tell which are new.
    return () if seen.merged is None else tuple(number for number in ticket.merged if number not in seen.merged)


def brought(
    rows: Sequence[Row],
    first: Row | None,
    seen: LastSeen | None,
    memories: Sequence[LastSeen | None],
    named: Collection[int],
    since: datetime,
    staff: int,
) -> frozenset[int]:
    """Gives those of the new ``rows`` that came with a merge and are no news.

    ``first`` is the row that opened the ticket. ``memories`` are those of the merged tickets, None for one that nothing
    is known of; ``named`` the rows that this ticket's own deliveries named. Rows before ``since`` are old, and
    those from before a merged ticket last heard of somebody. Rows by our staff member are ours.
    """
    known = [memory for memory in memories if memory]
    theirs = {identity for memory in known for identity in (*memory.ids, memory.floor)}
    kept = len(known) == len(memories) and any(row.id in theirs for row in rows)
    heard = max((memory.fuse.heard for memory in known), default=0)
    young = max(since, datetime.fromtimestamp((heard + 1) / 1000, UTC))

    def old(row: Row) -> bool:
        if row.id in theirs or any(memory.made(row, staff) for memory in known):
            return True
        if row is first and seen is None:
            return False
        if row.author == "staff" and row.author_id == staff:
            return seen is not None and not seen.made(row, staff)  # first sight leaves them out itself
        if row.id not in named and any(memory.knows(row.id) for memory in known):
            return True
        return not kept and (row.at is None or row.at < young)

    return frozenset(row.id for row in rows if old(row))


def tell(found: News, ticket: TicketRead, seen: LastSeen, merged: Sequence[int], now: datetime) -> News:
    """Adds the changes that tell of a merge; ``found`` is what else is new to a ticket that was seen before.

    A row of a merged ticket tells of that ticket's properties: its changes count only where this one's have changed.
    """
    current = properties(ticket)
    same = {KIND_OF[name] for name, value in current.items() if seen.properties.get(name, value) == value}
    changes = [change for change in found.changes if change.kind not in same or change.update_id is None]
    at = ticket.modified_at or now
    changes += [Change(kind="ticket-updated", at=at, new=Named(each, f"#{each}"), name=MERGED) for each in merged]
    unheard = (*found.seen.unheard, int(now.timestamp() * 1000))
    return News(tuple(changes), msgspec.structs.replace(found.seen, unheard=unheard), found.stray)
