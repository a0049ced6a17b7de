"""Frozen: a reading as it is stored with its turn, once a handler has had an effect in another system."""

from collections.abc import Mapping
from typing import Any

import msgspec

from workers.events.change import Change
from workers.events.changes import News
from workers.events.last_seen import LastSeen
from workers.models.ticket import read_ticket
from workers.turns.plan.stored import Unreadable
from workers.turns.reading import Reading


class Frozen(msgspec.Struct, frozen=True):
    """A reading as it is stored with the turn: later attempts of the turn show their handlers exactly this."""

    format: int
    ticket: Mapping[str, Any]
    changes: tuple[Change, ...]
    seen: LastSeen
    stray: tuple[int, ...]
    handled: tuple[str, ...]
    left: tuple[str, ...]
    look: int
    at: int
    remarks: tuple[str, ...] = ()


def freeze(reading: Reading) -> bytes:
    """Writes a reading for the turn's later attempts."""
    news = reading.news
    stray = tuple(row.id for row in news.stray)
    return msgspec.json.encode(
        Frozen(
            format=1,
            ticket=reading.ticket.raw,
            changes=news.changes,
            seen=news.seen,
            stray=stray,
            handled=reading.handled,
            left=reading.left,
            look=reading.look,
            at=reading.at,
            remarks=reading.remarks,
        )
    )


def thaw(stored: bytes, site: str) -> Reading:
    """Reads what ``freeze`` wrote; ``Unreadable`` when this version cannot."""
    try:
        kept = msgspec.json.decode(stored, type=Frozen)
        ticket = read_ticket(kept.ticket, site)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise Unreadable(f"what the turn's handlers were shown cannot be read ({error})") from None
    stray = tuple(row for row in ticket.history if row.id in kept.stray)
    news = News(kept.changes, kept.seen, stray)
    return Reading(ticket, news, kept.handled, kept.left, kept.look, kept.at, kept.remarks)
