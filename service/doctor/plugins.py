"""Looks at plug-ins and rules: do they load, do their settings fit, does every grant name a router that runs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from service.doctor.finding import Finding, error, ok, warning
from workers.rules import file as rules
from workers.settings import Account
from workers.turns.plugin.loading import RULES, Loaded, LoadError, load_accounts


def _idle(router: str) -> Finding:
    if router == RULES:
        return warning("rules", "the rules file holds no rule", "write a [[rule]], or take FOXHOOKS_RULES away")
    cure = "put @router.on(KIND) above its functions, or take it out of FOXHOOKS_HANDLERS"
    return warning("handlers", f"router {router} has no handler: it will never run", cure)


def loaded(accounts: Collection[Account]) -> Mapping[str, Sequence[Loaded]]:
    """Gives the routers of each account; none when they cannot be loaded, which ``look`` tells."""
    try:
        return load_accounts(accounts, Path.cwd(), rules.router_of)
    except LoadError:
        return {}


def look(accounts: Collection[Account]) -> Iterator[Finding]:
    """Imports the handlers as the worker does; an account's own tables and grants are judged with the others'."""
    try:
        loaded = load_accounts(accounts, Path.cwd(), rules.router_of)
    except LoadError as wrong:
        for complaint in wrong.complaints:
            yield error("handlers", f"{complaint.setting}: {complaint.problem}", complaint.cure)
        return
    dry = {account.name: account.dry_routers for account in accounts}
    for name, routers in loaded.items():
        names = [each.router.name for each in routers]
        order = ", ".join(f"{each} (dry run)" if each in dry[name] else each for each in names) or "none"
        yield ok("handlers", f"{name or 'the account'} runs, in this order: {order}")
        for each in routers:
            if not each.router.handlers:
                yield _idle(each.router.name)
    for account in accounts:
        if account.dry_run:
            yield ok(
                "handlers", f"{account.name} runs dry (FOXHOOKS_DRY_RUN): plans are made and shown, nothing is sent"
            )
        if account.rules:
            found = rules.read(rules.content(account.rules), rules.granted(account.allow))
            for fault in found.faults:
                told = fault.complaint(account.rules.name)
                yield warning("rules", f"{told.setting}: {told.problem}", told.cure)
