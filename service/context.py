"""What every command and process starts with: its settings, its accounts, and the store."""

import getpass
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import redis
import typer

from service.embedded import Embedded
from service.errors import CommandError
from workers.errors import StoreUnavailable, suggest
from workers.settings import Account, Budget, Part, Secret, Settings, SettingsError, load
from workers.store.audit import By
from workers.store.client import connect, url_of
from workers.store.failures import NOT_UNDERSTOOD, UnreadableKey, failure, is_wrong_type, known_failure
from workers.store.fleet import Fleet, RunningAccount, read_fleet

Why = Annotated[str, typer.Option("--why", help="The reason, for the audit log (`foxhooks audit`).")]
#: The limits of an account whose budget nobody has published.
DEFAULT_BUDGET = Budget(gets=500, posts=300, window=60.0, lockout=600.0, share=0.9, in_flight=8)

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
    """Load the accounts from a worker's settings or, if those are not set, from a web process's.

    Where neither are set, the accounts are those that processes run.
    """
    try:
        return Accounts(settings_of("worker"), budgets=True)
    except SettingsError:
        with suppress(SettingsError):
            return Accounts(settings_of("web"), budgets=False)
        with suppress(SettingsError, CommandError):
            return _running()
        raise


def _running() -> Accounts:
    """Return the accounts that processes run; raise ``CommandError`` if there are none."""
    settings = settings_of("store")
    with store_of(settings) as client:
        found = accounts_of_fleet(read_fleet(client))
    if not found:
        raise CommandError("no process runs")
    return Accounts(replace(settings, accounts=found), budgets=False)


def as_running(account: Account, running: RunningAccount | None) -> Account:
    """Return an account with the settings that its workers have."""
    if running is None:
        return account
    return replace(
        account,
        budget=running.budget or account.budget,
        dry_run=running.dry_run,
        dry_routers=frozenset(running.dry_routers),
        off_tag=running.off_tag,
        loop_guard=running.loop_guard,
        newest_first=running.setting("FOXHOOKS_NEWEST_FIRST") == "on",
        sweep_minutes=float(running.setting("FOXHOOKS_SWEEP_MINUTES") or account.sweep_minutes),
    )


def accounts_of_fleet(fleet: Fleet) -> Mapping[str, Account]:
    """Return the accounts that processes run, for a command whose own settings name none."""
    names = dict.fromkeys(name for process in fleet.alive for name in process.accounts)
    return {name: as_running(_unknown(name, fleet), fleet.account(name)) for name in names}


def _unknown(name: str, fleet: Fleet) -> Account:
    """Return an account of which only its name and its URL are known."""
    found = [each.accounts[name].setting("HAPPYFOX_URL") for each in fleet.alive if name in each.accounts]
    return Account(
        name=name,
        secrets=(),
        url=next(filter(None, found), ""),
        api_key=Secret(""),
        auth_code=Secret(""),
        staff_id=0,
        budget=DEFAULT_BUDGET,
        timeout=15.0,
        doubt=30.0,
        handlers=(),
        rules=None,
        allow=frozenset(),
        dry_run=False,
        loop_guard=20,
        router_settings={},
    )


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
        if owner := store.owner():
            raise CommandError("; ".join(describe_silence(settings, owner)))
        raise CommandError(f"no store answers in {settings.data}: start `foxhooks up`, or set REDIS_URL")
    return replace(settings, redis_url=store.url)


def describe_silence(settings: Settings, owner: str) -> tuple[str, str]:
    """Describe an embedded store that does not answer although its process ``owner`` runs, and what to do."""
    text = f"the store in {settings.data} does not answer, although `foxhooks up` runs (process {owner})"
    return text, "it is starting, frozen or overloaded: try again, then see what `foxhooks up` has printed"


@contextmanager
def store_of(settings: Settings) -> Iterator[redis.Redis]:
    """Connect to the store; raise ``CommandError`` if it does not answer."""
    located = require_store(settings)
    client = connect(url_of(located.redis_url, located.data), connections=2)
    try:
        client.ping()
        yield client
    except (typer.Exit, typer.Abort):
        raise
    except (redis.RedisError, StoreUnavailable, RuntimeError, *NOT_UNDERSTOOD) as error:
        if isinstance(error, (redis.ResponseError, RuntimeError, *NOT_UNDERSTOOD)) and known_failure(error) is None:
            if corrupt := describe_corrupt(client, settings.accounts, error):
                raise CommandError("\n".join(corrupt)) from error
            raise  # a bug, which needs its traceback
        problem, fix = failure(error, settings.where("REDIS_URL"))
        raise CommandError(f"{problem}; {fix}" if fix else problem) from error
    finally:
        client.close()


def describe_corrupt(client: redis.Redis, accounts: Iterable[str], error: Exception) -> list[str]:
    """Describe the keys that explain an error, each with what to do; none if the error is a bug in foxhooks."""
    # Imported late: few errors need them, and they import what tickets and turns consist of.
    from workers.store.accounts import find_corrupt
    from workers.store.unreadable import find_unreadable

    if isinstance(error, UnreadableKey):
        return [str(error)]
    with suppress(redis.RedisError):
        accounts = list(accounts)
        corrupt = dict(find_corrupt(client, accounts)) if is_wrong_type(error) else {}
        found = [f"the key {key} {what} in the store: repair or delete it" for key, what in corrupt.items()]
        return found or [str(UnreadableKey(key)) for key in find_unreadable(client, accounts)]
    return []


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
