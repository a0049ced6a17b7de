"""What is wrong with the running system now, with the fix: for `foxhooks doctor`, the dashboard and alerts.

A ``Trouble`` is about what runs, as the store knows it, not about the settings of whoever asks.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import redis

from workers.settings import Budget
from workers.store.client import Store
from workers.store.completeness import read_completeness
from workers.store.figures import ARRIVED, LIMITED, Figures, add, minute_of, read_minutes
from workers.store.fleet import VERSION, Difference, Fleet
from workers.store.keys import Keys
from workers.store.pauses import describe_pause
from workers.store.permits import NORMAL, Governor
from workers.store.records import AccountRecords, DeliveryCount, read_workers

#: A pause that lasts longer (ms) has probably been forgotten.
LONG_PAUSE = 3_600_000

#: Refused deliveries count if the last one came within this time (ms).
RECENT = 86_400_000

#: A lane that is due for longer (ms) waits because of a limit, or because there are too few workers.
LATE = 60_000

#: How many minutes of figures are searched for failing handlers. A failure within the last ``LATEST`` of them counts
#: although the handler has succeeded since, so that one that fails on some tickets only does not come and go.
MINUTES, LATEST = 60, 5

#: How many handlers a sentence names.
NAMED = 3

Kind = Literal[
    "locked-out",
    "credentials-refused",
    "unreachable",
    "calls-stopped",
    "deliveries-refused",
    "unannounced",
    "handlers-fail",
    "backlog",
    "paused",
    "dead-letters",
    "no-workers",
    "silent-process",
    "settings-differ",
    "version-skew",
]


@dataclass(frozen=True, slots=True)
class Trouble:
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
    about: str = ""
    """What it concerns: the scope and the name of a pause, or the first of the handlers that fail."""


def find_troubles(client: redis.Redis, accounts: Iterable[str], fleet: Fleet, now: int) -> Iterator[Trouble]:
    """Find what is wrong with the running system at the time ``now`` (ms)."""
    names = list(accounts)
    of_processes = list(fleet_troubles(client, names, fleet, now))
    yield from of_processes
    has_workers = all(each.kind != "no-workers" for each in of_processes)
    for name in names:
        yield from account_troubles(client, name, fleet, now, has_workers=has_workers)


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


def account_troubles(
    client: redis.Redis, account: str, fleet: Fleet, now: int, *, has_workers: bool = True
) -> Iterator[Trouble]:
    """Find what is wrong with one account; a backlog is only reported if nothing else here explains it."""
    records = AccountRecords(client, account)
    pauses, counts = records.pauses(), records.delivery_counts()
    stopped, refused = list(_calls(records, now)), list(_refused(account, counts, now))
    yield from stopped
    yield from refused or _unannounced(client, account, counts, now)
    yield from _failing_handlers(client, account, now)
    if has_workers and not stopped and ("account", "") not in pauses:
        running = fleet.account(account)
        yield from _backlog(records, running.budget if running else None, now)
    for (scope, name), pause in pauses.items():
        what = f"the account {account}" if scope == "account" else f"the {scope} {name} of {account}"
        queued = "new events are skipped" if pause.skip else "new events are queued"
        option = f" --{scope} {name}" if scope != "account" else ""
        fix = f"`foxhooks resume --account {account}{option}` when it may work again"
        is_long = now - pause.since > LONG_PAUSE
        text = f"{describe_pause(what, pause)}: {queued}"
        yield Trouble("paused", is_long, account, pause.since, text, fix, f"{scope} {name}".strip())
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
        made = _calls_before_lockout(records, now)
        own = f"; foxhooks itself made {made:,} in that minute" if made else ""
        text = f"{account}: locked out until {at}: HappyFox answered that too many calls were made{own}"
        fix = "find what else uses the API, or lower HAPPYFOX_BUDGET_SHARE; foxhooks continues by itself"
        yield Trouble("locked-out", True, account, 0, text, fix)


def _calls_before_lockout(records: AccountRecords, now: int) -> int:
    """Return how many calls foxhooks made in the minute of the last lockout, 0 if no figures of it are there."""
    last = minute_of(now)
    with Store(records.client) as store:
        minutes = read_minutes(store, records.account, range(last, last - MINUTES, -1))
    refused = (each for each in minutes if any(each.sum("call", method, LIMITED) for method in ("get", "post")))
    return next((each.sum("call") for each in refused), 0)


def accepted_before_refusals(counts: Mapping[str, DeliveryCount]) -> int | None:
    """Return when the last delivery was accepted (ms, 0 for never), None if no signature was refused since then."""
    accepted = max((counts[name].last for name in ("accepted", "duplicate") if name in counts), default=0)
    wrong = counts.get("refused:bad-signature")
    return accepted if wrong and wrong.last > accepted else None


def _refused(account: str, counts: Mapping[str, DeliveryCount], now: int) -> Iterator[Trouble]:
    """Find deliveries with a wrong signature that came after the last one that was accepted."""
    if accepted_before_refusals(counts) is None:
        return
    last = counts["refused:bad-signature"].last
    if last > now - RECENT:
        text = f"{account}: deliveries are refused because of their signature, and none was accepted since"
        fix = "see `foxhooks webhooks`: it names the likely cause, usually the key in HAPPYFOX_WEBHOOK_SECRETS"
        yield Trouble("deliveries-refused", True, account, last, text, fix)


def _unannounced(client: redis.Redis, account: str, counts: Mapping[str, DeliveryCount], now: int) -> Iterator[Trouble]:
    """Find changes that happened after the last delivery, and that only sweeps have found."""
    last = max((counts[name].last for name in ARRIVED if name in counts), default=0)
    missed = read_completeness(client, account).missed
    count = sum(len(each.kinds) for each in missed if (each.happened or each.at) > last and each.at > now - RECENT)
    if not count:
        return
    silence = f"since {datetime.fromtimestamp(last / 1000, UTC):%Y-%m-%d %H:%M} UTC" if last else "so far"
    changes = "1 later change" if count == 1 else f"{count:,} later changes"
    text = f"{account}: HappyFox has sent no webhook {silence}; sweeps have found {changes if last else 'its changes'}"
    fix = "check in HappyFox that the webhook is active and has the right address; see `foxhooks sweep --show`"
    yield Trouble("unannounced", False, account, last, text, fix)


def _failing_handlers(client: redis.Redis, account: str, now: int) -> Iterator[Trouble]:
    """Find the handlers that fail now, by their figures of the last hour."""
    last = minute_of(now)
    with Store(client) as store:
        minutes = read_minutes(store, account, range(last - MINUTES + 1, last + 1))
    failed, decided = [_failures(each) for each in minutes], [each.by("handler", "decided") for each in minutes]
    all_decided, failing = add(minutes).by("handler", "decided"), {}
    for name, count in sum(failed, Counter[str]()).most_common():
        failure = max(minute for minute, each in enumerate(failed) if each[name])
        success = max((minute for minute, each in enumerate(decided) if each.get(name)), default=-1)
        if failure >= success or failure >= MINUTES - LATEST:
            failing[name] = count, count + all_decided.get(name, 0)
    if not failing:
        return
    named = ", ".join(f"{name} ({count:,} of {runs:,} runs)" for name, (count, runs) in list(failing.items())[:NAMED])
    more = f" and {len(failing) - NAMED} more" if len(failing) > NAMED else ""
    what = "a handler fails" if len(failing) == 1 else "handlers fail"
    text = f"{account}: {what}: {named}{more} in the last hour"
    first = next(iter(failing))
    fix = f"see `foxhooks events --handler {first}` for its tickets; until it is corrected, its runs are retried"
    is_error = any(count == runs for count, runs in failing.values())
    yield Trouble("handlers-fail", is_error, account, 0, text, f"{fix} and then become dead letters", first)


def _failures(figures: Figures) -> Counter[str]:
    """Return the failed runs by handler."""
    return Counter(figures.by("handler", "retrying")) + Counter(figures.by("handler", "dead"))


def _backlog(records: AccountRecords, budget: Budget | None, now: int) -> Iterator[Trouble]:
    """Find work that is due for long, and what it waits for."""
    schedule = records.keys.schedule
    first = records.client.zrange(schedule, "-inf", now, byscore=True, offset=0, num=1, withscores=True)
    since = int(first[0][1]) if first else now
    if now - since < LATE:
        return
    due, minutes = records.client.zcount(schedule, "-inf", now), (now - since) // 60_000
    used_up = list(_used_up(records, budget)) if budget else []
    tickets = "1 ticket is" if due == 1 else f"{due:,} tickets are"
    text = f"{records.account}: {tickets} due, the oldest for {minutes} min"
    if used_up:
        text += f": {' and '.join(used_up)} are used up"
        fix = "find the handler or the client that calls so much; more workers change nothing"
    else:
        text += ", and the limits of HappyFox allow more calls" if budget else ""
        fix = "add workers or threads"
    yield Trouble("backlog", False, records.account, since, text, fix)


def _used_up(records: AccountRecords, budget: Budget) -> Iterator[str]:
    """Name the calls of which turns of normal priority get no more now."""
    with Store(records.client) as store:
        found = store.run(Governor(records.account, budget).forecast())
    calls = (("reads", found.gets_used, found.gets), ("writes", found.posts_used, found.posts))
    for what, used, limit in calls:
        if used >= max(1, int(limit * NORMAL)):
            yield f"{what} ({used:,} of {limit:,})"
