"""Where values come from: the environment, which wins, and foxhooks.toml."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from workers.settings.model import Origin, SettingProblem
from workers.settings.parse import InvalidValueError, printable, text, words
from workers.settings.table import ALLOW, CONFIG, Setting

Table = Mapping[str, Any]

#: A path after "file:" is absolute or begins with "./" or "../", so that a URL, "file:///", stays a text.
_FILE = re.compile(r"file:(\.{0,2}/(?!/).*)")
_REFERENCE = re.compile(r"env:\s*([A-Z_][A-Z0-9_]*)\s*")
_OLD_ROUTER_TABLE = re.compile(r"\s*\[\[?\s*handlers\s*\.")


@dataclass(frozen=True, slots=True)
class GivenValue:
    """A value as given."""

    value: object
    where: str
    base: Path
    """The folder that a relative path starts from."""
    _: KW_ONLY
    origin: Origin
    in_file: bool = True
    warning: SettingProblem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """The parts of foxhooks.toml; all empty without a file."""

    path: Path | None = None
    top: Table = field(default_factory=dict)
    accounts: Mapping[str, Table] = field(default_factory=dict)
    routers: Mapping[str, Table] = field(default_factory=dict)
    """By the key of the table, for example `router.crm` (or `handlers.crm`, the old form)."""
    hooks: Mapping[str, Table] = field(default_factory=dict)
    alerts: object = field(default_factory=list)
    """The tables [[alert]], as they are written."""
    clients: Mapping[str, Table] = field(default_factory=dict)
    not_tables: tuple[str, ...] = ()
    """The names of accounts, routers, hooks and clients whose value is not a table."""
    problem: SettingProblem | None = None
    """Why the file cannot be read at all."""

    @property
    def name(self) -> str:
        """Return the name used in messages."""
        return self.path.name if self.path else "foxhooks.toml"

    def where(self, key: str) -> str:
        """Return how messages name a key of the file."""
        return f"{printable(key)} ({self.name})"


@dataclass(frozen=True, slots=True)
class Sources:
    """The environment and the file together."""

    environ: Mapping[str, str]
    folder: Path
    file: SettingsFile

    def find(self, setting: Setting, account: str | None = None) -> GivenValue | None:
        """Return the most specific value given: the environment's, the account's own, the one at the top."""
        for variable in setting.variables:
            if is_given(value := self.environ.get(variable), setting.blank):
                where = f"{variable} (environment)"
                warning = _old_name(setting, variable, setting.variable, where)
                return GivenValue(value, where, self.folder, in_file=False, warning=warning, origin=Origin(variable))
        base = self.file.path.parent if self.file.path else self.folder
        in_account = (setting.account_keys, self.file.accounts.get(account or "", {}), f"accounts.{account}")
        for keys, table, name in (in_account, (setting.top_keys, self.file.top, "")):
            for key in keys:
                if is_given(value := table.get(key), setting.blank):
                    origin = Origin(key, self.file.name, printable(name), has_members=isinstance(value, Mapping))
                    where = self.file.where(f"{name}.{key}" if name else key)
                    warning = _old_name(setting, key, setting.key, where)
                    return GivenValue(value, where, base, warning=warning, origin=origin)
        return None

    def origin(self, setting: Setting, account: str | None = None) -> Origin:
        """Return where the value in force is defined; without one, where to define it."""
        if found := self.find(setting, account):
            reference = _REFERENCE.fullmatch(found.value) if found.in_file and isinstance(found.value, str) else None
            return Origin(reference[1]) if reference else found.origin
        if setting.scope == "account" and account in self.file.accounts:
            return Origin(setting.key, self.file.name, printable(f"accounts.{account}"))
        if setting is ALLOW and self.file.path:
            return Origin("permissions", self.file.name, has_members=True)
        return Origin(setting.variable)

    def resolve(self, given: GivenValue) -> object:
        """Return the value with each "file:PATH" replaced by that file's text, and each "env:NAME" by that variable.

        Only the settings file may refer to variables. A relative path starts from ``given.base``.
        """
        if given.in_file:
            return self._resolved(given.value, given.base)
        return _content(given.value, given.base) if _names_file(given.value) else given.value

    def _resolved(self, value: object, base: Path) -> object:
        if isinstance(value, str) and value.startswith("env:"):
            found = self.variable(value.removeprefix("env:").strip())
            return _content(found, self.folder) if _names_file(found) else found
        if _names_file(value):
            return _content(value, base)
        if isinstance(value, dict):
            return {key: self._resolved(item, base) for key, item in value.items()}
        if isinstance(value, list):
            return [item for given in value for item in self._spread(given, base)]
        return value

    def _spread(self, item: object, base: Path) -> list[object]:
        """Split a variable or file in a list at its commas, because there are several keys while one is rotated."""
        resolved = self._resolved(item, base)
        if isinstance(item, str) and isinstance(resolved, str) and (item.startswith("env:") or _names_file(item)):
            return words(resolved)
        return [resolved]

    def variable(self, name: str) -> str:
        """Return the value of a variable that the file names."""
        value = self.environ.get(name, "")
        if not value.strip():
            # A name of another form may be a key that was pasted here by mistake.
            shown = name if re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) else "the variable named after env:"
            raise InvalidValueError(f"is read from {shown}, which is not set", f"set {shown}")
        return value


def _names_file(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _FILE.fullmatch(value.strip()) is not None


def _content(value: str, base: Path) -> str:
    """Return the text of the file that "file:PATH" names, as Docker and Kubernetes mount secrets."""
    path = base / value.strip().removeprefix("file:")
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a UTF-8 text"
        raise InvalidValueError(
            f"is read from the file {printable(str(path))}, which cannot be read: {reason}",
            "check the path after file: and the rights of this process",
        ) from None
    if not found:
        raise InvalidValueError(f"is read from the file {printable(str(path))}, which is empty", "fill it")
    return found


def _old_name(setting: Setting, given: str, current: str, where: str) -> SettingProblem | None:
    if not setting.renamed or not setting.is_old(given):
        return None
    problem = f"was renamed in {setting.renamed.since}, and the next release will reject this name"
    return SettingProblem(where, problem, f"write {current}")


def references(value: object) -> Iterator[str]:
    """Yield the variables named by "env:NAME" anywhere in a value."""
    if isinstance(value, str) and value.startswith("env:"):
        yield value.removeprefix("env:").strip()
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from references(item)


def is_given(value: object, blank: bool = False) -> bool:
    """Return whether a value is given; a blank text, such as `HAPPYFOX_URL=` in an env file, counts with `blank`."""
    return value is not None and (blank or not isinstance(value, str) or bool(value.strip()))


def read_file(environ: Mapping[str, str], folder: Path) -> SettingsFile:
    """Read the file FOXHOOKS_CONFIG names, else foxhooks.toml in *folder* if it exists."""
    given = environ.get(CONFIG.variable)
    where = f"{CONFIG.variable} (environment)" if is_given(given) else "foxhooks.toml"
    path, content = None, ""
    try:
        path = folder / (text(given) if is_given(given) else "foxhooks.toml")
        if not is_given(given) and not path.exists():
            return SettingsFile()
        content = path.read_text(encoding="utf-8-sig")
        return _divide(path, tomllib.loads(content))
    except InvalidValueError as invalid:
        problem = SettingProblem(where, invalid.problem, invalid.fix)
    except UnicodeDecodeError as error:
        problem = SettingProblem(where, f"is not valid UTF-8 (at byte {error.start})", "save the file as UTF-8")
    except OSError as error:
        fix = f"check that {str(path)!a} is a file this process may read"
        problem = SettingProblem(where, f"cannot be read: {error.strerror}", fix)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        row = content.splitlines()[int(line[1]) - 1] if line else ""
        fix = "write [router.NAME] instead of [handlers.NAME]" if _OLD_ROUTER_TABLE.match(row) else "correct that line"
        problem = SettingProblem(path.name if path else where, f"is not valid TOML: {error}", fix)
    return SettingsFile(path=path, problem=problem)


def _divide(path: Path, parsed: dict[str, Any]) -> SettingsFile:
    alerts = parsed.pop("alert", [])
    groups = {name: parsed.pop(name, {}) for name in ("accounts", "router", "hooks", "clients")}
    if isinstance(parsed.get("handlers"), dict):
        groups["handlers"] = parsed.pop("handlers")
    accounts: dict[str, Table] = {}
    routers: dict[str, Table] = {}
    hooks: dict[str, Table] = {}
    clients: dict[str, Table] = {}
    not_tables: list[str] = []
    for group, tables in groups.items():
        if not isinstance(tables, dict):
            not_tables.append(group)
            continue
        for name, table in tables.items():
            if not isinstance(table, dict):
                not_tables.append(f"{group}.{name}")
            elif group == "accounts":
                accounts[name] = table
            elif group == "hooks":
                hooks[name] = table
            elif group == "clients":
                clients[name] = table
            else:
                routers[f"{group}.{name}"] = table
    return SettingsFile(
        path=path,
        top=parsed,
        accounts=accounts,
        routers=routers,
        hooks=hooks,
        clients=clients,
        alerts=alerts,
        not_tables=tuple(not_tables),
    )
