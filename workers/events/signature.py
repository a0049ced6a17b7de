"""Signs a delivery, and tells whether one was signed with a secret of ours.

HappyFox signs with HMAC-SHA1 in the header ``X-Happyfox-Webhook-Signature`` (a third party's guide to its
API, June 2026); how the digest is written as text, nobody says. So every usual spelling of the same 20 bytes
is accepted, which costs no security, and nothing else: no other algorithm, no body parsed and written anew.
"""

import binascii
import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Final

HEADER: Final = "X-Happyfox-Webhook-Signature"

_LONGEST: Final = 128  # the longest spelling has 61 characters; beyond this nothing is even looked at
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")

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
    """Writes the signature of ``body`` as HappyFox would send it, in one of ``SPELLINGS``.

    "hex" is the most likely spelling. Raises ValueError for a spelling that does not exist.
    """
    write = _SPELLINGS.get(spelling)
    if write is None:
        raise ValueError(f"no spelling {spelling!r} of a signature; there are {', '.join(SPELLINGS)}")
    return write(hmac.digest(key.encode(), body, "sha1"))


class Verifier:
    """Checks signatures against the secrets of one account, any of which may match while they are rotated.

    Keys are prepared once: a check of a 1.3 kB body takes about 2 microseconds for each key.
    Raises ValueError for an empty key, with which anybody could sign.
    """

    __slots__ = ("_prepared",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not all(keys):
            raise ValueError("a webhook secret is empty; copy the signing key from HappyFox's webhook page")
        self._prepared = [hmac.new(key, digestmod="sha1") for key in keys]

    def __call__(self, header: bytes | str | None, body: bytes) -> bool:
        """Tells whether the header proves the raw body. Never raises, whatever the header holds."""
        received = read(header)
        if received is None:
            return False
        found = False
        for prepared in self._prepared:  # every key is tried, so that the time does not tell which one matched
            attempt = prepared.copy()
            attempt.update(body)
            found |= hmac.compare_digest(attempt.digest(), received)
        return found


def verify(header: bytes | str | None, body: bytes, keys: Sequence[bytes]) -> bool:
    """Tells whether one of the keys signed the raw body; a ``Verifier`` does it faster many times."""
    return Verifier(keys)(header, body)


def read(header: bytes | str | None) -> bytes | None:
    """Reads the 20 bytes of a digest from a header, or None when it is no spelling of a SHA-1 digest.

    Spellings: 40 hexadecimal digits in any case; base64 in either alphabet, padded (28) or not (27);
    base64 of the lower-case hexadecimal text (56). One prefix ``sha1=`` and white space around are dropped.
    """
    if header is None or len(header) > _LONGEST:
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
            return _exactly(text.translate(_STANDARD).ljust(28, b"="), 20)
        if len(text) == 56:
            inner = _exactly(text, 40)
            return binascii.unhexlify(inner) if inner is not None and inner == inner.lower() else None
    except binascii.Error:
        pass
    return None


def _exactly(text: bytes, size: int) -> bytes | None:
    """Decodes base64 that has just one way to be written: right size, right padding, no stray characters."""
    raw = binascii.a2b_base64(text)
    return raw if len(raw) == size and binascii.b2a_base64(raw, newline=False) == text else None
