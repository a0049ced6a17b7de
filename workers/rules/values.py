"""Values: what stands behind the keys of an action - names, tags, texts, days - read one by one."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, Protocol

from workers.errors import suggest
from workers.rules.templates import Template, TemplateFault
from workers.rules.uses import Name
from workers.turns.plugin.arguments import LONGEST_NAME


class Complain(Protocol):
    """Takes what is wrong with a key of the rule."""

    def __call__(self, path: tuple[str, ...], problem: str, cure: str) -> None: ...


NAMES = "a name in quotes, or a number as an id"


class Values:
    """Reads the values of one rule; collects the names among them, and tells every mistake."""

    def __init__(self, complain: Complain) -> None:
        self._complain = complain
        self.mistakes = 0
        self.names: list[Name] = []

    def complain(self, path: tuple[str, ...], problem: str, cure: str) -> None:
        """Tells what is wrong with a key."""
        self.mistakes += 1
        self._complain(path, problem, cure)

    def tags(self, key: str, value: object) -> tuple[str, ...]:
        """Reads a list of tags."""
        if not isinstance(value, list) or not value:
            self.complain((key,), f"{key} is not a list of tags", f'write it as {key} = ["vip"]')
            return ()
        for tag in value:
            if not isinstance(tag, str) or not tag.strip() or "," in tag:
                self.complain(
                    (key,), f"{tag!r} cannot be a tag", "write each tag in quotes of its own, without a comma"
                )
            elif len(tag) > LONGEST_NAME or not tag.isprintable():
                self.complain((key,), "a tag cannot be so", f"write it on one line, {LONGEST_NAME} characters at most")
            else:
                self.plain((key,), tag)
        return tuple(value)

    def name(self, what: str, path: tuple[str, ...], value: object) -> str | int:
        """Reads a name or an id of `what`, which HappyFox must know."""
        written = ".".join(path[:1] if path[0] in ("move", "subscribe") else path)
        if isinstance(value, bool) or not isinstance(value, str | int):
            self.complain(path, f"{written} is no {what}", f"write {NAMES}")
            return 0
        if isinstance(value, str) and not value.strip():
            self.complain(path, f"{written} is empty", f"write {NAMES}, or remove it")
        elif isinstance(value, int) or self.plain(path, value):
            self.names.append(Name(what, value, path))
        return value

    def address(self, path: tuple[str, ...], value: object) -> str:
        """Reads an e-mail address."""
        if not isinstance(value, str) or "@" not in value:
            self.complain(path, f"{value!r} is no e-mail address", 'write it as "finance@example.com"')
        elif self.plain(path, value):
            return value.strip()
        return ""

    def template(self, path: tuple[str, ...], value: object, empty: bool = False) -> Template:
        """Reads a text with words in it."""
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

    def plain(self, path: tuple[str, ...], value: str) -> bool:
        """Tells whether a text has no words of the ticket in it; complains when it has."""
        if "{{" in value or "{%" in value:
            cure = "templates are for note, reply, forward, the note of a move and set.fields"
            self.complain(path, f"{'.'.join(path)} cannot be a template", cure)
            return False
        return True

    def members(self, key: str, table: Mapping[str, Any], needed: Collection[str], more: Collection[str]) -> None:
        """Complains of unknown and of missing members of a table."""
        for name in table:
            if name not in (*needed, *more):
                self.complain((key, name), f"{key} has no {name!r}", suggest(name, (*needed, *more)))
        for name in needed:
            if name not in table:
                self.complain((key,), f"{key}.{name} is missing", f'add {key}.{name} = "..."')

    def day(self, path: tuple[str, ...], value: object) -> date | None:
        """Reads a day; None for an empty text, which clears it, and after a complaint."""
        if value == "":
            return None
        if isinstance(value, date):
            return value.date() if isinstance(value, datetime) else value
        try:
            return date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            self.complain(path, f"{value!r} is no day", 'write it as 2030-12-31, or "" to clear it')
            return None

    def field(self, path: tuple[str, ...], name: str, value: object) -> Any:
        """Reads what a custom field is set to: a template, or the value as it is."""
        texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not texts and not isinstance(value, str | int | float | date):
            self.complain(
                path, f"{'.'.join(path)} has no usable value", "write a text, a number, true or a list of texts"
            )
            return ""
        made = self.template(path, value, empty=True) if isinstance(value, str) else value
        known = not isinstance(made, Template) or (made.fixed and value != "")
        self.names.append(Name("field", name, path, (value,) if known else ()))
        return made
