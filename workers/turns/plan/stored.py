"""Stored values, read again: by a later attempt at the turn, by another version, or by a person."""

import zlib
from typing import TypeVar

import msgspec

from workers.turns.plan.effects import split
from workers.turns.plan.owed import Foreign, Letter, Owed
from workers.turns.plan.plan import Entry, Plan, Record

T = TypeVar("T")

#: The format of plans and records that this version writes and reads.
FORMAT = 1


class Unreadable(Exception):
    """A stored value that this version cannot read; it says which and why."""


def decode_plan(stored: bytes) -> Plan:
    """Reads a stored plan; one of another format, or a broken one, is ``Unreadable``."""
    plan = _decoded(stored, Plan, "the stored plan")
    if plan.format != FORMAT:
        raise Unreadable(f"the stored plan has format {plan.format}, this version reads {FORMAT}")
    return plan


def decode_record(stored: bytes) -> Record:
    """Reads a stored record; one of another format, or a broken one, is ``Unreadable``."""
    try:
        record = _decoded(zlib.decompress(stored), Record, "the stored record")
    except zlib.error as error:
        raise Unreadable(f"the stored record cannot be read ({error})") from None
    if record.format != FORMAT:
        raise Unreadable(f"the stored record has format {record.format}, this version reads {FORMAT}")
    return record


def read_record(stored: bytes | None) -> Record | None:
    """Return a stored record; None if there is none or this version cannot read it."""
    try:
        return decode_record(stored) if stored is not None else None
    except Unreadable:
        return None


def decode_owed(stored: bytes | None) -> tuple[Owed, ...]:
    """Reads what is owed; nothing stored is nothing owed."""
    return _decoded(stored, tuple[Owed, ...], "what is owed") if stored else ()


def decode_replay(stored: bytes) -> Owed:
    """Makes of a dead letter what is owed again, at once: its wish, its effect, or else a run of its handler.

    Whoever replays it has looked: an effect in doubt that only a person could look up is made again.
    """
    letter = _decoded(stored, Letter, "the dead letter")
    foreign = {name: msgspec.structs.replace(entry, until=0, again=True) for name, entry in letter.foreign.items()}
    debt = Owed(letter.handler, letter.changes, 0, 0, letter.first_error, letter.reason, 0, True, foreign)
    if letter.wish:
        return msgspec.structs.replace(debt, wish=letter.wish, origin=letter.origin, letter=letter.id)
    if letter.effect is None:
        return debt
    own = dict(zip(letter.effect.handlers, split(letter.effect), strict=True)).get(letter.handler, letter.effect)
    return msgspec.structs.replace(debt, effect=own, doubt=letter.doubt, letter=letter.id)


def decode_foreign(stored: bytes) -> Foreign:
    """Reads the journal entry of an effect in another system."""
    return _decoded(stored, Foreign, "the journal of another system")


def decode_entry(stored: bytes) -> Entry:
    """Reads a journal entry."""
    return _decoded(stored, Entry, "the journal")


def _decoded(stored: bytes, shape: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(stored, type=shape)
    except msgspec.DecodeError as error:  # a ValidationError is one, too
        raise Unreadable(f"{what} cannot be read ({error})") from None
