"""`foxhooks backtest`: changed rules or handlers on the turns of the past, without a call and without a trace."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import redis

from service.access import Accounts, accounts_of, store_of
from service.commands.comparison import Comparison, show
from service.commands.records import Records
from service.commands.times import now_of
from service.failures import CommandError
from workers.happyfox.directory import Directory
from workers.lanes.lists import recall
from workers.lanes.store import Store
from workers.limits import Limits, OverLimit
from workers.rules import file as rules
from workers.settings import Account
from workers.turns.backtest import Backtest, Take
from workers.turns.deciding.foreign import Stopped
from workers.turns.plan.tally import peak
from workers.turns.plugin.fitting import FitError
from workers.turns.plugin.importing import LoadError, append, find
from workers.turns.plugin.loading import settings_of
from workers.turns.steps import Bound, Decision, Failure

#: Lists of names are believed whatever their age (ms): names of the past are as good as those of today.
AGES = 10 * 365 * 86_400_000

#: What a handler must not do while it is tested: the audit events of the interpreter.
OUTSIDE = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen", "os.system")


@dataclass(frozen=True, slots=True)
class Order:
    """What to test: a rules file or an import string, turns of the last so many seconds, of one ticket or all."""

    tested: str
    since: float
    ticket: int | None
    account: str


def run(order: Order, as_json: bool) -> int:
    """Prints what would have been done and what is different; 1 if a handler failed."""
    accounts = accounts_of()
    known = accounts.settings.accounts
    if order.account and order.account not in known:
        raise CommandError(f"no account {order.account!r} here; there are: {', '.join(known)}")
    chosen = [known[order.account]] if order.account else list(known.values())
    limits = Limits(accounts.settings.handler_seconds, lambda: False)
    handlers = {account.name: _handlers(order.tested, account) for account in chosen}
    with store_of(accounts.settings) as client:
        found = [_compare(client, each, handlers[each.name], order, accounts, limits) for each in chosen]
    if as_json:
        print(json.dumps([_plain(each) for each in found], indent=2))
    else:
        for each in found:
            show(each)
    return int(any(tally.failed for each in found for tally in each.tallies.values()))


def _handlers(tested: str, account: Account) -> list[Bound]:
    """Loads what is tested, with the account's settings and grants. Raises LoadError."""
    if tested.endswith(".toml"):
        return [Bound(each) for each in rules.router_of(Path(tested), account.allow).handlers]
    if complaints := list(append(Path.cwd())):
        raise LoadError(complaints)
    router = find(tested, Path.cwd())
    try:
        settings = settings_of(router, account.router_settings.get(router.name, {}))
    except FitError as unfit:
        raise LoadError(unfit.complaints) from None
    return [Bound(each, settings) for each in router.handlers]


def _compare(
    client: redis.Redis, account: Account, handlers: list[Bound], order: Order, accounts: Accounts, limits: Limits
) -> Comparison:
    now, names = now_of(client), list(Directory.LISTS)
    with Store(client) as store:
        kept = store.run(recall(account.name, names, AGES))
    lists = {name: each for name, each in zip(names, kept, strict=True) if each is not None}
    test = Backtest(account, handlers, lists if len(lists) == len(names) else None, _sealed(limits))
    after = now - int(order.since * 1000) if order.since else 0
    skipped, first = 0, now
    for record in Records(client, account.name).oldest_first(after):
        if record is None:
            skipped += 1
        elif order.ticket in (None, record.number):
            first = min(first, record.at)
            test.play(record)
    budget = account.budget
    return Comparison(
        account=account.name,
        turns=test.turns,
        skipped=skipped,
        since=first,
        named=len(lists) == len(names),
        tallies=test.compare(),
        posts=len(test.posts),
        made=len(test.made),
        peak=peak(test.posts, budget.window),
        mean=len(test.posts) / max(1.0, (now - first) / 60_000),
        limit=int(budget.posts * budget.share) if accounts.budgets else None,
        window=budget.window,
    )


def _sealed(limits: Limits) -> Take:
    """Gives what runs a handler under its limit while nothing may leave this process; what it prints is no result."""

    def take(visit: Callable[[], Decision]) -> Decision:
        with _seal.closed(), redirect_stdout(sys.stderr):
            try:
                return limits.run(visit)
            except OverLimit as error:
                raise Stopped(Failure(str(error), final=True)) from None

    return take


class _Seal:
    """Refuses what leads outside while it is closed; Python never takes back the hook, so there is one."""

    def __init__(self) -> None:
        self._closed = self._hooked = False

    @contextmanager
    def closed(self) -> Iterator[None]:
        if not self._hooked:
            sys.addaudithook(self._refuse)
            self._hooked = True
        self._closed = True
        try:
            yield
        finally:
            self._closed = False

    def _refuse(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._closed and event in OUTSIDE:
            raise ConnectionRefusedError("a backtest makes no call")


_seal = _Seal()


def _plain(comparison: Comparison) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(comparison)
    return {**plain, "handlers": plain.pop("tallies")}
