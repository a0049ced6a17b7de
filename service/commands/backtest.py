"""`foxhooks backtest`: run changed rules or handlers on past turns; nothing is called and nothing is stored."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from service.commands.format import AsJson, clock, duration, line, plural, print_json, progress, show, ticket_option
from service.commands.rules import stored_lists
from service.context import AccountName, accounts_of, store_of
from service.errors import CommandError
from workers.engine.backtest import Backtest, HandlerComparison, PlannedAction, RunInvocation
from workers.engine.plan import read_record
from workers.happyfox.directory import Directory
from workers.logs import plain
from workers.plugins.invoke import Bound, Decision, Failure, Stopped
from workers.plugins.loading import FitError, LoadError, add_to_path, import_router, load_accounts
from workers.plugins.loading import settings_of as router_settings
from workers.rules import file as rules_file
from workers.settings import Account
from workers.store.client import Store, store_time
from workers.store.records import AccountRecords
from workers.store.storms import PART
from workers.timeouts import HandlerTimeout, HandlerTimeouts

#: Maximum age of lists of names (ms): old names are as good as today's.
AGES = 10 * 365 * 86_400_000

#: Audit events of the interpreter for what a handler must not do in a backtest.
OUTSIDE = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen", "os.system")

#: How many added, missing and held actions of a handler are shown; `--json` has them all.
MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResult:
    """What the tested handlers would have done in the turns of one account."""

    account: str
    turns: int
    skipped: int
    """Records that this version cannot read."""
    shortened: int
    """Turns whose ticket had older updates, which are not stored."""
    since: int
    """When the first turn was settled (ms)."""
    named: bool
    """Whether the account's names were known."""
    handlers: Mapping[str, HandlerComparison]
    posts: int
    """Calls that the tested handlers would have made."""
    made: int
    """Calls that were made for routers of the same names."""
    peak: int
    """The most calls in one window."""
    mean: float
    """Calls per minute."""
    limit: int | None
    """Calls that we allow ourselves in a window; None if a worker's settings are not set."""
    window: float


def backtest(
    tested: Annotated[
        str,
        typer.Argument(
            metavar="RULES_OR_ROUTER",
            help="A rules file, or a router: vip:router. With --ticket it may be left out: then all that are set run.",
        ),
    ] = "",
    since: Annotated[str, typer.Option(help="Turns of the last 12h, 7d.")] = "7d",
    ticket: Annotated[int | None, ticket_option("Only turns of this ticket.")] = None,
    account: AccountName = "",
    json: AsJson = False,
) -> None:
    """Run changed rules or handlers on past turns; show the differences.

    Nothing is called and nothing is stored. The exit code is 1 if a handler failed.
    """
    if not tested and ticket is None:
        raise typer.BadParameter("name a rules file or a router, or one --ticket for everything that runs here")
    seconds = duration(since)
    accounts = accounts_of()
    if not tested and not accounts.budgets:
        raise CommandError("the handlers are not known here: run this where the worker's settings are")
    chosen = accounts.chosen(account)
    limits = HandlerTimeouts(accounts.settings.handler_seconds, lambda: False)
    handlers = {each.name: _handlers(tested, each) if tested else _loaded(each) for each in chosen}
    with store_of(accounts.settings) as client, Store(client) as store:
        after = store_time(client) - int(seconds * 1000) if seconds else 0
        results = []
        for each in chosen:
            lists = stored_lists(store, each.name, AGES)
            known = lists if len(lists) == len(Directory.LISTS) else None
            test = Backtest(each, handlers[each.name], known, _sealed(limits))
            result = _test(AccountRecords(client, each.name), test, each, after, ticket, known is not None)
            results.append(result if accounts.budgets else replace(result, limit=None))
    if json:
        print_json(results)
    else:
        for result in results:
            _show(result)
    raise typer.Exit(int(any(comparison.failed for result in results for comparison in result.handlers.values())))


def _handlers(tested: str, account: Account) -> list[Bound]:
    """Load what is tested, with the account's settings and grants. Raises LoadError."""
    if tested.endswith(".toml"):
        return [Bound(each) for each in rules_file.router_of(Path(tested), account.grants).handlers]
    if complaints := list(add_to_path(Path.cwd())):
        raise LoadError(complaints)
    router = import_router(tested, Path.cwd())
    try:
        settings = router_settings(router, account.router_settings.get(router.name, {}))
    except FitError as unfit:
        raise LoadError(unfit.problems) from None
    return [Bound(each, settings) for each in router.handlers]


def _loaded(account: Account) -> list[Bound]:
    """Load the handlers that a worker with these settings runs. Raises LoadError."""
    loaded = load_accounts([account], Path.cwd(), rules_file.router_of)[account.name]
    return [Bound(handler, each.settings) for each in loaded for handler in each.router.handlers]


def _test(
    records: AccountRecords, test: Backtest, account: Account, after: int, ticket: int | None, named: bool
) -> AccountResult:
    """Test on the turns of an account since ``after`` (ms), or only on those of one ticket."""
    now = first = store_time(records.client)
    skipped = 0
    # The records before have updates of the same tickets.
    for stored in progress(records.records(oldest_first=True), f"Testing {account.name}", records.turn_count()):
        record = read_record(stored)
        if record is None:
            skipped += 1
        elif ticket not in (None, record.number):
            continue
        elif record.at < after:
            test.remember(record)
        else:
            first = min(first, record.at)
            test.decide_again(record)
    budget = account.budget
    return AccountResult(
        account=account.name,
        turns=test.turns,
        skipped=skipped,
        shortened=test.shortened,
        since=first,
        named=named,
        handlers=test.comparisons(),
        posts=len(test.posts),
        made=len(test.made),
        peak=peak(test.posts, budget.window),
        mean=len(test.posts) / max(1.0, (now - first) / 60_000),
        limit=int(budget.posts * budget.share),
        window=budget.window,
    )


def peak(times: Iterable[int], window: float) -> int:
    """Return the most of these ascending times (ms) that fall into any window of this many seconds."""
    most, recent = 0, deque[int]()
    for at in times:
        recent.append(at)
        while recent[0] <= at - window * 1000:
            recent.popleft()
        most = max(most, len(recent))
    return most


def _sealed(limits: HandlerTimeouts) -> RunInvocation:
    """Return a function that runs a handler with its time limit, without network, printing to stderr."""

    def run(invocation: Callable[[], Decision]) -> Decision:
        seal = _seal()
        seal.closed = True
        try:
            with redirect_stdout(sys.stderr):
                return limits.run(invocation)
        except HandlerTimeout as error:
            raise Stopped(Failure(str(error), final=True)) from None
        finally:
            seal.closed = False

    return run


class _Seal:
    """Refuse network and processes while it is closed."""

    def __init__(self) -> None:
        self.closed = False
        sys.addaudithook(self._refuse)

    def _refuse(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if self.closed and event in OUTSIDE:
            raise ConnectionRefusedError("a backtest makes no call")


_seal = cache(_Seal)  # only one: Python never removes an audit hook


def _show(result: AccountResult) -> None:
    turns = f"{plural(result.turns, 'turn')} since {clock(result.since)}" if result.turns else "no turns to test on"
    skipped = f"; skipped {plural(result.skipped, 'unreadable record')}" if result.skipped else ""
    line((result.account, "bold"), f": {turns}{skipped}")
    if result.shortened:
        older = "had updates from before their first record; `ticket.history` lacks these"
        line(f"In {plural(result.shortened, 'turn')}, the tickets {older}.")
    if not result.turns and not any(comparison.missing for comparison in result.handlers.values()):
        return
    columns: dict[str, Callable[[tuple[str, HandlerComparison]], object]] = {
        "handler": lambda row: row[0],
        "acts in": lambda row: plural(row[1].acted, "turn"),
        "same": lambda row: row[1].same,
        "added": lambda row: len(row[1].added),
        "missing": lambda row: len(row[1].missing),
        "held back": lambda row: len(row[1].held),
    }
    show(list(result.handlers.items()), columns)
    for name, comparison in result.handlers.items():
        _show_actions(f"added by {name}", "+", "green", comparison.added)
        _show_actions(f"missing from {name}", "-", "red", comparison.missing)
        _show_actions(f"held back from {name}", "!", "yellow", comparison.held, reasons=True)
        for reason, count in comparison.skipped.most_common(1):
            line(f"{name} most often skipped ({plural(count, 'time')}): {reason}")
        for reason, count in comparison.failed.most_common():
            line((f"{name} failed {plural(count, 'time')}: {reason}", "yellow"))
        for grant, count in comparison.denied.most_common():
            line((f"{name} lacked a permission {plural(count, 'time')}: set {grant}", "yellow"))
    _show_cost(result)
    if not result.named:
        line("Names were not checked: the store has no lists of this account. `foxhooks doctor` fetches them.")


def _show_actions(
    title: str, sign: str, style: str, planned_actions: list[PlannedAction], *, reasons: bool = False
) -> None:
    if planned_actions:
        line((title, "bold"))
    grouped = groupby(planned_actions[:MOST], key=lambda action: (action.ticket, action.at, reasons and action.reason))
    for (ticket, at, why), same in grouped:
        what = ", ".join(f'{action.summary}: "{action.text}"' if action.text else action.summary for action in same)
        because = f" ({plain(why)})" if why else ""
        line((f"  {sign} ticket {ticket}, {clock(at)}: {plain(what)}{because}", style))
    if len(planned_actions) > MOST:
        line(f"  {len(planned_actions) - MOST:,} more; --json has them all")


def _show_cost(result: AccountResult) -> None:
    limit = f"limit {result.limit}" if result.limit is not None else "limit not known here"
    mean = f"{result.mean:.2f}" if result.mean >= 0.01 or not result.posts else "less than 0.01"
    line(
        f"POST calls: {result.posts} (actually made: {result.made}), at most {result.peak} in any {result.window:g} s "
        f"({limit}), {mean} per minute on average"
    )
    if result.limit is not None and result.peak > result.limit * PART:
        line(
            (
                "That is more than half of the limit: these handlers cause a storm of their own. See docs/sweep.md.",
                "yellow",
            )
        )
