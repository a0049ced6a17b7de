"""Searches: the grammar of ``q`` in lists of tickets (KB 1039, 2.1) and of contacts (KB 1092, 2).

All terms must hold, several values of one term mean any of them. What a value may hold is not said; a quotation mark
would end it, so it is refused.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal, TypedDict, Unpack

from workers.errors import Unfit
from workers.happyfox.requests.members import known

Texts = str | Iterable[str]


class Terms(TypedDict, total=False):
    """System terms of a search for tickets; names as the account writes them."""

    status: Texts
    priority: Texts
    tag: Texts
    """In its own case."""
    assignee: Texts
    """``none``, ``any``, or mail, user name, first or last name, exact and in its own case."""
    group: Texts
    """``none``, ``any``, or the name of a contact group."""
    contact: Texts
    """Name, mail or phone."""
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
    """Looks at the last closing, whatever the status is now."""
    last_closed_on_or_before: date


def search(*words: str, fields: Mapping[str, str | date | Iterable[str]] | None = None, **terms: Unpack[Terms]) -> str:
    """Builds the ``q`` of a list of tickets; dates are whole days, in UTC (assumed).

    ``words`` must all occur, in any order. ``fields`` are custom fields of ticket or contact by name, choices by their
    labels.
    """
    known(terms, Terms)
    found = []
    for name, value in terms.items():
        if name == "id":
            numbers = [value] if isinstance(value, int | str) else list(value)  # type: ignore[call-overload]
            found.append("id:" + ",".join(_bare(str(number).removeprefix("#")) for number in numbers))
        elif _is_date(name):
            if not isinstance(value, date):
                raise Unfit(f"{name} takes a date, as date(2026, 3, 1)")
            found.append(f"{name.replace('_', '-')}:{_quoted(f'{value:%Y/%m/%d}')}")
        elif isinstance(value, bool):
            found.append(f"{name}:{str(value).lower()}")
        else:
            found.append(f"{name}:{_any(value)}")  # type: ignore[arg-type]
    for name, wanted in (fields or {}).items():
        said = f"{wanted:%m/%d/%Y}" if isinstance(wanted, date) else wanted
        found.append(f"{_quoted(name)}:{_any(said)}")
    return " ".join([*found, *map(_word, words)])


def search_contacts(
    *words: str,
    name: str = "",
    email: str = "",
    phone: str = "",
    created_since: date | None = None,
    updated_since: date | None = None,
) -> str:
    """Builds the ``q`` of a list of contacts; of a phone the digits are sent, without its plus sign (KB 1092).

    How dates are written is not said: ``yyyy/mm/dd``, as for tickets (assumed).
    """
    terms = {"name": name, "email": email, "phone": _digits(phone)}
    since = {"created_since": created_since, "updated_since": updated_since}
    terms |= {key: f"{value:%Y/%m/%d}" for key, value in since.items() if value is not None}
    said = [f"{key}:{_quoted(value) if ' ' in value else _bare(value)}" for key, value in terms.items() if value]
    return " ".join([*said, *map(_word, words)])


def _digits(phone: str) -> str:
    digits = "".join(sign for sign in phone if sign in "0123456789")
    if phone and not digits:
        raise Unfit("a search by phone needs its digits, and there are none")
    return digits


def _is_date(name: str) -> bool:
    return Terms.__annotations__[name] is date


def _any(values: Texts) -> str:
    listed = [values] if isinstance(values, str) else list(values) if isinstance(values, Iterable) else []
    if not listed or not all(isinstance(value, str) for value in listed):
        raise Unfit("a term of a search needs a text, or several")
    return ",".join(map(_quoted, listed))


def _quoted(text: str) -> str:
    return f'"{_bare(text)}"'


def _word(text: str) -> str:
    return _bare(text).replace(":", " ")


def _bare(text: str) -> str:
    if '"' in text:
        raise Unfit("a search cannot hold a quotation mark")
    return text
