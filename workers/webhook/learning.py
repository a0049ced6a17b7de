"""Learn what bodies call their ticket number, their event type and their contacts, from the bodies themselves.

Nobody outside HappyFox knows the names that it uses. `parse` reads all that are known or assumed; this module finds
the others. A fact is learned from three tickets that show it, unless a delivery has contradicted it. It is only used
where nothing known is found, so it never makes `parse` refuse a body, and the signature is checked before anything is
read.

==========  ==========================================================  ==========================================
fact        value                                                       shown by a delivery if
==========  ==========================================================  ==========================================
number      path of the ticket number, such as ``case.no``              a link or a display id has the same number
event       path of the event type                                      it holds a known event type; among all
                                                                        deliveries, one of creations and of updates
contact     what ``update.by.type`` is if a contact acted               ``update.by`` has the contact's name or email
==========  ==========================================================  ==========================================
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from workers.webhook.bodies import MOST_LEVELS, MOST_NAMES, Object, UnreadableBody
from workers.webhook.delivery import Delivery, Learned, kind_of, member_at, names_event, read, ticket_number
from workers.webhook.shapes import NAMED_BY_PEOPLE

#: How many tickets must show a fact, and how many facts are looked at.
TICKETS: Final = 3
MOST_FACTS: Final = 500

#: What each fact means to people, with its value.
MEANINGS: Final[Mapping[str, str]] = {
    "number": "the ticket number is in {}",
    "event": "the event type is in {}",
    "contact": "a contact acted if update.by.type is {}",
}

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
#: A link to a ticket, or a display id; a text that contains more is somebody's words.
_WITNESS: Final = re.compile(
    r"https?://[^\s?#]+/tickets?/0*([1-9][0-9]{0,15})(?:[/?#]\S*)?|#[A-Za-z]{1,32}[-_]?0*([1-9][0-9]{0,15})"
)
_CONTACTS: Final = ("client_details", "user", "contact", "client")


class Fact(NamedTuple):
    """Something that a delivery may show."""

    what: str
    """number, event or contact."""
    value: str
    witness: str = ""
    """The path of the link or display id with the same number."""


class Learner:
    """What the deliveries of one account have shown so far in this process."""

    def __init__(self) -> None:
        self._shown: dict[Fact, set[tuple[int, str]]] = {}
        """By fact, the tickets that have shown it, each with the kind of its event."""
        self._contradicted: set[Fact] = set()

    def observe(self, outer: Object, learned: Learned) -> dict[str, str]:
        """Look at a body whose signature is right; return the facts that are settled now and not yet learned."""
        try:
            delivery = read(outer, learned=learned)
        except UnreadableBody as unreadable:
            if unreadable.reason in ("no-ticket-number", "bad-ticket-number"):
                self._note("number", {fact: (number, "") for fact, number in _numbers(outer)})
        else:
            if not names_event(outer):
                self._note("event", {fact: (delivery.ticket, kind) for fact, kind in _events(outer)})
            if delivery.actor == "unknown":
                self._note_author(outer, delivery)
        return {what: value for what in MEANINGS if not getattr(learned, what) and (value := self._settled(what))}

    def _note(self, what: str, found: Mapping[Fact, tuple[int, str]]) -> None:
        """Note what one delivery shows; it contradicts all other facts of this kind."""
        self._contradicted.update(fact for fact in self._shown if fact.what == what and fact not in found)
        for fact, seen in found.items():
            self._show(fact, *seen)

    def _show(self, fact: Fact, ticket: int, kind: str) -> None:
        """Note that a delivery shows a fact, as far as that can still settle it."""
        if fact in self._shown or len(self._shown) < MOST_FACTS:
            seen = self._shown.setdefault(fact, set())
            if len({known for known, _ in seen}) < TICKETS or kind not in {known for _, known in seen}:
                seen.add((ticket, kind))

    def _note_author(self, outer: Object, delivery: Delivery) -> None:
        """Note whether the author of an update of an unknown type is the contact."""
        word, is_contact = member_at(outer, "update.by.type"), _by_contact(outer)
        if isinstance(word, str) and _NAME.fullmatch(word) and is_contact is not None:
            fact = Fact("contact", word)
            if not is_contact:
                self._contradicted.add(fact)
            else:
                self._show(fact, delivery.ticket, "")

    def _settled(self, what: str) -> str:
        """Return the best value of a fact that enough tickets show: the shortest path."""
        values = [
            fact.value
            for fact, seen in self._shown.items()
            if fact.what == what and fact not in self._contradicted and _is_enough(what, seen)
        ]
        return min(values, key=lambda value: (value.count("."), value), default="")


def _is_enough(what: str, seen: set[tuple[int, str]]) -> bool:
    kinds = {kind for _, kind in seen}
    return len({ticket for ticket, _ in seen}) >= TICKETS and (what != "event" or len(kinds) > 1)


def _numbers(outer: Object) -> Iterator[tuple[Fact, int]]:
    """Yield the members with the number of a link or a display id, each with that number."""
    members = list(_members(outer))
    witnesses = [
        (path, int(found[1] or found[2]))
        for path, value in members
        if isinstance(value, str) and (found := _WITNESS.fullmatch(value[:500]))
    ]
    for path, value in members:
        number = ticket_number(value)
        yield from ((Fact("number", path, each), number) for each, same in witnesses if each != path and same == number)


def _events(outer: Object) -> Iterator[tuple[Fact, str]]:
    """Yield the members that hold a known event type, each with its kind."""
    for path, value in _members(outer):
        kind, _ = kind_of(value)
        if kind:
            yield Fact("event", path), kind


def _by_contact(outer: Object) -> bool | None:
    """Return whether the update is by the contact, None if the body does not say."""
    by = member_at(outer, "update.by")
    contacts = (each for name in _CONTACTS if isinstance(each := outer.get(name), dict))
    contact = next(contacts, None)
    if not isinstance(by, dict) or contact is None:
        return None
    for name in ("email", "name"):
        if (author := by.get(name)) and (known := contact.get(name)):
            return bool(author == known)
    return None


def _members(outer: Object) -> Iterator[tuple[str, object]]:
    """Yield the members of nested objects with their paths, except those whose names people have chosen."""
    yield from islice(_walk(outer, "", MOST_LEVELS), MOST_NAMES)


def _walk(value: Object, prefix: str, levels: int) -> Iterator[tuple[str, object]]:
    for name, member in value.items():
        if name in NAMED_BY_PEOPLE or not _NAME.fullmatch(name):
            continue
        if not isinstance(member, dict):
            yield prefix + name, member
        elif levels:
            yield from _walk(member, f"{prefix}{name}.", levels - 1)
