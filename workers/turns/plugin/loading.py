"""Loading: the routers that FOXHOOKS_HANDLERS names with their settings, and every problem at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.errors import suggest
from workers.settings import Account, SettingProblem
from workers.turns.plugin.fitting import FitError, fit
from workers.turns.plugin.importing import LoadError, append, fault, find
from workers.turns.plugin.router import Router

__all__ = ["LoadError", "Loaded", "ReadRules", "load_accounts", "settings_of"]

ReadRules = Callable[[Path, frozenset[tuple[str, str]]], Router]
"""Makes a router of a rules file and the account's grants; raises LoadError."""

#: The name among the handlers that stands for the rules file, and the name of its router.
RULES = "rules"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A router with its settings: an instance of the dataclass it asked for, else None."""

    router: Router
    settings: Any


def load_accounts(accounts: Iterable[Account], folder: Path, read_rules: ReadRules) -> dict[str, list[Loaded]]:
    """Loads the routers of several accounts by the account's name, in the order of their names.

    `folder` is appended to Python's path. The name `rules` stands for the account's rules file. The `[router.NAME]`
    tables are common to all: one is unknown only when no account loads its router.
    Raises LoadError with every problem.
    """
    accounts = list(accounts)
    tables = {name: table for each in accounts for name, table in each.router_settings.items()}
    loading = _Loading(tables, folder, read_rules)
    loaded = {account.name: loading.load(account) for account in accounts}
    loading.finish(
        frozenset(grant for account in accounts for grant in account.allow),
        frozenset(router for account in accounts for router in account.dry_routers),
    )
    return loaded


def settings_of(router: Router, table: Mapping[str, Any]) -> Any:
    """Makes the router's settings of its table; None when it asked for none. Raises FitError."""
    where = f"router.{router.name}"
    if router.settings is not None:
        return fit(table, router.settings, where)
    if table:
        raise FitError([SettingProblem(where, f"router {router.name} takes no settings", "remove the table")])
    return None


class _Loading:
    """One pass over the names of all accounts, which collects routers and problems."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], folder: Path, read_rules: ReadRules) -> None:
        self.tables = tables
        self.folder = folder
        self.read_rules = read_rules
        self.problems: list[SettingProblem] = []
        self.loaded: dict[object, Loaded | None] = {}
        self.routers: set[str] = set()
        self.lost = False

    def load(self, account: Account) -> list[Loaded]:
        if any(":" in name for name in account.handlers):
            self.problems += append(self.folder)
        found: dict[str, Loaded] = {}
        for name in account.handlers:
            rules = account.rules if name == RULES else None
            key = (name, rules, account.allow if rules else None)
            if key not in self.loaded:
                self.loaded[key] = self.one(name, account)
            loaded = self.loaded[key]
            if loaded is None:
                continue
            if loaded.router.name in found:
                problem = f"there is another router named {loaded.router.name!r}"
                self.report(f"FOXHOOKS_HANDLERS: {name}", problem, "remove or rename one of them")
            found[loaded.router.name] = loaded
        return list(found.values())

    def one(self, name: str, account: Account) -> Loaded | None:
        try:
            if name == RULES and account.rules:
                self.routers.add(RULES)
                router = self.read_rules(account.rules, account.allow)
            else:
                router = find(name, self.folder)
        except LoadError as error:
            self.problems += error.problems
            self.lost = self.lost or name != RULES
            return None
        self.routers.add(router.name)
        try:
            return Loaded(router, settings_of(router, self.tables.get(router.name, {})))
        except FitError as error:
            self.problems += error.problems
        except Exception as error:
            self.report(f"router.{router.name}", f"its dataclass fails with {fault(error)}", "correct it")
        return None

    def finish(self, allow: frozenset[tuple[str, str]], dry: frozenset[str]) -> None:
        """Reports what is for unknown routers, unless one that was not found may be meant; raises LoadError."""
        if not self.lost:
            for table in sorted(self.tables.keys() - self.routers):
                self.report(f"router.{table}", f"no router {table!r} is loaded", suggest(table, self.routers))
            for router, permission in sorted(allow):
                if router not in self.routers:
                    problem = f"{permission} is granted to {router!r}, and no such router is loaded"
                    self.report("FOXHOOKS_ALLOW", problem, suggest(router, self.routers))
            for router in sorted(dry - self.routers):
                self.report("FOXHOOKS_DRY_RUN", f"no router {router!r} is loaded", suggest(router, self.routers))
        if self.problems:
            raise LoadError(dict.fromkeys(self.problems))

    def report(self, where: str, problem: str, fix: str) -> None:
        self.problems.append(SettingProblem(where, problem, fix))
