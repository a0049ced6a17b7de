"""What every command and process starts with: its settings, its accounts, and the store."""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import redis
import typer

from service.embedded import Embedded
from service.errors import CommandError
from workers.errors import StoreUnavailable, suggest
from workers.settings import Account, Part, Settings, SettingsError, load
from workers.store.accounts import find_corrupt
from workers.store.audit import By
from workers.store.client import connect, url_of
from workers.store.failures import failure, known_failure

Why = Annotated[str, typer.Option("--why", help="The reason, for the audit log (`foxhooks audit`).")]
AccountName = Annotated[str, typer.Option("--account", help="Name of the account, if there are several.")]


def settings_of(part: Part) -> Settings:
    """Load the settings of a part from the environment and the current folder."""
    return load(part, os.environ, Path.cwd())


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts that a command can look at."""

    settings: Settings
    budgets: bool
    """Whether the settings are those of a worker, which include handlers and call budgets."""

    def chosen(self, name: str) -> list[Account]:
        """Return the account of that name, or all without one."""
        return [one_account(self.settings, name)] if name else list(self.settings.accounts.values())


def accounts_of() -> Accounts:
    """Load the accounts from a worker's settings or, if those are not set, from a web process's."""
    try:
        return Accounts(settings_of("worker"), budgets=True)
    except SettingsError as wrong:
        try:
            return Accounts(settings_of("web"), budgets=False)
        except SettingsError:
            raise wrong from None


def one_account(settings: Settings, name: str) -> Account:
    """Return the account of that name, or the only one there is."""
    if not name and len(settings.accounts) > 1:
        raise CommandError(f"there are several accounts: choose one with --account, of {', '.join(settings.accounts)}")
    name = name or next(iter(settings.accounts))
    if name not in settings.accounts:
        raise CommandError(f"there is no account {name!r}; {suggest(name, settings.accounts)}")
    return settings.accounts[name]


def require_store(settings: Settings) -> Settings:
    """Return the settings with the store's address: REDIS_URL, or that of the embedded store if it answers.

    Raises ``CommandError`` if it does not answer. A server named by REDIS_URL may be down; the processes wait for it.
    """
    if settings.redis_url is not None:
        return settings
    store = Embedded(settings.data)
    if store.answer() is None:
        raise CommandError(f"no store answers in {settings.data}: start `foxhooks up`, or set REDIS_URL")
    return replace(settings, redis_url=store.url)


@contextmanager
def store_of(settings: Settings) -> Iterator[redis.Redis]:
    """Connect to the store; raise ``CommandError`` if it does not answer."""
    located = require_store(settings)
    client = connect(url_of(located.redis_url, located.data), connections=2)
    try:
        client.ping()
        yield client
    except (redis.RedisError, StoreUnavailable, RuntimeError) as error:
        if isinstance(error, redis.ResponseError | RuntimeError) and known_failure(error) is None:
            if _is_about_types(error) and (corrupt := find_corrupt(client, settings.accounts)):
                texts = [f"the key {key} {what} in the store: repair or delete it" for key, what in corrupt]
                raise CommandError("\n".join(texts)) from error
            raise  # a bug, which needs its traceback
        problem, fix = failure(error, settings.where("REDIS_URL"))
        raise CommandError(f"{problem}; {fix}" if fix else problem) from error
    finally:
        client.connection_pool.disconnect()


def _is_about_types(error: Exception) -> bool:
    return any(word in str(error) for word in ("WRONGTYPE", "wrong kind of value", "CORRUPT"))


def acting(why: str = "") -> By:
    """Return who does something with a command, for the audit log."""
    return By(current_user(), why=why)


def current_user() -> str:
    """Return the current user and machine; a container may not know the name of its user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "an unknown user"
    return f"{name} on {socket.gethostname()}"
