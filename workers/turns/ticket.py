"""The ticket that handlers are given: as read at the start of the turn, with methods that record intents."""

import html as markup
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

from msgspec import UNSET, UnsetType

from workers.errors import WrongIntent
from workers.models.ticket import TicketRead
from workers.turns.intents import (
    AnyIntent,
    Delete,
    Forward,
    Move,
    NameOrId,
    Note,
    Reply,
    Set,
    Subscribe,
    Tags,
)

Maybe = NameOrId | None | UnsetType
Day = date | str | None | UnsetType


@dataclass(frozen=True, kw_only=True)
class Ticket(TicketRead):
    """A ticket as read; its methods record what a handler wants. Nothing recorded shows in it."""

    intents: list[AnyIntent] = field(default_factory=list, repr=False, compare=False)

    def add_tags(self, *names: str) -> None:
        """Wants tags added; those the ticket has already cost no call."""
        self.intents.append(Tags(add=_tags(names)))

    def remove_tags(self, *names: str) -> None:
        """Wants tags removed."""
        self.intents.append(Tags(remove=_tags(names)))

    def note(self, text: str = "", *, html: str | None = None, alert: NameOrId | None = None) -> None:
        """Wants a private note: ``text`` is plain, ``html`` is markup and wins."""
        self.intents.append(Note(html=_body("note", text, html), alert=alert))

    def reply(
        self,
        text: str = "",
        *,
        html: str | None = None,
        notify: bool = True,
        cc: tuple[str, ...] = (),
        bcc: tuple[str, ...] = (),
        status: Maybe = UNSET,
        priority: Maybe = UNSET,
        assignee: Maybe = UNSET,
        due_date: Day = UNSET,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Wants an answer to the contact, with properties in the same call; ``notify`` also mails it."""
        self.intents.append(Reply(_body("reply", text, html), notify, _addresses(cc), _addresses(bcc)))
        self._set(status, priority, assignee, due_date, fields)

    def set(
        self,
        *,
        status: Maybe = UNSET,
        priority: Maybe = UNSET,
        assignee: Maybe = UNSET,
        due_date: Day = UNSET,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Wants properties set; ``None`` clears the assignee or the due date. Texts are names, integers ids."""
        self._set(status, priority, assignee, due_date, fields)

    def move(self, category: NameOrId, note: str = "") -> None:
        """Wants the ticket moved to another category."""
        self.intents.append(Move(_name("category", category), note))

    def forward(self, to: str | tuple[str, ...], subject: str, message: str) -> None:
        """Wants the ticket sent to addresses outside."""
        self.intents.append(Forward(_addresses(to), subject, message))

    def subscribe(self, *staff: NameOrId) -> None:
        """Wants staff members subscribed."""
        self.intents.append(Subscribe(tuple(_name("staff member", each) for each in staff)))

    def delete(self) -> None:
        """Wants the ticket deleted."""
        self.intents.append(Delete())

    def _set(
        self, status: Maybe, priority: Maybe, assignee: Maybe, due_date: Day, fields: Mapping[str, Any] | None
    ) -> None:
        wanted: dict[str, NameOrId | None] = {}
        for name, value in (("status", status), ("priority", priority)):
            if value is None:
                raise WrongIntent(f"{name} cannot be cleared; name one")
            if not isinstance(value, UnsetType):
                wanted[name] = _name(name, value)
        if not isinstance(assignee, UnsetType):
            wanted["assignee"] = None if assignee is None else _name("assignee", assignee)
        if not isinstance(due_date, UnsetType):
            wanted["due_date"] = None if due_date is None else _day(due_date)
        if wanted or fields:
            self.intents.append(Set(wanted, dict(fields or {})))


def for_handler(ticket: TicketRead, intents: list[AnyIntent]) -> Ticket:
    """Gives a handler its own ticket, which records on ``intents``: handlers do not see each other's."""
    return Ticket(**{each.name: getattr(ticket, each.name) for each in fields(TicketRead)}, intents=intents)


def _tags(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not isinstance(name, str) or not name.strip() or "," in name:
            raise WrongIntent(f"{name!r} cannot be a tag: HappyFox separates tags by commas; give one name at a time")
    return tuple(name.strip() for name in names)


def _body(what: str, text: str, html: str | None) -> str:
    """Gives the message as markup: plain text is escaped and keeps its lines."""
    if not isinstance(text, str) or not isinstance(html, str | None):
        raise WrongIntent(f"a {what} that is a {type(text if html is None else html).__name__}: give it a text (str)")
    body = html if html is not None else markup.escape(text, quote=False).replace("\n", "<br>")
    if not body.strip():
        raise WrongIntent(f"an empty {what}: give it a text")
    return body


def _name(what: str, value: object) -> NameOrId:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise WrongIntent(f"{what} {value!r}: give a name (str) or an id (int)")
    return value


def _day(value: object) -> str:
    try:
        return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()[:10]
    except ValueError:
        raise WrongIntent(f"due_date {value!r}: give a date, or a text such as 2026-12-31") from None


def _addresses(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.split(",")) if isinstance(value, str) else tuple(value)
