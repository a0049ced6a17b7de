"""Try a rule on a ticket: whether it would act on an event, why not, and what it would do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from workers.plugins.actions import (
    PERMISSIONS,
    AnyAction,
    Forward,
    Move,
    Note,
    Reply,
    Set,
    StateChange,
    Subscribe,
    Tags,
)
from workers.plugins.loading import RULES
from workers.plugins.router import Router
from workers.rules.checks import MESSAGES
from workers.rules.file import handler_of
from workers.rules.rule import Rule
from workers.testing.handlers import run, ticket
from workers.tickets.change import Actor, Change, EventKind, event_for
from workers.tickets.diff import KIND_OF, FirstSight, diff_read
from workers.tickets.model import Named, TicketRead
from workers.tickets.text import lines

#: A ticket to try rules on without an account.
SAMPLE: Final = ticket(
    id=1234,
    email="sam@bigcorp.example",
    subject="Refund for order 4711",
    text="Hello,\nmy order 4711 arrived broken. Please refund me.\nSam",
    groups=["BigCorp"],
    source="EMAIL",
)

_BEGINNING = datetime.min.replace(tzinfo=UTC)

#: Who usually makes a change; all others are made by staff.
ACTOR_OF = {"ticket-created": "contact", "contact-replied": "contact", "smart-rule": "rule", "scheduled": "unknown"}


@dataclass(frozen=True, slots=True)
class Trial:
    """What one rule would do about one change."""

    rule: Rule
    change: Change
    actions: tuple[AnyAction, ...] = ()
    reason: str = ""
    """Why it does not act."""
    failed: bool = False
    """Whether it does not act because an action could not be recorded."""


def try_rule(rule: Rule, ticket: TicketRead, change: Change, now: datetime) -> Trial:
    """Run a rule on one change, with every permission; nothing is called and nothing is stored."""
    handler = handler_of(rule)
    if event_for("", handler.kinds, (change,)) is None:
        when = f"every {rule.every.words}" if rule.every else f"by {', '.join(rule.kinds)}"
        return Trial(rule, change, reason=f"not triggered by {change.kind}, only {when}")
    router = Router(RULES)
    router.handlers.append(handler)
    result = run(router, ticket, cast("EventKind", change.kind), changes=[change], now=now, allow=PERMISSIONS)
    for error in result.failed.values():
        return Trial(rule, change, reason=f"failed: {error}", failed=True)
    reason = next(iter(result.skipped.values()), "")
    if not reason and not result.actions:
        reason = "its texts are empty, so there is nothing to do"
    return Trial(rule, change, result.actions, reason)


# The change to try a rule on


def past_changes(ticket: TicketRead, staff: int, now: datetime) -> tuple[Change, ...]:
    """Return everything that others than our ``staff`` member have done on a ticket, oldest first."""
    everything = FirstSight(_BEGINNING, _BEGINNING, silent=False)
    return diff_read(ticket, None, everything, now, staff).changes


def change_for(rule: Rule, kind: str, past: Sequence[Change], ticket: TicketRead, now: datetime) -> Change:
    """Return the latest change of a kind, or of any kind that the rule runs for; imagine one if there is none."""
    if rule.every and kind in ("", "scheduled"):
        return Change(kind="scheduled", at=now, to=handler_of(rule).name)
    kinds = frozenset([kind] if kind else rule.kinds)
    found = (change for change in reversed(past) if event_for("", kinds, (change,)))
    return next(found, None) or imagined_change(kind or rule.kinds[0], ticket, now)


def imagined_change(kind: str, ticket: TicketRead, now: datetime) -> Change:
    """Return a change of this kind as it could have led to the ticket."""
    staff = ticket.assignee
    after: Mapping[str, Named | None] = {
        KIND_OF["status"]: ticket.status,
        KIND_OF["priority"]: ticket.priority,
        KIND_OF["category"]: ticket.category,
        KIND_OF["assignee"]: Named(staff.id, staff.name) if staff else None,
        KIND_OF["due_date"]: Named(None, ticket.due_date.isoformat()) if ticket.due_date else None,
    }
    return Change(
        kind=kind,
        at=now,
        actor=actor_of(kind),
        new=after.get(kind),
        added=ticket.tags if kind == "tags-changed" else frozenset(),
        text=ticket.first_message if kind in MESSAGES else "",
        to=RULES if kind == "scheduled" else "",  # no rule has this name: none runs
    )


def actor_of(kind: str, by: str = "", name: str = "") -> Actor:
    """Return who makes a change; by default who usually makes one of this kind."""
    return Actor(by or ACTOR_OF.get(kind, "staff"), name=name)  # type: ignore[arg-type]


# Actions, to show and to compare them


@dataclass(frozen=True, slots=True)
class ActionPart:
    """One thing that an action does, as a rule would write it."""

    key: str
    """As in a rule: `add_tags`, `set.status`."""
    value: str
    texts: tuple[str, ...] = ()
    """The texts that people will read, as plain text."""
    permission: str = ""
    """The permission that it needs."""
    subject: str = ""
    """The subject of an email."""

    def __str__(self) -> str:
        first = f"{self.key} {_joined(self.value, self.subject and f'subject {self.subject}')}".strip()
        return "\n".join(line for text in (first, *self.texts) for line in text.split("\n"))


def parts(actions: Sequence[AnyAction]) -> Iterator[ActionPart]:
    """Yield each thing that actions of rules do, with all of its values."""
    for action in actions:
        yield from _parts(action)


def _parts(action: AnyAction) -> Iterator[ActionPart]:
    permission = action.permission
    match action:
        case Tags():
            yield from (ActionPart("add_tags", tag) for tag in action.add)
            yield from (ActionPart("remove_tags", tag) for tag in action.remove)
        case Note():
            yield ActionPart("note", _joined(_minutes(action.time_spent), _files(action)), _plain(action.html))
        case Reply():
            copies = [f"{name} {', '.join(each)}" for name, each in (("cc", action.cc), ("bcc", action.bcc)) if each]
            survey = "survey" if action.survey else ""
            value = _joined(*copies, survey, _minutes(action.time_spent), _files(action))
            yield ActionPart("reply", value, _plain(action.html), permission, action.subject)
        case Set():
            values = {**action.properties, **{f"fields.{name}": value for name, value in action.fields.items()}}
            values |= {"time_spent": action.time_spent} if action.time_spent else {}
            yield from (ActionPart(f"set.{name}", f"= {_shown(value)}") for name, value in values.items())
        case Move():
            yield ActionPart("move", str(action.category), _plain(action.note), permission)
        case Forward():
            texts = (action.subject, *_plain(action.message))
            yield ActionPart("forward", f"to {', '.join(action.to)}", texts, permission)
        case StateChange():
            pass  # whose turn it is next
        case Subscribe():
            yield from (ActionPart("subscribe", str(staff), permission=permission) for staff in action.staff)
        case _:
            yield ActionPart(action.description, "")


def _plain(html: str) -> tuple[str, ...]:
    text = lines(html).strip()
    return (text,) if text else ()


def _joined(*values: str) -> str:
    return ", ".join(filter(None, values))


def _files(action: Note | Reply) -> str:
    return f"attachments {', '.join(each.name for each in action.files)}" if action.files else ""


def _minutes(count: int) -> str:
    return f"time_spent {count}" if count else ""


def _shown(value: object) -> str:
    """Return the value of a property or a field as a person reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return "none" if value in (None, "") else str(value)
