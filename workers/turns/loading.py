"""Loading: from the names in FOXHOOKS_HANDLERS to routers with their settings, with every complaint at once.

A name is an import string `module:router`, or a name that a package registers under the entry-point group
`foxhooks.routers`; what is installed acts only when it is named.
"""

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from workers.settings.complaints import Complaint, SettingsError
from workers.settings.values import Account
from workers.turns.fault import fault
from workers.turns.fitting import FitError, fit, near
from workers.turns.router import Router

GROUP = "foxhooks.routers"

#: The folder that holds foxhooks' own packages.
OWN = Path(__file__).resolve().parents[2]

EXAMPLE = "write module:router, as vip:router for `router` in vip.py"


class LoadError(SettingsError):
    """The routers cannot be loaded; `complaints` says what is wrong with each, and its cure."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A router with its settings: an instance of the dataclass it asked for, else None."""

    router: Router
    settings: Any


def load_routers(
    names: Sequence[str],
    router_settings: Mapping[str, Mapping[str, Any]],
    allow: frozenset[tuple[str, str]],
    folder: Path,
) -> list[Loaded]:
    """Loads the routers of one account in the order of their names; `folder` is appended to Python's path.

    Raises LoadError with every complaint.
    """
    loading = _Loading(router_settings, folder)
    loaded = loading.load(names)
    loading.finish(allow)
    return loaded


def load_accounts(accounts: Iterable[Account], folder: Path) -> dict[str, list[Loaded]]:
    """Loads the routers of several accounts, which share the `[handlers.NAME]` tables; by the account's name."""
    accounts = list(accounts)
    loading = _Loading({name: each for account in accounts for name, each in account.router_settings.items()}, folder)
    loaded = {account.name: loading.load(account.handlers) for account in accounts}
    loading.finish(frozenset(grant for account in accounts for grant in account.allow))
    return loaded


def settings_of(router: Router, table: Mapping[str, Any]) -> Any:
    """Makes the router's settings of its table; None when it asked for none. Raises FitError."""
    where = f"handlers.{router.name}"
    if router.settings is not None:
        return fit(table, router.settings, where)
    if table:
        raise FitError([Complaint(where, f"router {router.name} takes no settings", "remove the table")])
    return None


class _Loading:
    """One pass over names, which collects routers and complaints."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
        self.tables = tables
        self.folder = folder
        self.complaints: list[Complaint] = []
        self.loaded: dict[str, Loaded | None] = {}
        self.routers: set[str] = set()
        self.lost = False

    def load(self, names: Sequence[str]) -> list[Loaded]:
        if any(":" in name for name in names):
            self.open_folder()
        found: dict[str, Loaded] = {}
        for name in names:
            if name not in self.loaded:
                self.loaded[name] = self.one(name)
            loaded = self.loaded[name]
            if loaded is None:
                continue
            router = loaded.router.name
            if router in found:
                self.complain(name, f"there are two routers named {router!r}", "remove one, or rename it")
            found[router] = loaded
        return list(found.values())

    def finish(self, allow: frozenset[tuple[str, str]]) -> None:
        """Complains of what concerns unknown routers, unless one that could not be found may be meant."""
        if not self.lost:
            for table in self.tables.keys() - self.routers:
                self.complain(f"handlers.{table}", f"no router {table!r} is loaded", near(table, self.routers))
            for router, permission in allow:
                if router not in self.routers:
                    cure = near(router, self.routers)
                    self.complain(
                        "FOXHOOKS_ALLOW", f"grants {permission} to {router!a}, and no such router is loaded", cure
                    )
        if self.complaints:
            raise LoadError(dict.fromkeys(self.complaints))

    def open_folder(self) -> None:
        """Appends the folder to Python's path; packages in it that have the name of ours would never be found."""
        for name in ("workers", "service"):
            for path in (self.folder / name, self.folder / f"{name}.py"):
                if path.exists() and path.resolve() != OWN / name:
                    self.complain(str(path), f"foxhooks itself has a package named {name}", "rename yours")
        if str(self.folder) not in sys.path:
            sys.path.append(str(self.folder))
        importlib.invalidate_caches()

    def one(self, name: str) -> Loaded | None:
        if name == "rules":
            self.complain("FOXHOOKS_HANDLERS: rules", "rules are not available yet", "remove the word rules")
            self.routers.add(name)
            return None
        router = self.find(name, f"FOXHOOKS_HANDLERS: {name}")
        if router is None:
            self.lost = True
            return None
        self.routers.add(router.name)
        try:
            return Loaded(router, settings_of(router, self.tables.get(router.name, {})))
        except FitError as unfit:
            self.complaints += unfit.complaints
        except Exception as error:
            self.complain(f"handlers.{router.name}", f"its settings fail with {fault(error)}", "correct it")
        return None

    def find(self, name: str, where: str) -> Router | None:
        target = name if ":" in name else self.registered(name, where)
        if not target:
            return None
        module, _, attribute = target.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
            self.complain(where, "is no import string", EXAMPLE)
            return None
        imported = self.imported(module, where)
        return self.router(imported, attribute, where) if imported else None

    def registered(self, name: str, where: str) -> str:
        """Gives the import string that is registered under a name, empty after a complaint."""
        known = entry_points(group=GROUP)
        values = {each.value for each in known.select(name=name)}
        if len(values) == 1:
            return values.pop()
        if values:
            self.complain(where, f"several packages register it: {', '.join(sorted(values))}", "name one of these")
        elif (self.folder / f"{name}.py").exists():
            self.complain(where, "is no import string", f"write {name}:router, naming the Router in {name}.py")
        else:
            guess = get_close_matches(name, known.names, n=1)
            self.complain(
                where, "no installed package registers it", f"did you mean {guess[0]!r}?" if guess else EXAMPLE
            )
        return ""

    def imported(self, module: str, where: str) -> ModuleType | None:
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and f"{module}.".startswith(f"{error.name}."):
                files = [path.stem for path in self.folder.glob("*.py")]
                guess = get_close_matches(module, files, n=1)
                cure = f"did you mean {guess[0]}?" if guess else "correct the name, or install the package it is in"
                self.complain(where, f"there is no module {error.name!r} in {self.folder} or installed", cure)
                return None
            self.complain(where, f"cannot be imported: {fault(error)}", "install what it needs, or correct it")
        except (Exception, SystemExit) as error:
            self.complain(where, f"cannot be imported: {fault(error)}", "correct it")
        return None

    def router(self, module: ModuleType, attribute: str, where: str) -> Router | None:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if isinstance(found, Router):
            return found
        routers = [name for name, value in vars(module).items() if isinstance(value, Router)]
        cure = f"write {module.__name__}:{routers[0]}" if routers else 'add router = Router("name") to it'
        if found is None:
            self.complain(where, f"{module.__name__} has no {attribute!r}", cure)
        else:
            self.complain(
                where, f"{attribute!r} in {module.__name__} is no Router, it is a {type(found).__name__}", cure
            )
        return None

    def complain(self, where: str, problem: str, cure: str) -> None:
        self.complaints.append(Complaint(where, problem, cure))
