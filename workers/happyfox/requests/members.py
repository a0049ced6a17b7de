"""How members of a call are written: lists by commas, None left out, ``UNSET`` against None."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypedDict
from urllib.parse import quote

from workers.errors import Unfit, suggest
from workers.happyfox.exchange import File, file
from workers.happyfox.requests.dialect import DEFAULT, Dialect

#: Tickets, contacts or members of a group in one call (KB 1039, KB 1092).
BULK = 100

#: Rows of a page at most (KB 1039, KB 1092).
ROWS = 50

#: What the members for custom fields of tickets and of their contacts begin with; see ``Dialect.contact_field``.
TICKET_FIELDS = ("t-cf-", "c-cf-", "ccf-")

#: What can be uploaded: a path, or a ``File``.
Upload = File | str | Path


class Unset(Enum):
    """The type of ``UNSET``: not named in the call, where None clears the value."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


class Properties(TypedDict, total=False):
    """What replies and notes can set beside their message (KB 1039, 7 and 8)."""

    status: int | None
    priority: int | None
    assignee: int | Unset | None
    """A staff id; None leaves the ticket unassigned, which cannot be sent together with files."""
    due_date: date | str | Unset | None
    """As text ``yyyy-mm-dd`` or ``dd/mm/yyyy``."""
    time_spent: int | None
    """Minutes, added to those of the ticket. Some categories require them."""
    tags: Iterable[str]
    """Whether they replace the ticket's tags or join them is not said: ``update_tags`` is sure."""
    fields: Mapping[str, Any] | None
    """By the names that ``ticket_field`` and ``contact_field`` give; choices by id (KB 579)."""


def ticket_field(id: int) -> str:
    """Gives the member that sets a ticket's custom field."""
    return f"t-cf-{id}"


def contact_field(id: int, dialect: Dialect = DEFAULT) -> str:
    """Gives the member that sets a contact's custom field in a call on a ticket."""
    return f"{dialect.contact_field}{id}"


def given(**members: Any) -> dict[str, Any]:
    """Leaves out what is None: not given, rather than to be cleared."""
    return {name: value for name, value in members.items() if value is not None}


def properties(members: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the members of ``Properties`` among others; None clears the assignee and the due date."""
    written = given(
        status=members.get("status"),
        priority=members.get("priority"),
        time_spent=members.get("time_spent"),
        tags=commas(members.get("tags") or ()),
    )
    if (assignee := members.get("assignee", UNSET)) is not UNSET:
        written["assignee"] = assignee
    if (due := members.get("due_date", UNSET)) is not UNSET:
        written["due_date"] = day(due) if isinstance(due, date) else due
    return {**written, **values(members.get("fields") or {}, *TICKET_FIELDS)}


def values(fields: Mapping[str, Any], *begin: str) -> dict[str, Any]:
    """Writes values of custom fields: dates as text, several choices as a list; names have to ``begin`` rightly."""
    for name in fields:
        if begin and not name.startswith(begin):
            raise TypeError(f"{name!r} is no custom field; it begins with {' or '.join(begin)}")
    return {
        name: day(value) if isinstance(value, date) else list(value) if isinstance(value, tuple | set) else value
        for name, value in fields.items()
    }


def day(value: date) -> str:
    """Writes a day as ``yyyy-mm-dd``."""
    return f"{value:%Y-%m-%d}"


def moment(value: datetime | str) -> str:
    """Writes a time as ``yyyy-mm-ddThh:mm:ss``; HappyFox reads it without a zone (assumed: UTC)."""
    return value if isinstance(value, str) else f"{value:%Y-%m-%dT%H:%M:%S}"


def commas(values: Iterable[str]) -> str | None:
    """Joins values as HappyFox takes lists: separated by commas, which none of them may hold."""
    listed = [values] if isinstance(values, str) else list(values)
    if not isinstance(values, str) and any("," in value for value in listed):
        raise Unfit("a tag or address with a comma cannot be sent: HappyFox separates them by commas")
    return ",".join(listed) or None


def uploads(files: Iterable[Upload] | None) -> tuple[File, ...]:
    """Makes files of paths."""
    listed = [files] if isinstance(files, str | Path | File) else list(files or ())
    return tuple(each if isinstance(each, File) else file(each) for each in listed)


def known(members: Mapping[str, Any], shape: Any, *more: str) -> None:
    """Refuses a name that ``shape`` has not, nor ``more`` begins: left out silently, a slip would go unseen."""
    names = list(shape.__annotations__)
    for name in members:
        if name not in names and not name.startswith(more):
            raise TypeError(f"there is no {name!r} here; {suggest(name, names)}")


def one_of(value: str | None, allowed: Sequence[str], what: str) -> str | None:
    """Refuses a word that HappyFox does not know."""
    if value is not None and value not in allowed:
        raise Unfit(f"HappyFox knows no {what} {value!r}; there are {', '.join(allowed)}")
    return value


def at_most(count: int, what: str) -> None:
    """Refuses more than HappyFox takes in one call."""
    if count > BULK:
        raise Unfit(f"HappyFox takes at most {BULK} {what} in one call, not {count}; nothing was sent")


def pages(page: int, size: int) -> dict[str, str]:
    """Asks for a page, counted from 1, of so many rows (KB 1039); what HappyFox makes of others is not known."""
    if page < 1:
        raise Unfit(f"pages are counted from 1: there is no page {page}; nothing was sent")
    if not 1 <= size <= ROWS:
        raise Unfit(f"a page has 1 to {ROWS} rows, not {size}; nothing was sent")
    return {"size": str(size), "page": str(page)}


def segment(value: int | str) -> str:
    """Writes an id or address as a part of a path, which it neither ends nor leaves."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value in ("", ".", ".."):
        raise Unfit(f"{value!r} is no id" if isinstance(value, str) else f"a {type(value).__name__} is no id")
    return quote(str(value), safe="@")
