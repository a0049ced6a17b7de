"""Name the likely cause of a wrong signature: try what people and proxies often do to keys and bodies.

Every hypothesis is a key and a message. If the digest in the header is the HMAC of one of them, that hypothesis is
proven, because only somebody with the key can have made it. Nothing here makes a delivery acceptable, and no answer to
a sender depends on it.
"""

import binascii
import hashlib
import hmac
import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote_plus

#: Larger bodies (bytes) are not examined: it would take more than some milliseconds.
MOST_BYTES: Final = 16 * 1024
#: The most keys that are tried.
MOST_KEYS: Final = 50
#: JSON that is nested deeper is not written again with indentation, which would make it many times larger.
MOST_LEVELS: Final = 12

_BOM: Final = b"\xef\xbb\xbf"
_QUOTES: Final = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\xab\xbb"
_INVISIBLE: Final = "\ufeff\u200b\u200e\u2060\xa0"
_ALGORITHMS: Final = {16: "md5", 20: "sha1", 28: "sha224", 32: "sha256", 48: "sha384", 64: "sha512"}
_PREFIX: Final = re.compile(rb"(?:bearer|basic|[a-z0-9-]{1,16} ?[=:]) ?(?=[^=])", re.IGNORECASE)


class Cause(NamedTuple):
    """What is wrong, and what to do; ``{}`` is the detail after the colon of a cause."""

    text: str
    fix: str
    proven: bool = True
    """Whether only somebody with one of our keys can cause this, and no stranger."""


_COPY: Final = "copy the key again from HappyFox's webhook page, exactly as it is there"
_ENTER: Final = "enter the key again on HappyFox's webhook page, exactly as it is in webhook_secrets"
_PROXY: Final = "make the proxy in front of foxhooks pass on the body unchanged"

CAUSES: Final[Mapping[str, Cause]] = {
    "spelling": Cause("the digest is right but written in an unknown way", "report the form of the header as a bug"),
    "repeated": Cause("the header has several values", "make the proxy in front of foxhooks send the header once"),
    "key-sent": Cause("the header has the signing key itself", "replace the key, and let the sender sign with it"),
    "algorithm": Cause("it is signed with {}, not with SHA-1", "let the sender sign with HMAC-SHA1"),
    "no-hmac": Cause("it is a plain hash, not an HMAC", "let the sender sign with HMAC-SHA1", proven=False),
    "other-account": Cause("it is signed with a key of the account {}", "correct the URL or the key of that webhook"),
    "quotes-here": Cause("our key has quotes around it", "remove the quotes from the key in webhook_secrets"),
    "quotes-there": Cause("the key in HappyFox has quotes around it", _ENTER),
    "bom-here": Cause("our key begins with an invisible character (BOM)", "type the key in webhook_secrets again"),
    "bom-there": Cause("the key in HappyFox begins with an invisible character (BOM)", _ENTER),
    "newline-here": Cause(r"our key ends with the characters \n", r"remove \n from the key in webhook_secrets"),
    "newline-there": Cause("the key in HappyFox has a line end or a space around it", _ENTER),
    "base64-here": Cause("our key is the base64 of the real one", "decode the key in webhook_secrets"),
    "base64-there": Cause("the key in HappyFox is the base64 form of our key", _ENTER),
    "hex-here": Cause("our key is the real one in hexadecimal", _COPY),
    "hex-there": Cause("the key in HappyFox is ours in hexadecimal", _ENTER),
    "comma-here": Cause(
        "the key contains a comma, and our setting was split there",
        'write it as a list: webhook_secrets = ["a,b"] in foxhooks.toml, or HAPPYFOX_WEBHOOK_SECRETS=["a,b"]',
    ),
    "comma-there": Cause("our key contains several keys", "write them as a list of texts in webhook_secrets"),
    "case": Cause("our key differs from the real one in upper and lower case", _COPY),
    "no-key": Cause("it is signed with an empty key", "enter the signing key on HappyFox's webhook page", proven=False),
    "newline-in-body": Cause("a line end or a space was added to or removed from the body", _PROXY),
    "line-ends": Cause("the line ends in the body were changed", _PROXY),
    "reserialized": Cause("the JSON was written again on its way", _PROXY),
    "encoding": Cause("the characters of the body were encoded again on their way", _PROXY),
    "compressed": Cause("the body was compressed after it was signed", _PROXY),
    "form": Cause("the signature covers only the JSON, but the body is a form with it", _PROXY),
    "unwrapped": Cause("the signature covers a form, but the body is the JSON in it", _PROXY),
    "signed-empty": Cause("the signature covers an empty body", "let the sender sign the body that it sends"),
    "empty-header": Cause("the header is empty", "enter the signing key on HappyFox's webhook page", proven=False),
    "empty-body": Cause("the body is empty", _PROXY, proven=False),
    "not-a-digest": Cause(
        "the header has no digest in a known form", "check what sends this; it may be a stranger", proven=False
    ),
    "other-digest": Cause("it is a {} digest with an unknown key", "let the sender sign with HMAC-SHA1", proven=False),
    "unknown": Cause("most likely another key, or a stranger", _COPY, proven=False),
}

KeyVariants = Callable[[bytes], Iterable[bytes]]


def _stripped(key: bytes, letters: str) -> bytes:
    return key.decode(errors="ignore").strip(letters).encode()


def _base64_decoded(key: bytes) -> Iterator[bytes]:
    with suppress(binascii.Error):
        yield b64decode(key.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(key) % 4), validate=True)


def _hex_decoded(key: bytes) -> Iterator[bytes]:
    with suppress(binascii.Error):
        yield binascii.unhexlify(key)


#: What the real key may be, by our key.
_KEYS: Final[Mapping[str, KeyVariants]] = {
    "quotes-here": lambda key: (_stripped(key, _QUOTES),),
    "quotes-there": lambda key: (b'"%s"' % key, b"'%s'" % key),
    "bom-here": lambda key: (_stripped(key, _INVISIBLE),),
    "bom-there": lambda key: (_BOM + key,),
    "newline-here": lambda key: (re.sub(rb"(\\[rn])+$", b"", key),),
    "newline-there": lambda key: (key + b"\n", key + b"\r\n", key + b" ", b" " + key, b"\n" + key),
    "base64-here": _base64_decoded,
    "base64-there": lambda key: (b64encode(key), b64encode(key + b"\n")),
    "hex-here": _hex_decoded,
    "hex-there": lambda key: (key.hex().encode(),),
    "comma-there": lambda key: (each.strip(b" \"'[]") for each in key.split(b",")),
    "case": lambda key: (key.lower(), key.upper()),
}


def _is_flat(value: object, levels: int) -> bool:
    """Return whether a value has at most this many levels of lists and objects."""
    if not isinstance(value, dict | list):
        return True
    members = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(member, levels - 1) for member in members)


def _written_again(body: bytes) -> Iterator[bytes]:
    value: Any = json.loads(body)
    for ordered in (False, True):
        for ascii_only in (True, False):
            for separators in ((", ", ": "), (",", ":")):
                text = json.dumps(value, sort_keys=ordered, ensure_ascii=ascii_only, separators=separators)
                yield text.encode(errors="replace")
    yield json.dumps(value, separators=(",", ":")).replace("/", r"\/").encode()
    if _is_flat(value, MOST_LEVELS):
        yield json.dumps(value, indent=2).encode()


def _line_ends(body: bytes) -> Iterator[bytes]:
    yield from (body, body.replace(b"\n", b"\r\n"))


def _wrapped(quoted: bytes) -> Iterator[bytes]:
    yield from (name + b"=" + quoted for name in (b"payload", b"data", b"json"))


def _decompressed(body: bytes) -> Iterator[bytes]:
    yield zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MOST_BYTES * 16)


#: What may have been signed, by the body that arrived. A function that fails has no variant.
_BODIES: Final[Mapping[str, Callable[[bytes], Iterable[bytes]]]] = {
    "newline-in-body": lambda body: (body + b"\n", body + b"\r\n", body.strip(), body.rstrip(b"\n") + b"\n"),
    "line-ends": lambda body: _line_ends(body.replace(b"\r\n", b"\n")),
    "reserialized": _written_again,
    "encoding": lambda body: (body.removeprefix(_BOM), _BOM + body, body.decode().encode("cp1252"), b64encode(body)),
    "compressed": _decompressed,
    "form": lambda body: (value.encode() for _, value in parse_qsl(body.decode(), max_num_fields=200)),
    "unwrapped": lambda body: _wrapped(quote_plus(body).encode()),
    "signed-empty": lambda _: (b"",),
}


def diagnose(header: bytes, body: bytes | None, keys: Sequence[bytes], others: Mapping[str, Sequence[bytes]]) -> str:
    """Return the likely cause of a wrong signature: a key of ``CAUSES``, perhaps with a colon and a detail.

    ``body`` is None if it was not read. ``keys`` are those of the account, ``others`` those of the other accounts.
    """
    text, keys = header.strip(), keys[:MOST_KEYS]
    if not text:
        return "empty-header"
    sent = _PREFIX.sub(b"", text, count=1) if _PREFIX.match(text) else text
    if any(hmac.compare_digest(each, key) for each in (text, sent) for key in keys):
        return "key-sent"
    if body is None:
        return "not-a-digest"
    found = [digest for part in text.split(b",") for digest in _digests(part)]
    for digest in found:
        if cause := _explain(digest, body, keys, others):
            return "repeated" if cause == "spelling" and b"," in text else cause
    if not body:
        return "empty-body"
    if not found:
        return "not-a-digest"
    algorithm = _ALGORITHMS[len(found[0])]
    return "unknown" if algorithm == "sha1" else f"other-digest:{_name(algorithm)}"


def _digests(text: bytes) -> Iterator[bytes]:
    """Yield the digests that a text may contain, however it is written."""
    text = text.strip(b" \t\"'<>")
    text = _PREFIX.sub(b"", text, count=1) if _PREFIX.match(text) else text
    for decode in (_hex_decoded, _base64_decoded):
        for raw in decode(text.strip(b" \"'")):
            yield from (inner for inner in _hex_decoded(raw) if len(inner) in _ALGORITHMS)
            if len(raw) in _ALGORITHMS:
                yield raw


def _explain(digest: bytes, body: bytes, keys: Sequence[bytes], others: Mapping[str, Sequence[bytes]]) -> str:
    """Return the first hypothesis that explains a digest, or nothing."""
    algorithm = _ALGORITHMS[len(digest)]
    for cause, key, message in hypotheses(body, keys, others):
        if hmac.compare_digest(hmac.digest(key, message, algorithm), digest):
            return cause if algorithm == "sha1" else f"algorithm:{_name(algorithm)}"
    for message in (body, *(each for key in keys for each in (key + body, body + key))):
        if hmac.compare_digest(hashlib.new(algorithm, message, usedforsecurity=False).digest(), digest):
            return "no-hmac"
    return ""


def hypotheses(
    body: bytes, keys: Sequence[bytes], others: Mapping[str, Sequence[bytes]]
) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield causes, each with the key and the message of which the digest would be the HMAC."""
    for cause, key in _possible_keys(keys, others):
        yield cause, key, body
    for cause, messages in _BODIES.items():
        with suppress(ValueError, RecursionError, zlib.error):
            for message in messages(body):
                yield from ((cause, key, message) for key in keys)


def _possible_keys(keys: Sequence[bytes], others: Mapping[str, Sequence[bytes]]) -> Iterator[tuple[str, bytes]]:
    yield from (("spelling", key) for key in keys)
    yield from ((f"other-account:{account}", key) for account, theirs in others.items() for key in theirs[:MOST_KEYS])
    for cause, variants in _KEYS.items():
        yield from ((cause, variant) for key in keys for variant in variants(key) if variant not in (key, b""))
    for comma in (b",", b", "):
        yield from (("comma-here", comma.join(keys[first : first + 2])) for first in range(len(keys) - 1))
        yield "comma-here", comma.join(keys)
    yield "no-key", b""


def _name(algorithm: str) -> str:
    return algorithm.upper().replace("SHA", "SHA-")


def cause_of(found: str) -> Cause:
    """Return the cause that `diagnose` has named, with its detail in the text."""
    name, _, detail = found.partition(":")
    cause = CAUSES.get(name, CAUSES["unknown"])
    return cause._replace(text=cause.text.format(detail))
