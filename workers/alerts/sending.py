"""Send what people are told: to Slack, to a webhook, by mail."""

import base64
import hmac
import json
import secrets
import smtplib
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from html import escape
from typing import Literal
from urllib.parse import unquote, urlsplit

from workers.logs import plain
from workers.settings import Alert, AlertAddress, Secret, Settings, is_loopback
from workers.version import __version__

#: Seconds for each step of sending.
TIMEOUT = 10.0

State = Literal["begun", "continues", "over"]

#: How a message begins, by its state.
TITLES: Mapping[State, str] = {"begun": "Alert", "continues": "Still", "over": "Over"}


class NotSent(Exception):
    """A message could not be sent; the text names no address that is a key."""


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """What people are told."""

    state: State
    when: str
    account: str
    text: str
    fix: str
    since: int
    """When it began (ms); 0 if that is not known."""
    at: int

    @property
    def title(self) -> str:
        """The message in a line: names in it come from processes and clients, and a mail's subject ends with a line."""
        return plain(f"{TITLES[self.state]}: {self.text}")

    @property
    def lines(self) -> list[str]:
        """The whole message, line by line."""
        since = [f"Since {_clock(self.since)}."] if self.since else []
        ended = [f"It ended at {_clock(self.at)}."] if self.state == "over" else []
        fix = [plain(f"What to do: {self.fix}.")] if self.state != "over" else []
        return [f"foxhooks. {self.title}.", *since, *ended, *fix]


def send(message: AlertMessage, alert: Alert, address: AlertAddress, smtp: Secret | None, sender: str) -> None:
    """Send a message to one address. Raise NotSent."""
    try:
        if address.kind == "slack":
            text = escape("\n".join(message.lines), quote=False)  # in Slack, <!channel> calls everybody
            _post(address.target.reveal(), json.dumps({"text": text}).encode(), {})
        elif address.kind == "webhook":
            _webhook(message, address.target.reveal(), alert.secret)
        else:
            _mail(message, address.target.reveal(), smtp, sender)
    except NotSent as reason:
        raise NotSent(f"{address.shown}: {reason}") from None
    except (OSError, ValueError, smtplib.SMTPException) as error:
        raise NotSent(f"{address.shown}: {type(error).__name__}") from None


def send_test(settings: Settings) -> Iterator[tuple[str, str]]:
    """Send a test message to every address, each once; yield its name and what went wrong, empty if nothing did."""
    addresses = {each.target: (alert, each) for alert in settings.alerts for each in alert.to}
    message = AlertMessage("begun", "test", "", "this is a test", "nothing", 0, int(time.time() * 1000))
    for alert, address in addresses.values():
        try:
            send(message, alert, address, settings.smtp_url, settings.mail_from)
            yield address.shown, ""
        except NotSent as error:
            yield address.shown, str(error)


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    from workers.http_library import httpx  # late: a web process seldom sends anything, and must start fast

    content_type = {"content-type": "application/json", **headers}
    try:
        answer = httpx.post(url, content=body, headers=content_type, timeout=TIMEOUT)
    except httpx.HTTPError as error:
        raise NotSent(type(error).__name__) from None  # its text may show the address
    if not answer.is_success:
        raise NotSent(f"answered {answer.status_code}")


def _webhook(message: AlertMessage, url: str, secret: Secret | None) -> None:
    """Post JSON, signed as standardwebhooks.com says."""
    data = {
        "when": message.when,
        "account": message.account,
        "text": message.text,
        "fix": message.fix,
        "since": _iso(message.since) if message.since else None,
    }
    body = {"type": f"alert.{message.state}", "timestamp": _iso(message.at), "data": data}
    content = json.dumps(body, ensure_ascii=False).encode()
    identity, at = f"msg_{secrets.token_hex(12)}", str(message.at // 1000)
    signature = sign(secret.reveal() if secret else "", identity, at, content)
    headers = {"webhook-id": identity, "webhook-timestamp": at, "webhook-signature": signature}
    _post(url, content, headers | {"user-agent": f"foxhooks/{__version__}"})


def sign(secret: str, identity: str, at: str, content: bytes) -> str:
    """Return the signature of a message; a secret that begins with ``whsec_`` is Base64."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{identity}.{at}.".encode() + content, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def _mail(message: AlertMessage, to: str, smtp: Secret | None, sender: str) -> None:
    parts = urlsplit(smtp.reveal() if smtp else "")
    host = parts.hostname or ""
    mail = EmailMessage()
    mail["Subject"] = f"foxhooks: {message.title}"[:200]
    mail["From"], mail["To"] = sender or f"foxhooks@{host}", to
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n\n".join(message.lines) + "\n")
    encrypted = parts.scheme == "smtps"
    context = ssl.create_default_context()
    port = parts.port or (465 if encrypted else 587)
    connection = (
        smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
        if encrypted
        else smtplib.SMTP(host, port, timeout=TIMEOUT)
    )
    with connection:
        if not encrypted and not is_loopback(host):
            connection.starttls(context=context)
        if parts.username:
            connection.login(unquote(parts.username), unquote(parts.password or ""))
        connection.send_message(mail)


def _clock(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
