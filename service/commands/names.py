"""The names of an account: what it calls its statuses, priorities, staff, categories and fields."""

from typing import Any

import msgspec
import redis

from workers.errors import HappyFoxError, InDoubt, NotNow, Unsent
from workers.governor.governor import Governor
from workers.happyfox.directory import Directory
from workers.happyfox.http import ApiConnection
from workers.happyfox.messages import read
from workers.lanes.lists import LIFE, recall, remember
from workers.lanes.store import Store
from workers.settings import Account


class NoNames(Exception):
    """The names cannot be had now; the text says why."""


def directory_of(client: redis.Redis, account: Account, age: int = LIFE) -> Directory:
    """Gives the account's names: lists in the store that are younger than ``age`` ms, the others by one GET each.

    Raises NoNames.
    """
    names = list(Directory.LISTS)
    with Store(client) as store:
        kept = store.run(recall(account.name, names, age))
        lists = {name: msgspec.json.decode(each) for name, each in zip(names, kept, strict=True) if each is not None}
        if len(lists) < len(names):
            lists |= _asked(store, account, [name for name in names if name not in lists])
    return Directory(**lists)


def _asked(store: Store, account: Account, names: list[str]) -> dict[str, Any]:
    """Asks HappyFox for lists of names, and keeps them in the store."""
    governor = Governor(account.name, account.budget)
    wire = ApiConnection.of(account, governor, store)
    lists: dict[str, Any] = {}
    try:
        for name in names:
            found = read(wire.send(Directory.LISTS[name], class_="interactive"))
            lists[name] = found if isinstance(found, list) else []
            store.run(remember(account.name, name, msgspec.json.encode(lists[name])))
    except (HappyFoxError, NotNow, Unsent, InDoubt) as error:
        raise NoNames(f"HappyFox cannot be asked: {error}") from None
    finally:
        wire.close()
    return lists
