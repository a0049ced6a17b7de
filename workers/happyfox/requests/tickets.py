"""Reading and creating tickets (KB 1039, 1 to 6 and 17 to 19), and their custom fields (KB 1247)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Literal, Required, TypedDict, Unpack, get_args

from workers.errors import Unfit
from workers.happyfox.exchange import Request
from workers.happyfox.requests.dialect import DEFAULT, Dialect
from workers.happyfox.requests.members import (
    TICKET_FIELDS,
    Upload,
    at_most,
    commas,
    day,
    given,
    known,
    moment,
    one_of,
    pages,
    segment,
    uploads,
    values,
)

#: The codes for ``sort``. ``updated`` and ``created`` are descending; so is ``clientd``, though KB 1039 says ascending.
Sort = Literal[
    "assigneea", "assigneed", "categorya", "categoryd", "clienta", "clientd", "createa", "created", "due",
    "last_modifieda", "last_modifiedd", "prioritya", "priorityd", "statusa", "statusd", "subjecta", "subjectd",
    "ticketa", "ticketd", "unresponded", "updatea", "updated",
]  # fmt: skip


class Listing(TypedDict, total=False):
    """Which tickets a list holds."""

    q: str
    """A search, as ``search`` builds it. HappyFox then orders by relevance, whatever ``sort`` says."""
    status: str | int
    """``_all``, ``_pending`` or a status id; always sent, for its default is disputed."""
    category: int | Iterable[int] | None
    sort: Sort
    updates: bool
    """With their rows. If an account sends none, read each ticket."""
    fields: Iterable[str]
    """Only these members at the top; many accounts send all of them nevertheless."""


class NewTicket(TypedDict, total=False):
    """A ticket to be created. An existing contact goes by ``client``, another by ``name`` and ``email``."""

    name: str
    email: str
    phone: str
    client: int
    subject: Required[str]
    text: str
    html: str
    """This or ``text`` is needed."""
    category: Required[int]
    """One that is public, or visible to staff and contacts."""
    priority: int
    assignee: int | None
    tags: Iterable[str]
    cc: Iterable[str]
    bcc: Iterable[str]
    created_at: datetime | str
    due_date: date | str
    visible_only_staff: bool
    """A private ticket."""
    fields: Mapping[str, Any]
    """Custom fields by the names ``t-cf-<id>`` and ``c-cf-<id>``; those that are compulsory have to be there."""


def ticket(n: int) -> Request:
    """Reads one ticket with all its rows, changes of custom fields included."""
    return Request("GET", f"/ticket/{segment(n)}/", {"show_cf_changes": "true"})


def tickets(
    *,
    page: int = 1,
    size: int = 50,
    numbers_only: bool = False,
    dialect: Dialect = DEFAULT,
    **listing: Unpack[Listing],
) -> Request:
    """Reads a page of at most 50 tickets; ``sort`` is ``ticketa`` unless given, so that pages do not shift."""
    known(listing, Listing)
    sort, category = listing.get("sort", "ticketa"), listing.get("category")
    one_of(sort, get_args(Sort), "sort")
    query: dict[str, str | tuple[str, ...]] = {**pages(page, size)}
    query |= {"status": str(listing.get("status", "_all")), "sort": sort}
    if listing.get("q"):
        query["q"] = listing["q"]
    if category is not None:
        query["category"] = str(category) if isinstance(category, int) else tuple(map(str, category))
    if listing.get("updates"):
        query[dialect.updates] = "1"
    if numbers_only:
        query["minify_response"] = "true"
    if fields := list(listing.get("fields", ())):
        query["fields"] = ",".join(fields if "id" in fields else ["id", *fields])
    return Request("GET", "/tickets/", query)


def create_ticket(ticket: NewTicket | Mapping[str, Any], files: Iterable[Upload] = ()) -> Request:
    """Creates a ticket, with attachments of 25 MB together; a misspelt member is a ``TypeError``."""
    return Request("POST", "/tickets/", body=_members(ticket), files=uploads(files))


def create_tickets(several: Sequence[NewTicket | Mapping[str, Any]]) -> Request:
    """Creates up to 100 tickets in one call, which has a result for each; attachments go by single calls only."""
    at_most(len(several), "tickets")
    return Request("POST", "/tickets/", body=[_members(each) for each in several])


def inline_attachment(image: Upload) -> Request:
    """Uploads one image of at most 25 MB, to be shown in the html of a ticket."""
    (file,) = uploads([image])
    if not file.content_type.startswith("image/"):
        raise Unfit(f"{file.name} is not an image ({file.content_type}): HappyFox shows images only; nothing was sent")
    return Request("POST", "/ticket-inline-attachment", files=(replace(file, member="file"),))


def ticket_custom_fields() -> Request:
    """Lists the custom fields of tickets with their choices."""
    return Request("GET", "/ticket_custom_fields/")


def update_choices(field: int, choices: Iterable[Mapping[str, Any]]) -> Request:
    """Replaces all choices of a ticket field (KB 1247): one whose ``id`` is None is new, one left out is deleted."""
    listed = [{"dependant_fields": [], **choice} for choice in choices]
    if any("id" not in choice or not choice.get("text") for choice in listed):
        raise Unfit("each choice needs its text and its id, which is None for a new one; nothing was sent")
    return Request("PUT", f"/ticket_custom_field/{segment(field)}/", body={"choices": listed})


def _members(ticket: NewTicket | Mapping[str, Any]) -> dict[str, Any]:
    known(ticket, NewTicket, *TICKET_FIELDS)
    members: dict[str, Any] = dict(ticket)
    fields = members.pop("fields", {})
    for name in ("tags", "cc", "bcc"):
        if name in members:
            members[name] = commas(members[name])
    if isinstance(members.get("created_at"), datetime):
        members["created_at"] = moment(members["created_at"])
    if isinstance(members.get("due_date"), date):
        members["due_date"] = day(members["due_date"])
    assignee = {"assignee": members["assignee"]} if "assignee" in members else {}
    return {**given(**members), **assignee, **values(fields, *TICKET_FIELDS)}
