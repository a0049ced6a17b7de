"""What is wrong with the running system now, with the fix: for `foxhooks doctor`, the dashboard and alerts.

A ``Trouble`` is about what runs, as the store knows it, not about the settings of whoever asks.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import redis

from workers.store.fleet import VERSION, Difference, Fleet
from workers.store.keys import Keys
from workers.store.pauses import describe_pause
from workers.store.records import AccountRecords, read_workers

#: A pause that lasts longer (ms) has probably been forgotten.
LONG_PAUSE = 3_600_000

#: Refused deliveries count if the last one came within this time (ms).
RECENT = 86_400_000

Kind = Literal[
    "locked-out",
    "credentials-refused",
    "unreachable",
    "calls-stopped",
    "deliveries-refused",
    "paused",
    "dead-letters",
    "no-workers",
    "silent-process",
    "settings-differ",
    "version-skew",
]


class Trouble(NamedTuple):
    """Something that a person should know or correct."""

    kind: Kind
    is_error: bool
    """Whether work is not done because of it; else it needs attention."""
    account: str
    """Empty if it concerns all of them."""
    since: int
    """When it began (ms of the store's clock); 0 if that is not known."""
    text: str
    fix: str


def find_troubles(client: redis.Redis, accounts: Iterable[str], fleet: Fleet, now: int) -> Iterator[Trouble]:
    """Find what is wrong with the running system at the time ``now`` (ms)."""
    names = list(accounts)
    yield from fleet_troubles(client, names, fleet, now)
    for name in names:
        yield from account_troubles(client, name, now)


def fleet_troubles(client: redis.Redis, accounts: Iterable[str], fleet: Fleet, now: int) -> Iterator[Trouble]:
    """Find what is wrong with the processes."""
    untyped: Any = client
    workers = fleet.of("worker") or read_workers(client, now).alive
    if not workers and (fleet.alive or any(untyped.exists(Keys(name).store_epoch) for name in accounts)):
        text = "no worker runs: deliveries are stored and wait, no handler runs"
        yield Trouble("no-workers", True, "", 0, text, "start `foxhooks worker` or `foxhooks up`")
    for process in fleet.silent:
        text = f"the {process.part} process {process.host}-{process.pid} gives no sign of life and did not end in order"
        yield Trouble("silent-process", False, "", 0, text, "see its log, or that of its machine; restart it")
    for difference in fleet.differences():
        yield _differs(difference)


def _differs(difference: Difference) -> Trouble:
    if difference.what == VERSION:
        fix = "finish the rollout: restart the processes with the old version"
        return Trouble("version-skew", False, "", 0, str(difference), fix)
    fix = "give them the same settings and files, and restart those with the old ones"
    return Trouble("settings-differ", True, difference.account, 0, str(difference), fix)


def account_troubles(client: redis.Redis, account: str, now: int) -> Iterator[Trouble]:
    """Find what is wrong with one account."""
    records = AccountRecords(client, account)
    yield from _calls(records, now)
    yield from _refused(records, now)
    for (scope, name), pause in records.pauses().items():
        what = f"the account {account}" if scope == "account" else f"the {scope} {name} of {account}"
        queued = "new events are skipped" if pause.skip else "new events are queued"
        option = f" --{scope} {name}" if scope != "account" else ""
        fix = f"`foxhooks resume --account {account}{option}` when it may work again"
        is_long = now - pause.since > LONG_PAUSE
        yield Trouble("paused", is_long, account, pause.since, f"{describe_pause(what, pause)}: {queued}", fix)
    if count := records.dead_letter_count():
        text = f"{count:,} dead letter{' of ' if count == 1 else 's of '}{account} wait for a decision"
        yield Trouble("dead-letters", False, account, 0, text, "see `foxhooks dead list`, then replay or discard them")


def _calls(records: AccountRecords, now: int) -> Iterator[Trouble]:
    """Find why no call can be made."""
    raw = records.client.hmget(records.keys.gate, "state", "why", "until", "since")
    state, why, until, since = (each.decode() if each else "" for each in raw)
    if state in ("", "open"):
        return
    account, at = records.account, f"{datetime.fromtimestamp(int(until or now) / 1000, UTC):%H:%M:%S} UTC"
    if why == "denied":
        text = f"{account}: HappyFox rejects the API key; the next attempt is at {at}"
        fix = "correct HAPPYFOX_API_KEY and HAPPYFOX_AUTH_CODE (Apps > Goodies > API in HappyFox), restart the workers"
        yield Trouble("credentials-refused", True, account, 0, text, fix)
    elif why == "unreachable":
        begin = f"{datetime.fromtimestamp(int(since or 0) / 1000, UTC):%Y-%m-%d %H:%M} UTC"
        text = f"{account}: HappyFox does not answer since {begin}; the next attempt is at {at}"
        fix = "see HappyFox's status page and the network of the workers; foxhooks continues by itself"
        yield Trouble("unreachable", True, account, int(since or 0), text, fix)
    elif why == "clock":
        text = f"{account}: no calls until {at}, because the store's clock or server changed"
        fix = "wait; if an older copy of the store was restored, see docs/durability.md"
        yield Trouble("calls-stopped", False, account, 0, text, fix)
    else:
        text = f"{account}: locked out until {at}: HappyFox answered that too many calls were made"
        fix = "find what else uses the API, or lower HAPPYFOX_BUDGET_SHARE; foxhooks continues by itself"
        yield Trouble("locked-out", True, account, 0, text, fix)


def _refused(records: AccountRecords, now: int) -> Iterator[Trouble]:
    """Find deliveries with a wrong signature that came after the last one that was accepted."""
    counts = records.delivery_counts()
    accepted = max((counts[name].last for name in ("accepted", "duplicate") if name in counts), default=0)
    wrong = counts.get("refused:bad-signature")
    if wrong and wrong.last > max(accepted, now - RECENT):
        text = f"{records.account}: deliveries are refused because of their signature, and none was accepted since"
        fix = "see `foxhooks webhooks`: it names the likely cause, usually the key in HAPPYFOX_WEBHOOK_SECRETS"
        yield Trouble("deliveries-refused", True, records.account, wrong.last, text, fix)
