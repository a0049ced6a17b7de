"""What is known about webhooks: causes of wrong signatures, signing keys, hosts, and what to correct."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import redis

from service.context import settings_of
from service.words import ago, plural
from workers.settings import Account, Settings, SettingsError
from workers.store.records import AccountRecords
from workers.store.refusals import Noted, read_causes, read_keys_used, read_misdirected
from workers.webhook.diagnosis import cause_of
from workers.webhook.hosts import host_in
from workers.webhook.signature import label_of

DAY = 86_400_000

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
