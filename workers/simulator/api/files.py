"""Uploaded files: attachments of messages, inline images, and their downloads (tickets article, 4, 6 and 7)."""

from typing import Final

from workers.simulator.api.forms import REQUIRED, Form, RefusedError, whole
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import Json, World, links

MEGABYTES: Final = 25
LIMIT: Final = MEGABYTES * 1024 * 1024
"""Bytes of all attachments of a request together, and of one inline image. Whether a megabyte is 10**6 bytes or
2**20: assumed the latter."""
IMAGE_PATH: Final = "get_hdp_temporarily_attachment"


def check(form: Form, arguments: Arguments) -> None:
    """Complain about attachments that are too large together; HappyFox's words for it are not known."""
    if sum(len(upload.content) for upload in arguments.files) > LIMIT:
        form.complain("attachments", f"The total size of all attachments should not exceed {MEGABYTES} MB.")


def attach(world: World, arguments: Arguments) -> list[Json]:
    """Keep the files sent as `attachments`. Links to them are made whenever somebody reads the message."""
    attached = []
    for upload in arguments.files:
        if upload.field == "attachments":  # files under other names are ignored: assumed
            kind = upload.content_type.encode("ascii", "ignore").decode()  # it becomes a header of the download
            stored = links.store(world, upload.filename, kind, upload.content)
            attached.append({"id": stored.id, "filename": stored.filename, "url": None})
    return attached


def upload_image(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket-inline-attachment: one image, answered with an address for the `src` of an `img`."""
    form = Form(arguments.body)
    images = [upload for upload in arguments.files if upload.field == "file"]
    if not images:
        form.complain("file", REQUIRED)
    elif len(images) > 1 or len(images[0].content) > LIMIT or not images[0].content_type.startswith("image/"):
        form.complain("file", f"Upload one image of at most {MEGABYTES} MB.")
    form.refuse_if_wrong()
    stored = links.store(world, images[0].filename, images[0].content_type, images[0].content)
    return Outcome({"url": f"{world.files_at or world.url}/{IMAGE_PATH}/{stored.id}/"})


def image(world: World, arguments: Arguments) -> Outcome:
    """GET of an inline image by its address, without credentials and as often as one likes (assumed)."""
    stored = world.files.get(arguments.number)
    if stored is None or not stored.content_type.startswith("image/"):
        raise RefusedError(404, b"")
    return Outcome(stored.content, media=stored.content_type)


def download(world: World, arguments: Arguments) -> Outcome:
    """GET of an attachment by a signed link, without credentials: once, and only for a few minutes."""
    query = arguments.query
    expires, serial = whole(query.get("expires")), whole(query.get("serial"))
    stored = links.redeem(world, arguments.number, expires or 0, serial or 0, query.get("signature", ""))
    if stored is None:
        raise RefusedError(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
    return Outcome(stored.content, media=stored.content_type)
