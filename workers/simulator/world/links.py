"""Uploaded files and the signed links to them: for anybody, for minutes, and by default for one download."""

import hashlib
import hmac
from typing import Final
from urllib.parse import quote

from workers.simulator.world.things import StoredFile
from workers.simulator.world.world import World

KEY: Final = b"links of a simulated account"


def store(world: World, filename: str, content_type: str, content: bytes) -> StoredFile:
    """Keep an uploaded file."""
    stored = StoredFile(world.next("file"), filename, content_type, content)
    world.files = {**world.files, stored.id: stored}
    return stored


def link(world: World, number: int, filename: str) -> str:
    """A new link to a file."""
    world.last_link += 1
    proof = f"expires={int(world.now() + world.options.link_seconds)}&serial={world.last_link}"
    base = "" if world.options.relative_links else world.files_at or world.url
    return f"{base}/attachments/{number}/{quote(filename, safe='')}?{proof}&signature={_seal(number, proof)}"


def redeem(world: World, number: int, expires: int, serial: int, signature: str) -> StoredFile | None:
    """The file behind a link, counting its use; None for a link that is forged, dead or used up."""
    proof = f"expires={expires}&serial={serial}"
    allowed, used = world.options.link_uses, world.spent_links.get(serial, 0)
    if not hmac.compare_digest(signature.encode(), _seal(number, proof).encode()) or world.now() > expires:
        return None
    if allowed is not None and used >= allowed:
        return None
    world.spent_links = {**world.spent_links, serial: used + 1}
    return world.files.get(number)


def _seal(number: int, proof: str) -> str:
    return hmac.new(KEY, f"{number}?{proof}".encode(), hashlib.sha256).hexdigest()[:32]
