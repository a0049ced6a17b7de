"""The actions of a rule, read from its table; each records an action on the ticket, like a handler in Python.

add_tags = ["refund"]
note = "From {{ ticket.contact.name }}"
reply = { text = "Thank you.", cc = ["sales@example.com"] }
set.status = "In Progress"
set.fields."Refund reason" = "customer asked"
set.assignee = { choose = ["Ada King", "Lin Wu"] }
move = "Billing"
forward = { to = "finance@example.com", subject = "{{ ticket.subject }}", message = "Please check." }
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from workers.errors import InvalidAction, suggest
from workers.plugins import arguments
from workers.plugins.actions import Ticket
from workers.plugins.arguments import LONGEST_NAME, NameOrId
from workers.rules import terms
from workers.rules.conditions import NAMES, NameUse
from workers.rules.template_uses import names_in
from workers.rules.templates import LIMIT, InvalidTemplateError, Template
from workers.rules.terms import meant
from workers.rules.values import as_list
from workers.rules.variables import TemplateView
from workers.tickets.folding import fold


class RunContext(NamedTuple):
    """What the actions of a rule need beside the ticket."""

    variables: Mapping[str, TemplateView]
    """Those of templates."""
    now: datetime
    choose: Callable[[str, Sequence[NameOrId]], NameOrId] = lambda _, options: options[0]
    """Return whose turn it is; the first one where nothing is remembered."""


class Choice(NamedTuple):
    """People who take turns. Rules with the same people take turns together."""

    people: tuple[NameOrId, ...]

    @property
    def rotation(self) -> str:
        """The name of the rotation in the store of the rules."""
        return ", ".join(sorted(fold(str(each)) for each in self.people))[:LONGEST_NAME]


Run = Callable[[Ticket, RunContext], None]
Path = tuple[str, ...]

#: The keys of the actions. Those that need a permission have its name.
ACTIONS = ("add_tags", "remove_tags", "note", "reply", "set", "move", "forward", "subscribe")

#: What only an email has.
_EMAIL = ("subject", "survey")

_PROPERTIES = ("status", "priority", "assignee", "due_date")

#: The most characters of a text in the description of an action.
_SHOWN = 60

#: A number of days or weeks from today.
_FROM_NOW = re.compile(r"\+?\s*(\d{1,4})\s*(d|w)(?:ays?|eeks?)?")

_A_NAME = "a name in quotes, or a number as an id"


class ActionReader:
    """Reads the actions of one rule, reports mistakes and collects the names that HappyFox must know."""

    def __init__(self, report: Callable[[Path, str, str], None]) -> None:
        self._report = report
        self.names: list[NameUse] = []

    def read(self, key: str, value: object) -> Run:
        """Read one action; after a mistake, which is reported, the result is not used."""
        readers: dict[str, Callable[[str, object], Run]] = {
            "add_tags": partial(self._tags, Ticket.add_tags),
            "remove_tags": partial(self._tags, Ticket.remove_tags),
            "note": partial(self._message, Ticket.note, ("time_spent", "attachments")),
            "reply": partial(self._message, Ticket.reply, ("cc", "bcc", "time_spent", "attachments", *_EMAIL)),
            "set": self._set,
            "move": self._move,
            "forward": self._forward,
            "subscribe": self._subscribe,
        }
        return readers[key](key, value)

    def _tags(self, change: Callable[..., None], key: str, value: object) -> Run:
        if not isinstance(value, list) or not value:
            self._report((key,), f"{key} is not a list of tags", f'write it as {key} = ["vip"]')
            return _nothing
        for tag in value:
            try:
                arguments.tags([tag])
            except InvalidAction:
                fix = f"write each tag in its own quotes, on one line, without commas, at most {LONGEST_NAME} long"
                self._report((key,), f"{tag!r} is not a tag", fix)
            else:
                self._check_plain((key,), tag)
        return lambda ticket, _: change(ticket, *value)

    def _message(self, write: Callable[..., None], optional: Path, key: str, value: object) -> Run:
        """Read a message, which is not written if it renders to nothing: its text, or a table with more."""
        if isinstance(value, Mapping):
            self._members(key, value, ("text",), optional)
            template = self._template((key, "text"), value.get("text", "-"))
        else:
            value, template = {}, self._template((key,), value)
        more: dict[str, Any] = {
            name: tuple(self._address((key, name), one) for one in as_list(value[name]))
            for name in ("cc", "bcc")
            if name in value
        }
        if "time_spent" in value:
            more["time_spent"] = self._minutes((key, "time_spent"), value["time_spent"])
        if "attachments" in value:
            more["attachments"] = [self._file((key, "attachments"), each) for each in as_list(value["attachments"])]
        subject = self._template((key, "subject"), value["subject"]) if "subject" in value else None
        if "survey" in value:
            more["survey"] = self._flag((key, "survey"), value["survey"])

        def run(ticket: Ticket, context: RunContext) -> None:
            if (text := template.render(context.variables)).strip():
                about = {"subject": subject.render(context.variables)} if subject else {}
                write(ticket, _fitting(text), **more, **about)

        return run

    def _move(self, key: str, value: object) -> Run:
        table = value if isinstance(value, Mapping) else {"category": value}
        self._members(key, table, ("category",), ("note",))
        category = self._name("category", (key, "category"), table.get("category", ""))
        note = self._template((key, "note"), table["note"]) if "note" in table else Template("")
        return lambda ticket, context: ticket.move(category, _fitting(note.render(context.variables)))

    def _forward(self, key: str, value: object) -> Run:
        if not isinstance(value, Mapping):
            fix = 'write it as { to = "...", subject = "...", message = "..." }'
            self._report((key,), f"{key} is not a table", fix)
            return _nothing
        self._members(key, value, ("to", "subject", "message"), ())
        to = tuple(self._address((key, "to"), one) for one in as_list(value.get("to", "")))
        subject = self._template((key, "subject"), value.get("subject", "-"))
        message = self._template((key, "message"), value.get("message", "-"))
        return lambda ticket, context: ticket.forward(
            to, subject.render(context.variables), _fitting(message.render(context.variables))
        )

    def _subscribe(self, key: str, value: object) -> Run:
        staff = tuple(self._name("staff member", (key,), one) for one in as_list(value))
        if not staff:
            self._report((key,), f"{key} is empty", f'name a staff member, for example {key} = ["Ada King"]')
        return lambda ticket, _: ticket.subscribe(*staff)

    def _set(self, key: str, value: object) -> Run:
        if not isinstance(value, Mapping) or not value:
            self._report((key,), f"{key} is not a table", 'write it as set.status = "In Progress"')
            return _nothing
        self._members(key, value, (), (*_PROPERTIES, "fields", "time_spent"))
        if not value.keys() - {"time_spent"}:
            self._report(
                (key, "time_spent"), "time_spent alone is no change", "set a property, or write a note with it"
            )
        minutes = self._minutes((key, "time_spent"), value["time_spent"]) if "time_spent" in value else 0
        properties = {name: self._property(key, name, value[name]) for name in _PROPERTIES if name in value}
        fields = self._fields((key, "fields"), value["fields"]) if "fields" in value else {}

        def run(ticket: Ticket, context: RunContext) -> None:
            rendered = {
                name: arguments.line(name, each.render(context.variables)) if isinstance(each, Template) else each
                for name, each in fields.items()
            }
            set_now: dict[str, Any] = {name: _now(value, context) for name, value in properties.items()}
            ticket.set(**set_now, fields=rendered, time_spent=minutes)

        return run

    def _property(self, key: str, name: str, value: object) -> Any:
        if name == "due_date":
            return self._day((key, name), value)
        if name == "assignee" and value == "":
            return None
        if name == "assignee" and isinstance(value, Mapping):
            return self._choice((key, name), value)
        if name == "assignee" and isinstance(value, list):
            people = ", ".join(f'"{each}"' for each in value) or '"Ada King", "Lin Wu"'
            fix = f"for people who take turns, write {key}.{name} = {{ choose = [{people}] }}"
            self._report((key, name), f"{key}.{name} is a list; a ticket has one assignee", fix)
            return None
        if name == "assignee" and (advice := terms.no_person(value, f"{key}.{name}")):
            self._report((key, name), *advice)
            return None
        return self._name(NAMES[name], (key, name), value)

    def _choice(self, path: Path, value: Mapping[str, Any]) -> Choice:
        """Read the people who take turns."""
        self._members(".".join(path), value, (), ("choose",))
        people = value.get("choose")
        if not isinstance(people, list) or not people:
            fix = f'write {".".join(path)} = {{ choose = ["Ada King", "Lin Wu"] }}'
            self._report(path, f"{'.'.join(path)}.choose is not a list of people", fix)
            return Choice(())
        if same := [each for at, each in enumerate(people) if fold(str(each)) in map(fold, map(str, people[:at]))]:
            self._report(path, f"{'.'.join(path)}.choose has {same[0]!r} twice", "name each person once")
        return Choice(tuple(self._name("staff member", path, each) for each in people))

    def _fields(self, path: Path, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not value:
            fix = 'write set.fields."Name of the field" = "value"'
            self._report(path, f"{'.'.join(path)} is not a table", fix)
            return {}
        return {name: self._field((*path, name), name, one) for name, one in value.items()}

    # Values

    def _name(self, what: str, path: Path, value: object) -> str | int:
        """Read a name or an id of `what`, which HappyFox must know."""
        written = ".".join(path[:1] if path[0] in ("move", "subscribe") else path)
        if isinstance(value, bool) or not isinstance(value, str | int):
            self._report(path, f"{written} is not a {what}", f"write {_A_NAME}")
            return 0
        if isinstance(value, str) and not value.strip():
            self._report(path, f"{written} is empty", f"write {_A_NAME}, or remove it")
        elif isinstance(value, int) or self._check_plain(path, value):
            self.names.append(NameUse(what, value, path))
        return value

    def _address(self, path: Path, value: object) -> str:
        if not isinstance(value, str) or not arguments.ADDRESS.fullmatch(value.strip()):
            self._report(path, f"{value!r} is not an e-mail address", 'write it as "finance@example.com"')
        elif self._check_plain(path, value):
            return value.strip()
        return ""

    def _template(self, path: Path, value: object, empty: bool = False) -> Template:
        key = ".".join(path)
        if not isinstance(value, str):
            self._report(path, f"{key} is not a text", f'write it as {key} = "..."')
        elif not value.strip() and not empty:
            self._report(path, f"{key} is empty", "write a text, or remove it")
        else:
            try:
                template = Template(value)
                self.names += [NameUse(what, name, path, values) for what, name, values in names_in(value)]
                return template
            except InvalidTemplateError as error:
                for problem, fix in error.problems:
                    self._report(path, f"{key}: {problem}", fix)
        return Template("")

    def _day(self, path: Path, value: object) -> str | timedelta | None:
        """Read a date, or how long after the day of the turn it is; an empty text clears it."""
        if isinstance(value, datetime):
            self._report(path, f"{value} has a time; a due date is a day", f"write {'.'.join(path)} = {value:%Y-%m-%d}")
            return None
        if isinstance(value, str) and (found := _FROM_NOW.fullmatch(value.strip().lower())):
            return timedelta(days=int(found[1]) * (7 if found[2] == "w" else 1))
        try:
            return arguments.day(value) if value != "" else None
        except InvalidAction:
            fix = 'write it as 2030-12-31, as "3d" or "2w" from today, or "" to clear it'
            self._report(path, f"{value!r} is not a date", fix)
            return None

    def _minutes(self, path: Path, value: object) -> int:
        try:
            return arguments.minutes(value)
        except InvalidAction:
            self._report(path, f"{value!r} is not a number of minutes", f"write it as {'.'.join(path)} = 5")
            return 0

    def _file(self, path: Path, value: object) -> str:
        """Read the path of a file, from the folder in which foxhooks runs."""
        written = ".".join(path)
        if not isinstance(value, str) or not value:
            self._report(path, f"{written} is not a list of files", f'write it as {written} = ["terms.pdf"]')
        elif self._check_plain(path, value) and not FilePath(value).is_file():
            fix = "correct its path, which begins in the folder where foxhooks runs; every worker needs the file"
            self._report(path, f"there is no file {value!r}", fix)
        return str(value)

    def _flag(self, path: Path, value: object) -> bool:
        if not isinstance(value, bool):
            written = ".".join(path)
            self._report(path, f"{written} is not true or false", f"write {written} = true")
        return value is True

    def _field(self, path: Path, name: str, value: object) -> Any:
        """Read the value of a custom field: a template, or the value as it is."""
        texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not texts and not isinstance(value, str | int | float | date):
            fix = "write a text, a number, true or a list of texts"
            self._report(path, f"{'.'.join(path)} has no usable value", fix)
            return ""
        made = self._template(path, value, empty=True) if isinstance(value, str) else value
        known = not isinstance(made, Template) or (made.fixed and value != "")
        self.names.append(NameUse("field", name, path, (value,) if known else ()))
        return made

    def _check_plain(self, path: Path, value: str) -> bool:
        """Return whether a text contains no template; report it otherwise."""
        if "{{" in value or "{%" in value:
            fix = "templates are for note, reply, forward, the note of a move and set.fields"
            self._report(path, f"{'.'.join(path)} cannot be a template", fix)
            return False
        return True

    def _members(self, key: str, table: Mapping[str, Any], required: Path, optional: Path) -> None:
        """Report unknown and missing members of a table."""
        for name in table:
            if name not in (*required, *optional):
                words = terms.PROPERTIES if key == "set" else terms.MESSAGES if "text" in required else {}
                fix = meant(name, words).format(key=key) or suggest(name, (*required, *optional))
                self._report((*key.split("."), name), f"{key} has no {name!r}", fix)
        for name in required:
            if name not in table:
                self._report(tuple(key.split(".")), f"{key}.{name} is missing", f'add {key}.{name} = "..."')


def describe(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the actions of a valid rule with their values, each as it could be written."""
    for key in ACTIONS:
        if key not in table:
            continue
        if key == "set":
            plain = {name: value for name, value in table[key].items() if name != "fields"}
            fields = {f"fields.{name}": value for name, value in table[key].get("fields", {}).items()}
            yield from (f"{name} = {_described(value)}" for name, value in {**plain, **fields}.items())
        else:
            yield f"{key} {_described(table[key])}"


def _described(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            _described(one) if name in ("text", "category") else f"{name} {_described(one)}"
            for name, one in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    text = " ".join(str(value).split()) or "none"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _now(value: Any, context: RunContext) -> Any:
    """Return a property as it is set in this turn."""
    if isinstance(value, Choice):
        return context.choose(value.rotation, value.people)
    return context.now.date() + value if isinstance(value, timedelta) else value


def _nothing(ticket: Ticket, context: RunContext) -> None:
    """Replace an action that could not be read."""


def _fitting(text: str) -> str:
    """Cut a text to at most 64 kB of markup."""
    while (size := len(html.escape(text, quote=False).replace("\n", "<br>").encode())) > LIMIT:
        text = text[: min(len(text) * LIMIT // size, len(text) - 1)]
    return text
