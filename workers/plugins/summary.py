"""What a process publishes about the routers of an account that it has loaded."""

import hmac
import inspect
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec

from workers.plugins.loading import RULES, Loaded
from workers.plugins.router import Handler
from workers.settings import Account
from workers.store.fleet import RunningAccount, RunningHandler, RunningRouter

#: How many characters of a digest are shown.
DIGEST = 12


def summarize(account: Account, loaded: Iterable[Loaded]) -> RunningAccount:
    """Return an account with its settings in force and the routers that were loaded for it."""
    loaded = list(loaded)
    return RunningAccount(
        settings=account.shown,
        budget=account.budget,
        routers=tuple(_router(account, each) for each in loaded),
        dry_run=account.dry_run,
        off_tag=account.off_tag,
        loop_guard=account.loop_guard,
        rules=_digest([_content(account.rules)]) if account.rules else "",
        handlers=digest_handlers(account, loaded),
    )


def _router(account: Account, loaded: Loaded) -> RunningRouter:
    router = loaded.router
    return RunningRouter(
        name=router.name,
        handlers=tuple(map(_handler, router.handlers)),
        grants=tuple(sorted(account.grants.of(router.name))),
        dry_run=account.dry_run or router.name in account.dry_routers,
    )


def _handler(handler: Handler) -> RunningHandler:
    kinds = {kind.partition(" ")[0] for kind in handler.kinds}  # without the name of the handler or timer
    return RunningHandler(handler.name, tuple(sorted(kinds)), handler.every.words if handler.every else "")


def digest_handlers(account: Account, loaded: Iterable[Loaded]) -> str:
    """Return a digest of the code of an account's handlers and of their [router.NAME] tables.

    The code is the files of the modules that define handlers, and of those loaded from the same packages. The tables
    may contain passwords, so the digest is keyed with one that every worker of the account has.
    """
    routers = [each.router for each in loaded if each.router.name != RULES]
    tables = {each.name: account.router_settings.get(each.name, {}) for each in routers}
    code = (_content(path) for path in sorted(_files(handler for each in routers for handler in each.handlers)))
    return _digest((*code, msgspec.json.encode(tables, enc_hook=str)), account.auth_code.reveal()) if routers else ""


def _files(handlers: Iterable[Handler]) -> set[Path]:
    """Return the source files of handlers and of the modules loaded from the same packages, but not of foxhooks."""
    functions = [inspect.unwrap(each.decide) for each in handlers]
    packages = {each.__module__.partition(".")[0] for each in functions} - {"workers", "service"}
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in packages]
    return {Path(file) for module in modules if (file := getattr(module, "__file__", None)) and file.endswith(".py")}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # deleted since it was loaded
        return b""


def _digest(parts: Iterable[bytes], key: str = "") -> str:
    return hmac.new(key.encode(), b"\0".join(sha256(part).digest() for part in parts), sha256).hexdigest()[:DIGEST]
