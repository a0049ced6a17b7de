"""HappyFox's API without the wire: how each request looks. What an answer means is in ``answers``.

Facts come from the articles KB 1039 (tickets), KB 360 (reference data), KB 1148 (limits) and KB 476 (keys).
Staff members go by ``staff`` in some calls and by ``staff_id`` in others (KB 1039).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, Final, Literal

from workers.happyfox.answers import nothing_to_update, problems, read, retry_after, settlement
from workers.happyfox.exchange import BASE, Answer, Request

__all__ = [
    "BASE", "UNSET", "Answer", "Dialect", "Request", "Unset", "categories", "contact_field",
    "create_ticket", "delete", "forward", "move", "nothing_to_update", "priorities", "private_note",
    "problems", "read", "retry_after", "settlement", "staff", "staff_update", "statuses", "subscribe",
    "ticket", "ticket_custom_fields", "ticket_field", "tickets", "unsubscribe", "update_custom_fields",
    "update_tags", "user_reply",
]  # fmt: skip


class Unset(Enum):
    """The type of ``UNSET``: not named in the call, where None clears the value."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Dialect:
    """How calls are spelled where HappyFox's own documents disagree.

    ``plain_text`` names the member for a message in plain text: the articles write ``plaintext``, live
    clients send ``text``. ``contact_field`` is what a contact's field begins with on a ticket's calls: the
    table of KB 1039 has ``ccf-``, its example ``c-cf-``.
    """

    plain_text: Literal["plaintext", "text"] = "plaintext"
    contact_field: Literal["ccf-", "c-cf-"] = "ccf-"


DEFAULT: Final = Dialect()


def ticket_field(id: int) -> str:
    """Gives the member that sets a ticket's custom field."""
    return f"t-cf-{id}"


def contact_field(id: int, dialect: Dialect = DEFAULT) -> str:
    """Gives the member that sets a contact's custom field in a call on a ticket."""
    return f"{dialect.contact_field}{id}"


def ticket(n: int) -> Request:
    """Reads one ticket with all its rows, changes of custom fields included."""
    return Request("GET", f"/ticket/{n}/", {"show_cf_changes": "true"})


def tickets(
    *,
    q: str = "",
    status: str = "_all",
    category: int | None = None,
    sort: str = "ticketa",
    page: int = 1,
    size: int = 50,
    updates: bool = False,
    numbers_only: bool = False,
) -> Request:
    """Reads a page of at most 50 tickets.

    ``status`` is always sent, for its default is disputed; ``sort`` keeps pages from shifting in a full walk.
    """
    query = {"size": str(size), "page": str(page), "status": status, "sort": sort}
    if q:
        query["q"] = q
    if category is not None:
        query["category"] = str(category)
    if updates:
        query["show_updates"] = "1"
    if numbers_only:
        query["minify_response"] = "true"
    return Request("GET", "/tickets/", query)


def staff_update(
    n: int,
    *,
    staff: int,
    text: str | None = None,
    html: str | None = None,
    update_customer: bool | None = None,
    cc: Iterable[str] = (),
    bcc: Iterable[str] = (),
    status: int | None = None,
    priority: int | None = None,
    assignee: int | Unset | None = UNSET,
    due_date: date | str | Unset | None = UNSET,
    fields: Mapping[str, Any] | None = None,
    last_staff_message: int | None = None,
    dialect: Dialect = DEFAULT,
) -> Request:
    """Replies, sets properties, or both; without a message it leaves a row without one (KB 1039, section
    8.1).

    ``html`` wins over ``text``. ``fields`` has the members of ``ticket_field`` and ``contact_field``.
    ``update_customer`` decides only whether mail is sent: a reply is visible to the contact either way.
    """
    body = {
        "staff": staff,
        **_message(text, html, dialect),
        **_given(update_customer=update_customer, cc=_commas(cc), bcc=_commas(bcc)),
        **_given(last_staff_message=last_staff_message),
        **_properties(status, priority, assignee, due_date, fields),
    }
    return _post(n, "staff_update", body)


def private_note(
    n: int,
    *,
    staff: int,
    text: str | None = None,
    html: str | None = None,
    alert: Literal["s", "c"] | int | None = None,
    status: int | None = None,
    priority: int | None = None,
    assignee: int | Unset | None = UNSET,
    due_date: date | str | Unset | None = UNSET,
    fields: Mapping[str, Any] | None = None,
    dialect: Dialect = DEFAULT,
) -> Request:
    """Adds a note that contacts do not see, with properties if given.

    ``alert`` tells the subscribers (``s``), the staff of the category (``c``) or one staff member by id.
    """
    body = {
        "staff": staff,
        **_message(text, html, dialect),
        **_given(alert=alert),
        **_properties(status, priority, assignee, due_date, fields),
    }
    return _post(n, "staff_pvtnote", body)


def user_reply(n: int, *, user: int, text: str, cc: Iterable[str] = (), bcc: Iterable[str] = ()) -> Request:
    """Replies as the contact ``user``; ``text`` is plain or html, HappyFox tells by itself."""
    return _post(n, "user_reply", {"user": user, "text": text, **_given(cc=_commas(cc), bcc=_commas(bcc))})


def update_tags(n: int, add: Iterable[str], remove: Iterable[str], staff_id: int) -> Request:
    """Adds and removes tags; ``staff_id`` makes the row show who did (KB 1039, 2026)."""
    return _post(n, "update_tags", {"staff_id": staff_id, **_given(add=_commas(add), remove=_commas(remove))})


def update_custom_fields(n: int, *, staff: int, fields: Mapping[str, Any]) -> Request:
    """Sets custom fields; those that are compulsory have to be among them."""
    return _post(n, "update_custom_fields", {"staff": staff, **fields})


def move(n: int, *, staff_id: int, target_category_id: int, note: str = "", assign_to: int | None = None) -> Request:
    """Moves the ticket to another category; the staff member needs the right to."""
    body = {"staff_id": staff_id, "target_category_id": target_category_id}
    return _post(n, "move", {**body, **_given(move_note=note or None, assign_to=assign_to)})


def forward(n: int, *, staff_id: int, to: Iterable[str], subject: str, message: str) -> Request:
    """Mails the ticket to others; tells no webhook."""
    return _post(n, "forward", {"staff_id": staff_id, "to": _commas(to), "subject": subject, "message": message})


def subscribe(n: int, *, staff_id: int, others: Iterable[int] = ()) -> Request:
    """Subscribes a staff member and others to the ticket; leaves no row and tells no webhook."""
    return _post(n, "subscribe", {"staff_id": staff_id, **_given(data=list(others) or None)})


def unsubscribe(n: int, *, staff_id: int) -> Request:
    """Ends the subscription of one staff member."""
    return _post(n, "unsubscribe", {"staff_id": staff_id})


def delete(n: int, *, staff_id: int) -> Request:
    """Deletes the ticket for good."""
    return _post(n, "delete", {"staff_id": staff_id})


def create_ticket(members: Mapping[str, Any]) -> Request:
    """Creates a ticket from the members that KB 1039 lists for it."""
    return Request("POST", "/tickets/", body=dict(members))


def staff() -> Request:
    """Lists the staff members."""
    return Request("GET", "/staff/")


def statuses() -> Request:
    """Lists the statuses."""
    return Request("GET", "/statuses/")


def priorities() -> Request:
    """Lists the priorities (KB 1039 names the path, not the form)."""
    return Request("GET", "/priorities/")


def categories() -> Request:
    """Lists the categories."""
    return Request("GET", "/categories/")


def ticket_custom_fields() -> Request:
    """Lists the custom fields of tickets with their choices."""
    return Request("GET", "/ticket_custom_fields/")


def _post(n: int, call: str, body: Mapping[str, Any]) -> Request:
    return Request("POST", f"/ticket/{n}/{call}/", body=body)


def _given(**members: Any) -> dict[str, Any]:
    """Leaves out what is None: not given, rather than to be cleared."""
    return {name: value for name, value in members.items() if value is not None}


def _message(text: str | None, html: str | None, dialect: Dialect) -> dict[str, str]:
    if html is not None:
        return {"html": html}
    return {} if text is None else {dialect.plain_text: text}


def _properties(
    status: int | None,
    priority: int | None,
    assignee: int | Unset | None,
    due_date: date | str | Unset | None,
    fields: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Gives the members that both kinds of message take; a None is sent as null and clears."""
    members = _given(status=status, priority=priority)
    if assignee is not UNSET:
        members["assignee"] = assignee
    if due_date is not UNSET:
        members["due_date"] = f"{due_date:%Y-%m-%d}" if isinstance(due_date, date) else due_date
    return {**members, **(fields or {})}


def _commas(values: Iterable[str]) -> str | None:
    """Joins values as HappyFox takes lists: separated by commas, which none of them may hold."""
    listed = list(values)
    if any("," in value for value in listed):
        raise ValueError("a tag or address with a comma cannot be sent: HappyFox separates them by commas")
    return ",".join(listed) or None
