import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.webhook import SPELLINGS, Verifier, sign
from workers.webhook.signature import label_of

KEY = "hf-test-signing-key"
VECTORS = [
    (
        b'{"event_type":"ticket-updated","ticket_id":3}',
        "a81459cfa5aa7e42cc1c7b1955baed6e80888d5f",
        "qBRZz6WqfkLMHHsZVbrtboCIjV8=",
    ),
    (
        '{"subject":"Café ☕","ticket_id":4}'.encode(),
        "41f5cee88548424dd987036a6d3c8c977573e50d",
        "QfXO6IVIQk3ZhwNqbTyMl3Vz5Q0=",
    ),
    (b"", "05c399cbd0bd3602b0a5136802534336eb87490b", "BcOZy9C9NgKwpRNoAlNDNuuHSQs="),
]

BODY, HEX, BASE64 = VECTORS[0]
OF_HEX = "YTgxNDU5Y2ZhNWFhN2U0MmNjMWM3YjE5NTViYWVkNmU4MDg4OGQ1Zg=="

bodies = st.binary(max_size=300)
keys = st.text(min_size=1, max_size=80).filter(lambda key: key.isprintable())
spellings = st.sampled_from(SPELLINGS)


def verify(header: str | bytes | None, body: bytes, keys: list[bytes]) -> bool:
    return bool(Verifier(keys)(header, body))


@pytest.mark.parametrize(("body", "in_hex", "in_base64"), VECTORS)
def test_the_known_vectors_are_signed_as_written(body: bytes, in_hex: str, in_base64: str) -> None:
    assert sign(KEY, body) == in_hex
    assert sign(KEY, body, "HEX") == in_hex.upper()
    assert sign(KEY, body, "sha1=hex") == "sha1=" + in_hex
    assert sign(KEY, body, "base64") == in_base64
    assert sign(KEY, body, "base64url") == in_base64.replace("+", "-").replace("/", "_")


def test_base64_of_hex_is_signed_as_written() -> None:
    assert sign(KEY, BODY, "base64-of-hex") == OF_HEX


def test_an_unknown_spelling_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(ValueError, match="base64-of-hex"):
        sign(KEY, BODY, "rot13")


@pytest.mark.parametrize(
    "header",
    [
        HEX,
        HEX.upper(),
        HEX[:20].upper() + HEX[20:],
        HEX.encode(),
        f"  {HEX}\t",
        "sha1=" + HEX,
        "SHA1=" + HEX,
        "Sha1=" + BASE64,
        "sha1=" + OF_HEX,
        BASE64,
        BASE64.rstrip("="),
        OF_HEX,
    ],
)
def test_every_spelling_of_the_digest_is_accepted(header: str | bytes) -> None:
    assert verify(header, BODY, [KEY.encode()])


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        b"",
        "sha1=",
        "sha1=sha1=" + HEX,
        "sha256=" + HEX,
        HEX[:-1],
        HEX + "0",
        HEX[:10] + " " + HEX[10:-1],
        "0x" + HEX[2:],
        HEX + "," + HEX,
        BASE64 + "=",
        BASE64[:-1] + "A",
        BASE64[:-2] + "9=",  # the same 20 bytes, with stray bits in the last character
        "=" + BASE64.rstrip("="),
        OF_HEX.rstrip("="),
        base64.b64encode(HEX.upper().encode()).decode(),
        HEX.replace("a", "\u0430"),  # a Cyrillic letter that looks the same
        "é" * 40,
        "é".encode() * 20,
        b"\xff" * 40,
        "\ud800" * 40,
        "\x00" * 40,
        "a" * 1_000_000,
        " " * 1_000_000 + HEX,
        hmac.new(KEY.encode(), BODY, hashlib.sha256).hexdigest(),
        hashlib.sha1(BODY).hexdigest(),
    ],
    ids=lambda header: repr(header)[:50],
)
def test_nothing_else_is_accepted(header: str | bytes | None) -> None:
    assert not verify(header, BODY, [KEY.encode()])


def test_a_second_secret_is_accepted_while_rotating() -> None:
    verifier = Verifier([b"new", KEY.encode()])
    assert verifier(HEX, BODY)
    assert verifier(sign("new", BODY), BODY)
    assert not verifier(sign("older", BODY), BODY)


def test_the_position_of_the_matching_secret_is_returned() -> None:
    verifier = Verifier([b"new", KEY.encode(), b"oldest"])
    assert [verifier(sign(key, BODY), BODY) for key in ("new", KEY, "oldest", "x")] == [1, 2, 3, 0]


def test_the_label_of_a_key_is_short_and_stable() -> None:
    assert label_of(KEY.encode()) == label_of(KEY.encode()) != label_of(b"another")
    assert len(label_of(KEY.encode())) == 4


def test_without_a_secret_nothing_is_accepted() -> None:
    assert not verify(HEX, BODY, [])


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Verifier([KEY.encode(), b""])


def test_a_verifier_does_not_show_its_secrets() -> None:
    assert KEY not in repr(Verifier([KEY.encode()]))


@given(keys, bodies, spellings)
def test_what_was_signed_is_verified_in_every_spelling(key: str, body: bytes, spelling: str) -> None:
    header = sign(key, body, spelling)
    assert verify(header, body, [key.encode()])
    assert verify(header.encode(), body, [b"another", key.encode()])


@given(bodies.filter(bool), spellings, st.data())
def test_a_body_with_one_byte_changed_is_refused(body: bytes, spelling: str, data: st.DataObject) -> None:
    header = sign(KEY, body, spelling)
    at = data.draw(st.integers(0, len(body) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda new: new != body[at]))
    assert not verify(header, body[:at] + bytes([byte]) + body[at + 1 :], [KEY.encode()])


@given(bodies, spellings, st.data())
def test_a_header_with_one_byte_changed_is_refused(body: bytes, spelling: str, data: st.DataObject) -> None:
    header = sign(KEY, body, spelling).encode()
    at = data.draw(st.integers(0, len(header) - 1))
    byte = bytes([data.draw(st.integers(0, 255).filter(lambda new: new != header[at]))])
    if "hex" in spelling.lower() and spelling != "base64-of-hex":
        same = {header[at : at + 1].lower(), header[at : at + 1].upper()}  # hexadecimal knows no case
    else:
        same = {b"-": {b"+"}, b"+": {b"-"}, b"_": {b"/"}, b"/": {b"_"}}.get(header[at : at + 1], set())
        if spelling != "base64-of-hex" and at == len(header) - 1 and byte.isspace():
            same = same | {byte}  # the padding lost, white space around
    assert verify(header[:at] + byte + header[at + 1 :], body, [KEY.encode()]) == (byte in same)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_no_header_raises(header: bytes | str) -> None:
    assert not verify(header, BODY, [KEY.encode()])
