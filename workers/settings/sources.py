"""Where values come from: the environment, which wins, and foxhooks.toml."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.settings.complaints import Complaint, UnfitError
from workers.settings.names import plain
from workers.settings.readers import text
from workers.settings.setting import Setting
from workers.settings.table import CONFIG

Table = Mapping[str, Any]

_ROUTER_HEADER = re.compile(r"^([ \t]*\[\[?[ \t]*)handlers([ \t]*\.)", re.MULTILINE)
_ROUTERS = "handlers of routers"
"""What [handlers.NAME] is called inside, see `_parse`; no key a person writes."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value as given, where it stands, and the folder a relative path in it starts from."""

    value: object
    where: str
    base: Path
    in_file: bool = True


@dataclass(frozen=True, slots=True)
class File:
    """foxhooks.toml in its four parts; all empty without a file."""

    path: Path | None = None
    top: Table = field(default_factory=dict)
    accounts: Mapping[str, Table] = field(default_factory=dict)
    routers: Mapping[str, Table] = field(default_factory=dict)
    no_tables: tuple[str, ...] = ()
    """What should be a table of an account or a router and is none."""
    complaint: Complaint | None = None
    """Why the file cannot be read at all."""

    @property
    def name(self) -> str:
        """The name complaints call it by."""
        return self.path.name if self.path else "foxhooks.toml"


@dataclass(frozen=True, slots=True)
class Sources:
    """The environment and the file together."""

    environ: Mapping[str, str]
    folder: Path
    file: File

    def find(self, setting: Setting, account: str | None = None) -> Found | None:
        """Returns the value that counts: environment, then the account's table, then the top of the file."""
        given = _there if setting.blank else _given
        if given(value := self.environ.get(setting.variable)):
            return Found(value, f"{setting.variable} (environment)", self.folder, in_file=False)
        base = self.file.path.parent if self.file.path else self.folder
        table = self.file.accounts.get(account, {}) if account else {}
        for key in setting.account_keys:
            if given(value := table.get(key)):
                return Found(value, f"{plain(f'accounts.{account}.{key}')} ({self.file.name})", base)
        for key in setting.top_keys:
            if given(value := self.file.top.get(key)):
                return Found(value, f"{key} ({self.file.name})", base)
        return None

    def resolve(self, found: Found) -> object:
        """Returns the value with each "env:NAME" in it replaced by that variable; only a file may say so."""
        return self._resolved(found.value) if found.in_file else found.value

    def _resolved(self, value: object) -> object:
        if isinstance(value, str) and value.startswith("env:"):
            return self._variable(value.removeprefix("env:").strip())
        if isinstance(value, dict):
            return {key: self._resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [item for given in value for item in self._spread(given)]
        return value

    def _spread(self, item: object) -> list[object]:
        """In a list a variable may hold several values between commas, as while a signing key is rotated."""
        resolved = self._resolved(item)
        if isinstance(item, str) and isinstance(resolved, str) and item.startswith("env:"):
            return [word for word in resolved.split(",") if word.strip()]
        return [resolved]

    def _variable(self, name: str) -> str:
        value = self.environ.get(name, "")
        if not value.strip():
            # Anything but a common name may be a key somebody wrote here by mistake.
            shown = name if re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) else "the variable named after env:"
            raise UnfitError(f"is read from {shown}, which is not set", f"set {shown}")
        return value


def references(value: object) -> set[str]:
    """Returns the variables named by "env:NAME" anywhere in a value."""
    if isinstance(value, str) and value.startswith("env:"):
        return {value.removeprefix("env:").strip()}
    if isinstance(value, Mapping):
        return {name for item in value.values() for name in references(item)}
    if isinstance(value, list):
        return {name for item in value for name in references(item)}
    return set()


def read_file(environ: Mapping[str, str], folder: Path) -> File:
    """Reads the file FOXHOOKS_CONFIG names, else foxhooks.toml in *folder* if there is one."""
    given = environ.get(CONFIG.variable)
    where = f"{CONFIG.variable} (environment)" if _given(given) else "foxhooks.toml"
    try:
        path = folder / (text(given) if _given(given) else "foxhooks.toml")
        if not _given(given) and not path.exists():
            return File()
        parsed = _parse(path.read_text(encoding="utf-8-sig"))
    except UnfitError as unfit:
        return _unreadable(None, where, unfit.problem, unfit.cure)
    except UnicodeDecodeError as error:
        return _unreadable(path, where, f"is not valid UTF-8 (at byte {error.start})", "save the file as UTF-8")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        return _unreadable(path, where, problem, f"check that {str(path)!a} is a file this process may read")
    except tomllib.TOMLDecodeError as error:
        problem = f"is not valid TOML: {str(error).replace(_ROUTERS, 'handlers')}"
        return _unreadable(path, path.name, problem, "correct that line")
    return _divide(path, parsed)


def _parse(content: str) -> dict[str, Any]:
    """Parses the file. `handlers = [...]` and [handlers.NAME] may stand in one file, which TOML refuses;
    then the tables are parsed under another name, each on its own line as before.
    """
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError:
        return tomllib.loads(_ROUTER_HEADER.sub(rf'\1"{_ROUTERS}"\2', content))


def _divide(path: Path, parsed: dict[str, Any]) -> File:
    routers = parsed.pop(_ROUTERS, {})
    if isinstance(parsed.get("handlers"), dict):
        routers = parsed.pop("handlers")
    accounts = parsed.pop("accounts", {})
    no_tables = (*_no_tables("accounts", accounts), *_no_tables("handlers", routers))
    return File(path, parsed, _tables(accounts), _tables(routers), no_tables)


def _no_tables(name: str, value: object) -> Iterator[str]:
    if not isinstance(value, dict):
        yield name
    else:
        yield from (f"{name}.{key}" for key, item in value.items() if not isinstance(item, dict))


def _tables(value: object) -> dict[str, Table]:
    tables = value if isinstance(value, dict) else {}
    return {key: table for key, table in tables.items() if isinstance(table, dict)}


def _unreadable(path: Path | None, setting: str, problem: str, cure: str) -> File:
    return File(path, complaint=Complaint(setting, problem, cure))


def _there(value: object) -> bool:
    return value is not None


def _given(value: object) -> bool:
    """A blank text counts as not given: `HAPPYFOX_URL=` in an env file is how people unset a variable."""
    return value is not None and not (isinstance(value, str) and not value.strip())
