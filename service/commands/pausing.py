"""`foxhooks pause` and `foxhooks resume`: an account, a router or a ticket is stopped for a while, and goes on."""

import getpass
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import redis

from service.access import Accounts, accounts_of, store_of
from service.commands.times import now_of
from service.failures import CommandError
from workers.errors import suggest
from workers.lanes.keys import WAKE, prefix
from workers.lanes.pauses import Pause, Scope, listed, pause, resume
from workers.lanes.store import Store
from workers.rules import file as rules
from workers.turns.plugin.loading import LoadError, load_accounts


@dataclass(frozen=True, slots=True)
class Target:
    """What is meant: a router or a ticket of an account, or all of it; the account may be left out if there is one."""

    account: str
    router: str = ""
    ticket: int | None = None

    @property
    def scope(self) -> tuple[Scope, str]:
        """What it is, and its name."""
        if self.router:
            return "router", self.router
        return ("ticket", str(self.ticket)) if self.ticket is not None else ("account", "")

    def words(self, account: str) -> str:
        """Says what it is."""
        scope, name = self.scope
        return f"the account {account}" if scope == "account" else f"the {scope} {name} of {account}"

    @property
    def options(self) -> str:
        """Says how it is named on the command line."""
        scope, name = self.scope
        own = "" if scope == "account" else f" --{scope} {name}"
        return (f" --account {self.account}" if self.account else "") + own


def halt(target: Target, skip: bool) -> int:
    """Pauses what is meant; what comes meanwhile waits, or with ``skip`` is skipped."""
    with _store(target) as (client, accounts, account):
        _check(client, accounts, account, target)
        entry = Pause(now_of(client), _who(), skip)
        with Store(client) as store:
            before = store.run(pause(account, *target.scope, entry))
    becomes = "is skipped" if skip else "waits"
    print(
        f"{'paused anew' if before else 'paused'}: {target.words(account)}; from its next turn on, what comes {becomes}"
    )
    print(f"`foxhooks resume{target.options}` ends it, `foxhooks status` shows it")
    return 0


def go_on(target: Target) -> int:
    """Ends the pause of what is meant; what waited runs."""
    with _store(target) as (client, _, account):
        known = listed(cast(dict[bytes, bytes], client.hgetall(f"{prefix(account)}paused")))
        if target.scope not in known:
            raise CommandError(f"{target.words(account)} is not paused; {_paused(known)}")
        with Store(client) as store:
            store.run(resume(account, *target.scope))
        client.lpush(WAKE, 1)
        client.ltrim(WAKE, 0, 0)
    print(f"resumed: {target.words(account)}; what waited for it runs now")
    return 0


@contextmanager
def _store(target: Target) -> Iterator[tuple[redis.Redis, Accounts, str]]:
    accounts = accounts_of()
    names = list(accounts.settings.accounts)
    if target.account and target.account not in names:
        raise CommandError(f"no account {target.account!r} here; {suggest(target.account, names)}")
    if not target.account and len(names) > 1:
        raise CommandError(f"there are several accounts: name one with --account, of {', '.join(names)}")
    with store_of(accounts.settings) as client:
        yield client, accounts, target.account or names[0]


def _check(client: redis.Redis, accounts: Accounts, account: str, target: Target) -> None:
    """Refuses what does not exist, so that a slip does not look like a pause."""
    scope, name = target.scope
    if scope == "router" and name not in (known := _routers(accounts, account)):
        raise CommandError(f"no router {name!r} runs for {account}; {suggest(name, known)}")
    if scope == "ticket":
        keys = [f"{prefix(account)}{what}:{name}" for what in ("ticket", "lane", "turn", "trail")]
        if not client.exists(*keys):
            raise CommandError(
                f"nothing is known of ticket {name} of {account}; "
                "--ticket takes the number in its address, as `foxhooks events` lists it"
            )


def _routers(accounts: Accounts, account: str) -> Iterable[str]:
    if not accounts.budgets:
        raise CommandError("its routers are not known here: run this where the worker's settings are")
    try:
        loaded = load_accounts(accounts.settings.accounts.values(), Path.cwd(), rules.router_of)
    except LoadError as wrong:
        raise CommandError(f"the routers cannot be loaded here:\n{wrong}") from None
    return [each.router.name for each in loaded[account]]


def _paused(known: Iterable[tuple[Scope, str]]) -> str:
    told = [f"the {scope} {name}".strip() for scope, name in known]
    return f"paused now: {', '.join(told)}" if told else "nothing is paused"


def _who() -> str:
    """Says who asks; a container may know no name of its user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "somebody"
    return f"{name} on {socket.gethostname()}"
