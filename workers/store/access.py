"""Prove what the store's user may do, without touching any data.

The server itself answers whether a user may run a command on a key (``redis.acl_check_cmd``), so nothing is run and
nothing is written. The commands of the functions are read from their code; `PLAIN` lists those that Python sends.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from redis.exceptions import NoPermissionError, ResponseError

from workers.errors import StoreUnavailable
from workers.store.failures import forbidden_command
from workers.store.keys import SHARED, names, prefix
from workers.store.scripts import Script, modules

#: The commands that are sent as they are, not by a function: to connect, to use functions, and all others.
PLAIN = (
    *("PING", "SELECT", "CLIENT SETNAME", "FCALL", "FUNCTION LOAD", "FUNCTION LIST", "FUNCTION DELETE", "TIME", "SCAN"),
    *("TYPE", "BLPOP", "DEL", "EXISTS", "EXPIRE", "PEXPIRE", "PTTL", "GET", "SET", "SCARD"),
    *("HDEL", "HEXISTS", "HGET", "HGETALL", "HINCRBY", "HKEYS", "HLEN", "HMGET", "HSET", "HSETNX", "HVALS", "INCR"),
    "INCRBY",
    *("LLEN", "LPUSH", "LRANGE", "LREM", "LTRIM", "RPUSH"),
    *(
        "XDEL",
        "XRANGE",
        "XREVRANGE",
        "ZADD",
        "ZCARD",
        "ZCOUNT",
        "ZRANGE",
        "ZRANGEBYSCORE",
        "ZREM",
        "ZREMRANGEBYRANK",
        "ZREVRANGE",
        "ZSCORE",
    ),
    "SMEMBERS",
)

#: The command that tells which node of a cluster has which slot.
CLUSTER = ("CLUSTER SLOTS",)

#: The command without which foxhooks works, but does not see the state of the server.
STATE = "INFO"

#: The commands that deliveries need and the empty one of /readyz does not, so that it cannot prove them.
INTAKE = frozenset({"EXPIRE", "HEXISTS", "HGET", "HKEYS", "LPOS", "MGET", "RPUSH", "ZADD"})

#: How many keys a message names.
MOST_SHOWN = 5

#: Why that is worth a warning.
STATE_UNSEEN = (
    "its persistence, eviction and limits are not seen, and each update of foxhooks puts its memory in doubt as a "
    "restore does"
)

#: Seconds between two looks of a worker.
CHECK_SECONDS = 60.0

_log = logging.getLogger(__name__)

#: A command in a call, or in the table of those that check the type of a key.
_CALLED = re.compile(r"(?:redis\.p?call\(|\b(?:string|hash|list|set|zset|stream) = )'([A-Z]+)'")


@cache
def commands() -> tuple[str, ...]:
    """Return all commands that foxhooks needs at every level of durability, except INFO."""
    called = {name for text in modules().values() for name in _CALLED.findall(text)}
    return tuple(sorted({*called, *PLAIN} - {STATE}))


class Missing(NamedTuple):
    """What the store's user may not do; empty if it may do everything."""

    commands: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __or__(self, other: "Missing") -> "Missing":
        """Return what is missing in either."""
        joined = (dict.fromkeys([*mine, *theirs]) for mine, theirs in zip(self, other, strict=True))
        return Missing(*map(tuple, joined))

    def __str__(self) -> str:
        parts = []
        if self.commands:
            parts.append(f"run {_listed(self.commands)}")
        if self.keys:
            parts.append(f"use the keys {_listed(self.keys)}")
        return f"the store's user may not {' or '.join(parts)}" if parts else ""

    @property
    def prevents_intake(self) -> bool:
        """Return whether deliveries cannot be stored without it."""
        return bool(INTAKE.intersection(self.commands)) or any(key.startswith("foxhooks:") for key in self.keys)

    @property
    def fix(self) -> str:
        """Say which rules are missing in the store."""
        keys = ("~foxhooks:*", "~{foxhooks}:*") if self.keys else ()
        rules = [*(f"+{name.lower().replace(' ', '|')}" for name in self.commands), *keys]
        return f"add {' '.join(rules)} to that user there (ACL SETUSER); docs/security.md lists all rights"


def prove(account: str, *more: str) -> Script[Missing]:
    """Ask what the user may not do of all that foxhooks needs in an account, and of ``more`` commands."""
    needed = (*(name for name in commands() if name != "FCALL"), *more)
    keys = (*names(account), *SHARED)
    args = [json.dumps([name.split() for name in needed]), json.dumps(keys)]
    return Script("access", account, args, lambda raw: _judge(needed, keys, account, raw))


def _judge(needed: Sequence[str], keys: Sequence[str], account: str, raw: Sequence[tuple[int, int]]) -> Missing:
    """Tell forbidden commands from forbidden keys: a command is forbidden if it is on every key."""
    if not raw:
        return Missing()
    denied = {(command, key) for command, key in raw}
    forbidden = {command for command, _ in denied if all((command, key) in denied for key in range(len(keys)))}
    usable = {key for key in range(len(keys)) if any((command, key) not in denied for command in _keyed(needed))}
    if not usable:
        forbidden -= set(_keyed(needed))
    found = {key for command, key in denied if command not in forbidden}
    return Missing(
        tuple(needed[command] for command in sorted(forbidden)),
        tuple(_patterns([keys[key] for key in sorted(found)], account)),
    )


#: The needed commands that no key pattern restricts.
_KEYLESS = {"PING", "SELECT", "TIME", "SCAN", "INFO", "WAIT", "WAITAOF", "BGREWRITEAOF"}


def _keyed(needed: Sequence[str]) -> Iterator[int]:
    return (index for index, name in enumerate(needed) if name not in _KEYLESS and " " not in name)


def _patterns(keys: Sequence[str], account: str) -> Iterator[str]:
    """Return patterns for the keys: one for a whole group if all of it is missing."""
    for group, all_of_it in ((names(account), f"{prefix(account)}*"), (SHARED, "{foxhooks}:*")):
        missing = [key for key in keys if key in group]
        yield from [all_of_it] if len(missing) == len(group) else missing


def named_by(error: BaseException | None, account: str) -> Missing:
    """Return what an answer about an account says that the user may not do; empty if it says nothing of that kind."""
    if command := forbidden_command(str(error)):
        return Missing(commands=(command,))
    return Missing(keys=(f"{prefix(account)}*",)) if isinstance(error, NoPermissionError) else Missing()


def find_missing(run: Callable[[Script[Missing]], Missing], accounts: Sequence[str], *more: str) -> Missing:
    """Return what the user may not do in any of the accounts, even if it may not run functions at all."""
    found = Missing()
    for account in accounts:
        try:
            found |= run(prove(account, *more))
        except (StoreUnavailable, ResponseError) as failed:
            denied = named_by(failed if isinstance(failed, ResponseError) else failed.__cause__, account)
            if denied == Missing():
                raise
            found |= denied
    return found


class AccessLog:
    """Log what the store's user may not do: once, and again when it changes."""

    def __init__(
        self, run: Callable[[Script[Missing]], Missing], accounts: Sequence[str], clock: Callable[[], float]
    ) -> None:
        self._run, self._accounts, self._clock = run, accounts, clock
        self._known, self._next = Missing(), 0.0

    def check(self) -> None:
        """Look, at most once a minute; a store that does not answer is asked again the next time."""
        if self._clock() < self._next:
            return
        found = find_missing(self._run, self._accounts, STATE)
        self._next = self._clock() + CHECK_SECONDS
        if found == self._known:
            return
        self._known = found
        if found == Missing((STATE,)):
            _log.warning("%s: %s; %s", found, STATE_UNSEEN, found.fix)
        elif found != Missing():
            _log.error("%s: turns fail or never begin; %s", found, found.fix)
        else:
            _log.info("The store's user may do again all that foxhooks needs")


def _listed(words: Sequence[str]) -> str:
    if len(words) > MOST_SHOWN and ":" in words[0]:
        return f"{', '.join(words[:MOST_SHOWN])} and {len(words) - MOST_SHOWN} more"
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
