"""Check the arguments of actions where a handler passes them; raise ``InvalidAction`` with the fix.

Errors name the type of a value, not its content, which may come from a customer.
"""

import html as markup
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from workers.errors import InvalidAction

#: A name or an id where HappyFox knows both.
NameOrId = int | str


#: How long a tag or a name, and a message, may be in characters. HappyFox documents no limit; these are ours.
LONGEST_NAME = 250
LONGEST = 1_000_000

#: One address, without a name: what stands in lists that are separated by commas.
ADDRESS = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")


def tags(names: Iterable[str]) -> tuple[str, ...]:
    """Check names of tags; a single text is one tag."""
    return tuple(_tag(name) for name in ([names] if isinstance(names, str) else several("tags", names)))


def _tag(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidAction(f"a tag that is {_sort(name)}: give one name (str) at a time, as add_tags(*names)")
    if "," in name:
        raise InvalidAction("a tag with a comma cannot be: HappyFox separates tags by commas; give one name at a time")
    if not name.strip() or len(name) > LONGEST_NAME or not name.strip().isprintable():
        raise InvalidAction(
            f"a tag of {len(name)} characters cannot be: it has 1 to {LONGEST_NAME}, all of them on one line"
        )
    return name.strip()


def body(what: str, text: str, html: str | None) -> str:
    """Return the message as markup: plain text is escaped and keeps its lines."""
    body = escaped(what, text) if html is None else _text(what, html)
    if not body.strip():
        raise InvalidAction(f"an empty {what}: give it a text")
    return body


def escaped(what: str, text: str) -> str:
    """Return plain text as markup, which may be empty."""
    return markup.escape(_text(what, text), quote=False).replace("\n", "<br>")


def line(what: str, text: str) -> str:
    """Return plain text on one line, which may be empty."""
    return " ".join(_text(what, text).split())


def _text(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise InvalidAction(f"a {what} that is {_sort(text)}: give it a text (str)")
    if len(text) > LONGEST:
        raise InvalidAction(f"a {what} of {len(text)} characters: {LONGEST} are the most")
    return text


def name(what: str, value: object) -> NameOrId:
    """Check a name or an id."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidAction(f"{what} that is {_sort(value)}: give a name (str) or an id (int)")
    if isinstance(value, str) and not 0 < len(value.strip()) <= LONGEST_NAME:
        raise InvalidAction(f"{what} of {len(value)} characters: give a name (str) or an id (int)")
    return value


def day(value: object) -> str:
    """Write a day as HappyFox takes it."""
    try:
        return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()[:10]
    except ValueError:
        raise InvalidAction("due_date is no day: give a date, or a text such as 2026-12-31") from None


def addresses(what: str, value: Iterable[str]) -> tuple[str, ...]:
    """Take one address, several, or several in one text; none is an empty text."""
    given = value.split(",") if isinstance(value, str) else several(what, value)
    listed = tuple(each.strip() if isinstance(each, str) else each for each in given)
    if isinstance(value, str) and not value.strip():
        return ()
    for each in listed:
        if not isinstance(each, str) or not ADDRESS.fullmatch(each):
            raise InvalidAction(
                f"{what}: one of them is no e-mail address; write each as sam@example.com, without a name"
            )
    return listed


def fields(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Take custom fields by name; what their values must be, HappyFox's lists tell."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidAction(f'fields that are {_sort(values)}: give them as fields={{"Name": value}}')
    return {name("a field", key): value for key, value in values.items()}  # type: ignore[misc]


def several(what: str, values: Iterable[str]) -> tuple[Any, ...]:
    """Take several values one after another."""
    try:
        return tuple(values)
    except TypeError:
        raise InvalidAction(f"{what} that are {_sort(values)}: give a list of texts") from None


def _sort(value: object) -> str:
    sort = type(value).__name__
    return "None" if value is None else f"{'an' if sort[:1] in 'aeiouAEIOU' else 'a'} {sort}"
