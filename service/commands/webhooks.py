"""`foxhooks webhooks`: refused signatures, signing keys, hosts and misdirected requests.

`foxhooks status` shows the same in short, and `foxhooks doctor` says what to correct.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import redis
import typer
from rich.text import Text

from service.commands.format import AsJson, ago, details, line, plural, print_json
from service.context import AccountName, accounts_of, one_account, settings_of, store_of
from service.errors import CommandError
from workers.errors import nearest
from workers.settings import Account, Settings, SettingsError
from workers.store.client import store_time
from workers.store.records import AccountRecords
from workers.store.refusals import Misdirected, Noted, read_causes, read_keys_used, read_misdirected
from workers.webhook.diagnosis import cause_of
from workers.webhook.hosts import host_in
from workers.webhook.signature import label_of

DAY = 86_400_000

#: How many likely causes, and how many misdirected requests, `status` shows.
MOST_CAUSES, MOST_EXAMPLES = 3, 5

QUARANTINE = "`foxhooks dead list --quarantine`"

#: How much later (ms) than the delivery itself its refusal may be noted.
NOTED_LATER = 5_000

#: Why no account could receive a request.
MISDIRECTED = {
    "unknown-account": "for an account that is not configured here",
    "unknown-path": "for a path that does not exist",
    "method": "with another method than POST",
}


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A signing key and when it was last used."""

    position: int
    """Its place in the settings, from 1; 0 if it is not in the settings that are read here."""
    label: str
    last: int | None
    """When it last signed a delivery (ms)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStatus:
    """What is known about the webhooks of one account. Times are ms of the store's clock."""

    causes: Mapping[str, Noted]
    """Likely causes of wrong signatures, the last one first."""
    keys: tuple[KeyUse, ...]
    own_host: str
    hosts: Mapping[str, int]
    """The other hosts to which links of deliveries led, and when each was learned."""
    quarantined: int
    """How many deliveries are in quarantine now."""


class Problem(NamedTuple):
    """Something to correct. An error keeps deliveries from being accepted."""

    is_error: bool
    text: str
    fix: str


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


def read_webhooks(client: redis.Redis, account: Account) -> WebhookStatus:
    """Read what is known about the webhooks of an account."""
    records = AccountRecords(client, account.name)
    used = read_keys_used(client, account.name)
    labels = _labels(account.name)
    ours = [KeyUse(position, label, used.get(label)) for position, label in enumerate(labels, 1)]
    others = [KeyUse(0, label, at) for label, at in used.items() if label not in labels]
    return WebhookStatus(
        causes=read_causes(client, account.name),
        keys=(*ours, *others),
        own_host=host_in(account.url),
        hosts=records.hosts(),
        quarantined=records.quarantine_count(),
    )


def _labels(account: str) -> list[str]:
    """Return the labels of the account's keys, none if a web process's settings are not set here."""
    try:
        found = settings_of("web").accounts.get(account)
    except SettingsError:
        return []
    return [label_of(secret.reveal().encode()) for secret in found.secrets] if found else []


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


def shared_keys(settings: Settings) -> Iterator[Problem]:
    """Find signing keys that several accounts use."""
    users: dict[str, list[str]] = {}
    for name, account in settings.accounts.items():
        for secret in set(account.secrets):
            users.setdefault(secret.reveal(), []).append(name)
    for names in users.values():
        if len(names) > 1:
            text = f"{' and '.join(names)} share a signing key: only its link shows which of them a delivery is about"
            yield Problem(False, text, "choose a key of its own for each account")


def problems(client: redis.Redis, settings: Settings, now: int) -> Iterator[Problem]:
    """Find what keeps deliveries of the last day from being accepted or read."""
    for account in settings.accounts.values():
        found = read_webhooks(client, account)
        accepted = AccountRecords(client, account.name).delivery_counts().get("accepted")
        for name, noted in found.causes.items():
            if noted.last > now - DAY:
                cause = cause_of(name)
                is_error = cause.proven and noted.last - NOTED_LATER > (accepted.last if accepted else 0)
                times = f"{plural(noted.count, 'delivery', 'deliveries')}, last {ago(noted.last, now)}"
                yield Problem(is_error, f"{account.name}: signatures were refused ({times}): {cause.text}", cause.fix)
        if found.quarantined:
            text = f"{account.name}: {found.quarantined} in quarantine: signed, but not understood"
            yield Problem(False, text, f"see {QUARANTINE}")
    elsewhere = read_misdirected(client)
    for reason, noted in elsewhere.reasons.items():
        if noted.last > now - DAY:
            text = f"{plural(noted.count, 'request')} {MISDIRECTED.get(reason, reason)}, last {ago(noted.last, now)}"
            yield Problem(False, text, "see `foxhooks webhooks`; correct the URL in HappyFox")
