"""Changes since the last snapshot, and the event that handlers are called with."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast, get_args

from workers.errors import suggest
from workers.tickets.model import Attachment, Named, Survey, first_name

#: The kinds that a handler may ask for. ``ticket-updated`` is any but the creation; ``assigned`` is also unassigned.
Kind = Literal[
    "ticket-created",
    "ticket-updated",
    "contact-replied",
    "staff-replied",
    "note-added",
    "status-changed",
    "priority-changed",
    "assigned",
    "moved",
    "due-date-changed",
    "tags-changed",
    "field-changed",
    "smart-rule",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

#: The kinds of all events.
EventKind = Kind | Literal["later", "scheduled", "hook"]

#: Who can have made a change: ``rule`` is a smart rule, ``us`` is foxhooks, ``client`` is a program at the gateway.
ActorKind = Literal["contact", "staff", "rule", "us", "client", "unknown"]
ACTOR_KINDS: Final[tuple[ActorKind, ...]] = get_args(ActorKind)

#: The name of the change for a merge.
MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change; ``name`` is that of a person, a rule of HappyFox, or a client of the gateway."""

    kind: ActorKind
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
    subject: str = ""
    """The subject of the email."""
    cc: tuple[str, ...] = ()
    """Who got a copy of the email."""
    survey: Survey | None = None
    """The contact's answer to a satisfaction survey."""
    field: str = ""
    """The name of the custom field."""
    name: str = ""
    """The name of a timer or a hook; ``merged`` if the ticket in ``new`` was merged into this one."""
    to: str = ""
    """The only recipient: the router that set the timer, the one of the hook, or the handler of the schedule."""
    automatic: bool = False
    """Whether it comes from a program of a contact or colleague, as an out-of-office answer or a bounce does."""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """What another system sent to the hook."""


NOT_LATE = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a handler is called with, together with the ticket."""

    account: str
    kind: EventKind
    """The kind that triggered the handler."""
    at: datetime
    """The time of the latest matching change."""
    changes: tuple[Change, ...]
    """All changes of the turn, oldest first."""
    matched: tuple[Change, ...]
    """The changes of the kinds that the handler asked for."""
    replay: bool = False
    """Whether a person requested this."""
    late: timedelta = NOT_LATE
    """The age of the news: how long before this turn the latest matching change was made."""
    ahead: timedelta = NOT_LATE
    """How far HappyFox's clock is ahead of ours; the times of changes are read from that clock."""


def describe(change: Change) -> str:
    """Describe a timer, a schedule, a hook or a merge; return "" for any other change."""
    if change.kind == "scheduled":
        return f"scheduled: found by {change.to}"
    if change.kind == "hook":
        return f"hook: {change.name} for {change.to}"
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


def hook_kind(router: str, name: str = "") -> str:
    """Return the kind that a handler of this router's hook is registered for; without a name, of all its hooks."""
    return f"hook {router} {name}".rstrip()


def matches(kinds: frozenset[str], change: Change) -> bool:
    """Return whether a change is of one of the kinds.

    ``ticket-updated`` matches any change but the creation. Timers, schedules and hooks match only by name.
    """
    if change.kind == "hook":
        return hook_kind(change.to, change.name) in kinds or hook_kind(change.to) in kinds
    if change.to:
        return (schedule_kind(change.to) if change.kind == "scheduled" else timer_kind(change.to, change.name)) in kinds
    return change.kind in kinds or ("ticket-updated" in kinds and change.kind != "ticket-created")


def event_for(
    account: str,
    kinds: frozenset[str],
    changes: tuple[Change, ...],
    *,
    replay: bool = False,
    now: datetime | None = None,
    ahead: timedelta = NOT_LATE,
) -> Event | None:
    """Return the event for a handler of these kinds at the time ``now``, or None if no change matches.

    It does not contain other recipients' timers and schedules. ``ahead`` is how far HappyFox's
    clock is ahead of ours.
    """
    matched = tuple(change for change in changes if matches(kinds, change))
    if not matched:
        return None
    last = matched[-1]
    kind = cast("EventKind", last.kind) if last.to or last.kind in kinds else "ticket-updated"
    shown = tuple(change for change in changes if not change.to or change in matched)
    late = max(age_of(last, now, ahead), NOT_LATE) if now else NOT_LATE
    return Event(
        account=account, kind=kind, at=last.at, changes=shown, matched=matched, replay=replay, late=late, ahead=ahead
    )


def age_of(change: Change, now: datetime, ahead: timedelta) -> timedelta:
    """Return the age of a change; timers and schedules have our time, all others HappyFox's, which is ``ahead``."""
    return now - change.at + (NOT_LATE if change.to else ahead)


#: The kinds of timers, schedules and hooks, and how a handler registers for each; each change has one recipient.
CALLS: Final = {
    "later": 'a timer has a name: write @router.on("later", name="...")',
    "scheduled": 'write @router.every("1h", find="...") above the handler',
    "hook": 'only plug-ins receive hooks: write @router.on("hook") above the handler',
}


def check(kind: str) -> Kind:
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
    folded = "any" if kind == "*" else "-".join(kind.lower().translate(str.maketrans("_-.:/", "     ")).split())
    raise ValueError(f"no kind {kind!r}; {_meant(folded) or suggest(folded, (*KINDS, *CALLS))}")


#: Words of other products, by what they mean.
_ACTORS: Final = {
    **dict.fromkeys(("customer", "user", "client", "requester", "contact", "enduser", "submitter"), "contact-replied"),
    **dict.fromkeys(("agent", "operator", "staff", "admin", "technician"), "staff-replied"),
}
_NEW: Final = {"created", "new", "opened", "submitted", "received", "create", "incoming", "added"}
_PROPERTIES: Final = {
    **dict.fromkeys(("assignee", "owner", "assigned", "assign", "unassigned", "reassigned", "assignment"), "assigned"),
    **dict.fromkeys(("tag", "tags", "tagged", "label", "labels", "untagged"), "tags-changed"),
    **dict.fromkeys(("category", "queue", "team", "department", "moved", "group", "transferred"), "moved"),
    **dict.fromkeys(("priority", "urgency", "escalated"), "priority-changed"),
    **dict.fromkeys(("due", "deadline", "duedate"), "due-date-changed"),
    **dict.fromkeys(("field", "fields", "custom"), "field-changed"),
    **dict.fromkeys(("rule", "trigger", "automation", "workflow"), "smart-rule"),
}


def _meant(folded: str) -> str:
    """Return the fix for a kind in the words of another product; empty if there is none.

    Who acted outranks what was done: `customer-updated` is a reply of the contact.
    """
    words = set(folded.split("-"))
    closed = {"solved": "Closed", "closed": "Closed", "resolved": "Closed", "completed": "Closed", "reopened": "Open"}
    state = next((closed[word] for word in sorted(words) if word in closed), "")
    kind = next((_PROPERTIES[word] for word in sorted(words) if word in _PROPERTIES), "")
    actor = next((_ACTORS[word] for word in sorted(words) if word in _ACTORS), "")
    noted = {"internal", "private", "note", "notes"} & words
    if noted and words - {"staff"}:
        return "did you mean 'note-added'?"
    if state:
        return f"did you mean 'status-changed' with when.to = \"{state}\"?"
    if kind:
        return f"did you mean {kind!r}?"
    if actor:
        return f"did you mean {actor!r}?"
    return _without_actor(words)


def _without_actor(words: set[str]) -> str:
    """Return the fix for a kind whose words name neither who acted nor a property."""
    if words & {"comment", "commented", "comments"}:
        return "did you mean 'note-added', 'contact-replied' or 'staff-replied'?"
    if words & {"reply", "replied", "message", "responded", "answered", "email"}:
        return "did you mean 'contact-replied' or 'staff-replied'?"
    if words & {"status", "state"}:
        return "did you mean 'status-changed'?"
    if words & _NEW and words <= {"ticket", "on", "case", "issue", "conversation", *_NEW}:
        return "did you mean 'ticket-created'?"
    if "sla" in words or words & {"breached", "overdue"}:
        return 'no change marks it: in rules, write every = "1h" with find, and when.sla_breached = true'
    changed = {"updated", "all", "every", "changed", "modified", "update", "edited", "change", "any"}
    return "did you mean 'ticket-updated'?" if words & changed and words <= {"ticket", *changed} else ""
