"""`foxhooks webhooks`: refused signatures, signing keys, hosts and misdirected requests.

`foxhooks status` shows the same in short, and `foxhooks doctor` says what to correct.
"""

from collections.abc import Iterator
from typing import Annotated

import redis
import typer
from rich.text import Text

from service.commands.format import AsJson, ago, details, line, plural, print_json
from service.context import AccountName, accounts_of, one_account, store_of
from service.errors import CommandError
from service.reading.webhooks import DAY, MISDIRECTED, QUARANTINE, WebhookStatus, read_webhooks
from workers.errors import nearest
from workers.settings import Account
from workers.store.client import store_time
from workers.store.records import AccountRecords
from workers.store.refusals import Misdirected, read_misdirected
from workers.webhook.diagnosis import cause_of

#: How many likely causes, and how many misdirected requests, `status` shows.
MOST_CAUSES, MOST_EXAMPLES = 3, 5


def webhooks(
    account: AccountName = "",
    forget: Annotated[str, typer.Option("--forget-host", help="Forget a learned host; all: every host.")] = "",
    json: AsJson = False,
) -> None:
    """Show refused signatures, signing keys, hosts and misdirected requests."""
    accounts = accounts_of()
    with store_of(accounts.settings) as client:
        if forget:
            _forget(client, one_account(accounts.settings, account), forget)
            return
        now = store_time(client)
        found = {each.name: read_webhooks(client, each) for each in accounts.chosen(account)}
        elsewhere = read_misdirected(client)
    if json:
        print_json({"at": now, "accounts": found, "misdirected": elsewhere})
        return
    for name, status in found.items():
        line((name, "bold"))
        details(describe(status, now, everything=True))
    for text in describe_misdirected(elsewhere, list(accounts.settings.accounts), now, most=len(elsewhere.examples)):
        line(text)


def _forget(client: redis.Redis, account: Account, host: str) -> None:
    records = AccountRecords(client, account.name)
    forgotten = [each for each in records.hosts() if host in (each, "all")]
    if not forgotten:
        raise CommandError(f"no such host was learned for {account.name}; `foxhooks webhooks` lists them")
    records.forget_hosts(forgotten)
    line(f"Forgotten: {', '.join(forgotten)}. The next link teaches a host again.")


def describe(status: WebhookStatus, now: int, everything: bool = False) -> Iterator[tuple[str, object]]:
    """Describe an account's webhooks; without ``everything``, only what needs attention."""
    if status.quarantined:
        yield "in quarantine", Text(str(status.quarantined), "red").append(f". See {QUARANTINE}.", "default")
    recent = {name: noted for name, noted in status.causes.items() if everything or noted.last > now - DAY}
    for name, noted in list(recent.items())[: None if everything else MOST_CAUSES]:
        times = f"{plural(noted.count, 'delivery', 'deliveries')}, last {ago(noted.last, now)}"
        cause = cause_of(name)
        yield "likely cause", Text(f"signature refused: {cause.text} ({times}). To fix it: {cause.fix}.", "red")
    if everything or len(status.keys) > 1:
        for key in status.keys:
            name = f"key {key.position}" if key.position else "another key"
            last = "not used in the last 30 days" if key.last is None else f"last used {ago(key.last, now)}"
            yield "signing key", f"{name} ({key.label}), {last}"
    if everything or status.hosts:
        own = [f"{status.own_host} (from the settings)"] if status.own_host else []
        learned = [f"{host} (learned {ago(at, now)})" for host, at in status.hosts.items()]
        yield "links lead to", ", ".join([*own, *learned]) or "no host is known yet"


def describe_misdirected(found: Misdirected, accounts: list[str], now: int, most: int = MOST_EXAMPLES) -> Iterator[str]:
    """Describe the requests that look like webhooks but that no account could receive."""
    for reason, noted in found.reasons.items():
        count = plural(noted.count, "request")
        yield f"Not received: {count} {MISDIRECTED.get(reason, reason)}, last {ago(noted.last, now)}."
    for example, at in list(found.examples.items())[:most]:
        yield f"  {example}, {ago(at, now)}{_suggest(example.partition(' ')[2], accounts)}"


def _suggest(path: str, accounts: list[str]) -> str:
    """Return the correct path for one that no account has, as the end of a sentence."""
    before, webhooks, rest = path.partition("/webhooks/")
    name, slash, kind = rest.partition("/")
    if webhooks and before:
        return "; remove the part before /webhooks from the URL, or let the proxy remove it"
    near = nearest(name, accounts) or (accounts[0] if len(accounts) == 1 else None)
    if not webhooks or near is None:
        return "; the URL is /webhooks/ACCOUNT"
    return "" if near == name else f"; did you mean /webhooks/{near}{slash}{kind}?"
