"""Writing to one ticket (KB 1039, 7 to 16).

Staff members go by ``staff`` in some calls and by ``staff_id`` in others (KB 1039). Parallel writes to one ticket are
not supported by HappyFox: make them one after another.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict, Unpack

from workers.happyfox.exchange import File, Request
from workers.happyfox.requests.dialect import DEFAULT, Dialect
from workers.happyfox.requests.members import (
    TICKET_FIELDS,
    Properties,
    Upload,
    commas,
    given,
    known,
    properties,
    segment,
    uploads,
    values,
)


class Reply(Properties, total=False):
    """A reply to the contact; without words it sets properties only, and leaves a row without message (KB 1039)."""

    text: str | None
    html: str | None
    """Wins over ``text``."""
    update_customer: bool | None
    """Decides whether mail is sent: the reply is visible to the contact either way."""
    cc: Iterable[str]
    bcc: Iterable[str]
    subject: str | None
    """The subject of the mail; the ticket keeps its own."""
    send_survey: bool | None
    parent_update: int | None
    """For tickets from social networks."""
    last_staff_message: int | None
    """The last staff message known here: HappyFox may refuse the reply if there is another since."""
    files: Iterable[Upload]


class Note(Properties, total=False):
    """A note that contacts do not see."""

    text: str | None
    html: str | None
    alert: Literal["s", "c"] | int | None
    """Tells the subscribers (``s``), the staff of the category (``c``) or one staff member by id."""
    files: Iterable[Upload]


class Forward(TypedDict, total=False):
    """What a forward may have beside its words."""

    cc: Iterable[str]
    bcc: Iterable[str]
    to_include_ticket_contact: bool
    cc_include_ticket_contact: bool
    send_all_messages: bool
    """HappyFox's default is true."""
    include_pvt_notes: bool
    ticket_attachments: Iterable[int]
    """Ids of attachments that are on the ticket."""
    convert_replies_as_new_ticket: bool
    """HappyFox's default is true."""
    files: Iterable[Upload]


def staff_update(n: int, *, staff: int, dialect: Dialect = DEFAULT, **reply: Unpack[Reply]) -> Request:
    """Replies, sets properties, or both; without a message it leaves a row without one (KB 1039, section 8.1)."""
    known(reply, Reply)
    body = {
        "staff": staff,
        **_message(reply, dialect),
        **given(
            update_customer=reply.get("update_customer"),
            cc=commas(reply.get("cc") or ()),
            bcc=commas(reply.get("bcc") or ()),
            subject=reply.get("subject"),
            send_survey=reply.get("send_survey"),
            parent_update=reply.get("parent_update"),
            last_staff_message=reply.get("last_staff_message"),
        ),
        **properties(reply),
    }
    return _post(n, "staff_update", body, uploads(reply.get("files")))


def private_note(n: int, *, staff: int, dialect: Dialect = DEFAULT, **note: Unpack[Note]) -> Request:
    """Adds a note that contacts do not see, with properties if given."""
    known(note, Note)
    body = {"staff": staff, **_message(note, dialect), **given(alert=note.get("alert")), **properties(note)}
    return _post(n, "staff_pvtnote", body, uploads(note.get("files")))


def user_reply(
    n: int, *, user: int, text: str, cc: Iterable[str] = (), bcc: Iterable[str] = (), files: Iterable[Upload] = ()
) -> Request:
    """Replies as the contact ``user``; ``text`` is plain or html, HappyFox tells by itself."""
    body = {"user": user, "text": text, **given(cc=commas(cc), bcc=commas(bcc))}
    return _post(n, "user_reply", body, uploads(files))


def update_tags(n: int, add: Iterable[str], remove: Iterable[str], staff_id: int | None) -> Request:
    """Adds and removes tags; ``staff_id`` makes the row show who did (KB 1039, 2026)."""
    return _post(n, "update_tags", given(staff_id=staff_id, add=commas(add), remove=commas(remove)))


def update_custom_fields(n: int, *, staff: int, fields: Mapping[str, Any]) -> Request:
    """Sets custom fields; those that are compulsory have to be among them."""
    return _post(n, "update_custom_fields", {"staff": staff, **values(fields, *TICKET_FIELDS)})


def move(n: int, *, staff_id: int, target_category_id: int, note: str = "", assign_to: int | None = None) -> Request:
    """Moves the ticket to another category; the staff member needs the right to."""
    body = {"staff_id": staff_id, "target_category_id": target_category_id}
    return _post(n, "move", {**body, **given(move_note=note or None, assign_to=assign_to)})


def forward(
    n: int,
    *,
    staff_id: int,
    to: Iterable[str],
    subject: str,
    message: str | None,
    dialect: Dialect = DEFAULT,
    **more: Unpack[Forward],
) -> Request:
    """Mails the ticket to others; tells no webhook. The article requires a message, and its example has none."""
    known(more, Forward)
    attached = more.get("ticket_attachments")
    body = given(
        staff_id=staff_id,
        to=commas(to),
        subject=subject,
        cc=commas(more.get("cc") or ()),
        bcc=commas(more.get("bcc") or ()),
        ticket_attachments=None if attached is None else list(attached),
    )
    if message is not None:
        body[dialect.forward_message] = message
    switches: dict[str, Any] = {name: value for name, value in more.items() if isinstance(value, bool)}
    return _post(n, "forward", {**body, **switches}, uploads(more.get("files")))


def subscribe(n: int, *, staff_id: int, others: Iterable[int] = ()) -> Request:
    """Subscribes a staff member and others to the ticket; leaves no row and tells no webhook."""
    return _post(n, "subscribe", {"staff_id": staff_id, **given(data=list(others) or None)})


def unsubscribe(n: int, *, staff_id: int) -> Request:
    """Ends the subscription of one staff member."""
    return _post(n, "unsubscribe", {"staff_id": staff_id})


def delete(n: int, *, staff_id: int) -> Request:
    """Deletes the ticket for good."""
    return _post(n, "delete", {"staff_id": staff_id})


def _post(n: int, call: str, body: Mapping[str, Any], files: tuple[File, ...] = ()) -> Request:
    return Request("POST", f"/ticket/{segment(n)}/{call}/", body=body, files=files)


def _message(members: Reply | Note, dialect: Dialect) -> dict[str, str]:
    text, html = members.get("text"), members.get("html")
    if html is not None:
        return {"html": html}
    return {} if text is None else {dialect.plain_text: text}
