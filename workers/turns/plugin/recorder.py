"""Recorders: the methods by which a handler says what it wants done to a ticket."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from msgspec import UNSET, UnsetType

from workers.errors import WrongIntent
from workers.turns.plugin import arguments
from workers.turns.plugin.intents import (
    AnyIntent,
    Delete,
    Forward,
    Move,
    NameOrId,
    Note,
    On,
    Own,
    Reply,
    Set,
    Subscribe,
    Tags,
)

Must = NameOrId | UnsetType
Maybe = NameOrId | None | UnsetType
Day = date | str | None | UnsetType


class Recorder:
    """Records what is wanted; nothing recorded shows anywhere.

    What is recorded on the ticket of the turn and what is recorded on another one go different ways: see ``_want``.
    """

    def _want(self, intent: Own) -> None:
        raise NotImplementedError  # Ticket keeps it for the turn, OnTicket sends it to the other ticket's lane

    def add_tags(self, *names: str) -> None:
        """Wants tags added; those the ticket has already cost no call."""
        if names:
            self._want(Tags(add=arguments.tags(names)))

    def remove_tags(self, *names: str) -> None:
        """Wants tags removed."""
        if names:
            self._want(Tags(remove=arguments.tags(names)))

    def note(self, text: str = "", *, html: str | None = None, alert: NameOrId | None = None) -> None:
        """Wants a private note: ``text`` is plain, ``html`` is markup and wins.

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
        """Wants an answer to the contact, with properties in the same call; ``notify`` also mails it."""
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
        """Wants properties set; ``None`` clears the assignee or the due date. Texts are names, integers ids."""
        self._set(status, priority, assignee, due_date, fields)

    def move(self, category: NameOrId, note: str = "") -> None:
        """Wants the ticket moved to another category, with a private note in plain text."""
        self._want(Move(arguments.name("category", category), arguments.escaped("note", note)))

    def forward(self, to: Iterable[str], subject: str, message: str) -> None:
        """Wants the ticket sent to addresses outside; the subject is one line, the message plain text."""
        if not (whom := arguments.addresses("to", to)):
            raise WrongIntent("a forward to nobody: give it an address")
        self._want(Forward(whom, arguments.line("subject", subject), arguments.escaped("message", message)))

    def subscribe(self, *staff: NameOrId) -> None:
        """Wants staff members subscribed."""
        if staff:
            self._want(Subscribe(tuple(arguments.name("staff member", each) for each in staff)))

    def delete(self) -> None:
        """Wants the ticket deleted."""
        self._want(Delete())

    def _set(
        self, status: Must, priority: Must, assignee: Maybe, due_date: Day, fields: Mapping[str, Any] | None
    ) -> None:
        wanted: dict[str, NameOrId | None] = {}
        for name, value in (("status", status), ("priority", priority)):
            if value is None:
                raise WrongIntent(f"{name} cannot be cleared; name one")
            if not isinstance(value, UnsetType):
                wanted[name] = arguments.name(name, value)
        if not isinstance(assignee, UnsetType):
            wanted["assignee"] = None if assignee is None else arguments.name("assignee", assignee)
        if not isinstance(due_date, UnsetType):
            wanted["due_date"] = None if due_date is None else arguments.day(due_date)
        if wanted or fields:
            self._want(Set(wanted, arguments.fields(fields)))


class OnTicket(Recorder):
    """Records what is wanted of the ticket ``id``, by a handler whose own it is not, or is after all."""

    def __init__(self, id: int, intents: list[AnyIntent], *, own: bool) -> None:
        self.id = id
        self._intents, self._own = intents, own

    def _want(self, intent: Own) -> None:
        self._intents.append(intent if self._own else On(self.id, intent))
