"""Searches: the ``q`` of lists of tickets and contacts (KB 1039, KB 1092).

All terms must match, several values of one term mean any of them. The articles do not say which characters a value may
have. A quotation mark would end it, so it is refused.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Literal, TypedDict, Unpack

from workers.errors import Unfit
from workers.happyfox.messages import known

Texts = str | Iterable[str]


class SearchTerms(TypedDict, total=False):
    """System terms of a search for tickets; names as the account writes them."""

    status: Texts
    priority: Texts
    tag: Texts
    """Case-sensitive."""
    assignee: Texts
    """``none``, ``any``, or e-mail, user name, first or last name, exact and case-sensitive."""
    group: Texts
    """``none``, ``any``, or the name of a contact group."""
    contact: Texts
    """Name, e-mail or phone."""
    id: int | str | Iterable[int | str]
    """Ticket numbers, or display ids with or without their #."""
    duedate: Literal["today", "yesterday", "tomorrow", "overdue", "next 7 days"]
    unresponded: bool
    breached: bool
    has_attachments: bool
    created_on: date
    created_on_or_before: date
    created_on_or_after: date
    created_before: date
    created_after: date
    last_modified_on_or_before: date
    last_modified_on_or_after: date
    last_modified_before: date
    last_modified_after: date
    last_staff_replied_on: date
    last_staff_replied_on_or_before: date
    last_staff_replied_on_or_after: date
    last_staff_replied_before: date
    last_staff_replied_after: date
    last_contact_replied_on: date
    last_contact_replied_on_or_before: date
    last_contact_replied_on_or_after: date
    last_contact_replied_before: date
    last_contact_replied_after: date
    last_closed_on_or_after: date
    """The last closing, whatever the status is now."""
    last_closed_on_or_before: date


def search(
    *words: str, fields: Mapping[str, str | date | Iterable[str]] | None = None, **terms: Unpack[SearchTerms]
) -> str:
    """Return the ``q`` of a list of tickets; dates are days in UTC (assumed).

    All ``words`` must occur, in any order. ``fields`` are custom fields of ticket or contact by name, choices by label.
    """
    known(terms, SearchTerms)
    found = []
    for name, value in terms.items():
        if name == "id":
            numbers = [value] if isinstance(value, int | str) else list(value)  # type: ignore[call-overload]
            found.append("id:" + ",".join(_bare(str(number).removeprefix("#")) for number in numbers))
        elif SearchTerms.__annotations__[name] is date:
            found.append(f"{name.replace('_', '-')}:{_quoted(_day(name, value, '%Y/%m/%d'))}")
        elif isinstance(value, bool):
            found.append(f"{name}:{str(value).lower()}")
        else:
            found.append(f"{name}:{_any_of(value)}")  # type: ignore[arg-type]
    for name, wanted in (fields or {}).items():
        label = _day(name, wanted, "%m/%d/%Y") if isinstance(wanted, date) else wanted
        found.append(f"{_quoted(name)}:{_any_of(label)}")
    return " ".join([*found, *map(_word, words)])


def search_contacts(
    *words: str,
    name: str = "",
    email: str = "",
    phone: str = "",
    created_since: date | None = None,
    updated_since: date | None = None,
) -> str:
    """Return the ``q`` of a list of contacts; of a phone only the digits are sent.

    The article does not say how dates are written: ``yyyy/mm/dd``, as for tickets (assumed).
    """
    terms = {"name": name, "email": email, "phone": _digits(phone)}
    since = {"created_since": created_since, "updated_since": updated_since}
    terms |= {key: _day(key, value, "%Y/%m/%d") for key, value in since.items() if value is not None}
    found = [f"{key}:{_quoted(value) if ' ' in value else _bare(value)}" for key, value in terms.items() if value]
    return " ".join([*found, *map(_word, words)])


def _day(name: str, value: object, form: str) -> str:
    """Return a day; refuse a time, whose day depends on the zone."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Unfit(f"{name} needs a date without a time, such as date(2026, 3, 1)")
    return value.strftime(form)


def _any_of(values: Texts) -> str:
    listed = [values] if isinstance(values, str) else list(values) if isinstance(values, Iterable) else []
    if not listed or not all(isinstance(value, str) for value in listed):
        raise Unfit("a search term needs a text, or several")
    return ",".join(map(_quoted, listed))


def _bare(text: str) -> str:
    """Return a value of a search; refuse a quotation mark, which would end it."""
    if '"' in text:
        raise Unfit("a search cannot contain a quotation mark")
    return text


def _quoted(text: str) -> str:
    """Return a value of a search in quotation marks."""
    return f'"{_bare(text)}"'


def _word(text: str) -> str:
    """Return a word of a search, which must not look like a term."""
    return _bare(text).replace(":", " ")


def _digits(phone: str) -> str:
    digits = "".join(sign for sign in phone if sign in "0123456789")
    if phone and not digits:
        raise Unfit("a search by phone needs digits, and there are none")
    return digits
