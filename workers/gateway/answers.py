"""What a client gets, and what HappyFox's answer says of the client's write."""

import zlib
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from workers.engine.steps import CallOutcome
from workers.errors import HappyFoxError, InDoubt, Refused, Unsent
from workers.gateway.access import in_past_tense
from workers.happyfox.buffer import Buffer
from workers.happyfox.messages import Answer, is_cut_off, read
from workers.store.client_calls import KEEP
from workers.store.client_figures import CallResult
from workers.tickets.clients import ClientWrite
from workers.tickets.model import mapping, number, read_updates
from workers.tickets.snapshot import fits, fits_answer

#: The largest answer that is kept for a repeated call.
MOST_KEPT = 2_000_000

#: How a write ended, in a ticket's history.
ENDS: Final = {"doubt": "it may or may not have happened", "refused": "HappyFox refused it"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAnswer:
    """What a client gets."""

    status: int
    body: bytes = field(repr=False)
    """Empty if it is in ``large``."""
    large: Buffer | None = field(default=None, repr=False)
    """A large body in a file, which the caller closes."""
    content_type: str = "application/json"
    retry: int = 0
    """After how many seconds it may try again; 0 if that is not known."""
    result: CallResult = "done"
    what: str = ""
    """What the call does, for people: ``read``, ``write a note on``."""
    about: str = ""
    """The ticket that it is about."""
    why: str = ""
    """Why it was not done, for people."""
    repeated: bool = False
    """Whether it is the answer to an earlier call with the same Idempotency-Key."""

    @property
    def content(self) -> bytes:
        """The whole body."""
        return self.large.read() if self.large else self.body

    def close(self) -> None:
        """Delete the file of a large body."""
        if self.large:
            self.large.close()

    @property
    def sentence(self) -> str:
        """What the client did, to be read after its name and before the ticket, if there is one."""
        if self.result == "done":
            return in_past_tense(self.what)
        return f"was denied: {self.what}" if self.result == "denied" else f"tried to {self.what}"


def reply_of(answer: Answer, lockout: int) -> ClientAnswer:
    """Return what a client gets of HappyFox's answer; ``lockout`` (s) is how long a lockout lasts."""
    result: CallResult = "done" if answer.status < 400 else "limited" if answer.status == 429 else "refused"
    return ClientAnswer(
        status=answer.status,
        body=answer.body,
        large=answer.large,
        content_type=answer.headers.get("content-type", "application/json"),
        retry=lockout if answer.status == 429 else 0,
        result=result,
        why=f"HappyFox answered {answer.status}" if answer.status >= 400 else "",
    )


def pack(status: int, content_type: str, content: bytes) -> bytes:
    """Return an answer as it is kept for repeated calls."""
    body = zlib.compress(content)
    if len(body) > MOST_KEPT:
        body = zlib.compress(msgspec.json.encode({"message": "done; the answer was too large to be kept"}))
    return msgspec.msgpack.encode((status, content_type, body))


def unpack(kept: bytes) -> ClientAnswer:
    """Return the answer to an earlier call with the same key."""
    status, content_type, body = msgspec.msgpack.decode(kept)
    return ClientAnswer(status=status, body=zlib.decompress(body), content_type=content_type, repeated=True)


def end_of(outcome: CallOutcome) -> str:
    """Return how a write ended: ``unsent``, ``refused`` (certainly nothing happened), ``doubt`` or ``done``."""
    if isinstance(outcome, Unsent):
        return "unsent"
    if isinstance(outcome, InDoubt) or outcome.status >= 500 or is_cut_off(outcome):
        return "doubt"
    if outcome.status in (401, 429):
        return "unsent"
    try:
        read(outcome)
    except Refused:
        return "refused"
    except HappyFoxError:
        return "refused" if outcome.status >= 300 else "done"
    return "done"


def known_write(write: ClientWrite | None, outcome: CallOutcome) -> ClientWrite | bytes:
    """Return what is known of a write after its answer: which update it made."""
    if write is None or write.fingerprint is None or not isinstance(outcome, Answer):
        return KEEP
    shown = mapping(_content(outcome))
    new = [each for each in read_updates(shown.get("updates")) if each.id > write.after]
    fitting = [each.id for each in new if fits(write.fingerprint, each)]
    found = (fitting or [each.id for each in new if fits_answer(write.fingerprint, each)])[-1:]
    return msgspec.structs.replace(write, updates=tuple(found), fingerprint=None) if found else write


def created_tickets(client: str, outcome: CallOutcome) -> list[tuple[int, ClientWrite]]:
    """Return the tickets that a client's creation has made, each with its opening write."""
    if not isinstance(outcome, Answer):
        return []
    content = _content(outcome)
    numbers = [number(mapping(each).get("id")) for each in (content if isinstance(content, list) else [content])]
    write = ClientWrite(number=1, client=client, at=0, opening=True)
    return [(each, write) for each in numbers if each is not None]


def _content(answer: Answer) -> Any:
    try:
        return read(answer)
    except HappyFoxError:
        return None
