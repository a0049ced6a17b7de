"""Marks: what the row of one of our effects looks like, so that it is known when it appears."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from workers.events.words import same_words, within, words
from workers.models.row import PropertyChange, Row

#: So many words of a message are enough to know it again in what a ticket remembers of it.
TELLING = 24


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The look of an effect's row.

    ``author`` and ``author_id`` tell whom the effect writes as; ``anonymous`` that the row may name nobody (KB 1039:
    the 2020 edition of ``update_tags`` has no staff id). ``message`` is the sort of message or empty; ``words`` what it
    says, as a person reads it. ``changes`` maps a property to the id, or day, it is set to, empty when cleared.
    """

    author: Literal["staff", "contact"]
    author_id: int
    anonymous: bool = False
    message: Literal["", "note", "reply"] = ""
    words: tuple[str, ...] = ()
    changes: Mapping[str, str] = {}

    @property
    def brief(self) -> "Mark":
        """The mark with no more words than are kept for a while."""
        return msgspec.structs.replace(self, words=self.words[:TELLING])


def fits(mark: Mark, row: Row) -> bool:
    """Tells whether a row may be the one that the marked effect made."""
    if not _author_fits(mark, row):
        return False
    if any(_new(change) != mark.changes.get(name) for name, change in row.changes.items()):
        return False
    said = words(row.message.html or row.message.text) if row.message else ()
    if not mark.message:
        return not said
    if row.message is None or row.message.forwarded or row.message.private != (mark.message == "note"):
        return False
    return same_words(mark.words, said) or same_words(mark.words, words(row.message.text))


def answers(mark: Mark, row: Row) -> bool:
    """Tells whether a new row in the answer to the marked effect is its row, whatever HappyFox made of it.

    It may have put a signature or a banner around our words, and have changed more, as a status that follows a reply.
    """
    if not _author_fits(mark, row) or any(_new(row.changes[name]) != mark.changes[name] for name in _both(mark, row)):
        return False
    if not mark.message:
        return row.message is None and bool(_both(mark, row))
    if row.message is None or row.message.forwarded or row.message.private != (mark.message == "note"):
        return False
    return within(mark.words, words(row.message.html)) or within(mark.words, words(row.message.text))


def _both(mark: Mark, row: Row) -> set[str]:
    return mark.changes.keys() & row.changes.keys()


def _author_fits(mark: Mark, row: Row) -> bool:
    if row.author == "unknown" and row.author_id is None:
        return mark.anonymous
    return row.author == mark.author and row.author_id == mark.author_id


def _new(change: PropertyChange) -> str:
    if change.new is None:
        return ""
    return str(change.new.id) if change.new.id is not None else change.new.name


def attribute(marks: Sequence[Mark | None], rows: Iterable[Row]) -> dict[int, int]:
    """Gives each mark, in order, the lowest fitting row that no other has: index of the mark -> id of the row.

    A None among the marks stands for an effect that leaves no row.
    """
    free = sorted(rows, key=lambda row: row.id)
    found: dict[int, int] = {}
    for index, mark in enumerate(marks):
        row = next((row for row in free if mark is not None and fits(mark, row)), None)
        if row is not None:
            found[index] = row.id
            free.remove(row)
    return found
