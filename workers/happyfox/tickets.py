"""Tickets (KB 1039): calls as methods, those of the engine also as functions.

HappyFox does not support parallel writes to one ticket: make them one after another. A staff member is ``staff`` in
some calls and ``staff_id`` in others. A note or reply cannot be withdrawn, so after ``InDoubt`` or ``Broken`` read the
ticket and compare its updates before you write again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Literal, Required, TypedDict, TypeVar, Unpack, get_args

from workers.errors import Gone, Refused, Unfit
from workers.happyfox.base import (
    BaseClient,
    Confirmation,
    ItemResult,
    Page,
    climb,
    in_hundreds,
    read_confirmation,
    walk,
)
from workers.happyfox.messages import (
    File,
    Request,
    Upload,
    commas,
    day,
    field_members,
    given,
    identities,
    identity,
    known,
    moment,
    nothing_to_update,
    one_of,
    paging,
    ticket_segment,
    uploads,
)
from workers.tickets.model import TicketRead, mapping, number, read_ticket, text

T = TypeVar("T")

#: Prefixes of custom fields in calls on tickets: of the ticket, and of its contact. For the contact, the table of KB
#: 1039 has ``ccf-`` and its example ``c-cf-``.
TICKET_FIELDS = ("t-cf-", "c-cf-", "ccf-")

#: Members that are texts with commas, and those that None clears.
LISTS, CLEARABLE = ("tags", "cc", "bcc"), ("assignee", "due_date")

#: Members that are ids.
IDS = ("status", "priority", "assignee", "category", "client", "parent_update", "last_staff_message")

#: What ``status`` of a list can be besides an id. KB 1039 has the first two, one client uses the third.
STATUS_GROUPS = ("_all", "_pending", "_completed")

#: Whom a note alerts, besides one staff member: all subscribers, or the staff of the category.
ALERTS = ("s", "c")

#: The codes of ``sort``. ``updated`` and ``created`` are descending; so is ``clientd``, though KB 1039 says ascending.
Sort = Literal[
    "assigneea", "assigneed", "categorya", "categoryd", "clienta", "clientd", "createa", "created", "due",
    "last_modifieda", "last_modifiedd", "prioritya", "priorityd", "statusa", "statusd", "subjecta", "subjectd",
    "ticketa", "ticketd", "unresponded", "updatea", "updated",
]  # fmt: skip


class TicketProperties(TypedDict, total=False):
    """What replies and notes can set besides their message (KB 1039, 7 and 8)."""

    status: int | None
    priority: int | None
    assignee: int | None
    """A staff id; None unassigns the ticket and cannot be sent together with files."""
    due_date: date | str | None
    """As text ``yyyy-mm-dd`` or ``dd/mm/yyyy``; None clears it."""
    time_spent: int | None
    """Minutes, added to those of the ticket. Some categories require them."""
    tags: Iterable[str]
    """KB 1039 does not say whether they replace the ticket's tags: prefer ``update_tags``."""
    fields: Mapping[str, Any] | None
    """Custom fields by their names ``t-cf-<id>``, ``ccf-<id>``; choices by id (KB 579)."""


class ReplyMembers(TicketProperties, total=False):
    """A reply to the contact; without a message it only sets properties."""

    text: str | None
    html: str | None
    """Used instead of ``text`` if both are given."""
    update_customer: bool | None
    """Whether mail is sent; the contact can see the reply either way."""
    cc: Iterable[str]
    bcc: Iterable[str]
    subject: str | None
    """The subject of the mail; the ticket keeps its own."""
    send_survey: bool | None
    parent_update: int | None
    """For tickets from social networks."""
    last_staff_message: int | None
    """The last staff message known here: HappyFox may refuse the reply if there is a newer one."""
    files: Iterable[Upload]


class NoteMembers(TicketProperties, total=False):
    """A note that contacts do not see."""

    text: str | None
    html: str | None
    alert: Literal["s", "c"] | int | None
    """Notify the subscribers (``s``), the staff of the category (``c``) or one staff member by id."""
    files: Iterable[Upload]


class ForwardMembers(TypedDict, total=False):
    """What a forwarded ticket can have besides its message."""

    cc: Iterable[str]
    bcc: Iterable[str]
    to_include_ticket_contact: bool
    cc_include_ticket_contact: bool
    send_all_messages: bool
    """HappyFox's default is true."""
    include_pvt_notes: bool
    ticket_attachments: Iterable[int]
    """Ids of attachments of the ticket."""
    convert_replies_as_new_ticket: bool
    """HappyFox's default is true."""
    files: Iterable[Upload]


class Listing(TypedDict, total=False):
    """Which tickets a list has."""

    q: str
    """A search built by ``search``. HappyFox then sorts by relevance and ignores ``sort``."""
    status: str | int
    """``_all``, ``_pending`` or a status id; always sent, because sources disagree on the default."""
    category: int | Iterable[int] | None
    """Ids; all categories without any."""
    sort: Sort
    updates: bool
    """With their updates. If an account sends none, read each ticket."""
    fields: Iterable[str]
    """Only these top-level members; many accounts send all members anyway."""


class NewTicket(TypedDict, total=False):
    """A ticket to create; the contact is ``client``, or ``name`` and ``email``."""

    name: str
    email: str
    phone: str
    client: int
    subject: Required[str]
    text: str
    html: str
    """This or ``text`` is required."""
    category: Required[int]
    """A public one, or one visible to staff and contacts."""
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
    """Custom fields by their names ``t-cf-<id>`` and ``c-cf-<id>``; compulsory ones are required."""


def ticket_field(id: int) -> str:
    """Return the name of a ticket's custom field in calls."""
    return f"t-cf-{id}"


# The calls


def ticket(n: int) -> Request:
    """Read one ticket with all its updates, including changes of custom fields."""
    return Request("GET", f"/ticket/{ticket_segment(n)}/", {"show_cf_changes": "true"})


def tickets(*, page: int = 1, size: int = 50, numbers_only: bool = False, **listing: Unpack[Listing]) -> Request:
    """Read a page of tickets, by default in an order in which pages do not shift."""
    known(listing, Listing)
    sort, status, category = listing.get("sort", "ticketa"), listing.get("status", "_all"), listing.get("category")
    one_of(sort, get_args(Sort), "sort")
    fields = listing.get("fields") or ()
    fields = fields.split(",") if isinstance(fields, str) else fields
    query = given(
        status=status if status in STATUS_GROUPS else str(identity(status, "status")),
        sort=sort,
        q=listing.get("q") or None,
        category=None if category is None else tuple(map(str, identities(category, "category"))) or None,
        show_updates="1" if listing.get("updates") else None,
        minify_response="true" if numbers_only else None,
        fields=",".join(dict.fromkeys(("id", *map(str.strip, fields)))) if fields else None,
    )
    return Request("GET", "/tickets/", {**paging(page, size), **query})


def create_ticket(ticket: NewTicket | Mapping[str, Any], files: Iterable[Upload] = ()) -> Request:
    return Request("POST", "/tickets/", body=_body(ticket, NewTicket, *TICKET_FIELDS), files=uploads(files))


def staff_update(n: int, *, staff: int, **reply: Unpack[ReplyMembers]) -> Request:
    body = {"staff": staff, **_with_message(_body(reply, ReplyMembers))}
    return _post(n, "staff_update", body, uploads(reply.get("files")))


def private_note(n: int, *, staff: int, **note: Unpack[NoteMembers]) -> Request:
    body = {"staff": staff, **_with_message(_body(note, NoteMembers))}
    return _post(n, "staff_pvtnote", body, uploads(note.get("files")))


def update_tags(n: int, add: Iterable[str], remove: Iterable[str], staff_id: int | None) -> Request:
    """Add and remove tags; ``staff_id`` is required since the KB 1039 of 2026."""
    return _post(n, "update_tags", given(staff_id=staff_id, add=commas(add), remove=commas(remove)))


def move(n: int, *, staff_id: int, target_category_id: int, note: str = "", assign_to: int | None = None) -> Request:
    body = {"staff_id": staff_id, "target_category_id": identity(target_category_id, "category")}
    assignee = None if assign_to is None else identity(assign_to, "assignee")
    return _post(n, "move", {**body, **given(move_note=note or None, assign_to=assignee)})


def forward(
    n: int, *, staff_id: int, to: Iterable[str], subject: str, message: str | None, **more: Unpack[ForwardMembers]
) -> Request:
    """Forward the ticket; KB 1039 requires a message, but its example has none."""
    body = {"staff_id": staff_id, **given(to=commas(to), subject=subject, message=message)}
    return _post(n, "forward", {**body, **_body(more, ForwardMembers)}, uploads(more.get("files")))


def subscribe(n: int, *, staff_id: int, others: Iterable[int] = ()) -> Request:
    return _post(n, "subscribe", {"staff_id": staff_id, **given(data=identities(others, "staff") or None)})


def unsubscribe(n: int, *, staff_id: int) -> Request:
    """Unsubscribe ``staff_id``, which is not the staff member who writes."""
    return _post(n, "unsubscribe", {"staff_id": identity(staff_id, "staff")})


def contact_reply(
    n: int,
    *,
    contact: int,
    text: str,
    cc: Iterable[str] = (),
    bcc: Iterable[str] = (),
    files: Iterable[Upload] = (),
) -> Request:
    body = {"user": identity(contact, "the contact"), "text": text, **given(cc=commas(cc), bcc=commas(bcc))}
    return _post(n, "user_reply", body, uploads(files))


def delete(n: int, *, staff_id: int) -> Request:
    return _post(n, "delete", {"staff_id": staff_id})


def _post(n: int, call: str, body: Mapping[str, Any], files: tuple[File, ...] = ()) -> Request:
    return Request("POST", f"/ticket/{ticket_segment(n)}/{call}/", body=body, files=files)


def _body(members: Mapping[str, Any], shape: Any, *prefixes: str) -> dict[str, Any]:
    """Return members as HappyFox expects them, without files."""
    known(members, shape, *prefixes)
    values = {name: _value(name, value) for name, value in members.items() if name not in ("fields", "files")}
    body = {name: value for name, value in values.items() if value is not None or name in CLEARABLE}
    return {**body, **field_members(members.get("fields") or {}, *TICKET_FIELDS)}


def _value(name: str, value: Any) -> Any:
    """Return a member as HappyFox expects it; refuse what it could not mean."""
    if name in LISTS:
        return commas(value or ())
    if value is None:
        return None
    if name in IDS or (name == "alert" and value not in ALERTS):
        return identity(value, name)
    if name == "time_spent":
        return _minutes(value)
    if name == "ticket_attachments":
        return identities(value, "the attachment")
    return day(value) if name == "due_date" else moment(value) if name == "created_at" else value


def _minutes(value: Any) -> int:
    found = number(value)
    if found is None or found < 0:
        raise Unfit(f"time_spent is a whole number of minutes, not {value!r}; nothing was sent")
    return found


def _with_message(body: dict[str, Any]) -> dict[str, Any]:
    """Name the text ``plaintext``, as KB 1039 does; live clients send ``text``."""
    plain = body.pop("text", None)
    return body if "html" in body else {**body, **given(plaintext=plain)}


class TicketReads(BaseClient):
    """Reading tickets."""

    def tickets(self, *, page: int = 1, size: int = 50, **listing: Unpack[Listing]) -> Page[TicketRead]:
        """Read a page of at most 50 tickets; see ``Listing`` for the arguments."""
        return self._page(tickets(page=page, size=size, **listing), page, self._read_ticket)

    def ticket_numbers(self, *, page: int = 1, size: int = 50, **listing: Unpack[Listing]) -> Page[int]:
        """Read a page of ticket numbers only, which is much faster."""
        return self._page(tickets(page=page, size=size, numbers_only=True, **listing), page, _number)

    def all_tickets(self, **listing: Unpack[Listing]) -> Iterator[TicketRead]:
        """Read all tickets of a list, each once, even if the list changes.

        By default tickets come in the order of their numbers. A list with ``q`` or another ``sort`` is read again
        until it did not change during a whole read.
        """
        return _all(self.tickets, listing, lambda ticket: ticket.id)

    def all_ticket_numbers(self, **listing: Unpack[Listing]) -> Iterator[int]:
        """Read the numbers of all tickets of a list, like ``all_tickets``."""
        return _all(self.ticket_numbers, listing, int)

    def ticket(self, n: int) -> TicketRead:
        """Read the ticket with number ``n``, with all its updates."""
        return self._one(ticket(n), self._read_ticket)

    def _read_ticket(self, raw: Any) -> TicketRead | None:
        return read_ticket(mapping(raw), self.site) if number(mapping(raw).get("id")) is not None else None


class Tickets(TicketReads):
    """Reading and writing tickets; ``staff`` is the staff member who writes."""

    def create_ticket(self, ticket: NewTicket, files: Iterable[Upload] = ()) -> TicketRead:
        """Create a ticket and return it, with attachments of at most 25 MB in total.

        Raises ``Refused`` with what is missing, ``Unfit`` for files that cannot be sent. After ``InDoubt`` or
        ``Broken`` search for it with ``search(contact=...)`` and its subject before you create it again.
        """
        return self._one(create_ticket(ticket, files), self._read_ticket)

    def create_tickets(self, several: Sequence[NewTicket | Mapping[str, Any]]) -> list[ItemResult]:
        """Create up to 100 tickets in one call, without files; return a result for each."""
        return self._bulk("/tickets/", [_body(each, NewTicket, *TICKET_FIELDS) for each in several])

    def create_all_tickets(self, several: Iterable[NewTicket | Mapping[str, Any]]) -> list[ItemResult]:
        """Create any number of tickets; see ``in_hundreds`` for failures."""
        return in_hundreds(several, self.create_tickets)

    def inline_attachment(self, image: Upload) -> str:
        """Upload an image of at most 25 MB; return the address for ``<img src>``."""
        (file,) = uploads([image])
        if not file.content_type.startswith("image/"):
            raise Unfit(f"{file.name} is not an image ({file.content_type}); nothing was sent")
        request = Request("POST", "/ticket-inline-attachment", files=(replace(file, member="file"),))
        return self._one(request, lambda raw: text(mapping(raw).get("url")) or None)

    def staff_update(self, n: int, *, staff: int | None = None, **reply: Unpack[ReplyMembers]) -> TicketRead:
        """Reply, set properties, or both; return the ticket. See ``ReplyMembers``.

        Every call leaves an update forever, so set several properties in one call. Closing a ticket with an empty
        compulsory field raises ``Refused`` with that field in ``problems``.
        """
        try:
            return self._one(staff_update(n, staff=self._as(staff), **reply), self._read_ticket)
        except Refused as error:
            if nothing_to_update(error):
                return self.ticket(n)
            raise

    def private_note(self, n: int, *, staff: int | None = None, **note: Unpack[NoteMembers]) -> TicketRead | None:
        """Add a note that contacts do not see; return the ticket if HappyFox sends it."""
        return self._optional(private_note(n, staff=self._as(staff), **note), self._read_ticket)

    def contact_reply(
        self,
        n: int,
        *,
        contact: int,
        text: str,
        cc: Iterable[str] = (),
        bcc: Iterable[str] = (),
        files: Iterable[Upload] = (),
    ) -> TicketRead | None:
        """Reply as a contact, in text or HTML; return the ticket if HappyFox sends it."""
        request = contact_reply(n, contact=contact, text=text, cc=cc, bcc=bcc, files=files)
        return self._optional(request, self._read_ticket)

    def update_custom_fields(self, n: int, fields: Mapping[str, Any], *, staff: int | None = None) -> TicketRead | None:
        """Set custom fields by their names ``t-cf-<id>``; compulsory ones are required."""
        body = {"staff": self._as(staff), **field_members(fields, *TICKET_FIELDS)}
        return self._optional(_post(n, "update_custom_fields", body), self._read_ticket)

    def update_tags(
        self, n: int, *, add: Iterable[str] = (), remove: Iterable[str] = (), staff: int | None = None
    ) -> TicketRead:
        """Add and remove tags, which are case-sensitive; return the ticket."""
        return self._one(update_tags(n, add, remove, self._as(staff)), self._read_ticket)

    def subscribe(self, n: int, *others: int, staff: int | None = None) -> Confirmation:
        """Subscribe a staff member and others, without an update or a webhook."""
        return read_confirmation(self.call(subscribe(n, staff_id=self._as(staff), others=others)))

    def unsubscribe(self, n: int, staff: int) -> Confirmation:
        return read_confirmation(self.call(unsubscribe(n, staff_id=staff)))

    def forward_ticket(
        self,
        n: int,
        *,
        to: Iterable[str],
        subject: str,
        message: str | None,
        staff: int | None = None,
        **more: Unpack[ForwardMembers],
    ) -> Confirmation:
        """Forward a ticket to other people, without a webhook; see ``ForwardMembers``."""
        request = forward(n, staff_id=self._as(staff), to=to, subject=subject, message=message, **more)
        return read_confirmation(self.call(request))

    def move_ticket(
        self, n: int, category: int, *, note: str = "", assign_to: int | None = None, staff: int | None = None
    ) -> Confirmation:
        """Move a ticket to another category; the staff member needs the right to do so."""
        request = move(n, staff_id=self._as(staff), target_category_id=category, note=note, assign_to=assign_to)
        return read_confirmation(self.call(request))

    def delete_ticket(self, n: int, *, staff: int | None = None) -> Confirmation:
        """Delete a ticket permanently, without a webhook; return its display id.

        Raises ``Gone``, also for a 400 that names no field, which one client got for an unknown ticket.
        """
        try:
            return read_confirmation(self.call(delete(n, staff_id=self._as(staff))))
        except Refused as error:
            if error.status == 400 and not any(field for field, _ in error.problems):
                message = f"HappyFox has no ticket {n} (400): it was deleted, or the key may not see it"
                raise Gone(message, 400) from None
            raise


def _all(read: Callable[..., Page[T]], listing: Listing, key: Callable[[T], int]) -> Iterator[T]:
    """Read all pages of a list; climb if it is in order of the numbers."""
    in_order = not listing.get("q") and listing.get("sort", "ticketa") == "ticketa"
    return (climb if in_order else walk)(lambda page, size: read(page=page, size=size, **listing), key)


def _number(raw: Any) -> int | None:
    """Read a number, or that of an object if ``minify_response`` was ignored."""
    return number(mapping(raw).get("id") if mapping(raw) else raw)
