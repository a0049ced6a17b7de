"""Importing: from one name in FOXHOOKS_HANDLERS to the Router it means, or what is wrong with it and the fix.

A name is an import string `module:router`, or a name that a package registers under the entry-point group
`foxhooks.routers`; what is installed acts only when it is named.
"""

import importlib
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from workers.errors import suggest
from workers.settings import SettingProblem, SettingsError
from workers.turns.plugin.router import Router

GROUP = "foxhooks.routers"

#: The folder that holds foxhooks' own packages.
HOME = Path(__file__).resolve().parents[3]

EXAMPLE = "write module:router, as vip:router for `router` in vip.py"


class LoadError(SettingsError):
    """The routers cannot be loaded; `problems` says what is wrong with each, and its fix."""


def append(folder: Path) -> Iterator[SettingProblem]:
    """Appends a folder to Python's path; complains of modules in it that ours would hide."""
    for name in ("workers", "service"):
        for path in (folder / name, folder / f"{name}.py"):
            if path.exists() and path.resolve() != HOME / name:
                yield SettingProblem(str(path), f"foxhooks itself has a package named {name}", "rename yours")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()


def find(name: str, folder: Path) -> Router:
    """Imports the router that a name means. Raises LoadError."""
    where = f"FOXHOOKS_HANDLERS: {name}"
    module, _, attribute = (name if ":" in name else _registered(name, folder, where)).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise _error(where, "is no import string", EXAMPLE)
    return _router(_imported(module, folder, where), attribute, folder, where)


def fault(error: BaseException) -> str:
    """Tells an exception by its type, its words and the line of the plug-in it came from.

    For loading only: an exception of a handler that runs may hold a customer's words.
    """
    words = error.msg if isinstance(error, SyntaxError) else str(error).partition("\n")[0]
    where = _line(error)
    return type(error).__name__ + (f": {words}" if words else "") + (f" ({where})" if where else "")


def _error(where: str, problem: str, fix: str) -> LoadError:
    return LoadError([SettingProblem(where, problem, fix)])


def _registered(name: str, folder: Path, where: str) -> str:
    """Gives the import string that is registered under a name."""
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
    """Gives the last line in the traceback that lies in the plug-in's own folder, empty when there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    engine = (Path(importlib.__file__).parent, Path(__file__).parent)
    foreign = [each for each in frames if each[0].parent not in engine and not each[0].name.startswith("<")]
    own = [f"{path}:{line}" for path, line in foreign if path.parent == foreign[0][0].parent]
    return own[-1] if own else ""
