"""Check the arguments of actions when a handler passes them; raise ``InvalidAction`` with the fix.

Errors name the type of a value, not its content, which may come from a customer.
"""

import html as markup
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from workers.errors import InvalidAction
from workers.tickets.model import Attachment

#: A name or an id, where HappyFox accepts both.
NameOrId = int | str

#: The longest tag or name, and the longest message, in characters. HappyFox documents no limits; these are ours.
LONGEST_NAME = 250
LONGEST_MESSAGE = 1_000_000

#: The longest time that a message can report, in minutes: a year.
MOST_MINUTES = 525_600

#: One address without a display name: HappyFox separates addresses by commas.
ADDRESS = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")


def tags(names: Iterable[str]) -> tuple[str, ...]:
    """Check tag names; a single string is one tag."""
    return tuple(_tag(name) for name in ([names] if isinstance(names, str) else several("tags", names)))


def _tag(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidAction(f"a tag is {_type(name)}; pass each name as a string: add_tags(*names)")
    if "," in name:
        raise InvalidAction("a tag contains a comma, which separates tags in HappyFox; pass one name at a time")
    if not name.strip() or len(name) > LONGEST_NAME or not name.strip().isprintable():
        raise InvalidAction(f"a tag of {len(name)} characters is invalid; use 1 to {LONGEST_NAME} on a single line")
    return name.strip()


def body(what: str, text: str, html: str | None) -> str:
    """Return a message as HTML: plain text is escaped and keeps its line breaks."""
    body = escaped(what, text) if html is None else _text(what, html)
    if not body.strip():
        raise InvalidAction(f"the {what} is empty; pass its text")
    return body


def escaped(what: str, text: str) -> str:
    """Return plain text as HTML; it may be empty."""
    return markup.escape(_text(what, text), quote=False).replace("\n", "<br>")


def line(what: str, text: str) -> str:
    """Return plain text on one line; it may be empty."""
    return " ".join(_text(what, text).split())


def _text(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise InvalidAction(f"the {what} is {_type(text)}; pass a string")
    if len(text) > LONGEST_MESSAGE:
        raise InvalidAction(f"the {what} has {len(text)} characters; shorten it to {LONGEST_MESSAGE}")
    return text


def name(what: str, value: object) -> NameOrId:
    """Check a name or an id."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidAction(f"the {what} is {_type(value)}; pass a name (str) or an id (int)")
    if isinstance(value, str) and not 0 < len(value.strip()) <= LONGEST_NAME:
        raise InvalidAction(f"the {what} has {len(value)} characters; pass a name (str) or an id (int)")
    return value


def day(value: object) -> str:
    """Return a date in the form HappyFox expects."""
    try:
        return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()[:10]
    except ValueError:
        raise InvalidAction("due_date is not a date; pass a date, or a string such as 2026-12-31") from None


def minutes(value: object) -> int:
    """Check a time in whole minutes."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_MINUTES:
        raise InvalidAction(f"time_spent is {_type(value)}; pass whole minutes, at most {MOST_MINUTES}")
    return value


def addresses(what: str, value: Iterable[str]) -> tuple[str, ...]:
    """Check addresses: one, a list, or several in one string; an empty string is none."""
    if isinstance(value, str) and not value.strip():
        return ()
    given = value.split(",") if isinstance(value, str) else several(what, value)
    listed = tuple(each.strip() if isinstance(each, str) else each for each in given)
    for each in listed:
        if not isinstance(each, str) or not ADDRESS.fullmatch(each):
            raise InvalidAction(f"{what} contains an invalid e-mail address; write only the address: sam@example.com")
    return listed


class AttachedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file to send with a message: at a path, with its content, or an attachment of a ticket."""

    name: str
    path: str = ""
    content: bytes = b""
    ticket: int = 0
    attachment: int = 0
    """The id of an attachment of that ticket, which is downloaded before it is sent."""


#: What can be attached: a path, a name with its bytes, or a file on a message.
Attachable = str | Path | tuple[str, bytes] | Attachment

#: The most bytes of all files of one message that are given as bytes: they are stored with the plan.
MOST_ATTACHED = 2_000_000


def files(values: Iterable[Attachable], ticket: int) -> tuple[AttachedFile, ...]:
    """Check files to attach; attachments are those of ``ticket``."""
    if isinstance(values, str | Path | bytes):
        raise InvalidAction('attachments is not a list; write it as attachments=["terms.pdf"]')
    found = tuple(_file(each, ticket) for each in several("attachments", values))
    if (size := sum(len(each.content) for each in found)) > MOST_ATTACHED:
        raise InvalidAction(
            f"the attachments have {size:,} bytes; at most {MOST_ATTACHED:,} are stored: attach larger files by their "
            "path, which every worker must have"
        )
    return found


def _file(value: object, ticket: int) -> AttachedFile:
    match value:
        case str() | Path() if (path := Path(value)).is_file():
            return AttachedFile(path.name, path=str(path.absolute()))
        case str() | Path():
            raise InvalidAction("an attachment is not a file that exists; correct its path")
        case (str() as file_name, bytes() as content) if shown := line("name of an attachment", file_name):
            return AttachedFile(shown, content=content)
        case Attachment(id=int() as number, filename=shown):
            return AttachedFile(shown, ticket=ticket, attachment=number)
    raise InvalidAction(
        f"an attachment is {_type(value)}; pass a path, a pair of name and bytes, or an attachment of a change"
    )


def fields(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check the names of custom fields; their values are checked later, against HappyFox's lists."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidAction(f'fields is {_type(values)}; pass a mapping: fields={{"Name": value}}')
    for key, value in values.items():
        if isinstance(value, Mapping | bytes):
            raise InvalidAction(
                f"the field {key!r} is {_type(value)}; pass a text, a number, a date or a list of choices"
            )
    return {name("field name", key): value for key, value in values.items()}  # type: ignore[misc]


def several(what: str, values: Iterable[Any]) -> tuple[Any, ...]:
    """Return the values of an iterable as a tuple."""
    try:
        return tuple(values)
    except TypeError:
        raise InvalidAction(f"{what} is {_type(values)}; pass a list of strings") from None


def _type(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
