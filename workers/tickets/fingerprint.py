"""Fingerprints: recognize which updates of a ticket our own effects made."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeGuard

import msgspec

from workers.tickets.model import Message, Update, id_or_name
from workers.tickets.text import same_words, within, words

#: How many words of a message are stored: enough to recognize it.
STORED_WORDS = 24


class Fingerprint(msgspec.Struct, frozen=True, array_like=True):
    """What the update of an effect looks like."""

    author: Literal["staff", "contact"]
    """Whom the effect writes as."""
    author_id: int
    anonymous: bool = False
    """Whether the update may have no author (KB 1039: ``update_tags`` of 2020 has no staff id)."""
    message: Literal["", "note", "reply"] = ""
    """The kind of message, "" for none."""
    words: tuple[str, ...] = ()
    """The words of the message, as a person reads it."""
    changes: Mapping[str, str] = {}
    """The new id or day of each property that the effect sets, "" if it clears it."""

    def shortened(self) -> "Fingerprint":
        """Return the fingerprint with only the words that are stored."""
        return msgspec.structs.replace(self, words=self.words[:STORED_WORDS])


def attribute(fingerprints: Sequence[Fingerprint | None], updates: Iterable[Update]) -> dict[int, int]:
    """Return the id of the update of each effect, by the index of its fingerprint.

    In order, each effect gets the lowest update that fits and is still free. None is an effect without an update.
    """
    free = sorted(updates, key=lambda update: update.id)
    found: dict[int, int] = {}
    for index, fingerprint in enumerate(fingerprints):
        update = next((update for update in free if fingerprint is not None and fits(fingerprint, update)), None)
        if update is not None:
            found[index] = update.id
            free.remove(update)
    return found


def fits(fingerprint: Fingerprint, update: Update) -> bool:
    """Return whether the effect may have made an update."""
    if not _same_author(fingerprint, update):
        return False
    if any(id_or_name(change.new) != fingerprint.changes.get(name) for name, change in update.changes.items()):
        return False
    message = update.message
    if not fingerprint.message:
        return message is None or not words(message.html or message.text)
    return _same_kind(message, fingerprint) and (
        same_words(fingerprint.words, words(message.html or message.text))
        or same_words(fingerprint.words, words(message.text))
    )


def fits_answer(fingerprint: Fingerprint, update: Update) -> bool:
    """Return whether a new update in the answer to the effect's call is its update.

    HappyFox may have added a signature or a banner to our words, and changed more, such as the status after a reply.
    """
    changed = fingerprint.changes.keys() & update.changes.keys()
    if not _same_author(fingerprint, update):
        return False
    if any(id_or_name(update.changes[name].new) != fingerprint.changes[name] for name in changed):
        return False
    message = update.message
    if not fingerprint.message:
        return message is None and bool(changed)
    return _same_kind(message, fingerprint) and (
        within(fingerprint.words, words(message.html)) or within(fingerprint.words, words(message.text))
    )


def _same_author(fingerprint: Fingerprint, update: Update) -> bool:
    if update.author == "unknown" and update.author_id is None:
        return fingerprint.anonymous
    return update.author == fingerprint.author and update.author_id == fingerprint.author_id


def _same_kind(message: Message | None, fingerprint: Fingerprint) -> TypeGuard[Message]:
    return message is not None and not message.forwarded and message.private == (fingerprint.message == "note")
