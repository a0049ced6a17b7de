"""Actions: what a rule does, read from its table; each records an intent, as a handler in Python would.

add_tags = ["refund"]
note = "From {{ ticket.contact.name }}"
set.status = "In Progress"
set.fields."Refund reason" = "customer asked"
move = "Billing"
forward = { to = "finance@example.com", subject = "{{ ticket.subject }}", message = "Please check." }
"""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.errors import suggest
from workers.rules.templates import LIMIT, Template
from workers.rules.values import Complain, Values
from workers.rules.views import View
from workers.turns.plugin.ticket import Ticket

Words = Mapping[str, View]
Run = Callable[[Ticket, Words], None]


@dataclass(frozen=True, slots=True)
class Action:
    """One action: its key in the file, the grant it needs (empty when none), and how it is recorded."""

    key: str
    permission: str
    run: Run


#: Actions by their key, with the grant that each needs.
GRANTS = {
    "add_tags": "",
    "remove_tags": "",
    "note": "",
    "reply": "reply",
    "set": "",
    "move": "move",
    "forward": "forward",
    "subscribe": "subscribe",
}
PROPERTIES = {"status": "status", "priority": "priority", "assignee": "staff member"}
SETS = (*PROPERTIES, "due_date", "fields")


class Reader:
    """Reads the actions of one rule, out of values that tell their mistakes and the names they use."""

    def __init__(self, complain: Complain) -> None:
        self.values = Values(complain)

    def read(self, key: str, value: object) -> Action | None:
        """Reads one action; None after a complaint."""
        before = self.values.mistakes
        read: Callable[[str, object], Run] = getattr(self, f"_{key}")
        run = read(key, value)
        return None if self.values.mistakes > before else Action(key, GRANTS[key], run)

    def _add_tags(self, key: str, value: object) -> Run:
        tags = self.values.tags(key, value)
        return lambda ticket, _: ticket.add_tags(*tags)

    def _remove_tags(self, key: str, value: object) -> Run:
        tags = self.values.tags(key, value)
        return lambda ticket, _: ticket.remove_tags(*tags)

    def _note(self, key: str, value: object) -> Run:
        return self._said(key, value, Ticket.note)

    def _reply(self, key: str, value: object) -> Run:
        return self._said(key, value, Ticket.reply)

    def _said(self, key: str, value: object, say: Callable[[Ticket, str], None]) -> Run:
        """Reads a message; one that comes out empty, as of an `if` that does not hold, is not written."""
        template = self.values.template((key,), value)

        def run(ticket: Ticket, words: Words) -> None:
            if (text := template.fill(words)).strip():
                say(ticket, _fitting(text))

        return run

    def _move(self, key: str, value: object) -> Run:
        table = value if isinstance(value, Mapping) else {"category": value}
        self.values.members(key, table, ("category",), ("note",))
        category = self.values.name("category", (key, "category"), table.get("category", ""))
        note = self.values.template((key, "note"), table["note"]) if "note" in table else Template("")
        return lambda ticket, words: ticket.move(category, _fitting(note.fill(words)))

    def _forward(self, key: str, value: object) -> Run:
        if not isinstance(value, Mapping):
            self.values.complain(
                (key,), f"{key} is not a table", 'write it as { to = "...", subject = "...", message = "..." }'
            )
            return _nothing
        self.values.members(key, value, ("to", "subject", "message"), ())
        to = tuple(self.values.address((key, "to"), one) for one in _each(value.get("to", "")))
        subject = self.values.template((key, "subject"), value.get("subject", "-"))
        message = self.values.template((key, "message"), value.get("message", "-"))
        return lambda ticket, words: ticket.forward(to, subject.fill(words), _fitting(message.fill(words)))

    def _subscribe(self, key: str, value: object) -> Run:
        staff = tuple(self.values.name("staff member", (key,), one) for one in _each(value))
        if not staff:
            self.values.complain((key,), f"{key} is empty", f'name a staff member, as {key} = ["Ada King"]')
        return lambda ticket, _: ticket.subscribe(*staff)

    def _set(self, key: str, value: object) -> Run:
        if not isinstance(value, Mapping) or not value:
            self.values.complain((key,), f"{key} is not a table", 'write it as set.status = "In Progress"')
            return _nothing
        for name in value:
            if name not in SETS:
                self.values.complain((key, name), f"no property {name!r}", suggest(name, SETS))
        wanted = {name: self._property(key, name, value[name]) for name in SETS[:-1] if name in value}
        fields = self._fields((key, "fields"), value["fields"]) if "fields" in value else {}

        def run(ticket: Ticket, words: Words) -> None:
            filled = {
                name: _line(each.fill(words)) if isinstance(each, Template) else each for name, each in fields.items()
            }
            ticket.set(**wanted, fields=filled)

        return run

    def _property(self, key: str, name: str, value: object) -> Any:
        if name == "due_date":
            return self.values.day((key, name), value)
        if name == "assignee" and value == "":
            return None
        return self.values.name(PROPERTIES[name], (key, name), value)

    def _fields(self, path: tuple[str, ...], value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not value:
            self.values.complain(
                path, f"{'.'.join(path)} is not a table", 'write set.fields."Name of the field" = "value"'
            )
            return {}
        return {name: self.values.field((*path, name), name, one) for name, one in value.items()}


def _each(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _nothing(ticket: Ticket, words: Words) -> None:
    """Stands for an action that could not be read."""


def _line(text: str) -> str:
    return " ".join(text.split())


def _fitting(text: str) -> str:
    """Cuts a text so that it has at most 64 kB when it is sent as markup."""
    while (size := len(html.escape(text, quote=False).replace("\n", "<br>").encode())) > LIMIT:
        text = text[: min(len(text) * LIMIT // size, len(text) - 1)]
    return text
