"""Load the routers that FOXHOOKS_HANDLERS names, with their settings; report every problem at once."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import dramatiq
import msgspec

from workers.errors import suggest
from workers.plugins.jobs import ensure_broker
from workers.plugins.router import Router
from workers.settings import Account, Grants, SettingProblem, SettingsError
from workers.settings.parse import quoted

Fitted = TypeVar("Fitted")

#: The entry-point group of routers in installed packages; a router runs only if FOXHOOKS_HANDLERS names it.
GROUP = "foxhooks.routers"

#: The folder that holds foxhooks' own packages.
HOME = Path(__file__).resolve().parents[2]

EXAMPLE = "write module:router, such as vip:router for `router` in vip.py"

ReadRules = Callable[[Path, Grants], Router]
"""Read a rules file with the account's grants as a router; raise LoadError."""

#: The entry in FOXHOOKS_HANDLERS for the rules file, and the name of its router.
RULES = "rules"


class FitError(SettingsError, ValueError):
    """A table does not fit its dataclass."""


class LoadError(SettingsError):
    """The routers cannot be loaded."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A router with its settings."""

    router: Router
    settings: Any
    """An instance of the router's dataclass, or None."""


def load_accounts(accounts: Iterable[Account], folder: Path, read_rules: ReadRules) -> dict[str, list[Loaded]]:
    """Load the routers of each account, in the order of FOXHOOKS_HANDLERS. Raise LoadError with every problem.

    `folder` is appended to Python's path. The name `rules` loads the account's rules file. Accounts share the
    `[router.NAME]` tables: a table is unknown only if no account loads its router.
    """
    accounts = list(accounts)
    tables = {name: table for each in accounts for name, table in each.router_settings.items()}
    loading = _Loading(tables, folder, read_rules)
    loaded = {account.name: loading.load(account) for account in accounts}
    loading.finish(accounts)
    return loaded


def settings_of(router: Router, table: Mapping[str, Any]) -> Any:
    """Return the router's settings from its table, or None if it has no dataclass. Raise FitError."""
    where = f"router.{router.name}"
    if router.settings is not None:
        return fit(table, router.settings, where)
    if table:
        raise FitError([SettingProblem(where, f"router {router.name} takes no settings", "remove the table")])
    return None


@dataclass
class _Loading:
    """Load the routers of all accounts and collect problems."""

    tables: Mapping[str, Mapping[str, Any]]
    folder: Path
    read_rules: ReadRules
    problems: list[SettingProblem] = field(default_factory=list)
    loaded: dict[object, Loaded | None] = field(default_factory=dict)
    routers: set[str] = field(default_factory=set)
    incomplete: bool = False
    """Whether a router could not be loaded, so unknown tables and grants may belong to it."""

    def load(self, account: Account) -> list[Loaded]:
        if any(":" in name for name in account.handlers):
            self.problems += add_to_path(self.folder)
        found: dict[str, Loaded] = {}
        for name in account.handlers:
            rules = account.rules if name == RULES else None
            key = (name, rules, account.grants if rules else None)
            if key not in self.loaded:
                self.loaded[key] = self.load_one(name, account)
            if loaded := self.loaded[key]:
                if loaded.router.name in found:
                    problem = f"another router is named {loaded.router.name!r}"
                    self.report(
                        f"{account.where('FOXHOOKS_HANDLERS')}: {name}", problem, "remove or rename one of them"
                    )
                found[loaded.router.name] = loaded
        return list(found.values())

    def load_one(self, name: str, account: Account) -> Loaded | None:
        try:
            if name == RULES and account.rules:
                self.routers.add(RULES)
                router = self.read_rules(account.rules, account.grants)
            else:
                router = import_router(name, self.folder, account.where("FOXHOOKS_HANDLERS"))
        except LoadError as error:
            self.problems += error.problems
            self.incomplete = self.incomplete or name != RULES
            return None
        self.routers.add(router.name)
        try:
            return Loaded(router, settings_of(router, self.tables.get(router.name, {})))
        except FitError as error:
            self.problems += error.problems
        except Exception as error:  # noqa: BLE001 - the dataclass is a plug-in's code and may raise anything
            self.report(
                f"router.{router.name}", f"its dataclass raised {_describe(error)}", "fix the table or the dataclass"
            )
        return None

    def finish(self, accounts: Iterable[Account]) -> None:
        """Report settings for unknown routers, unless a router failed to load; raise LoadError."""
        named = {(name, f"router.{name}", f"no router {quoted(name)} is loaded") for name in self.tables}
        for account in accounts:
            named |= {
                (
                    router,
                    account.where("FOXHOOKS_ALLOW"),
                    f"{permission} is granted to {quoted(router)}, which is not loaded",
                )
                for router, permission in account.allow
            }
            dry_run = account.where("FOXHOOKS_DRY_RUN")
            named |= {(name, dry_run, f"no router {quoted(name)} is loaded") for name in account.dry_routers}
        for router, where, problem in sorted(named):
            if router not in self.routers and not self.incomplete:
                self.report(where, problem, suggest(router, self.routers))
        if self.problems:
            raise LoadError(dict.fromkeys(self.problems))

    def report(self, where: str, problem: str, fix: str) -> None:
        self.problems.append(SettingProblem(where, problem, fix))


def add_to_path(folder: Path) -> Iterator[SettingProblem]:
    """Append a folder to Python's path; yield a problem for each module that foxhooks would hide."""
    for name in ("workers", "service"):
        for path in (folder / name, folder / f"{name}.py"):
            if path.exists() and path.resolve() != HOME / name:
                yield SettingProblem(str(path), f"the name {name} is used by foxhooks itself", "rename it")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()


def import_router(name: str, folder: Path, setting: str = "FOXHOOKS_HANDLERS") -> Router:
    """Import a router by `module:router` or by its entry-point name, which ``setting`` names. Raise LoadError."""
    where = f"{setting}: {name}"
    module, _, attribute = (name if ":" in name else _entry_point(name, folder, where)).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise _error(where, "is not an import string", EXAMPLE)
    return _router_in(_import(module, folder, where), attribute, folder, where)


def _describe(error: BaseException) -> str:
    """Return the type, message and plug-in line of an exception.

    Only for loading: an exception from a running handler may quote a customer.
    """
    message = error.msg if isinstance(error, SyntaxError) else str(error).partition("\n")[0]
    where = _plugin_line(error)
    return type(error).__name__ + (f": {message}" if message else "") + (f" ({where})" if where else "")


def _error(where: str, problem: str, fix: str) -> LoadError:
    return LoadError([SettingProblem(where, problem, fix)])


def _entry_point(name: str, folder: Path, where: str) -> str:
    """Return the import string that a package registers under a name."""
    known = entry_points(group=GROUP)
    values = sorted({each.value for each in known.select(name=name)})
    if len(values) == 1:
        return values[0]
    if values:
        raise _error(where, f"several packages register it: {', '.join(values)}", "use one of these instead")
    if (folder / f"{name}.py").exists():
        raise _error(where, "is not an import string", f"write {name}:router, for `router` in {name}.py")
    raise _error(where, "no installed package registers this name", suggest(name, known.names, EXAMPLE))


def _import(module: str, folder: Path, where: str) -> ModuleType:
    ensure_broker()
    broker = dramatiq.get_broker()
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            here = [path.stem for path in folder.glob("*.py")]
            fix = suggest(module, here, "correct the name, or install its package")
            problem = f"no module {quoted(error.name)} in {folder} or installed"
            raise _error(where, problem, fix) from error
        raise _error(where, f"cannot be imported: {_describe(error)}", "fix the module") from error
    if dramatiq.get_broker() is not broker:
        dramatiq.set_broker(broker)
        raise _error(where, "sets Dramatiq's broker, but foxhooks has its own", "remove dramatiq.set_broker from it")
    return imported


def _router_in(module: ModuleType, attribute: str, folder: Path, where: str) -> Router:
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Router):
        return found
    name = module.__name__
    yours = folder / f"{name}.py"
    if yours.exists() and Path(module.__file__ or "").resolve() != yours.resolve():
        raise _error(
            where, f"{name} is already the module {module.__file__ or 'of Python itself'}", f"rename {yours.name}"
        )
    routers = [key for key, value in vars(module).items() if isinstance(value, Router)]
    fix = f"write {name}:{routers[0]}" if routers else f'add router = Router("{name.replace("_", "-")}") to it'
    if found is None:
        raise _error(where, f"{name} has no {attribute!r}", fix)
    raise _error(where, f"{attribute!r} in {name} is a {type(found).__name__}, not a Router", fix)


def _plugin_line(error: BaseException) -> str:
    """Return the last line of the traceback in the plug-in's own folder, or an empty string."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    engine = (Path(importlib.__file__).parent, Path(__file__).parent)
    external = [each for each in frames if each[0].parent not in engine and not each[0].name.startswith("<")]
    own = [f"{path}:{line}" for path, line in external if path.parent == external[0][0].parent]
    return own[-1] if own else ""


def fit(table: object, into: type[Fitted], where: str) -> Fitted:
    """Convert a table to the dataclass `into`; `where` names the table in problems. Raise FitError.

    Fields may have types that msgspec converts, nested dataclasses, or types with a class method
    `from_settings(value, where, *type_arguments)`.
    """
    if not isinstance(table, Mapping):
        raise FitError([SettingProblem(where, "is not a table", 'write it as { name = "value" }')])
    members = {each.name: each for each in fields(into) if each.init}  # type: ignore[arg-type]
    types = get_type_hints(into)
    problems = [
        SettingProblem(where, f"no setting {name!r}", suggest(name, members)) for name in table if name not in members
    ]
    values = {}
    for name, member in members.items():
        try:
            if name in table:
                values[name] = _convert(table[name], types[name], f"{where}, {name}")
            elif member.default is MISSING and member.default_factory is MISSING:
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


def _convert(value: object, target: Any, where: str) -> Any:
    kind = get_origin(target) or target
    if hasattr(kind, "from_settings"):
        return kind.from_settings(value, where, *get_args(target))
    if isinstance(kind, type) and is_dataclass(kind):
        return fit(value, kind, where)
    try:
        # Not strict: values in the environment are strings, even for numbers.
        return msgspec.convert(value, target, strict=False, dec_hook=lambda kind, given: kind(given))
    except msgspec.ValidationError as error:
        problem = str(error)
        raise FitError([SettingProblem(where, problem[:1].lower() + problem[1:], "correct it")]) from error
