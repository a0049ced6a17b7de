"""Arguments of intents, checked where a handler gives them: what makes no sense is a ``WrongIntent`` with its cure."""

import html as markup
from datetime import date

from workers.errors import WrongIntent
from workers.turns.intents import NameOrId


def tags(names: tuple[str, ...]) -> tuple[str, ...]:
    """Checks names of tags."""
    for name in names:
        if not isinstance(name, str) or not name.strip() or "," in name:
            raise WrongIntent(f"{name!r} cannot be a tag: HappyFox separates tags by commas; give one name at a time")
    return tuple(name.strip() for name in names)


def body(what: str, text: str, html: str | None) -> str:
    """Gives the message as markup: plain text is escaped and keeps its lines."""
    body = escaped(what, text) if html is None else html
    if not isinstance(body, str):
        raise WrongIntent(f"a {what} that is a {type(body).__name__}: give it a text (str)")
    if not body.strip():
        raise WrongIntent(f"an empty {what}: give it a text")
    return body


def escaped(what: str, text: str) -> str:
    """Gives plain text as markup, which may be empty."""
    if not isinstance(text, str):
        raise WrongIntent(f"a {what} that is a {type(text).__name__}: give it a text (str)")
    return markup.escape(text, quote=False).replace("\n", "<br>")


def name(what: str, value: object) -> NameOrId:
    """Checks a name or an id."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise WrongIntent(f"{what} {value!r}: give a name (str) or an id (int)")
    return value


def day(value: object) -> str:
    """Writes a day as HappyFox takes it."""
    try:
        return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()[:10]
    except ValueError:
        raise WrongIntent(f"due_date {value!r}: give a date, or a text such as 2026-12-31") from None


def addresses(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Takes one address, several, or several in one text."""
    return tuple(value.split(",")) if isinstance(value, str) else tuple(value)
