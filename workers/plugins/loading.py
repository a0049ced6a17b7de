"""Load the routers that FOXHOOKS_HANDLERS names, with their settings; report every problem at once."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from workers.errors import suggest
from workers.plugins.router import Router
from workers.settings import Account, SettingProblem, SettingsError

Fitted = TypeVar("Fitted")


class FitError(ValueError):
    """A table does not fit; `str()` lists every problem, one per line."""

    def __init__(self, problems: Iterable[SettingProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def complaints(self) -> tuple[SettingProblem, ...]:
        """Return the problems, under the name that `service` still uses."""
        return self.problems


def fit(table: object, into: type[Fitted], where: str) -> Fitted:
    """Make an instance of the dataclass `into` of a table; `where` names the table in problems.

    Members may be whatever msgspec converts, dataclasses again, or types with a class method
    `from_settings(value, where, *type_arguments)`. Raises FitError.
    """
    if not isinstance(table, Mapping):
        raise FitError([SettingProblem(where, "is not a table", 'write it as { name = "value" }')])
    members = {each.name: each for each in fields(into) if each.init}  # type: ignore[arg-type]
    events = get_type_hints(into)
    problems = [
        SettingProblem(where, f"no setting {name!r}", suggest(name, members)) for name in table if name not in members
    ]
    values = {}
    for name, member in members.items():
        try:
            if name in table:
                values[name] = _value(table[name], events[name], f"{where}, {name}")
            elif _needed(member):
                raise FitError([SettingProblem(where, f"{name} is missing", f"add {name} = ...")])
        except FitError as unfit:
            problems += unfit.problems
    if problems:
        raise FitError(problems)
    try:
        return into(**values)
    except FitError:
        raise
    except (TypeError, ValueError) as error:
        problem, _, fix = str(error).partition("; ")
        raise FitError([SettingProblem(where, problem, fix or "correct it")]) from error


def _needed(member: "Field[Any]") -> bool:
    return member.default is MISSING and member.default_factory is MISSING


def _value(value: object, event: Any, where: str) -> Any:
    kind = get_origin(event) or event
    if hasattr(kind, "from_settings"):
        return kind.from_settings(value, where, *get_args(event))
    if isinstance(kind, type) and is_dataclass(kind):
        return fit(value, kind, where)
    try:
        # Not strict: a value that stands in the environment is a text, also where a number is meant.
        return msgspec.convert(value, event, strict=False, dec_hook=lambda kind, given: kind(given))
    except msgspec.ValidationError as error:
        problem = str(error)
        raise FitError([SettingProblem(where, problem[:1].lower() + problem[1:], "correct it")]) from error


# Importing: from one name in FOXHOOKS_HANDLERS to the Router it means, or what is wrong with it and the fix.
#
# A name is an import string `module:router`, or a name that a package registers under the entry-point group
# `foxhooks.routers`; what is installed acts only when it is named.


GROUP = "foxhooks.routers"

#: The folder that holds foxhooks' own packages.
HOME = Path(__file__).resolve().parents[2]

EXAMPLE = "write module:router, as vip:router for `router` in vip.py"


class LoadError(SettingsError):
    """The routers cannot be loaded; `problems` says what is wrong with each, and its fix."""


def append(folder: Path) -> Iterator[SettingProblem]:
    """Append a folder to Python's path; complains of modules in it that ours would hide."""
    for name in ("workers", "service"):
        for path in (folder / name, folder / f"{name}.py"):
            if path.exists() and path.resolve() != HOME / name:
                yield SettingProblem(str(path), f"foxhooks itself has a package named {name}", "rename yours")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()


def find(name: str, folder: Path) -> Router:
    """Import the router that a name means. Raises LoadError."""
    where = f"FOXHOOKS_HANDLERS: {name}"
    module, _, attribute = (name if ":" in name else _registered(name, folder, where)).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise _error(where, "is no import string", EXAMPLE)
    return _router(_imported(module, folder, where), attribute, folder, where)


def fault(error: BaseException) -> str:
    """Return an exception by its type, its words and the line of the plug-in it came from.

    For loading only: an exception of a handler that runs may hold a customer's words.
    """
    words = error.msg if isinstance(error, SyntaxError) else str(error).partition("\n")[0]
    where = _line(error)
    return type(error).__name__ + (f": {words}" if words else "") + (f" ({where})" if where else "")


def _error(where: str, problem: str, fix: str) -> LoadError:
    return LoadError([SettingProblem(where, problem, fix)])


def _registered(name: str, folder: Path, where: str) -> str:
    """Return the import string that is registered under a name."""
    known = entry_points(group=GROUP)
    values = sorted({each.value for each in known.select(name=name)})
    if len(values) == 1:
        return values[0]
    if values:
        raise _error(where, f"several packages register it: {', '.join(values)}", "write one of these instead")
    if (folder / f"{name}.py").exists():
        raise _error(where, "is no import string", f"write {name}:router, for `router` in {name}.py")
    raise _error(where, "no installed package registers this name", suggest(name, known.names, EXAMPLE))


def _imported(module: str, folder: Path, where: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            here = [path.stem for path in folder.glob("*.py")]
            fix = suggest(module, here, "correct the name, or install the package it is in")
            problem = f"there is no module {error.name!r} in {folder} or installed"
            raise _error(where, problem, fix) from error
        raise _error(where, f"cannot be imported: {fault(error)}", "correct it") from error


def _router(module: ModuleType, attribute: str, folder: Path, where: str) -> Router:
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Router):
        return found
    name = module.__name__
    yours = folder / f"{name}.py"
    if yours.exists() and Path(module.__file__ or "").resolve() != yours.resolve():
        raise _error(where, f"{name} is taken by {module.__file__ or 'Python itself'}", f"rename your {yours.name}")
    routers = [key for key, value in vars(module).items() if isinstance(value, Router)]
    fix = f"write {name}:{routers[0]}" if routers else f'add router = Router("{name.replace("_", "-")}") to it'
    if found is None:
        raise _error(where, f"{name} has no {attribute!r}", fix)
    raise _error(where, f"{attribute!r} in {name} is no Router but a {type(found).__name__}", fix)


def _line(error: BaseException) -> str:
    """Return the last line in the traceback that lies in the plug-in's own folder, empty when there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    engine = (Path(importlib.__file__).parent, Path(__file__).parent)
    external = [each for each in frames if each[0].parent not in engine and not each[0].name.startswith("<")]
    own = [f"{path}:{line}" for path, line in external if path.parent == external[0][0].parent]
    return own[-1] if own else ""


__all__ = ["LoadError", "Loaded", "ReadRules", "load_accounts", "settings_of"]

ReadRules = Callable[[Path, frozenset[tuple[str, str]]], Router]
"""Make a router of a rules file and the account's grants; raises LoadError."""

#: The name among the handlers that stands for the rules file, and the name of its router.
RULES = "rules"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A router with its settings: an instance of the dataclass it asked for, else None."""

    router: Router
    settings: Any


def load_accounts(accounts: Iterable[Account], folder: Path, read_rules: ReadRules) -> dict[str, list[Loaded]]:
    """Load the routers of several accounts by the account's name, in the order of their names.

    `folder` is appended to Python's path. The name `rules` stands for the account's rules file. The `[router.NAME]`
    tables are common to all: one is unknown only when no account loads its router.
    Raise LoadError with every problem.
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
    """Make the router's settings of its table; None when it asked for none. Raises FitError."""
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
        """Report what is for unknown routers, unless one that was not found may be meant; raises LoadError."""
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
