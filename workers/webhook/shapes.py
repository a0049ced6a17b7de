"""Shapes: what a body of HappyFox looks like, without what anybody wrote.

HappyFox documents neither its webhooks nor many answers of its API. The shape of a body is the sorted list of its
members with their types. Its sample has the same form, with every text and number replaced by a made-up one.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

#: Deeper and further members are left out, and so are bodies that are larger.
MOST_LEVELS: Final = 8
MOST_PATHS: Final = 400
MOST_BYTES: Final = 256 * 1024

#: Members whose names an account has chosen, such as those of custom fields.
NAMED_BY_PEOPLE: Final = frozenset({"custom_fields", "fields", "contact_fields", "ticket_fields"})

#: Members whose values are HappyFox's own words: the event, the label of a message, who acted.
WORDS: Final = frozenset(
    {"event_type", "event", "type", "webhook_event", "event_name", "action", "trigger", "message_type"}
)
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_:. -]{0,39}")

#: How texts with a format are replaced; every other text becomes "text". Customers write them, and the web process
#: waits: each expression must take linear time, so no two parts of it that repeat may match the same character.
_FORMATS: Final = tuple(
    (name, re.compile(expression), example)
    for name, expression, example in (
        ("time", r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "2026-01-31 12:00:00"),
        ("date", r"\d{4}-\d\d-\d\d", "2026-01-31"),
        ("number", r"-?\d+(\.\d+)?", "1"),
        ("email", r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", "sam@bigcorp.example"),
        ("link", r"https?://.*", "https://acme.example/staff/ticket/1"),
        ("display id", r"#[A-Za-z]{1,32}\d{4,}", "#DC00000001"),
        ("html", r"(?s)\s*<.*>\s*", "<p>text</p>"),
    )
)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of a delivery or of an answer of the API, as it is stored."""

    what: str
    """``delivery``, or method, path and status of a call, such as ``GET ticket/N 200``."""
    at: int = 0
    """When it was first seen (ms)."""
    event: str = ""
    """The event of the first such delivery."""
    paths: tuple[str, ...] = ()
    """The members with their types, sorted."""
    words: tuple[str, ...] = ()
    """HappyFox's own words in it, as ``path=word``, sorted."""
    headers: tuple[str, ...] = ()
    """The names of its headers, sorted."""
    signature: str = ""
    """How the signature was written."""
    form: str = ""
    """How foxhooks has read the delivery: flat, rest or wrapped; empty if it could not."""
    sample: Any = None
    """A body of this shape, with everything replaced that an account or a person has written."""

    @property
    def digest(self) -> str:
        """A short name for everything that makes it different from other shapes."""
        parts = (self.what, self.paths, self.words, self.headers, self.signature, self.form)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:12]


def shape_of(what: str, content: Any, **members: Any) -> Shape:
    """Return the shape of a decoded body."""
    paths: dict[str, set[str]] = {}
    words: set[str] = set()
    for path, kind, word in _members(content, "", MOST_LEVELS):
        if len(paths) < MOST_PATHS:
            paths.setdefault(path, set()).add(kind)
            if word:
                words.add(f"{path}={word}")
    listed = tuple(sorted(f"{path}: {' or '.join(sorted(kinds))}" for path, kinds in paths.items()))
    sample = _replaced(content, "", MOST_LEVELS)
    return Shape(what=what, paths=listed, words=tuple(sorted(words)), sample=sample, **members)


def _members(value: Any, path: str, levels: int, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the path and the type of each member, and its word if it is one of HappyFox's own."""
    if isinstance(value, Mapping) and levels:
        yield path or ".", "object", ""
        for key, member in value.items():
            shown = "*" if name in NAMED_BY_PEOPLE else _name(key)
            yield from _members(member, f"{path}.{shown}" if path else shown, levels - 1, key)
    elif isinstance(value, list) and levels:
        yield path or ".", "list", ""
        for member in value[:20]:
            yield from _members(member, f"{path}[]", levels - 1, name)
    else:
        yield path, _type(value), _word(name, value)


def _name(key: object) -> str:
    """Return a member's name; one that nobody would choose for an API is data."""
    return key if isinstance(key, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,39}", key) else "*"


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "empty text" if not value else next((n for n, form, _ in _FORMATS if form.fullmatch(value)), "text")
    return "object" if isinstance(value, Mapping) else "list"


def _word(name: str, value: Any) -> str:
    return value if name in WORDS and isinstance(value, str) and _WORD.fullmatch(value) else ""


def _replaced(value: Any, name: str, levels: int) -> Any:
    if isinstance(value, Mapping):
        if not levels:
            return {}
        named = name in NAMED_BY_PEOPLE
        members = list(value.items())[:100]
        return {
            (f"name {n}" if named or _name(key) == "*" else key): _replaced(each, key, levels - 1)
            for n, (key, each) in enumerate(members, 1)
        }
    if isinstance(value, list):
        return [_replaced(each, name, levels - 1) for each in value[:2]] if levels else []
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return 1 if isinstance(value, int) else 1.5
    if not value or _word(name, value):
        return value
    return next((example for _, form, example in _FORMATS if form.fullmatch(value)), "text")


def spelling_of(header: bytes) -> str:
    """Return how a verified signature is written, as one of ``SPELLINGS``."""
    text = header.strip()
    if text[:5].lower() == b"sha1=":
        return "sha1=hex" if len(text) == 45 else "sha1=base64"
    if len(text) == 40:
        return "HEX" if text != text.lower() else "hex"
    if len(text) == 56:
        return "base64-of-hex"
    return "base64url" if b"-" in text or b"_" in text else "base64"
