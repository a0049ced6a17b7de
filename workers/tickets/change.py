"""Changes since the last snapshot, and the event that handlers are called with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from workers.errors import suggest
from workers.tickets.model import Attachment, Named, first_name

#: The name of the change for a merge.
MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change; for a rule of HappyFox ``name`` is the rule's name."""

    kind: Literal["contact", "staff", "rule", "us", "unknown"]
    id: int | None = None
    name: str = ""

    @property
    def first_name(self) -> str:
        """The first name; empty if it is not known."""
        return first_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that happened to a ticket; that of a timer has an unknown actor."""

    kind: str
    at: datetime
    """Aware, in UTC."""
    update_id: int | None = None
    """The update that shows the change; None if it has no update of its own."""
    actor: Actor = Actor("unknown")
    old: Named | None = None
    new: Named | None = None
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    text: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    field: str = ""
    """The name of the custom field."""
    name: str = ""
    """The name of the timer that is due; ``merged`` if the ticket in ``new`` was merged into this one."""
    to: str = ""
    """The only recipient: the router that set the timer, or the handler of the schedule."""
    automatic: bool = False
    """Whether it comes from a contact's program: an out-of-office answer, a bounce, another help desk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a handler is called with, together with the ticket."""

    account: str
    kind: str
    """The kind that triggered the handler."""
    at: datetime
    """The time of the latest matching change."""
    changes: tuple[Change, ...]
    """All changes of the turn, oldest first."""
    matched: tuple[Change, ...]
    """The changes of the kinds that the handler asked for."""
    replay: bool = False
    """Whether a person requested this."""


def describe(change: Change) -> str:
    """Describe a timer, a schedule or a merge; return "" for any other change."""
    if change.kind == "scheduled":
        return f"scheduled: found by {change.to}"
    if change.to:
        return f"{change.kind}: the timer {change.name} of {change.to} is due"
    merged = change.new if change.name == MERGED else None
    return f"{change.kind}: {merged.name} was merged into this ticket" if merged else ""


def brief(change: Change) -> str:
    """Describe what happened and who did it, without the text of messages."""
    update = f" (update {change.update_id})" if change.update_id else ""
    return describe(change) or f"{change.kind} by {change.actor.kind}{update}"


def timer_kind(router: str, name: str) -> str:
    """Return the kind that a handler of this router's timer is registered for."""
    return f"later {router} {name}"


def schedule_kind(handler: str) -> str:
    """Return the kind that a scheduled handler is registered for, by its full name."""
    return f"scheduled {handler}"


def matches(kinds: frozenset[str], change: Change) -> bool:
    """Return whether a change is of one of the kinds.

    ``ticket-updated`` matches any change but the creation. Timers and schedules match only by name.
    """
    if change.to:
        return (schedule_kind(change.to) if change.kind == "scheduled" else timer_kind(change.to, change.name)) in kinds
    return change.kind in kinds or ("ticket-updated" in kinds and change.kind != "ticket-created")


def event_for(
    account: str, kinds: frozenset[str], changes: tuple[Change, ...], *, replay: bool = False
) -> Event | None:
    """Return the event for a handler of these kinds, or None if no change matches.

    It does not contain other recipients' timers and schedules.
    """
    matched = tuple(change for change in changes if matches(kinds, change))
    if not matched:
        return None
    last = matched[-1]
    kind = last.kind if last.to or last.kind in kinds else "ticket-updated"
    shown = tuple(change for change in changes if not change.to or change in matched)
    return Event(account=account, kind=kind, at=last.at, changes=shown, matched=matched, replay=replay)


#: The kinds that a handler may ask for.
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

#: The kinds of timers and schedules, and how a handler registers for each; each change has exactly one recipient.
CALLS: Final = {
    "later": 'a timer has a name: write @router.on("later", name="...")',
    "scheduled": 'write @router.every("1h", find="...") above the handler',
}


def check(kind: str) -> str:
    """Return the kind unchanged if a handler can ask for it.

    Raise ValueError otherwise, naming the nearest kind, or all kinds if none is similar.
    """
    if not isinstance(kind, str):
        fix = 'pass each kind as a string: on("ticket-created", "moved")'
        raise ValueError(f"{type(kind).__name__} is not a kind; {fix}")
    if kind in KINDS:
        return kind
    if kind in CALLS:
        raise ValueError(f"kind {kind!r} is not allowed here; {CALLS[kind]}")
    folded = "-".join(kind.lower().replace("_", " ").replace("-", " ").split())
    raise ValueError(f"no kind {kind!r}; {suggest(folded, (*KINDS, *CALLS))}")
