"""Searches of HappyFox, as `find` of a rule has them: `name:value` terms and words."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from workers.errors import nearest
from workers.rules.conditions import NameUse

TERM: Final = re.compile(r"""(?<!\S)("[^"]+"|[\w-]+):("[^"]*"(?:,"[^"]*")*|\S+)""")


#: What a name in a search names if it is no term: a custom field of the ticket or of its contact.
SEARCHED: Final = "searched field"

#: The terms with what their values name (section 2 of the tickets article and KB 1088).
_NAMES: Final = {"status": "status", "priority": "priority", "group": "contact group"}
_DUE: Final = ("today", "yesterday", "tomorrow", "overdue", "next 7 days")
_FLAGS: Final = ("unresponded", "breached", "has_attachments")
_DATED: Final = re.compile(
    r"(?:created|last-modified|last-staff-replied|last-contact-replied|last-closed)-(?:on-or-before|on-or-after|on|before|after)"
)
_COMPARISON: Final = re.compile(r"""(?<!\S)([\w-]+)\s*(?:==?|!=|<|>|\bis\b|\bequals\b|:\s)\s*"?([\w ]+)""")
_TERMS: Final = {*_NAMES, *_FLAGS, "tag", "assignee", "contact", "id", "duedate", "category", "subject", "source"}

#: Names of other products and of conditions, with the term of a search.
_MEANT: Final = {
    "tags": "tag",
    "contact_email": "contact",
    "email": "contact",
    "requester": "contact",
    "customer": "contact",
    "agent": "assignee",
    "owner": "assignee",
    "state": "status",
    "contact_group": "group",
    "due_date": "duedate",
    "due": "duedate",
    "sla_breached": "breached",
    "has_attachment": "has_attachments",
    "created": "created-on",
    "updated": "last-modified-before",
    "modified": "last-modified-before",
}

#: Words that people write alone, with the term of a search.
_ALONE: Final = {
    **{flag: f"{flag}:true" for flag in _FLAGS},
    "unassigned": "assignee:none",
    "overdue": "duedate:overdue",
    "unanswered": "unresponded:true",
}


def search_names(find: str) -> Iterator[NameUse]:
    """Yield the names in a search that HappyFox must know. An assignee may be a first name, so it is not checked."""
    for written, value in TERM.findall(find):
        name = written.strip('"')
        if name in _NAMES:
            values = [each for each in _values(value) if not (name == "group" and each in ("any", "none"))]
            yield from (NameUse(_NAMES[name], each, ("find",)) for each in values)
        elif written.startswith('"') or not (_is_term(name.lstrip("-")) or _almost_term(name.lstrip("-"))):
            yield NameUse(SEARCHED, name.lstrip("-"), ("find",))


def search_problems(find: str) -> Iterator[tuple[str, str]]:
    """Yield what HappyFox probably reads differently from what was meant, with the fix."""
    if find.count('"') % 2:
        yield "find has a quote without its partner", 'write values with spaces as status:"On Hold"'
        return
    words = TERM.sub(" ", find)
    if (found := _COMPARISON.search(words)) and _is_term(found[1].lower()):
        meant = f'{_MEANT.get(found[1].lower(), found[1].lower())}:"{found[2].strip()}"'
        problem = f"find: {found[0].strip()!r} searches for these words in the messages"
        yield problem, f"write {meant}, without spaces around the colon"
    elif found := re.search(r"(?<!\S)(AND|OR|NOT|&&|\|\|)(?!\S)", words):
        fix = 'all terms must hold anyway; for any of several values, write status:"New","Open"'
        yield f"find: {found[0]} is not an operator, so a message must contain it", fix
    elif found := re.search(
        r'(?<!\S)(status|priority|group|assignee|tag|contact):([^\s"]+)((?: [^\s":]+)+)(?!\S*:)', find
    ):
        fix = f'write {found[1]}:"{found[2]}{found[3]}"'
        yield f"find: a value with spaces needs quotes; {found[3].strip()!r} is searched for in the messages", fix
    for word in words.split():
        if term := _ALONE.get(word.lower()):
            yield f"find: {word!r} alone is searched for in the messages", f"write {term}"
    for written, value in TERM.findall(find):
        yield from _term_problems(written.lstrip("-"), _values(value))


def _term_problems(name: str, values: list[str]) -> Iterator[tuple[str, str]]:
    plain = name.strip('"')
    if meant := _MEANT.get(plain.lower()):
        yield f"find has no term {plain!r}", f"write {meant}:"
    elif _DATED.fullmatch(plain):
        for value in values:
            if not _is_day(value):
                fix = f'write {plain}:"2030/12/31", or older_than = "7d" for a number of days'
                yield f"find: {value!r} is not a date of a search", fix
    elif plain == "duedate" and (wrong := [each for each in values if each.lower() not in _DUE]):
        yield f"find: duedate has no value {wrong[0]!r}", f"there are: {', '.join(_DUE)}"
    elif plain in _FLAGS and (wrong := [each for each in values if each.lower() not in ("true", "false")]):
        yield f"find: {plain} has no value {wrong[0]!r}", f"write {plain}:true"
    elif any(each.startswith("'") for each in values):
        yield "find: single quotes are part of the value", f'write {plain}:"{values[0].strip(chr(39))}"'
    elif not name.startswith('"') and not _is_term(plain) and (near := _almost_term(plain)):
        yield f"find has no term {plain!r}", f"did you mean {near!r}?"


def _is_term(name: str) -> bool:
    return name in _TERMS or name.lower() in _MEANT or _DATED.fullmatch(name) is not None


def _almost_term(name: str) -> str | None:
    return nearest(name, _TERMS, 0.8)


def _is_day(value: str) -> bool:
    try:
        return bool(datetime.strptime(value, "%Y/%m/%d"))
    except ValueError:
        return False


def _values(value: str) -> list[str]:
    return re.findall(r'"([^"]*)"', value) or value.split(",")


def terms(find: str) -> dict[str, Any]:
    """Return what a search requires, as far as a rule can change it, as conditions."""
    conditions: dict[str, Any] = {}
    for name, value in TERM.findall(find):
        values = _values(value)
        if name in ("status", "priority", "tag", "assignee"):
            conditions[name] = ["" if (name, each) == ("assignee", "none") else each for each in values]
        elif (name, value) == ("unresponded", "true") or re.fullmatch("last-(staff-replied|modified)-.*before", name):
            conditions["unresponded"] = True
        elif name.startswith('"'):
            conditions.setdefault("fields", {})[name.strip('"')] = values
    return conditions
