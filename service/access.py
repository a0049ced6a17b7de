"""What every command and process begins with: the settings of its part, and the store, if it answers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from service.embedded import Embedded
from service.failures import CommandError
from workers.lanes.store import connect, url_of
from workers.settings import Part, Settings, SettingsError, load


def settings_of(part: Part) -> Settings:
    """Loads the settings a part reads, from the environment and the current folder."""
    return load(part, os.environ, Path.cwd())


@dataclass(frozen=True, slots=True)
class Accounts:
    """The settings of the part that could be read here, and whether they hold the budgets."""

    settings: Settings
    budgets: bool


def accounts_of() -> Accounts:
    """Loads the accounts for looking at them, from what a worker reads or, where that is not set, a web process."""
    try:
        return Accounts(settings_of("worker"), budgets=True)
    except SettingsError as wrong:
        try:
            return Accounts(settings_of("web"), budgets=False)
        except SettingsError:
            raise wrong from None


def require_store(settings: Settings) -> Settings:
    """Gives the settings with the store's address in them: REDIS_URL, or the embedded store's if it answers.

    Raises ``CommandError`` when that does not. A server named by REDIS_URL may be away; the parts wait.
    """
    if settings.redis_url is not None:
        return settings
    store = Embedded(settings.data)
    if store.answer() is None:
        raise CommandError(f"no store answers in {settings.data}: start `foxhooks up`, or set REDIS_URL")
    return replace(settings, redis_url=store.url)


@contextmanager
def store_of(settings: Settings) -> Iterator[redis.Redis]:
    """Gives a client of the store; one that does not answer is a ``CommandError``."""
    located = require_store(settings)
    client = connect(url_of(located.redis_url, located.data), connections=2)
    try:
        client.ping()
        yield client
    except redis.exceptions.ConnectionError as error:
        raise CommandError(
            f"the store does not answer ({type(error).__name__}): check REDIS_URL and the server"
        ) from error
    finally:
        client.close()
        client.connection_pool.disconnect()
