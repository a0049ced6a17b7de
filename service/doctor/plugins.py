"""Looks at plug-ins and rules: do they load, do their settings fit, does every grant name a router that runs."""

from collections.abc import Collection, Iterator
from pathlib import Path

from service.doctor.finding import Finding, error, ok, warning
from workers.rules import file as rules
from workers.settings import Account
from workers.turns.loading import LoadError, load_accounts


def look(accounts: Collection[Account]) -> Iterator[Finding]:
    """Imports the handlers as the worker does; an account's own tables and grants are judged with the others'."""
    try:
        loaded = load_accounts(accounts, Path.cwd(), rules.router_of)
    except LoadError as wrong:
        for complaint in wrong.complaints:
            yield error("handlers", f"{complaint.setting}: {complaint.problem}", complaint.cure)
        return
    for name, routers in loaded.items():
        names = ", ".join(each.router.name for each in routers) or "none"
        yield ok("handlers", f"{name} runs, in this order: {names}")
    for account in accounts:
        if account.rules:
            found = rules.read(rules.content(account.rules), rules.granted(account.allow))
            for fault in found.faults:
                told = fault.complaint(account.rules.name)
                yield warning("rules", f"{told.setting}: {told.problem}", told.cure)
