"""`foxhooks send`: signs a delivery with the account's newest secret and sends it to the web process."""

import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from service.access import settings_of
from service.commands.samples import Sample, Shape, body
from service.failures import CommandError
from workers.events.signature import HEADER, sign
from workers.settings import Account, Settings, host_of, is_loopback


@dataclass(frozen=True, slots=True)
class Order:
    """What to send where; ``file`` is a path or - for standard input, else a ``sample`` is sent."""

    file: str
    sample: Sample | None
    ticket: int | None
    shape: Shape
    to: str
    account: str


def run(order: Order) -> int:
    """Sends it and prints the answer; 0 if it was accepted."""
    settings = settings_of("web")
    account = _account(settings, order.account)
    content = _content(order, account)
    host = settings.host if settings.host not in (None, "0.0.0.0", "::") else "127.0.0.1"
    url = order.to or f"http://{host}:{settings.port}/webhooks/{account.name}/"
    headers = {"Content-Type": "application/json", HEADER: sign(account.secrets[0].reveal(), content)}
    try:
        answer = httpx.post(url, content=content, headers=headers, timeout=15, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        cure = "is `foxhooks up` or `foxhooks web` running there?"
        raise CommandError(f"{url} does not answer ({type(failed).__name__}); {cure}") from None
    print(f"{answer.status_code} {answer.text.strip()}")
    return 0 if answer.is_success else 1


def _account(settings: Settings, name: str) -> Account:
    known = ", ".join(settings.accounts)
    if not name and len(settings.accounts) > 1:
        raise CommandError(f"say which account: --account with one of {known}")
    account = settings.accounts.get(name) if name else next(iter(settings.accounts.values()))
    if account is None:
        raise CommandError(f"there is no account {name!r}; there are {known}")
    return account


def _content(order: Order, account: Account) -> bytes:
    if order.sample is not None:
        return body(order.sample, _ticket(order, account), order.shape)
    if order.file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(order.file).read_bytes()
    except OSError as failed:
        raise CommandError(f"{order.file} cannot be read: {failed.strerror}") from None


def _ticket(order: Order, account: Account) -> int:
    """The ticket asked for; ticket 1 where HappyFox is a simulator, since handlers act on the real ticket."""
    if order.ticket is not None:
        return order.ticket
    url = settings_of("all").accounts[account.name].url
    if not is_loopback(host_of(url)):
        raise CommandError("say which ticket: --ticket N; your handlers will act on it, in your real HappyFox")
    return 1
