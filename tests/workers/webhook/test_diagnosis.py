"""The signature doctor: it names what happened to a key, a body or a header, and never raises."""

import base64
import gzip
import hashlib
import hmac
import json
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.webhook import Verifier
from workers.webhook.diagnosis import CAUSES, MOST_BYTES, cause_of, diagnose, hypotheses

KEY = b"hf-test-signing-key"
OTHERS = {"beta": [b"the key of beta"]}
VALUE = {"ticket_id": 3, "subject": "Café/Bar", "update": {"by": {"type": "user"}}}
BODY = json.dumps(VALUE).encode()
COMPACT = json.dumps(VALUE, separators=(",", ":"), ensure_ascii=False).encode()
BOM = b"\xef\xbb\xbf"
FORM = urlencode({"token": "x", "payload": BODY}).encode()


def sha1(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, "sha1").hexdigest().encode()


SHA256 = hmac.new(KEY, BODY, "sha256")
MADE: dict[str, tuple[str, bytes, bytes, list[bytes]]] = {
    # what was done: the cause, the header, the body that arrives, our keys
    "SHA-256": ("algorithm:SHA-256", SHA256.hexdigest().encode(), BODY, [KEY]),
    "SHA-256 with a prefix": ("algorithm:SHA-256", b"sha256=" + SHA256.hexdigest().encode(), BODY, [KEY]),
    "SHA-256 in base64": ("algorithm:SHA-256", base64.b64encode(SHA256.digest()), BODY, [KEY]),
    "another account's key": ("other-account:beta", sha1(OTHERS["beta"][0], BODY), BODY, [KEY]),
    "quotes in our key": ("quotes-here", sha1(KEY, BODY), BODY, [b'"%s"' % KEY]),
    "single quotes in our key": ("quotes-here", sha1(KEY, BODY), BODY, [b"'%s'" % KEY]),
    "curly quotes in our key": ("quotes-here", sha1(KEY, BODY), BODY, ["“".encode() + KEY + "”".encode()]),
    "quotes in HappyFox's key": ("quotes-there", sha1(b'"%s"' % KEY, BODY), BODY, [KEY]),
    "BOM in our key": ("bom-here", sha1(KEY, BODY), BODY, [BOM + KEY]),
    "no-break space after our key": ("bom-here", sha1(KEY, BODY), BODY, [KEY + "\xa0".encode()]),
    "BOM in HappyFox's key": ("bom-there", sha1(BOM + KEY, BODY), BODY, [KEY]),
    "newline in our key": ("newline-here", sha1(KEY, BODY), BODY, [KEY + b"\\n"]),
    "newline in HappyFox's key": ("newline-there", sha1(KEY + b"\n", BODY), BODY, [KEY]),
    "base64 of the key here": ("base64-here", sha1(KEY, BODY), BODY, [base64.b64encode(KEY)]),
    "base64 of the key there": ("base64-there", sha1(base64.b64encode(KEY), BODY), BODY, [KEY]),
    "base64 of key and newline there": ("base64-there", sha1(base64.b64encode(KEY + b"\n"), BODY), BODY, [KEY]),
    "hexadecimal key here": ("hex-here", sha1(KEY, BODY), BODY, [KEY.hex().encode()]),
    "hexadecimal key there": ("hex-there", sha1(KEY.hex().encode(), BODY), BODY, [KEY]),
    "a comma in the key": ("comma-here", sha1(b"first,second", BODY), BODY, [b"first", b"second", KEY]),
    "two commas in the key": ("comma-here", sha1(b"a, b, c", BODY), BODY, [b"a", b"b", b"c"]),
    "several keys in one": ("comma-there", sha1(KEY, BODY), BODY, [b'["new", "%s"]' % KEY]),
    "another case": ("case", sha1(KEY, BODY), BODY, [KEY.upper()]),
    "no key": ("no-key", sha1(b"", BODY), BODY, [KEY]),
    "the key itself": ("key-sent", KEY, BODY, [b"new", KEY]),
    "the key as a token": ("key-sent", b"Bearer " + KEY, BODY, [KEY]),
    "written again compactly": ("reserialized", sha1(KEY, BODY), COMPACT, [KEY]),
    "written again with spaces": ("reserialized", sha1(KEY, COMPACT), BODY, [KEY]),
    "written again by PHP": ("reserialized", sha1(KEY, COMPACT), json.dumps(VALUE, indent=4).encode(), [KEY]),
    "written again in another order": (
        "reserialized",
        sha1(KEY, json.dumps(VALUE, sort_keys=True).encode()),
        COMPACT,
        [KEY],
    ),
    "a newline after the body": ("newline-in-body", sha1(KEY, BODY), BODY + b"\n", [KEY]),
    "a lost newline": ("newline-in-body", sha1(KEY, BODY + b"\n"), BODY, [KEY]),
    "other line ends": ("line-ends", sha1(KEY, b"{\r\n}"), b"{\n}", [KEY]),
    "another encoding": ("encoding", sha1(KEY, COMPACT.decode().encode("cp1252")), COMPACT, [KEY]),
    "gzip": ("compressed", sha1(KEY, BODY), gzip.compress(BODY), [KEY]),
    "a form field": ("form", sha1(KEY, BODY), FORM, [KEY]),
    "a form unwrapped": ("unwrapped", sha1(KEY, b"payload=" + quote_plus(BODY).encode()), BODY, [KEY]),
    "an empty body signed": ("signed-empty", sha1(KEY, b""), BODY, [KEY]),
    "a plain hash": ("no-hmac", hashlib.sha1(KEY + BODY).hexdigest().encode(), BODY, [KEY]),
    "an unknown spelling": ("spelling", b"sha1:" + sha1(KEY, BODY), BODY, [KEY]),
    "a header repeated": ("repeated", sha1(KEY, BODY) + b", " + sha1(KEY, BODY), BODY, [KEY]),
    "an empty header": ("empty-header", b" ", BODY, [KEY]),
    "an empty body": ("empty-body", sha1(KEY, BODY), b"", [KEY]),
    "no digest": ("not-a-digest", b"hello", BODY, [KEY]),
    "SHA-256 with another key": ("other-digest:SHA-256", hashlib.sha256(b"x").hexdigest().encode(), BODY, [KEY]),
    "another key": ("unknown", sha1(b"something else", BODY), BODY, [KEY]),
}


@pytest.mark.parametrize("made", MADE)
def test_the_cause_of_a_wrong_signature_is_named(made: str) -> None:
    cause, header, body, keys = MADE[made]
    assert not Verifier(keys)(header, body), "this signature is right"
    assert diagnose(header, body, keys, OTHERS) == cause


@pytest.mark.parametrize(
    ("header", "cause"), [(b"", "empty-header"), (KEY, "key-sent"), (b"x", "not-a-digest"), (b"0" * 40, "not-a-digest")]
)
def test_without_the_body_only_the_header_is_examined(header: bytes, cause: str) -> None:
    assert diagnose(header, None, [KEY], OTHERS) == cause


def test_every_cause_has_an_example_a_text_and_a_fix() -> None:
    assert {cause.partition(":")[0] for cause, *_ in MADE.values()} == set(CAUSES)
    assert "the account beta" in cause_of("other-account:beta").text
    assert all("{" not in cause_of(f"{name}:detail").text and cause.fix for name, cause in CAUSES.items())
    assert cause_of("from a later version") == CAUSES["unknown"]


def test_only_what_needs_a_key_of_ours_is_proven() -> None:
    unproven = {"no-key", "no-hmac", "empty-header", "empty-body", "not-a-digest", "other-digest", "unknown"}
    assert {name for name, cause in CAUSES.items() if not cause.proven} == unproven


@pytest.mark.parametrize("key", [b"key,", b'"', b"\xef\xbb\xbf"])
def test_a_stranger_without_a_key_proves_nothing(key: bytes) -> None:
    for header in (sha1(b"", BODY), hashlib.sha1(BODY).hexdigest().encode()):
        assert not cause_of(diagnose(header, BODY, [key], {})).proven


@given(st.binary(max_size=150), st.binary(max_size=200), st.lists(st.binary(min_size=1, max_size=40), max_size=3))
def test_nothing_raises(header: bytes, body: bytes, keys: list[bytes]) -> None:
    assert diagnose(header, body, keys, {"beta": keys}).partition(":")[0] in CAUSES
    assert diagnose(sha1(b"x", body), body, keys, {}).partition(":")[0] in CAUSES


@pytest.mark.parametrize("levels", [12, 100, 900])
def test_a_nested_body_of_a_stranger_makes_no_large_messages(levels: int) -> None:
    body = b"[" * levels + b"1," * (MOST_BYTES // 2 - levels - 1) + b"1" + b"]" * levels
    assert len(body) < MOST_BYTES
    assert max(len(message) for _, _, message in hypotheses(body, [KEY], {})) <= 16 * MOST_BYTES
