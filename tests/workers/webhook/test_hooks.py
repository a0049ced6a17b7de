"""Calls of other systems: three ways to prove the sender, and the ticket that a body names."""

import hmac
from base64 import b64encode
from typing import Any

import msgspec
import pytest

from workers.webhook import UnreadableBody
from workers.webhook.hooks import TOLERANCE, HookVerifier, event_id, read_hook

BODY = b'{"ticket": 7, "status": "Done"}'
NOW = 1_780_000_000.0
SECRET = "correct horse battery"
verify = HookVerifier([SECRET, "the older one"], "X-Acme-Digest")


def digest(key: bytes, body: bytes = BODY) -> bytes:
    return hmac.digest(key, body, "sha256")


def standard(key: bytes, at: float = NOW, body: bytes = BODY) -> dict[str, str]:
    signature = b64encode(digest(key, b"msg_1.%d." % at + body)).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": f"{at:.0f}", "webhook-signature": f"v1a,xx v1,{signature}"}


@pytest.mark.parametrize("secret", [SECRET, "the older one"])
@pytest.mark.parametrize(
    "headers",
    [
        lambda secret: {"authorization": f"Bearer {secret}"},
        lambda secret: {"authorization": f"bearer  {secret} "},
        lambda secret: {"x-hub-signature-256": f"sha256={digest(secret.encode()).hex()}"},
        lambda secret: {"x-hub-signature": digest(secret.encode()).hex().upper()},
        lambda secret: {"x-signature": b64encode(digest(secret.encode())).decode()},
        lambda secret: {"x-acme-digest": digest(secret.encode()).hex()},
        lambda secret: standard(secret.encode()),
    ],
)
def test_each_way_to_prove_the_sender_is_accepted(headers: Any, secret: str) -> None:
    given = headers(secret)
    assert verify.proofs(given)
    assert verify(given, BODY, NOW)
    if "authorization" not in given:
        assert not verify(given, BODY + b" ", NOW)
    assert not HookVerifier(["another secret"], "X-Acme-Digest")(given, BODY, NOW)


def test_a_secret_of_standard_webhooks_is_decoded() -> None:
    key = bytes(range(24))
    verifier = HookVerifier([f"whsec_{b64encode(key).decode()}"])
    assert verifier(standard(key), BODY, NOW)
    assert not verifier(standard(key[:-1]), BODY, NOW)


@pytest.mark.parametrize("late", [-TOLERANCE - 1, TOLERANCE + 1])
def test_an_old_signature_is_refused(late: float) -> None:
    assert not verify(standard(SECRET.encode()), BODY, NOW + late)
    assert verify(standard(SECRET.encode()), BODY, NOW + late * 0.9)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": SECRET},
        {"authorization": "Bearer "},
        {"authorization": "Basic " + SECRET},
        {"x-signature": ""},
        {"x-signature": "sha256=" + "g" * 64},
        {"x-signature": "ü"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "", "webhook-timestamp": "١٢"},
        {**standard(SECRET.encode()), "webhook-timestamp": "9" * 400},
        # A signature that is present counts, even if a token is right: a proxy may add one to every request.
        {"x-signature": "0" * 64, "authorization": f"Bearer {SECRET}"},
    ],
)
def test_anything_else_is_refused(headers: dict[str, str]) -> None:
    assert not verify(headers, BODY, NOW)


@pytest.mark.parametrize(
    "named",
    [
        {"ticket": 7},
        {"ticket": "7"},
        {"ticket": "#DC00000007"},
        {"ticket": "HF00000007"},
        {"ticket": {"id": 7}},
        {"ticket": {"display_id": "HF00000007"}},
        {"ticket_id": 7, "id": 9},
        {"ticket_number": "7"},
        {"display_id": "#HF00000007"},
    ],
)
def test_a_body_names_its_ticket_by_number_or_display_id(named: dict[str, Any]) -> None:
    body = {**named, "issue": {"key": "OPS-1"}}
    assert read_hook(msgspec.json.encode(body)) == (7, body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"\xff", "not-json"),
        (b"[" * 100_000, "not-json"),
        (b"[7]", "not-an-object"),
        (b'{"id": 7}', "no-ticket-number"),
        (b'{"ticket": ""}', "no-ticket-number"),
        (b'{"ticket": 0}', "bad-ticket-number"),
        (b'{"ticket": "OPS-1a"}', "bad-ticket-number"),
        (b'{"ticket": {}}', "bad-ticket-number"),
        (b'{"ticket": true}', "bad-ticket-number"),
    ],
)
def test_a_body_without_a_ticket_is_unreadable(body: bytes, reason: str) -> None:
    with pytest.raises(UnreadableBody) as caught:
        read_hook(body)
    assert caught.value.reason == reason


def test_an_event_has_the_same_id_for_the_same_message_only() -> None:
    assert event_id("acme", "jira", "m1") == event_id("acme", "jira", "m1") != event_id("acme", "jira", "m2")
    assert len(event_id("acme")) == 20
