"""Changes: what happened to a ticket since it was last seen, and the event that handlers are called with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from workers.models.reference import Named
from workers.models.row import Attachment


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change; for a rule of HappyFox ``name`` is the rule's name."""

    kind: Literal["contact", "staff", "rule", "us", "unknown"]
    id: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that happened to a ticket.

    ``at`` is aware, in UTC. ``update_id`` is the row that tells of it, None for changes that leave no row of their own.
    ``old`` and ``new`` are set for property changes, ``added`` and ``removed`` for tags, ``field`` names the custom
    field, ``text`` and ``html`` hold a message.
    """

    kind: str
    at: datetime
    update_id: int | None = None
    actor: Actor = Actor("unknown")
    old: Named | None = None
    new: Named | None = None
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    text: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a handler is called with, beside the ticket.

    ``kind`` is the kind that called it, ``at`` the time of the last change it asked for, ``changes`` all changes of the
    turn, oldest first, ``matched`` those of the kinds it asked for, ``replay`` whether a person asked for this.
    """

    account: str
    kind: str
    at: datetime
    changes: tuple[Change, ...]
    matched: tuple[Change, ...]
    replay: bool = False


def matches(kinds: frozenset[str], change: Change) -> bool:
    """Tells whether a change is of one of the kinds; ``ticket-updated`` is any change but the creation."""
    return change.kind in kinds or ("ticket-updated" in kinds and change.kind != "ticket-created")


def event_for(
    account: str, kinds: frozenset[str], changes: tuple[Change, ...], *, replay: bool = False
) -> Event | None:
    """Makes the event for a handler that asked for ``kinds``, or None when no change is of them."""
    matched = tuple(change for change in changes if matches(kinds, change))
    if not matched:
        return None
    last = matched[-1]
    kind = last.kind if last.kind in kinds else "ticket-updated"
    return Event(account=account, kind=kind, at=last.at, changes=changes, matched=matched, replay=replay)
