"""Verify a delivery's signature and read its ticket number and event.

HappyFox documents no body. One receiver that ran in production saw flat bodies; a guide to the API suggests the ticket
as in the REST API; a third source wraps the ticket. All three are accepted. Only a ticket number is required. The rest
is a hint, because the turn reads the ticket itself.

HappyFox signs with HMAC-SHA1 in the header ``X-Happyfox-Webhook-Signature`` (a third party's guide to its API, June
2026). How the digest is encoded as text is not documented. So every usual encoding of the same 20 bytes is accepted,
which does not weaken security, and nothing else: no other algorithm, no body parsed and serialized again.
"""

import binascii
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec

from workers.errors import FoxhooksError

HEADER: Final = "X-Happyfox-Webhook-Signature"

_MAX_HEADER: Final = 128  # the longest encoding has 61 characters; longer headers are rejected unread
_STANDARD_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")

_SPELLINGS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "hex": lambda digest: digest.hex(),
    "HEX": lambda digest: digest.hex().upper(),
    "sha1=hex": lambda digest: f"sha1={digest.hex()}",
    "base64": lambda digest: b64encode(digest).decode(),
    "base64url": lambda digest: urlsafe_b64encode(digest).decode(),
    "base64-of-hex": lambda digest: b64encode(digest.hex().encode()).decode(),
}

SPELLINGS: Final = tuple(_SPELLINGS)


def sign(key: str, body: bytes, spelling: str = "hex") -> str:
    """Return the signature of a body; "hex" is HappyFox's most likely spelling."""
    write = _SPELLINGS.get(spelling)
    if write is None:
        raise ValueError(f"unknown signature spelling {spelling!r}; use one of {', '.join(SPELLINGS)}")
    return write(hmac.digest(key.encode(), body, "sha1"))


class Verifier:
    """Check signatures against an account's secrets, any of which may match.

    During a rotation there are two. Keys are prepared once: checking a 1.3 kB body takes about 2 microseconds per key.
    Raise ValueError for an empty key, with which anybody could sign.
    """

    __slots__ = ("_prepared",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not all(keys):
            raise ValueError("a webhook secret is empty; copy the signing key from HappyFox's webhook page")
        self._prepared = [hmac.new(key, digestmod="sha1") for key in keys]

    def __call__(self, header: bytes | str | None, body: bytes) -> bool:
        """Return whether the header is a signature of the raw body. Never raises."""
        received = _digest(header)
        if received is None:
            return False
        found = False
        for prepared in self._prepared:  # try every key, so that timing does not reveal which one matched
            attempt = prepared.copy()
            attempt.update(body)
            found |= hmac.compare_digest(attempt.digest(), received)
        return found


def _digest(header: bytes | str | None) -> bytes | None:
    """Return the 20 bytes of a SHA-1 digest in a header, or None if there is none.

    Spellings: 40 hexadecimal digits in any case; base64 in either alphabet, padded (28) or not (27);
    base64 of the lower-case hexadecimal text (56). A prefix ``sha1=`` and surrounding white space are dropped.
    """
    if header is None or len(header) > _MAX_HEADER:
        return None
    if isinstance(header, str):
        if not header.isascii():
            return None
        header = header.encode()
    text = header.strip()
    if text[:5].lower() == b"sha1=":
        text = text[5:]
    try:
        if len(text) == 40:
            return binascii.unhexlify(text)
        if len(text) in (27, 28):
            return _decode_base64(text.translate(_STANDARD_ALPHABET).ljust(28, b"="), 20)
        if len(text) == 56:
            inner = _decode_base64(text, 40)
            return binascii.unhexlify(inner) if inner is not None and inner == inner.lower() else None
    except binascii.Error:
        pass
    return None


def _decode_base64(text: bytes, size: int) -> bytes | None:
    """Decode canonical base64 of this size; return None for anything else."""
    raw = binascii.a2b_base64(text)
    return raw if len(raw) == size and binascii.b2a_base64(raw, newline=False) == text else None


Reason = Literal[
    "empty",
    "not-utf-8",
    "not-json",
    "too-deep",
    "not-an-object",
    "bad-form",
    "no-ticket-number",
    "bad-ticket-number",
]

_FORM_FIELDS: Final = frozenset({"payload", "data", "json"})


class UnreadableBody(FoxhooksError):
    """A body is unreadable or names no ticket; ``reason`` quotes none of it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def decode(body: bytes, content_type: str) -> dict[str, Any]:
    """Decode a body that is a JSON object, or a form with one in a field.

    The content type counts only if the bytes are ambiguous. Raise UnreadableBody if there is no such object.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise UnreadableBody("empty")
    if not text.startswith(b"{"):
        field = _form_field(text)
        if field is not None:
            text = field
        elif "form" in content_type.lower():
            raise UnreadableBody("bad-form")
    value = _json(text)
    if not isinstance(value, dict):
        raise UnreadableBody("not-an-object")
    return value


def _form_field(text: bytes) -> bytes | None:
    """Return the JSON field of a URL-encoded form, or None."""
    try:
        fields = parse_qsl(text.decode(), errors="strict", max_num_fields=20)
    except ValueError:
        return None
    return next((value.encode() for name, value in fields if name in _FORM_FIELDS), None)


def _json(text: bytes) -> object:
    """Decode JSON with the fast decoder, then with Python's more tolerant one.

    A contact's text may contain half a surrogate pair, which strict decoders refuse; no event may be lost to that.
    """
    reason: Reason
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        reason = "too-deep"
    except ValueError:
        try:
            return json.loads(text.decode())
        except UnicodeDecodeError:
            reason = "not-utf-8"
        except RecursionError:
            reason = "too-deep"
        except ValueError:
            reason = "not-json"
    # Raise outside the except blocks: the decoder's own error would carry the whole payload along.
    raise UnreadableBody(reason)


Kind = Literal["created", "updated", "unknown"]
DeliveryActor = Literal["contact", "staff", "rule", "unknown"]
Form = Literal["flat", "rest", "wrapped"]
LARGEST: Final = 2**53 - 1  # the largest integer that all JSON parsers agree on

_NUMBER_KEYS: Final = ("ticket_id", "id", "ticket_number", "ticketId")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The content of a delivery."""

    ticket: int
    """The ticket number, 1 to ``LARGEST``."""
    kind: Kind
    update: bool
    """Whether the body contained an update."""
    update_id: int | None
    """The id of the newest update in the body."""
    form: Form
    actor: DeliveryActor
    label: str
    """contact-reply, staff-reply, private-note, forward, another message type in this style, or empty."""
    rule: str
    """The smart rule's name, or empty."""


def parse(body: bytes, content_type: str = "", url_kind: Literal["created", "updated", ""] = "") -> Delivery:
    """Read a delivery; ``url_kind`` counts if the body has no event type.

    Raise UnreadableBody, and nothing else, whatever the bytes are.
    """
    outer = decode(body, content_type)
    ticket = next((each for key in ("ticket", "data") if isinstance(each := outer.get(key), dict) and each), outer)
    number = _ticket_number(ticket)
    single = ticket.get("update") or outer.get("update")
    updates = ticket.get("updates")
    update = single or (_newest(updates) if isinstance(updates, list) else None)
    kind, by_rule = _read_kind(outer, ticket)
    if kind is None:
        kind = url_kind or ("updated" if single or (isinstance(updates, list) and len(updates) > 1) else "created")
    is_update = bool(single) or (update is not None and kind != "created")
    form: Form = "wrapped" if ticket is not outer else "flat"
    if form == "flat" and "ticket_id" not in ticket and "id" in ticket:
        form = "rest"
    members = update if isinstance(update, dict) else {}
    actor, name = _read_actor(members.get("by"))
    if by_rule and actor == "unknown":
        actor = "rule"
    return Delivery(
        ticket=number,
        kind=kind,
        update=is_update,
        update_id=_update_id(members),
        form=form,
        actor=actor,
        label=_read_label(members, actor) if is_update else "",
        rule=name if actor == "rule" else "",
    )


def _ticket_number(ticket: dict[str, Any]) -> int:
    value = next(_number_values(ticket), None)
    if value is None:
        raise UnreadableBody("no-ticket-number")
    number = _parse_id(value)
    if number is None:
        raise UnreadableBody("bad-ticket-number")
    return number


def _number_values(ticket: dict[str, Any]) -> Iterator[object]:
    """Yield the possible ticket numbers: own field, link, display id.

    The digits of a display id are the ticket number (KB 1039), yet one sample seen in production paired it
    with a link to another number, so the link has priority.
    """
    yield from (ticket[key] for key in _NUMBER_KEYS if ticket.get(key) not in (None, ""))
    link, *ids = (ticket.get(key) for key in ("agent_ticket_url", "display_id", "ticket_display_id"))
    if isinstance(link, str):
        ids.insert(0, link.partition("?")[0].partition("#")[0].rstrip("/ "))
    yield from (digits for text in ids if isinstance(text, str) and (digits := _last_digits(text.rstrip())))


def _parse_id(value: object) -> int | None:
    """Return an id given as an integer or its digits, or None if out of range."""
    if isinstance(value, str):
        digits = value.strip().lstrip("0")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
            return None
        value = int(digits)
    return value if type(value) is int and 0 < value <= LARGEST else None


def _last_digits(text: str) -> str:
    return text[len(text.rstrip("0123456789")) :]


def _newest(updates: list[Any]) -> dict[str, Any] | None:
    """Return the newest update by id, else by time stamp, else the last."""

    def rank(update: dict[str, Any]) -> tuple[int, str]:
        stamp = update.get("timestamp")
        return _update_id(update) or 0, stamp if isinstance(stamp, str) else ""

    return max((update for update in reversed(updates) if isinstance(update, dict)), key=rank, default=None)


def _update_id(update: dict[str, Any]) -> int | None:
    value = update.get("update_id")
    return _parse_id(value if value is not None else update.get("id"))


# HappyFox's words, mapped to ours. A receiver that ran in production saw "smartrule" and "Client Reply"; "staff",
# "user" and "p" are from the REST API. HappyFox documents no list, so all other spellings are assumptions.
_EVENT_KEYS: Final = ("event_type", "event", "type", "webhook_event", "event_name", "action", "trigger")

_CREATED: Final = "ticket_created ticket_create created create new_ticket ticket_new ticket_creation"
_UPDATED: Final = (
    "ticket_updated ticket_update updated update ticket_edited ticket_modified ticket_closed ticket_assigned"
    " ticket_status_changed ticket_priority_changed ticket_reply"
)
_BY_RULE: Final = frozenset({"smart_rule", "smartrule", "ticket_smart_rule", "smart_rule_fired"})
_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_CREATED.split(), "created"),
    **dict.fromkeys(_UPDATED.split(), "updated"),
    **dict.fromkeys(_BY_RULE, "updated"),
}
_UNDERSCORED: Final = str.maketrans("-. :", "____")

_ACTORS: Final[Mapping[str, DeliveryActor]] = {
    **dict.fromkeys(("user", "contact", "customer", "client"), "contact"),
    **dict.fromkeys(("staff", "agent"), "staff"),
    "smartrule": "rule",
}
_LABELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("clientreply", "contactreply", "customerreply", "userreply"), "contact-reply"),
    **dict.fromkeys(("staffreply", "agentreply", "staffupdate"), "staff-reply"),
    **dict.fromkeys(("privatenote", "staffprivatenote", "pvtnote", "p"), "private-note"),
    "forward": "forward",
}
_REPLIES: Final[Mapping[DeliveryActor, str]] = {"contact": "contact-reply", "staff": "staff-reply"}


def _read_kind(outer: dict[str, Any], ticket: dict[str, Any]) -> tuple[Kind | None, bool]:
    """Return the kind in the body, and whether a smart rule is named as the cause.

    The kind is None if the body has none, and "unknown" if it is one we do not know.
    """
    unknown_kind = False
    for source in (outer,) if ticket is outer else (outer, ticket):
        for key in _EVENT_KEYS:
            value = source.get(key)
            if not value or not isinstance(value, str):
                continue
            word = value[:64].strip().lower().translate(_UNDERSCORED)
            if word in _KINDS:
                return _KINDS[word], word in _BY_RULE
            unknown_kind = unknown_kind or key != "type"  # `type` may describe the ticket instead
    return ("unknown" if unknown_kind else None), False


def _read_actor(by: object) -> tuple[DeliveryActor, str]:
    """Return actor and name, from an object, a type, a name or nothing."""
    word, name = (by.get("type"), by.get("name")) if isinstance(by, dict) else (by, by)
    actor = _ACTORS.get(_normalized(word), "unknown") if isinstance(word, str) else "unknown"
    if not isinstance(name, str) or (name is by and actor != "unknown"):
        return actor, ""
    return actor, _clean(name)


def _read_label(update: dict[str, Any], actor: DeliveryActor) -> str:
    """Return the message type of a flat or REST update, or infer it from the author."""
    message = update.get("message")
    label = update.get("message_type")
    if label is None and isinstance(message, dict):
        label = message.get("message_type")
    if label and isinstance(label, str):
        known = _LABELS.get(_normalized(label))
        return known or _clean("-".join(label[:100].lower().replace("_", " ").replace("-", " ").split()))
    return _REPLIES.get(actor, "") if message else ""


def _normalized(word: str) -> str:
    return word[:64].strip().lower().replace(" ", "").replace("_", "").replace("-", "")


def _clean(text: str) -> str:
    """Make a text storable: one line, 200 characters, no half surrogate pairs."""
    return " ".join(text[:200].split()).encode("utf-8", "replace").decode()
