"""`foxhooks pause` and `foxhooks resume`: stop the handlers of an account, a router or a ticket, and continue."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.commands.format import line, ticket_option
from service.commands.running import remote_source
from service.context import AccountName, Accounts, Why, accounts_of, acting, one_account, store_of
from service.errors import CommandError
from service.reading.source import PauseTarget
from workers.errors import suggest
from workers.store import pauses
from workers.store.client import Store, store_time, wake
from workers.store.pauses import Pause, Scope
from workers.store.records import AccountRecords

OfRouter = Annotated[str, typer.Option("--router", help="This router, such as vip or rules.")]
OfTicket = Annotated[int | None, ticket_option("This ticket.")]

#: What is paused, by scope and name.
Pauses = dict[tuple[Scope, str], Pause]


def pause(
    account: AccountName = "",
    router: OfRouter = "",
    ticket: OfTicket = None,
    skip: Annotated[bool, typer.Option("--skip", help="Skip new events instead of queueing them.")] = False,
    why: Why = "",
) -> None:
    """Stop the handlers of a router, a ticket or an account.

    Deliveries are still accepted, and new events are queued in order. `foxhooks status` lists what is paused.
    """
    with remote_source() as remote:
        if remote is not None:
            target = _target(remote.names(account), router, ticket)
            before = remote.pause(target, why, skip=skip)
        else:
            target, before = _pause(account, router, ticket, skip=skip, why=why)
    events = "New events are skipped until you resume." if skip else "New events are queued until you resume."
    line(f"{'Updated the pause of' if before else 'Paused'} {target}. {events}")
    own = "" if target.scope == "account" else f" --{target.scope} {target.name}"
    line(f"To resume: `foxhooks resume{f' --account {account}' if account else ''}{own}`")


def resume(account: AccountName = "", router: OfRouter = "", ticket: OfTicket = None, why: Why = "") -> None:
    """End a pause and process the events that were queued."""
    with remote_source() as remote:
        if remote is not None:
            target = _target(remote.names(account), router, ticket)
            known = remote.pauses(target.account)
            _require(target, known)
            remote.resume(target, why)
        else:
            target, known = _resume(account, router, ticket, why)
    ended = known.pop((target.scope, target.name))
    line(f"Resumed {target}. {_describe_end(ended, ('account', '') in known)}")
    if known:
        line(f"Still paused: {_list(target.account, known)}.")


def _pause(account: str, router: str, ticket: int | None, *, skip: bool, why: str) -> tuple[PauseTarget, bool]:
    """Pause something in the store; return it, and whether it was paused before."""
    accounts = accounts_of()
    target = _target([one_account(accounts.settings, account).name], router, ticket)
    with store_of(accounts.settings) as client:
        _check(AccountRecords(client, target.account), accounts, target)
        by = acting(why)
        entry = Pause(store_time(client), by.who, skip)
        with Store(client) as store:
            return target, store.run(pauses.pause(target.account, target.scope, target.name, entry, by))


def _resume(account: str, router: str, ticket: int | None, why: str) -> tuple[PauseTarget, Pauses]:
    """End a pause in the store; return what was paused, and all pauses that there were."""
    accounts = accounts_of()
    target = _target([one_account(accounts.settings, account).name], router, ticket)
    with store_of(accounts.settings) as client:
        known = AccountRecords(client, target.account).pauses()
        _require(target, known)
        with Store(client) as store:
            store.run(pauses.resume(target.account, target.scope, target.name, acting(why)))
        wake(client)
    return target, known


def _require(target: PauseTarget, known: Pauses) -> None:
    """Refuse to resume what is not paused."""
    if (target.scope, target.name) not in known:
        others = _list(target.account, known)
        raise CommandError(f"{target} is not paused; {f'paused now: {others}' if others else 'nothing is paused'}")


def _describe_end(ended: Pause, stopped: bool) -> str:
    """Describe what the end of a pause changes; ``stopped``: its account is paused, too."""
    if stopped:
        return "The pause of the account goes on."
    return "New events are processed again." if ended.skip else "Queued events are processed now."


def _list(account: str, known: Iterable[tuple[Scope, str]]) -> str:
    return ", ".join(str(PauseTarget(account, scope, name)) for scope, name in known)


def _target(accounts: Sequence[str], router: str, ticket: int | None) -> PauseTarget:
    if router and ticket is not None:
        raise typer.BadParameter("use --router or --ticket, not both")
    if len(accounts) > 1:
        raise CommandError(f"there are several accounts: choose one with --account, of {', '.join(accounts)}")
    [name] = accounts
    if router:
        return PauseTarget(name, "router", router)
    return PauseTarget(name, "account", "") if ticket is None else PauseTarget(name, "ticket", str(ticket))


def _check(records: AccountRecords, accounts: Accounts, target: PauseTarget) -> None:
    """Reject an unknown router or ticket: a typo must not look like a pause."""
    if target.scope == "router" and target.name not in (known := _routers(accounts, target.account)):
        raise CommandError(f"no router {target.name!r} runs for {target.account}; {suggest(target.name, known)}")
    if target.scope == "ticket" and not records.knows(int(target.name)):
        raise CommandError(
            f"no webhook received for ticket {target.name} of {target.account} yet; "
            "--ticket takes the number in the ticket's URL, as `foxhooks events` lists it"
        )


def _routers(accounts: Accounts, account: str) -> Iterable[str]:
    if not accounts.budgets:
        raise CommandError("the routers are not known here: run this where the worker's settings are")
    from workers.plugins.loading import LoadError, load_accounts  # late: the pause of an account needs no handlers
    from workers.rules import file as rules

    try:
        loaded = load_accounts(accounts.settings.accounts.values(), Path.cwd(), rules.router_of)
    except LoadError as wrong:
        raise CommandError(f"the routers cannot be loaded here:\n{wrong}") from None
    return [each.router.name for each in loaded[account]]
