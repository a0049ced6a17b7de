"""Attachments to files: signed links die after five minutes and serve one download (KB 1039), so they are renewed."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from workers.errors import Broken, Gone, Refused
from workers.models.row import Attachment
from workers.models.ticket import TicketRead

#: Bytes of one file, unless asked otherwise.
MOST = 100 * 1000 * 1000

#: Bytes of a file's name; most file systems take 255.
LONGEST = 240

#: Reads a link into a function and gives the status: link, function, most bytes.
Fetch = Callable[[str, Callable[[bytes], object], int], int]


def save(
    fetch: Fetch,
    reread: Callable[[int], TicketRead],
    ticket: TicketRead | int,
    attachment: Attachment,
    to: Path,
    most: int,
) -> Path:
    """Saves an attachment of a ticket as ``to``, or under its own name in the folder ``to``, and gives the path.

    A dead link has the ticket read again, once. What is there under that name is replaced when all of it has come;
    before that, and after a failure, nothing is. Raises ``Gone`` when the attachment is not on the ticket any more,
    ``Refused`` when its link does not work, ``InDoubt`` when it came in part or is larger than ``most``. No error tells
    a link.
    """
    path = to / _plain(attachment.filename) if to.is_dir() else to
    with _whole(path) as file:
        status = fetch(attachment.url, file.write, most) if attachment.url else 0
        if not 200 <= status < 300:
            fresh = _again(reread(ticket if isinstance(ticket, int) else ticket.id), attachment)
            status = fetch(fresh.url, file.write, most)
        if not 200 <= status < 300:
            raise _failed(status, attachment)
    return path


def _again(ticket: TicketRead, attachment: Attachment) -> Attachment:
    for row in ticket.history:
        for each in row.message.attachments if row.message else ():
            if each.id == attachment.id and each.url:
                return each
    raise Gone(f"the attachment {attachment.id} is not on ticket {ticket.id} any more", 404)


def _failed(status: int, attachment: Attachment) -> Exception:
    if status >= 500:
        return Broken(f"the store of attachments failed ({status}); try again later", status)
    if 300 <= status < 400:
        return Refused(f"the link of attachment {attachment.id} redirects ({status}), which is not followed", status)
    return Refused(f"the link of attachment {attachment.id} does not work ({status}), a fresh one neither", status)


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """Gives a file that takes its place when it is complete, and leaves nothing otherwise."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _plain(name: str) -> str:
    """Takes the folder out of a stranger's file name, and what no file system takes."""
    plain = Path("".join(sign for sign in name.replace("\\", "/") if sign.isprintable())).name.lstrip(".")
    stem, dot, kind = plain.rpartition(".")
    end = f"{dot}{kind}".encode()[:20] if stem else b""
    return ((stem or kind).encode()[: LONGEST - len(end)] + end).decode(errors="ignore") or "attachment"
