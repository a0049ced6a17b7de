"""Actions: what a handler asks for, and the ticket whose methods record them."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from workers.errors import InvalidAction
from workers.plugins import arguments
from workers.plugins.arguments import Attachable, AttachedFile, NameOrId
from workers.settings import Grants
from workers.tickets.folding import fold
from workers.tickets.model import TicketRead


class Action(msgspec.Struct, frozen=True, tag_field="action", tag=str.lower):
    """The base of all actions."""

    needs: ClassVar[str] = ""
    """The permission that actions of this type need."""

    @property
    def permission(self) -> str:
        """The permission this action needs, or an empty string."""
        return self.needs

    @property
    def description(self) -> str:
        """What this action is called in the ticket history."""
        return type(self).__name__.lower()


class Tags(Action, frozen=True):
    """Add and remove tags."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class TagChange(NamedTuple):
    """A tag to add or to remove, and the handler that asked for it last."""

    tag: str
    """As the ticket spells it, or as it was first written."""
    added: bool
    handler: str
    by_person: bool
    """Whether a person asked for it by a replay."""
    needed: bool
    """Whether the ticket does not have, or not lack, the tag already."""

    @property
    def signed(self) -> str:
        """The tag after a plus or minus sign."""
        return f"{'+' if self.added else '-'}{self.tag}"


def tag_changes(asked: Iterable[tuple[str, Tags, bool]], on_ticket: Collection[str]) -> list[TagChange]:
    """Merge the tags that handlers, perhaps by a person's replay, asked for; the last one wins.

    Spellings that a person reads as equal are one tag.
    """
    changes: dict[str, tuple[str, bool, str, bool]] = {}
    for handler, tags, by_person in asked:
        for tag, added in (*((each, True) for each in tags.add), *((each, False) for each in tags.remove)):
            written, was_added, *_ = changes.get(fold(tag), (tag, False, "", False))
            changes[fold(tag)] = written if was_added else tag, added, handler, by_person
    spellings: dict[str, list[str]] = {}
    for tag in sorted(on_ticket):
        spellings.setdefault(fold(tag), []).append(tag)
    found = []
    for folded, (written, added, handler, by_person) in changes.items():
        present = spellings.get(folded, [])
        named = [written] if added or not present else present
        found += [TagChange(each, added, handler, by_person, added != bool(present)) for each in named]
    return found


class Note(Action, frozen=True, omit_defaults=True):
    """Write a private note."""

    html: str
    alert: NameOrId | None = None
    """Who is notified: ``s`` (subscribers), ``c`` (staff of the category) or a staff id (KB 1039)."""
    time_spent: int = 0
    """Minutes, added to those of the ticket."""
    files: tuple[AttachedFile, ...] = ()


class Reply(Action, frozen=True, omit_defaults=True):
    """Reply to the contact."""

    needs = "reply"

    html: str
    notify: bool = True
    """Whether HappyFox mails the reply (KB 1039: ``update_customer``)."""
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    time_spent: int = 0
    """Minutes, added to those of the ticket."""
    subject: str = ""
    """The subject of the email; the ticket keeps its own."""
    survey: bool = False
    """Whether the email asks how satisfied the contact is (KB 1039: ``send_survey``)."""
    files: tuple[AttachedFile, ...] = ()


class ContactReply(Action, frozen=True, omit_defaults=True, tag="reply-as-contact"):
    """Reply in the name of a contact (KB 1039: ``user_reply``)."""

    needs = "reply-as-contact"

    html: str
    contact: int = 0
    """The contact's id; 0 for the one of the ticket."""
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    files: tuple[AttachedFile, ...] = ()

    @property
    def description(self) -> str:
        return "reply as contact"


class Set(Action, frozen=True):
    """Set properties and custom fields; None clears the assignee, the due date or a custom field."""

    properties: Mapping[str, NameOrId | None] = {}
    fields: Mapping[str, Any] = {}
    with_reply: bool = False
    """Whether it is a part of a reply: then it needs the same permission, so that neither happens alone."""
    time_spent: int = 0
    """Minutes, added to those of the ticket."""

    @property
    def permission(self) -> str:
        return Reply.needs if self.with_reply else ""


class SetContact(Action, frozen=True, omit_defaults=True, tag="set-contact"):
    """Change the contact of the ticket."""

    needs = "contacts"

    members: Mapping[str, str] = {}
    """``name`` and ``email``."""
    fields: Mapping[str, Any] = {}
    """Custom fields of the contact; None clears one."""

    @property
    def description(self) -> str:
        return "contact"


class Move(Action, frozen=True):
    """Move the ticket to another category, with a private note."""

    needs = "move"

    category: NameOrId
    note: str = ""


class Forward(Action, frozen=True):
    """Forward the ticket to external addresses."""

    needs = "forward"

    to: tuple[str, ...]
    subject: str
    message: str


class Subscribe(Action, frozen=True):
    """Subscribe staff members to the ticket."""

    needs = "subscribe"

    staff: tuple[NameOrId, ...]


class Unsubscribe(Action, frozen=True):
    """Unsubscribe staff members from the ticket."""

    needs = "subscribe"

    staff: tuple[NameOrId, ...]


class Delete(Action, frozen=True):
    """Delete the ticket."""

    needs = "delete"


class Later(Action, frozen=True):
    """Set a timer on the ticket, after which its router is called again."""

    name: str
    wait: int
    """Milliseconds until it is due."""
    unless: tuple[str, ...] = ()
    """The kinds of change that cancel it."""


class StateChange(Action, frozen=True, omit_defaults=True):
    """Change an entry of the router's state; exactly one of the fields after ``keep`` is set."""

    entry: str
    """Its kind and its name: ``counter:open``."""
    keep: int = 0
    """How long it is kept (ms)."""
    value: str | None = None
    """The new value (JSON) of a value or a rotation."""
    by: int = 0
    """What is added to a counter."""
    add: tuple[str, ...] = ()
    """What is added to a set."""
    remove: tuple[str, ...] = ()
    """What is removed from a set."""
    delete: bool = False
    option: str = ""
    """Whose turn it was in a rotation."""

    @property
    def description(self) -> str:
        return "store"

    @property
    def summary(self) -> str:
        """What changes, without the value."""
        kind, _, name = self.entry.partition(":")
        if self.option:
            return f"{name}: chose {self.option}"
        if self.by:
            return f"{kind} {name} {self.by:+d}"
        members = [f"+{each}" for each in self.add] + [f"-{each}" for each in self.remove]
        return f"{kind} {name} {' '.join(members) or ('deleted' if self.delete else 'set')}"


class Veto(Action, frozen=True):
    """Keep the handlers after this one from running on the same event."""

    reason: str


#: The actions on a single ticket.
TicketAction = Tags | Note | Reply | ContactReply | Set | SetContact | Move | Forward | Subscribe | Unsubscribe | Delete


class Create(Action, frozen=True, omit_defaults=True):
    """Create a ticket."""

    needs = "create"

    members: Mapping[str, Any]
    """The members of HappyFox's endpoint (KB 1039, 4), with names where it expects ids."""
    files: tuple[AttachedFile, ...] = ()

    @property
    def description(self) -> str:
        return "create ticket"


class OnOtherTicket(Action, frozen=True):
    """Perform an action on another ticket, in that ticket's own lane."""

    number: int
    ticket_action: TicketAction

    @property
    def permission(self) -> str:
        return self.ticket_action.permission

    @property
    def description(self) -> str:
        return f"{self.ticket_action.description} on ticket {self.number}"


AnyAction = TicketAction | Create | OnOtherTicket | Later | StateChange | Veto


#: The permissions that actions need.
PERMISSIONS = frozenset(each.needs for each in Action.__subclasses__() if each.needs)


class MayNeedPermission(Protocol):
    """An action, or an effect that actions were merged into."""

    @property
    def permission(self) -> str:
        """The permission it needs, or an empty string."""


def denied(action: MayNeedPermission, router: str, allow: frozenset[tuple[str, str]]) -> str:
    """Return the permission that an action lacks, or an empty string."""
    permission = action.permission
    return permission if permission and (router, permission) not in allow else ""


def describe_actions(actions: Sequence[AnyAction], router: str, grants: Grants) -> str:
    """List the allowed actions of a router's handler, each with the setting that allows it."""
    described = (
        each.description + (f" (allowed by {grants.source(router, each.permission)})" if each.permission else "")
        for each in actions
    )
    return ", ".join(dict.fromkeys(described)) or "nothing"


def describe_denials(permissions: Sequence[str], setting: str) -> str:
    """List the denied permissions, after a semicolon, with the setting that would grant them."""
    return f"; {' and '.join(permissions)} denied, set {setting}" if permissions else ""


#: The types of optional arguments; UNSET leaves a property unchanged, None clears it.
Required = NameOrId | UnsetType
Clearable = NameOrId | None | UnsetType
DueDate = date | str | None | UnsetType


class Recorder(ABC):
    """Record actions for the engine; nothing is performed here, and the ticket does not change."""

    @abstractmethod
    def _record(self, action: TicketAction) -> None:
        """Keep an action: `Ticket` for its turn, `OnTicket` for the other ticket's lane."""

    @property
    @abstractmethod
    def _source(self) -> int:
        """The number of the handler's own ticket, which has the attachments of its changes."""

    def add_tags(self, *names: str) -> None:
        """Add tags; a tag that the ticket already has costs no call."""
        if names:
            self._record(Tags(add=arguments.tags(names)))

    def remove_tags(self, *names: str) -> None:
        """Remove tags."""
        if names:
            self._record(Tags(remove=arguments.tags(names)))

    def note(
        self,
        text: str = "",
        *,
        html: str | None = None,
        alert: NameOrId | None = None,
        time_spent: int = 0,
        attachments: Iterable[Attachable] = (),
    ) -> None:
        """Write a private note in plain ``text``, or in ``html``, which takes precedence.

        HappyFox notifies ``alert``: a staff member, ``"s"`` the subscribers, ``"c"`` the staff of the category.
        ``time_spent`` are minutes, which some categories require. ``attachments`` are paths, pairs of name and bytes,
        or attachments of the handler's own ticket.
        """
        notified = None if alert is None else arguments.name("alert", alert)
        body, files = arguments.body("note", text, html), arguments.files(attachments, self._source)
        self._record(Note(html=body, alert=notified, time_spent=arguments.minutes(time_spent), files=files))

    def reply(  # noqa: PLR0913 - a keyword for each property that the reply can set
        self,
        text: str = "",
        *,
        html: str | None = None,
        notify: bool = True,
        cc: Iterable[str] = (),
        bcc: Iterable[str] = (),
        time_spent: int = 0,
        subject: str = "",
        survey: bool = False,
        attachments: Iterable[Attachable] = (),
        status: Required = UNSET,
        priority: Required = UNSET,
        assignee: Clearable = UNSET,
        due_date: DueDate = UNSET,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Reply to the contact and set properties in the same call; ``notify`` mails the reply.

        ``time_spent`` are minutes, which some categories require. ``subject`` is that of the email. ``survey`` asks how
        satisfied the contact is. ``attachments`` are as in ``note``.
        """
        files = arguments.files(attachments, self._source)
        if files and (assignee is None or due_date is None):
            raise InvalidAction("a reply with attachments cannot clear the assignee or due date; use ticket.set for it")
        reply = Reply(
            arguments.body("reply", text, html),
            bool(notify),
            arguments.addresses("cc", cc),
            arguments.addresses("bcc", bcc),
            arguments.minutes(time_spent),
            arguments.line("subject", subject),
            bool(survey),
            files,
        )
        self._record(reply)
        self._set(status, priority, assignee, due_date, fields, with_reply=True)

    def reply_as_contact(
        self,
        text: str = "",
        *,
        html: str | None = None,
        contact: int | None = None,
        cc: Iterable[str] = (),
        bcc: Iterable[str] = (),
        attachments: Iterable[Attachable] = (),
    ) -> None:
        """Reply in the name of the ticket's contact, or of another one by id; needs the grant ``reply-as-contact``."""
        if contact is not None and (isinstance(contact, bool) or not isinstance(contact, int) or contact < 1):
            raise InvalidAction("reply_as_contact: contact is not an id (int); pass the id of a contact")
        body, files = arguments.body("reply", text, html), arguments.files(attachments, self._source)
        copies = arguments.addresses("cc", cc), arguments.addresses("bcc", bcc)
        self._record(ContactReply(body, contact or 0, *copies, files))

    def set(
        self,
        *,
        status: Required = UNSET,
        priority: Required = UNSET,
        assignee: Clearable = UNSET,
        due_date: DueDate = UNSET,
        fields: Mapping[str, Any] | None = None,
        time_spent: int = 0,
    ) -> None:
        """Set properties by name (str) or id (int); ``None`` clears the assignee or the due date.

        ``time_spent`` are minutes, which some categories require; they are sent with the properties.
        """
        self._set(status, priority, assignee, due_date, fields, time_spent=arguments.minutes(time_spent))

    def set_contact(self, *, name: str = "", email: str = "", fields: Mapping[str, Any] | None = None) -> None:
        """Change the name, the address or custom fields of the ticket's contact; needs the grant ``contacts``."""
        members = {"name": arguments.line("name", name), "email": ",".join(arguments.addresses("email", email))}
        given, written = {key: value for key, value in members.items() if value}, arguments.fields(fields)
        if given or written:
            self._record(SetContact(given, written))

    def move(self, category: NameOrId, note: str = "") -> None:
        """Move the ticket to another category, with a private note in plain text."""
        self._record(Move(arguments.name("category", category), arguments.escaped("note", note)))

    def forward(self, to: Iterable[str], subject: str, message: str) -> None:
        """Forward the ticket to external addresses; the subject is one line, the message plain text."""
        if not (recipients := arguments.addresses("to", to)):
            raise InvalidAction("the forward has no recipient; pass an address")
        self._record(Forward(recipients, arguments.line("subject", subject), arguments.escaped("message", message)))

    def subscribe(self, *staff: NameOrId) -> None:
        """Subscribe staff members."""
        if staff:
            self._record(Subscribe(tuple(arguments.name("staff member", each) for each in staff)))

    def unsubscribe(self, *staff: NameOrId) -> None:
        """Unsubscribe staff members."""
        if staff:
            self._record(Unsubscribe(tuple(arguments.name("staff member", each) for each in staff)))

    def delete(self) -> None:
        """Delete the ticket."""
        self._record(Delete())

    def _set(
        self,
        status: Required,
        priority: Required,
        assignee: Clearable,
        due_date: DueDate,
        fields: Mapping[str, Any] | None,
        with_reply: bool = False,
        time_spent: int = 0,
    ) -> None:
        properties: dict[str, NameOrId | None] = {}
        for name, value in (("status", status), ("priority", priority)):
            if value is None:
                raise InvalidAction(f"the {name} cannot be cleared; pass a name or an id")
            if not isinstance(value, UnsetType):
                properties[name] = arguments.name(name, value)
        if not isinstance(assignee, UnsetType):
            properties["assignee"] = None if assignee is None else arguments.name("assignee", assignee)
        if not isinstance(due_date, UnsetType):
            properties["due_date"] = None if due_date is None else arguments.day(due_date)
        if properties or fields:
            self._record(Set(properties, arguments.fields(fields), with_reply, time_spent))
        elif time_spent:
            raise InvalidAction("time_spent alone is no change; pass it with a property, a note or a reply")


class OnTicket(Recorder):
    """Record actions on a ticket by its number; ``source`` is the handler's own ticket."""

    def __init__(self, number: int, actions: list[AnyAction], source: int) -> None:
        self.id = number
        self._actions, self._own_ticket = actions, source

    @property
    def _source(self) -> int:
        return self._own_ticket

    def _record(self, action: TicketAction) -> None:
        own = self.id == self._own_ticket
        self._actions.append(action if own else OnOtherTicket(self.id, action))


@dataclass(frozen=True, kw_only=True)
class Ticket(TicketRead, Recorder):
    """A ticket as read; its methods record actions, which do not change it."""

    actions: list[AnyAction] = field(default_factory=list, repr=False, compare=False)

    def _record(self, action: TicketAction) -> None:
        self.actions.append(action)

    @property
    def _source(self) -> int:
        return self.id


def recording(ticket: TicketRead, actions: list[AnyAction]) -> Ticket:
    """Return a ticket that records on ``actions``; each handler gets its own, so none sees another's actions."""
    return Ticket(**{each.name: getattr(ticket, each.name) for each in fields(TicketRead)}, actions=actions)
