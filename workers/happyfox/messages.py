"""One call to HappyFox as values: the request, the answer, and its meaning.

No article shows the body of a 401, 403, 404, 429 or 5xx, and validation errors come in several forms (KB 1039, KB
1201), so reading an error never fails because of its form. Exceptions name the fields HappyFox complains about.
HappyFox's own words may quote a customer, so they are only in ``problems``; an exception repeats the sentences that are
known to quote nobody.
"""

import json
import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from workers.errors import (
    Broken,
    CheckCredentials,
    Gone,
    HappyFoxError,
    InDoubt,
    Locked,
    Refused,
    Unfit,
    Unreachable,
    Unsent,
    suggest,
)
from workers.happyfox.buffer import Buffer
from workers.store.permits import PermitOutcome
from workers.tickets.model import number

#: The prefix of every path (KB 360: version 1.1 is the only one).
BASE = "/api/1.1/json"

#: Most items in one bulk call: tickets, contacts or group members (KB 1039, KB 1092).
BULK = 100

#: Most objects on one page (KB 1039, KB 1092).
ROWS = 50

#: Bytes at the beginning of an answer that say what it is.
START = 500

#: Members that contain an error's text instead of naming a field.
ENVELOPES = ("error", "errors", "message", "detail")

#: Limits for reading an error: nesting, characters of one text, number of problems.
DEPTH, LENGTH, MOST = 6, 300, 50

#: Most complaints that an exception repeats.
TOLD = 5

#: Sentences that quote nobody, from KB 1039, KB 1092 and KB 1201; those of Django, whose words they have, are assumed.
SENTENCES = re.compile(
    r"""(?x: This\ field\ (?:is\ required|may\ not\ be\ (?:null|blank)|does\ not\ exist)
    | This\ field\ should\ be\ filled\ before\ marking\ this\ ticket\ as\ completed
    | This\ member\ does\ not\ exist(?:\.\ Did\ you\ mean\ [\w-]{1,60}\?)?
    | Select\ a\ valid\ choice\.\ That\ choice\ is\ not\ one\ of\ the\ available\ choices
    | Provide\ a\ valid\ choice\.\ \d{1,9}\ is\ not\ one\ of\ the\ available\ choices
    | Enter\ a\ (?:valid\ [a-z /]{1,40}|whole\ number|number|list\ of\ values)
    | Ensure\ this\ (?:value|field)\ (?:is|has)\ (?:less\ than|greater\ than|no\ more\ than)[\w ]{1,40}
    | A\ valid\ (?:integer|number|boolean)\ is\ required | Not\ a\ valid\ string | Must\ be\ a\ valid\ boolean
    | Contact\ (?:not\ part\ of\ the\ contact\ group|does\ not\ exist) | Nothing\ to\ update
    | The\ total\ size\ of\ all\ attachments\ should\ not\ exceed\ \d+\ MB )\.?"""
)

#: The name of a field in a complaint.
FIELD = re.compile(r"[\w.-]{1,60}")

#: What finds the id of a name, by the member that needs the id.
LOOK_UP = {
    **{name: f"hf.names.{name}" for name in ("status", "priority", "category")},
    **dict.fromkeys(("assignee", "staff"), "hf.names.staff_member"),
}

#: HappyFox's and other clients' names of arguments.
SYNONYMS = {
    **dict.fromkeys(("user", "client", "contact_id"), "contact"),
    **dict.fromkeys(("staff_id", "created_by", "updated_by", "deleted_by"), "staff"),
    **dict.fromkeys(("attachments", "attachment"), "files"),
    **dict.fromkeys(("target_category_id", "category_id"), "category"),
    **dict.fromkeys(("show_updates", "include_updates"), "updates"),
    **dict.fromkeys(("custom_fields", "cf"), "fields"),
    **dict.fromkeys(("plaintext", "message", "body"), "text"),
    **dict.fromkeys(("ticket", "ticket_id", "number", "id"), "n"),
    **dict.fromkeys(("assigned_to", "assignee_id"), "assignee"),
    "period_date_range_type": "period",
    "period_start": "start",
    "period_end": "end",
    "move_note": "note",
    "data": "others",
    "notify": "update_customer",
}

#: A ticket's display id: # and prefix, then its number (KB 1039).
DISPLAY_ID = re.compile(r"#?[A-Za-z][A-Za-z-]*\d+")

#: The forms of a due date (KB 1039).
DAY = re.compile(r"\d{4}-\d\d-\d\d|\d\d/\d\d/\d{4}", re.ASCII)

#: An escape sequence that may be half of a surrogate pair.
HALF = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class File:
    """A file to upload, read from ``path`` or, if it is small, given as ``content``."""

    name: str
    path: Path | None = None
    content: bytes = field(default=b"", repr=False)
    content_type: str = "application/octet-stream"
    member: str = "attachments"
    """The name of the form field."""


#: What can be uploaded: a path, or a ``File``.
Upload = File | str | Path


def file(path: str | Path, *, name: str = "", content_type: str = "") -> File:
    """Return the file at a path; name and content type are guessed unless given."""
    path = Path(path)
    guessed, packed = mimetypes.guess_type(path.name)
    kind = content_type or (guessed if guessed and not packed else "application/octet-stream")
    return File(name or path.name, path, b"", kind)


@dataclass(frozen=True, slots=True)
class RawBody:
    """A body as another program has written it."""

    content_type: str
    content: bytes | BinaryIO = field(repr=False)
    """An open file is sent from its beginning."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make."""

    method: str
    path: str
    """Relative to ``BASE``, percent-encoded."""
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)
    """Sent as JSON; with ``files`` as multipart, which needs an object of plain values."""
    files: tuple[File, ...] = ()
    raw: RawBody | None = None
    """Sent in place of ``body`` and ``files``, which then only say what it contains."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name."""
    body: bytes = field(repr=False)
    """Undecoded; empty if it is in ``large``."""
    at: float = 0.0
    """When the headers arrived, in seconds of ``monotonic()``."""
    large: Buffer | None = field(default=None, repr=False)
    """The body in a file, if the caller asked for that and it is large; the caller closes it."""

    @property
    def content(self) -> bytes:
        """The whole body, undecoded."""
        return self.large.read() if self.large else self.body

    @property
    def start(self) -> bytes:
        """The first bytes of the body."""
        return self.large.read(START) if self.large else self.body[:START]


# Reading answers


def read(answer: Answer) -> Any:
    """Return the decoded content, None if empty; raise ``HappyFoxError`` otherwise."""
    if 200 <= answer.status < 300:
        return _content(answer)
    raise _error(answer)


def problems(answer: Answer) -> list[tuple[str, str]]:
    """List HappyFox's complaints as (field, text); the field may be empty."""
    try:
        content = json.loads(answer.content)
    except (ValueError, RecursionError):
        return []
    return problems_in(content)


def problems_in(content: Any) -> list[tuple[str, str]]:
    """List the complaints in a decoded body, or in one result of a bulk call."""
    found = list(_flat(content, "", 0)) if isinstance(content, dict | list | str) else []
    return found[:MOST]


def is_cut_off(answer: Answer) -> bool:
    """Return whether a success has no body, or one that begins as JSON and ends too early."""
    body = answer.content.strip()
    if not 200 <= answer.status < 300 or body[:1] not in (b"", b"{", b"["):
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return True
    return False


def nothing_to_update(error: HappyFoxError) -> bool:
    """Return whether the call was refused because nothing would change (seen once)."""
    return isinstance(error, Refused) and any("nothing to update" in text.lower() for _, text in error.problems)


def retry_after(answer: Answer) -> float | None:
    """Return the seconds to wait, from ``Retry-After`` or the text of a 503.

    A date is compared with the answer's own ``Date`` header, so our clock does not matter.
    """
    asked = answer.headers.get("retry-after", "").strip()
    if asked:
        return _seconds(asked, answer.headers.get("date", ""))
    if answer.status == 503:  # the older API wrote the wait into the body
        words = re.search(rb"\b(\d{1,5})\s*(s|m)(?:ec(?:ond)?s?|in(?:ute)?s?)?\b", answer.start, re.IGNORECASE)
        if words and b"<" not in answer.start:
            return int(words[1]) * (60.0 if words[2].lower() == b"m" else 1.0)
    return None


def permit_outcome(method: str, result: Answer | Unsent | InDoubt) -> tuple[PermitOutcome, int]:
    """Return how to settle the permit of a call, and the requested wait in ms."""
    if isinstance(result, Unsent):
        return ("unreachable" if isinstance(result, Unreachable) else "unsent"), 0
    if isinstance(result, InDoubt):
        return "doubt", 0
    wait = retry_after(result)
    asked = 0 if wait is None else int(wait * 1000)
    if result.status == 429:
        return "limited", asked
    if result.status >= 500:
        return ("throttled", asked) if result.status == 503 and wait is not None else ("failed", 0)
    if result.status == 401:
        return "denied", 0
    if method == "GET" and (300 <= result.status < 400 or result.start.lstrip()[:1] == b"<"):
        return "failed", 0  # a redirection or a web page: something other than the API answers
    return ("forbidden" if result.status == 403 and method == "GET" else "answered"), 0


def _content(answer: Answer) -> Any:
    body = answer.content
    if not body.strip():
        return None
    try:
        content = json.loads(body)
        if HALF.search(body):  # text cut in the middle of a character, which no store accepts
            content = json.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        fix = (
            "check that HAPPYFOX_URL is the help desk itself; before you send a write again, check whether it was done"
        )
        raise Broken(f"HappyFox's answer is not JSON: {fix}", answer.status) from None
    # Closing a ticket with an empty compulsory field may be refused with a success status (KB 1039 shows none).
    if isinstance(content, dict) and "id" not in content and content.get("error"):
        raise _refused(answer)
    return content


def _error(answer: Answer) -> HappyFoxError:
    status = answer.status
    if status in (401, 403):
        fix = "check HAPPYFOX_API_KEY, HAPPYFOX_AUTH_CODE and the rights of that key"
        return CheckCredentials(f"HappyFox does not allow this call ({status}): {fix}", status)
    if status == 404:
        return Gone("HappyFox has no such object (404): it was deleted, or the key may not see it", status)
    if status == 429:
        return Locked("the account is locked out of the API (429)", status)
    if 300 <= status < 400:
        return Refused(f"HappyFox redirects ({status}): set HAPPYFOX_URL to the address it redirects to", status)
    if 400 <= status < 500:
        return _refused(answer)
    fix = "read again later; before you send a write again, check whether it was done"
    return Broken(f"HappyFox failed ({status}): {fix}", status)


def _refused(answer: Answer) -> Refused:
    found = problems(answer)
    known = [text for _, text in found if SENTENCES.fullmatch(text)]
    told = list(dict.fromkeys(filter(None, (_told(*problem) for problem in found))))
    why = f": {'; '.join(told[:TOLD])}" if told else ""
    more = "" if told and len(known) == len(found) <= TOLD else "; `problems` has HappyFox's words, if there are any"
    return Refused(f"HappyFox refused the call ({answer.status}){why}{more}", answer.status, found)


def _told(field: str, text: str) -> str:
    """Return a complaint without what may be a customer's words."""
    return ": ".join(part for part, form in ((field, FIELD), (text, SENTENCES)) if form.fullmatch(part))


def _flat(content: Any, field: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEPTH or content is None or content == "":
        return
    if isinstance(content, Mapping):
        if "field" in content and isinstance(content["field"], str | int):
            field = str(content["field"])[:LENGTH]
            content = {key: content[key] for key in content if key != "field"}
        for key, value in content.items():
            inner = field if key in ENVELOPES else f"{field}.{key}".lstrip(".")[:LENGTH]
            yield from _flat(value, inner, depth + 1)
    elif isinstance(content, list):
        for each in content:
            yield from _flat(each, field, depth + 1)
    else:
        yield field, str(content)[:LENGTH]


def _seconds(asked: str, date: str) -> float | None:
    try:
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", asked):
            return float(asked)
        return max(0.0, (parsedate_to_datetime(asked) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


# Writing requests


def given(**members: Any) -> dict[str, Any]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def field_members(fields: Mapping[str, Any], *prefixes: str) -> dict[str, Any]:
    """Return values of custom fields as they are sent; names need a prefix."""
    for name in fields:
        if prefixes and not name.startswith(prefixes):
            raise TypeError(f"{name!r} is not a custom field: its name begins with {' or '.join(prefixes)}")
    return {
        name: day(value) if isinstance(value, date) else list(value) if isinstance(value, tuple | set) else value
        for name, value in fields.items()
    }


def day(value: date | str) -> str:
    """Return a day as ``yyyy-mm-dd``; refuse a time, whose day depends on the zone."""
    if isinstance(value, datetime):
        raise Unfit("a time is no day, because its day depends on the zone: pass its date() instead; nothing was sent")
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    if not isinstance(value, str) or (value and not DAY.fullmatch(value)):
        raise Unfit(f"{value!r} is not a day; write 2026-03-01, or pass a date; nothing was sent")
    return value


def moment(value: datetime | str) -> str:
    """Return a time as ``yyyy-mm-ddThh:mm:ss[.ms]`` in UTC; one without a zone is in UTC already (assumed)."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise Unfit(f"{value!r} is not a time; write 2026-03-01T09:30:00, or pass a datetime") from None
    at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")


def identity(value: object, what: str) -> int:
    """Return an id, also from its digits; refuse a name, and say how to find the id."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = number(value)
    if found is None:
        name = value if isinstance(value, str) else "New"
        fix = f"; {LOOK_UP[what]}({name!r}) returns the id of a name" if what in LOOK_UP else ""
        raise Unfit(f"{value!r} is not an id: {what} needs one{fix}; nothing was sent")
    return found


def identities(value: object, what: str) -> list[int]:
    """Return ids from one id or several."""
    several = [value] if isinstance(value, str | int) or not isinstance(value, Iterable) else value
    return [identity(each, what) for each in several]


def commas(values: Iterable[str]) -> str | None:
    """Join values by commas, as HappyFox expects them; refuse a comma in a value."""
    listed = [values] if isinstance(values, str) else list(values)
    if not isinstance(values, str) and any("," in value for value in listed):
        raise Unfit("a tag or address with a comma cannot be sent, because HappyFox separates them by commas")
    return ",".join(listed) or None


def uploads(files: Iterable[Upload] | None) -> tuple[File, ...]:
    """Return the files to upload."""
    listed = [files] if isinstance(files, str | Path | File | bytes) else list(files or ())
    if any(isinstance(each, bytes) for each in listed):
        raise Unfit("bytes have no file name: pass File('report.pdf', content=...); nothing was sent")
    return tuple(each if isinstance(each, File) else file(each) for each in listed)


def known(members: Mapping[str, Any], shape: Any, *prefixes: str) -> None:
    """Raise ``TypeError`` for a name that ``shape`` does not have; suggest another.

    HappyFox ignores unknown members, so a typing error would go unnoticed.
    """
    names = list(shape.__annotations__)
    for name in members:
        if name not in names and not name.startswith(prefixes):
            raise TypeError(unknown_argument(name, names))


def unknown_argument(name: str, names: Sequence[str]) -> str:
    """Return the complaint about an argument that does not exist; suggest another."""
    ours = SYNONYMS.get(name, "")
    fix = f"its name here is {ours!r}" if ours in names else suggest(name, names)
    return f"there is no {name!r} here; {fix}"


def one_of(value: str | None, allowed: Sequence[str], what: str) -> str | None:
    """Return the value; refuse one that is not allowed."""
    if value is not None and value not in allowed:
        raise Unfit(f"HappyFox has no {what} {value!r}; use one of {', '.join(allowed)}")
    return value


def paging(page: int, size: int) -> dict[str, str]:
    """Return the query for a page, counted from 1; refuse an impossible one."""
    if page < 1:
        raise Unfit(f"pages are counted from 1: there is no page {page}; nothing was sent")
    if not 1 <= size <= ROWS:
        raise Unfit(f"a page has 1 to {ROWS} rows, not {size}; nothing was sent")
    return {"size": str(size), "page": str(page)}


def _has_dots(value: str) -> bool:
    """Return whether a value is empty or has a part that leads to another path, after a server has decoded it."""
    return not value or not {".", ".."}.isdisjoint(re.split(r"[/\\]", value))


def segment(value: int | str, what: str) -> str:
    """Return an id as one segment of a path."""
    return str(identity(value, what))


def ticket_segment(value: int | str) -> str:
    """Return a ticket's number as one segment of a path; refuse its display id."""
    if isinstance(value, str) and DISPLAY_ID.fullmatch(value.strip()):
        bare = value.strip().removeprefix("#")
        fix = f"hf.tickets(q=search(id={bare!r})) finds the ticket, and its `id` is the number"
        raise Unfit(f"{value!r} is not an id but a display id, and the call needs the ticket's number: {fix}")
    return segment(value, "the ticket")


def contact_segment(value: int | str) -> str:
    """Return a contact's id or e-mail address as one segment of a path."""
    if isinstance(value, str) and "@" in value and not _has_dots(value):
        return quote(value, safe="@")
    if number(value) is None:
        raise Unfit(f"{value!r} is not an id and not an e-mail address; hf.contacts(q=...) searches by name or phone")
    return segment(value, "the contact")
