"""One call to HappyFox as values: the request, the answer, and its meaning.

No article shows the body of a 401, 403, 404, 429 or 5xx, and validation errors come in several forms (KB 1039, KB
1201), so reading an error never fails because of its form. Exceptions name the fields HappyFox complains about.
HappyFox's own words may quote a customer, so they are only in ``problems``.
"""

import json
import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
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
from workers.store.permits import PermitOutcome

#: The prefix of every path (KB 360: version 1.1 is the only one).
BASE = "/api/1.1/json"

#: Most items in one bulk call: tickets, contacts or group members (KB 1039, KB 1092).
BULK = 100

#: Most objects on one page (KB 1039, KB 1092).
ROWS = 50

#: Members that contain an error's text instead of naming a field.
ENVELOPES = ("error", "errors", "message", "detail")

#: Limits for reading an error: nesting, characters of one text, number of problems.
DEPTH, LENGTH, MOST = 6, 300, 50

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
class Request:
    """One call to make."""

    method: str
    path: str
    """Relative to ``BASE``, percent-encoded."""
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)
    """Sent as JSON; with ``files`` as multipart, which needs an object of plain values."""
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name."""
    body: bytes = field(repr=False)
    """Undecoded."""
    at: float = 0.0
    """When the headers arrived, in seconds of ``monotonic()``."""


# Reading answers


def read(answer: Answer) -> Any:
    """Return the decoded content, None if empty; raise ``HappyFoxError`` otherwise."""
    if 200 <= answer.status < 300:
        return _content(answer)
    raise _error(answer)


def problems(answer: Answer) -> list[tuple[str, str]]:
    """List HappyFox's complaints as (field, text); the field may be empty."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return []
    return problems_in(content)


def problems_in(content: Any) -> list[tuple[str, str]]:
    """List the complaints in a decoded body, or in one result of a bulk call."""
    found = list(_flat(content, "", 0)) if isinstance(content, dict | list | str) else []
    return found[:MOST]


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
        words = re.search(rb"\b(\d{1,5})\s*(s|m)(?:ec(?:ond)?s?|in(?:ute)?s?)?\b", answer.body[:500], re.IGNORECASE)
        if words and b"<" not in answer.body[:500]:
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
    if method == "GET" and (300 <= result.status < 400 or result.body.lstrip()[:1] == b"<"):
        return "failed", 0  # a redirection or a web page: something other than the API answers
    return ("forbidden" if result.status == 403 and method == "GET" else "answered"), 0


def _content(answer: Answer) -> Any:
    if not answer.body.strip():
        return None
    try:
        content = json.loads(answer.body)
        if HALF.search(answer.body):  # text cut in the middle of a character, which no store accepts
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
    fields = ", ".join(dict.fromkeys(field for field, _ in found if field))
    why = f" because of {fields}" if fields else "; see `problems` for the reason, if there is one"
    return Refused(f"HappyFox refused the call ({answer.status}){why}", answer.status, found)


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


def day(value: date) -> str:
    """Return a day as ``yyyy-mm-dd``."""
    return f"{value:%Y-%m-%d}"


def moment(value: datetime | str) -> str:
    """Return a time as ``yyyy-mm-ddThh:mm:ss``, without a zone (assumed: UTC)."""
    return value if isinstance(value, str) else f"{value:%Y-%m-%dT%H:%M:%S}"


def commas(values: Iterable[str]) -> str | None:
    """Join values by commas, as HappyFox expects them; refuse a comma in a value."""
    listed = [values] if isinstance(values, str) else list(values)
    if not isinstance(values, str) and any("," in value for value in listed):
        raise Unfit("a tag or address with a comma cannot be sent, because HappyFox separates them by commas")
    return ",".join(listed) or None


def uploads(files: Iterable[Upload] | None) -> tuple[File, ...]:
    """Return the files to upload."""
    listed = [files] if isinstance(files, str | Path | File) else list(files or ())
    return tuple(each if isinstance(each, File) else file(each) for each in listed)


def known(members: Mapping[str, Any], shape: Any, *prefixes: str) -> None:
    """Raise ``TypeError`` for a name that ``shape`` does not have; suggest another.

    HappyFox ignores unknown members, so a typing error would go unnoticed.
    """
    names = list(shape.__annotations__)
    for name in members:
        if name not in names and not name.startswith(prefixes):
            raise TypeError(f"there is no {name!r} here; {suggest(name, names)}")


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


def segment(value: int | str) -> str:
    """Return an id or address as one segment of a path."""
    if isinstance(value, bool) or not isinstance(value, int | str) or _has_dots(str(value)):
        raise Unfit(f"{value!r} is not an id" if isinstance(value, str) else f"a {type(value).__name__} is not an id")
    return quote(str(value), safe="@")
