"""Changes: what happened to a ticket since it was last seen, and the event that handlers are called with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from workers.errors import suggest
from workers.tickets.model import Attachment, Named

#: The name of the change that tells of a merge.
MERGED = "merged"


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
    field, ``text`` and ``html`` hold a message. ``name`` is that of the timer that made a ``later``; it is ``merged``
    where another ticket was merged into this one, which ``new`` names. ``to`` tells who alone is shown it: the router
    that set the timer, or the handler whose schedule found the ticket. Nobody made these two, so that their actor is
    unknown.
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
    name: str = ""
    to: str = ""


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


def describe(change: Change) -> str:
    """Tells of a timer, a schedule or a merge in plain words; empty for what a row or a difference tells."""
    merge = change.name == MERGED
    if not change.to:
        return f"{change.kind}: {change.new.name} was merged into this ticket" if merge and change.new else ""
    if change.kind == "scheduled":
        return f"scheduled: found for {change.to}"
    return f"{change.kind}: the timer {change.name} of {change.to} is due"


def brief(change: Change) -> str:
    """Tells what happened and through whom, without anybody's words."""
    update = f" (row {change.update_id})" if change.update_id else ""
    return describe(change) or f"{change.kind} by {change.actor.kind}{update}"


def timer_kind(router: str, name: str) -> str:
    """Gives what a handler asks for that receives the timer of its router by this name."""
    return f"later {router} {name}"


def schedule_kind(handler: str) -> str:
    """Gives what a handler asks for that has a schedule; ``handler`` is its full name."""
    return f"scheduled {handler}"


def matches(kinds: frozenset[str], change: Change) -> bool:
    """Tells whether a change is of one of the kinds; ``ticket-updated`` is any change but the creation.

    What is for somebody alone, a timer or a schedule, matches only where it is asked for by name.
    """
    if change.to:
        return (schedule_kind(change.to) if change.kind == "scheduled" else timer_kind(change.to, change.name)) in kinds
    return change.kind in kinds or ("ticket-updated" in kinds and change.kind != "ticket-created")


def event_for(
    account: str, kinds: frozenset[str], changes: tuple[Change, ...], *, replay: bool = False
) -> Event | None:
    """Makes the event for a handler that asked for ``kinds``, or None when no change is of them.

    What is for others alone does not show in it.
    """
    matched = tuple(change for change in changes if matches(kinds, change))
    if not matched:
        return None
    last = matched[-1]
    kind = last.kind if last.to or last.kind in kinds else "ticket-updated"
    shown = tuple(change for change in changes if not change.to or change in matched)
    return Event(account=account, kind=kind, at=last.at, changes=shown, matched=matched, replay=replay)


# The kinds of events a handler may ask for.


KINDS: Final = (
    "ticket-created",
    "ticket-updated",  # any change but the creation
    "contact-replied",
    "staff-replied",
    "note-added",
    "status-changed",
    "priority-changed",
    "assigned",  # also unassigned
    "moved",
    "due-date-changed",
    "tags-changed",
    "field-changed",
    "smart-rule",
)

#: The kinds that are nobody's doing: a timer that a handler set, and a schedule that found the ticket. Each is for one
#: alone, and a handler asks for them in the way told here.
CALLS: Final = {
    "later": 'a timer has a name: write @router.on("later", name="...")',
    "scheduled": 'write @router.every("1h", find="...") above the handler',
}


def check(kind: str) -> str:
    """Returns the kind as it is, if it is one that something which happened to a ticket may have.

    Raises ValueError otherwise: it names the nearest kind, or lists them all when none is near.
    """
    if not isinstance(kind, str):
        cure = 'write each as a text, one after another: on("ticket-created", "moved")'
        raise ValueError(f"{type(kind).__name__} is no kind; {cure}")
    if kind in KINDS:
        return kind
    if kind in CALLS:
        raise ValueError(f"kind {kind!r} cannot stand here; {CALLS[kind]}")
    folded = "-".join(kind.lower().replace("_", " ").replace("-", " ").split())
    raise ValueError(f"no kind {kind!r}; {suggest(folded, (*KINDS, *CALLS))}")
