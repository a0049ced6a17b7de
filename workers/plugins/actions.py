"""Actions: what a handler asks for, and the ticket whose methods record them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from workers.errors import InvalidAction
from workers.plugins import arguments
from workers.plugins.arguments import NameOrId
from workers.tickets.model import TicketRead


class Action(msgspec.Struct, frozen=True, tag_field="action", tag=str.lower):
    """The base of all actions."""

    @property
    def permission(self) -> str:
        """The permission this action needs, or ""."""
        return ""

    @property
    def word(self) -> str:
        """What it is called in the ticket history."""
        return type(self).__name__.lower()


class Tags(Action, frozen=True):
    """Add and remove tags."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class Note(Action, frozen=True):
    """Write a private note; ``alert`` is ``s`` (subscribers), ``c`` (staff of the category) or a staff id (KB 1039)."""

    html: str
    alert: NameOrId | None = None


class Reply(Action, frozen=True):
    """Answer the contact; ``notify`` also mails it (KB 1039: ``update_customer``)."""

    html: str
    notify: bool = True
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()

    @property
    def permission(self) -> str:
        return "reply"


class Set(Action, frozen=True):
    """Set properties and custom fields; None clears the assignee, the due date or a field."""

    properties: Mapping[str, NameOrId | None] = {}
    fields: Mapping[str, Any] = {}


class Move(Action, frozen=True):
    """Move the ticket to another category, with a private note."""

    category: NameOrId
    note: str = ""

    @property
    def permission(self) -> str:
        return "move"


class Forward(Action, frozen=True):
    """Send the ticket to addresses outside."""

    to: tuple[str, ...]
    subject: str
    message: str

    @property
    def permission(self) -> str:
        return "forward"


class Subscribe(Action, frozen=True):
    """Subscribe staff members to the ticket."""

    staff: tuple[NameOrId, ...]

    @property
    def permission(self) -> str:
        return "subscribe"


class Delete(Action, frozen=True):
    """Delete the ticket."""

    @property
    def permission(self) -> str:
        return "delete"


class Later(Action, frozen=True):
    """Set a timer of the ticket: in ``wait`` ms its router is called, unless a change of these kinds comes before."""

    name: str
    wait: int
    unless: tuple[str, ...] = ()


#: What can be wanted of a ticket.
TicketAction = Tags | Note | Reply | Set | Move | Forward | Subscribe | Delete


class Create(Action, frozen=True):
    """Create a ticket; ``members`` as HappyFox's endpoint takes them (KB 1039, 4), but names where it has ids."""

    members: Mapping[str, Any]

    @property
    def permission(self) -> str:
        return "create"

    @property
    def word(self) -> str:
        return "create ticket"


class OnOtherTicket(Action, frozen=True):
    """Do something to another ticket, in that ticket's own lane."""

    number: int
    wanted: TicketAction

    @property
    def permission(self) -> str:
        return self.wanted.permission

    @property
    def word(self) -> str:
        return f"{self.wanted.word} on ticket {self.number}"


AnyAction = TicketAction | Create | OnOtherTicket | Later


def line(action: AnyAction, router: str) -> str:
    """Return the line that allows a router an intent, such as `FOXHOOKS_ALLOW=vip:reply`; empty when none is needed."""
    return f"FOXHOOKS_ALLOW={router}:{action.permission}" if action.permission else ""


def denied(action: AnyAction, router: str, allow: frozenset[tuple[str, str]]) -> str:
    """Return the line that would allow the intent; empty when it is allowed.

    `allow` holds the grants as (router, permission).
    """
    return "" if (router, action.permission) in allow else line(action, router)


def wants(actions: Sequence[AnyAction], router: str) -> str:
    """Describe what a router's handler wants and may do, in plain words, with the lines that allow it."""
    told = (f"{each.word} (allowed by {by})" if (by := line(each, router)) else each.word for each in actions)
    return ", ".join(dict.fromkeys(told)) or "nothing"


def denials(lines: Sequence[str]) -> str:
    """Describe what was denied, and which lines would allow it; begins with a semicolon, empty when nothing was."""
    return "".join(f"; {each.rpartition(':')[2]} denied, add {each}" for each in lines)


Must = NameOrId | UnsetType
Maybe = NameOrId | None | UnsetType
Day = date | str | None | UnsetType


class Recorder:
    """Record what is wanted; nothing recorded shows anywhere.

    What is recorded on the ticket of the turn and what is recorded on another one go different ways: see ``_want``.
    """

    def _want(self, action: TicketAction) -> None:
        raise NotImplementedError  # Ticket keeps it for the turn, OnTicket sends it to the other ticket's lane

    def add_tags(self, *names: str) -> None:
        """Request tags added; those the ticket has already cost no call."""
        if names:
            self._want(Tags(add=arguments.tags(names)))

    def remove_tags(self, *names: str) -> None:
        """Request tags removed."""
        if names:
            self._want(Tags(remove=arguments.tags(names)))

    def note(self, text: str = "", *, html: str | None = None, alert: NameOrId | None = None) -> None:
        """Request a private note: ``text`` is plain, ``html`` is markup and wins.

        ``alert`` is whom HappyFox tells of it: a staff member, ``"s"`` the subscribers, ``"c"`` the category's staff.
        """
        told = None if alert is None else arguments.name("alert", alert)
        self._want(Note(html=arguments.body("note", text, html), alert=told))

    def reply(
        self,
        text: str = "",
        *,
        html: str | None = None,
        notify: bool = True,
        cc: Iterable[str] = (),
        bcc: Iterable[str] = (),
        status: Must = UNSET,
        priority: Must = UNSET,
        assignee: Maybe = UNSET,
        due_date: Day = UNSET,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Request an answer to the contact, with properties in the same call; ``notify`` also mails it."""
        copies = arguments.addresses("cc", cc), arguments.addresses("bcc", bcc)
        self._want(Reply(arguments.body("reply", text, html), bool(notify), *copies))
        self._set(status, priority, assignee, due_date, fields)

    def set(
        self,
        *,
        status: Must = UNSET,
        priority: Must = UNSET,
        assignee: Maybe = UNSET,
        due_date: Day = UNSET,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Request properties set; ``None`` clears the assignee or the due date. Texts are names, integers ids."""
        self._set(status, priority, assignee, due_date, fields)

    def move(self, category: NameOrId, note: str = "") -> None:
        """Request the ticket moved to another category, with a private note in plain text."""
        self._want(Move(arguments.name("category", category), arguments.escaped("note", note)))

    def forward(self, to: Iterable[str], subject: str, message: str) -> None:
        """Request the ticket sent to addresses outside; the subject is one line, the message plain text."""
        if not (whom := arguments.addresses("to", to)):
            raise InvalidAction("a forward to nobody: give it an address")
        self._want(Forward(whom, arguments.line("subject", subject), arguments.escaped("message", message)))

    def subscribe(self, *staff: NameOrId) -> None:
        """Request staff members subscribed."""
        if staff:
            self._want(Subscribe(tuple(arguments.name("staff member", each) for each in staff)))

    def delete(self) -> None:
        """Request the ticket deleted."""
        self._want(Delete())

    def _set(
        self, status: Must, priority: Must, assignee: Maybe, due_date: Day, fields: Mapping[str, Any] | None
    ) -> None:
        wanted: dict[str, NameOrId | None] = {}
        for name, value in (("status", status), ("priority", priority)):
            if value is None:
                raise InvalidAction(f"{name} cannot be cleared; name one")
            if not isinstance(value, UnsetType):
                wanted[name] = arguments.name(name, value)
        if not isinstance(assignee, UnsetType):
            wanted["assignee"] = None if assignee is None else arguments.name("assignee", assignee)
        if not isinstance(due_date, UnsetType):
            wanted["due_date"] = None if due_date is None else arguments.day(due_date)
        if wanted or fields:
            self._want(Set(wanted, arguments.fields(fields)))


class OnTicket(Recorder):
    """Record what is wanted of the ticket ``id``, by a handler whose own it is not, or is after all."""

    def __init__(self, id: int, actions: list[AnyAction], *, own: bool) -> None:
        self.id = id
        self._actions, self._own = actions, own

    def _want(self, action: TicketAction) -> None:
        self._actions.append(action if self._own else OnOtherTicket(self.id, action))


@dataclass(frozen=True, kw_only=True)
class Ticket(TicketRead, Recorder):
    """A ticket as read; its methods record what a handler wants. Nothing recorded shows in it."""

    actions: list[AnyAction] = field(default_factory=list, repr=False, compare=False)

    def _want(self, action: TicketAction) -> None:
        self.actions.append(action)


def for_handler(ticket: TicketRead, actions: list[AnyAction]) -> Ticket:
    """Return a handler its own ticket, which records on ``intents``: handlers do not see each other's."""
    return Ticket(**{each.name: getattr(ticket, each.name) for each in fields(TicketRead)}, actions=actions)
