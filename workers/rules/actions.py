"""Actions: what a rule does, read from its table; each records an intent, as a handler in Python would.

add_tags = ["refund"]
note = "From {{ ticket.contact.name }}"
set.status = "In Progress"
set.fields."Refund reason" = "customer asked"
move = "Billing"
forward = { to = "finance@example.com", subject = "{{ ticket.subject }}", message = "Please check." }
"""

import html
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from workers.rules.templates import LIMIT, Template, TemplateFault
from workers.rules.views import View
from workers.turns.fitting import near
from workers.turns.ticket import Ticket

Words = Mapping[str, View]
Run = Callable[[Ticket, Words], None]


@dataclass(frozen=True, slots=True)
class Action:
    """One action: its key in the file, the grant it needs (empty when none), and how it is recorded."""

    key: str
    permission: str
    run: Run


@dataclass(frozen=True, slots=True)
class Name:
    """A name or an id that HappyFox must know: a status, a staff member and so on, and the key it stands under.

    `values` are those a field is set to or compared with.
    """

    what: str
    name: str | int
    path: tuple[str, ...]
    values: tuple[Any, ...] = ()


class Complain(Protocol):
    """Takes what is wrong with a key of the rule."""

    def __call__(self, path: tuple[str, ...], problem: str, cure: str) -> None: ...


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

NAMES = "a name in quotes, or a number as an id"


class Reader:
    """Reads the actions of one rule; collects the names it uses, and tells every mistake."""

    def __init__(self, complain: Complain) -> None:
        self._complain = complain
        self._told = 0
        self.names: list[Name] = []

    def complain(self, path: tuple[str, ...], problem: str, cure: str) -> None:
        self._told += 1
        self._complain(path, problem, cure)

    def read(self, key: str, value: object) -> Action | None:
        """Reads one action; None after a complaint."""
        before = self._told
        read: Callable[[str, object], Run] = getattr(self, f"_{key}")
        run = read(key, value)
        return None if self._told > before else Action(key, GRANTS[key], run)

    def _add_tags(self, key: str, value: object) -> Run:
        tags = self._tags(key, value)
        return lambda ticket, _: ticket.add_tags(*tags)

    def _remove_tags(self, key: str, value: object) -> Run:
        tags = self._tags(key, value)
        return lambda ticket, _: ticket.remove_tags(*tags)

    def _note(self, key: str, value: object) -> Run:
        return self._said(key, value, Ticket.note)

    def _reply(self, key: str, value: object) -> Run:
        return self._said(key, value, Ticket.reply)

    def _said(self, key: str, value: object, say: Callable[[Ticket, str], None]) -> Run:
        """Reads a message; one that comes out empty, as of an `if` that does not hold, is not written."""
        template = self._template((key,), value)

        def run(ticket: Ticket, words: Words) -> None:
            if (text := template.fill(words)).strip():
                say(ticket, _fitting(text))

        return run

    def _move(self, key: str, value: object) -> Run:
        table = value if isinstance(value, Mapping) else {"category": value}
        self._members(key, table, ("category",), ("note",))
        category = self._name("category", (key, "category"), table.get("category", ""))
        note = self._template((key, "note"), table["note"]) if "note" in table else Template("")
        return lambda ticket, words: ticket.move(category, _html(note.fill(words)))

    def _forward(self, key: str, value: object) -> Run:
        if not isinstance(value, Mapping):
            self.complain(
                (key,), f"{key} is not a table", 'write it as { to = "...", subject = "...", message = "..." }'
            )
            return _nothing
        self._members(key, value, ("to", "subject", "message"), ())
        to = tuple(self._address((key, "to"), one) for one in _each(value.get("to", "")))
        subject = self._template((key, "subject"), value.get("subject", "-"))
        message = self._template((key, "message"), value.get("message", "-"))
        return lambda ticket, words: ticket.forward(to, _line(subject.fill(words)), _html(message.fill(words)))

    def _subscribe(self, key: str, value: object) -> Run:
        staff = tuple(self._name("staff member", (key,), one) for one in _each(value))
        if not staff:
            self.complain((key,), f"{key} is empty", f'name a staff member, as {key} = ["Ada King"]')
        return lambda ticket, _: ticket.subscribe(*staff)

    def _set(self, key: str, value: object) -> Run:
        if not isinstance(value, Mapping) or not value:
            self.complain((key,), f"{key} is not a table", 'write it as set.status = "In Progress"')
            return _nothing
        for name in value:
            if name not in SETS:
                self.complain((key, name), f"no property {name!r}", near(name, SETS))
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
            return self._day((key, name), value)
        if name == "assignee" and value == "":
            return None
        return self._name(PROPERTIES[name], (key, name), value)

    def _day(self, path: tuple[str, ...], value: object) -> date | None:
        if value == "":
            return None
        if isinstance(value, date):
            return value.date() if isinstance(value, datetime) else value
        try:
            return date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            self.complain(path, f"{value!r} is no day", 'write it as 2030-12-31, or "" to clear it')
            return None

    def _fields(self, path: tuple[str, ...], value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not value:
            self.complain(path, f"{'.'.join(path)} is not a table", 'write set.fields."Name of the field" = "value"')
            return {}
        return {name: self._field((*path, name), name, one) for name, one in value.items()}

    def _field(self, path: tuple[str, ...], name: str, value: object) -> Any:
        texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not texts and not isinstance(value, str | int | float | date):
            self.complain(
                path, f"{'.'.join(path)} has no usable value", "write a text, a number, true or a list of texts"
            )
            return ""
        made = self._template(path, value, empty=True) if isinstance(value, str) else value
        known = not isinstance(made, Template) or (made.fixed and value != "")
        self.names.append(Name("field", name, path, (value,) if known else ()))
        return made

    def _tags(self, key: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            self.complain((key,), f"{key} is not a list of tags", f'write it as {key} = ["vip"]')
            return ()
        for tag in value:
            if not isinstance(tag, str) or not tag.strip() or "," in tag:
                self.complain(
                    (key,), f"{tag!r} cannot be a tag", "write each tag in quotes of its own, without a comma"
                )
            else:
                self._no_template((key,), tag)
        return tuple(value)

    def _name(self, what: str, path: tuple[str, ...], value: object) -> str | int:
        written = ".".join(path[:1] if path[0] in ("move", "subscribe") else path)
        if isinstance(value, bool) or not isinstance(value, str | int):
            self.complain(path, f"{written} is no {what}", f"write {NAMES}")
            return 0
        if isinstance(value, str) and not value.strip():
            self.complain(path, f"{written} is empty", f"write {NAMES}, or remove it")
        elif isinstance(value, int) or self._no_template(path, value):
            self.names.append(Name(what, value, path))
        return value

    def _address(self, path: tuple[str, ...], value: object) -> str:
        if not isinstance(value, str) or "@" not in value:
            self.complain(path, f"{value!r} is no e-mail address", 'write it as "finance@example.com"')
        elif self._no_template(path, value):
            return value.strip()
        return ""

    def _template(self, path: tuple[str, ...], value: object, empty: bool = False) -> Template:
        key = ".".join(path)
        if not isinstance(value, str):
            self.complain(path, f"{key} is not a text", f'write it as {key} = "..."')
        elif not value.strip() and not empty:
            self.complain(path, f"{key} is empty", "write a text, or remove it")
        else:
            try:
                return Template(value)
            except TemplateFault as fault:
                for problem, cure in fault.problems:
                    self.complain(path, f"{key}: {problem}", cure)
        return Template("")

    def _no_template(self, path: tuple[str, ...], value: str) -> bool:
        if "{{" in value or "{%" in value:
            cure = "templates are for note, reply, forward, the note of a move and set.fields"
            self.complain(path, f"{'.'.join(path)} cannot be a template", cure)
            return False
        return True

    def _members(self, key: str, table: Mapping[str, Any], needed: Collection[str], more: Collection[str]) -> None:
        for name in table:
            if name not in (*needed, *more):
                self.complain((key, name), f"{key} has no {name!r}", near(name, (*needed, *more)))
        for name in needed:
            if name not in table:
                self.complain((key,), f"{key}.{name} is missing", f'add {key}.{name} = "..."')


def _each(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _nothing(ticket: Ticket, words: Words) -> None:
    """Stands for an action that could not be read."""


def _line(text: str) -> str:
    return " ".join(text.split())


def _html(text: str) -> str:
    return html.escape(_fitting(text), quote=False).replace("\n", "<br>")


def _fitting(text: str) -> str:
    """Cuts a text so that it has at most 64 kB when it is sent as markup."""
    while (size := len(html.escape(text, quote=False).replace("\n", "<br>").encode())) > LIMIT:
        text = text[: min(len(text) * LIMIT // size, len(text) - 1)]
    return text
