"""The files of an effect: read from disk when it is sent, stored with the plan, or downloaded from a ticket."""

import mimetypes

from workers.engine.context import TurnContext
from workers.engine.effect import Effect
from workers.engine.steps import Download, Steps
from workers.happyfox.http import MOST_UPLOADED
from workers.happyfox.messages import File, file
from workers.happyfox.tickets import ticket
from workers.plugins.arguments import AttachedFile
from workers.tickets.model import TicketRead, mapping, read_ticket

#: How often an attachment is downloaded: each time with a new link, because links work once and die within minutes.
TRIES = 3


class NoFile(Exception):
    """A file of an effect cannot be had; the text says why, without its name."""


def read_files(context: TurnContext, effect: Effect) -> Steps[tuple[File, ...]]:
    """Return the files of an effect as they are sent; raise ``NoFile`` if an attachment cannot be downloaded."""
    files = []
    for attached in effect.files:
        if attached.path:
            files.append(file(attached.path, name=attached.name))
            continue
        content = (yield from _download(context, attached)) if attached.attachment else attached.content
        kind, packed = mimetypes.guess_type(attached.name)
        files.append(File(attached.name, content=content, content_type=kind if kind and not packed else _BINARY))
    return tuple(files)


_BINARY = "application/octet-stream"


def _download(context: TurnContext, attached: AttachedFile) -> Steps[bytes]:
    """Return an attachment of a ticket."""
    where = f"attachment {attached.attachment} of ticket {attached.ticket}"
    for _ in range(TRIES):
        found = yield from _read(context, attached.ticket)
        link = next((link for number, link in _links(found) if number == attached.attachment), "") if found else ""
        if not link:
            raise NoFile(f"{where} does not exist any more")
        content: bytes | None = yield Download(link, MOST_UPLOADED)
        if content is not None:
            return content
    raise NoFile(f"{where} could not be downloaded, tried {TRIES} times; replay this")


def _read(context: TurnContext, number: int) -> Steps[TicketRead | None]:
    if number == context.lane.ticket:
        return (yield from context.read_ticket())
    content = yield from context.get_content(ticket(number), f"ticket {number}")
    return read_ticket(mapping(content), context.config.site)


def _links(found: TicketRead) -> list[tuple[int | None, str]]:
    messages = (update.message for update in found.history if update.message)
    return [(each.id, each.url) for message in messages for each in message.attachments]
