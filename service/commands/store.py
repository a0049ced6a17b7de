"""`foxhooks store`: verify a backup, report a restore; list, move and drop the accounts that the store knows."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import redis
import typer

from service.commands.forget import REWRITE_PATIENCE, REWRITES, TURN_PATIENCE
from service.commands.format import AsJson, ago, clock, line, plural, print_json, show
from service.context import AccountName, Why, accounts_of, acting, current_user, store_of
from service.embedded import Embedded
from service.errors import CommandError
from workers.errors import suggest
from workers.settings import Settings
from workers.store.accounts import (
    AccountChange,
    Moved,
    Mover,
    Refusal,
    StoredAccount,
    delete,
    describe,
    find_accounts,
    half_moved_to,
    interrupted_move,
    is_worked_on,
    read_log,
)
from workers.store.client import Store, connect, store_time
from workers.store.erasure import rewrite_log
from workers.store.memory import doubt
from workers.store.records import AccountRecords
from workers.webhook.hosts import help_desk, host_in

ABOUT = "Verify a backup, report a restore; list, move and drop the accounts in the store."

store = typer.Typer(help=ABOUT, no_args_is_help=True, add_completion=False)

#: The folder of the append-only file, in the folder of a store.
LOG_FOLDER = "appendonlydir"

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

REFUSALS: dict[Refusal, str] = {
    "corrupt": "a key of it has the wrong type in the store: repair or delete it",
    "running-old": "a worker still works on it under the old name: stop the processes that have the old settings",
    "running-new": "a turn of it is running under the new name",
    "unfinished": "both accounts have begun work on it: let the workers finish that of the new name",
    "changed": "it changes all the time",
}


@store.callback()
def group() -> None:
    """Verify a backup, report a restore; list, move and drop the accounts in the store."""


@store.command()
def restored(account: AccountName = "", why: Why = "") -> None:
    """Report that an older copy of the store was restored, for all accounts or one.

    Run this after each restore, before the workers start if possible. On each ticket that has not been read since,
    foxhooks then takes what its staff member did meanwhile for its own, and does nothing a second time. Calls pause for
    one window.
    """
    accounts = accounts_of()
    with store_of(accounts.settings) as client, Store(client) as scripts:
        for each in accounts.chosen(account):
            memory = scripts.run(doubt(each.name, acting(why)))
            since = f"The store knew nothing later than {clock(memory.ends)}."
            line((each.name, "bold"), f": the store's memory is in doubt since {clock(memory.at)}. {since}")
    line("On each ticket, the next turn looks first at what has been done. See docs/durability.md.")


@dataclass(frozen=True, slots=True)
class ShownAccount:
    """An account in the store."""

    stored: StoredAccount
    named: bool
    """Whether the settings name it."""


@store.command()
def accounts(json: AsJson = False) -> None:
    """List the accounts in the store, what waits for them, and which of them the settings do not name."""
    settings = accounts_of().settings
    with store_of(settings) as client:
        now = store_time(client)
        rows = [
            ShownAccount(describe(client, name, keys), name in settings.accounts)
            for name, keys in find_accounts(client).items()
        ]
        log = read_log(client)
    if json:
        print_json({"accounts": rows, "log": log})
        return
    show(
        rows,
        {
            "ACCOUNT": lambda row: row.stored.account,
            "SETTINGS": lambda row: "named" if row.named else "not named",
            "WAITING": lambda row: waiting(row.stored),
            "LAST SIGN": lambda row: ago(row.stored.last, now) if row.stored.last else "none",
        },
        empty="The store has no accounts.",
    )
    for entry in log:
        line(f"{clock(entry.at)}: {_told(entry)}")


@store.command()
def verify(backup: Annotated[Path, typer.Argument(help="The folder that contains a copy of appendonlydir.")]) -> None:
    """Prove that a backup can be restored: start a private store on a copy of it, and list its accounts.

    The backup itself is only read. Exit with 1 if the store does not start, or has no accounts.
    """
    if not (backup / LOG_FOLDER).is_dir():
        raise CommandError(f"{backup} has no folder {LOG_FOLDER}: name the folder that a backup was copied to")
    with tempfile.TemporaryDirectory(prefix="foxhooks-") as scratch:
        shutil.copytree(backup / LOG_FOLDER, Path(scratch) / LOG_FOLDER)
        copy = Embedded(Path(scratch), bound=True)
        copy.start()
        try:
            with connect(copy.url) as client:
                now, found = store_time(client), [describe(client, *each) for each in find_accounts(client).items()]
        finally:
            copy.stop()
    for each in found:
        last = f"last sign {ago(each.last, now)}" if each.last else "no sign of life"
        line((each.account, "bold"), f": {waiting(each)}; {last}")
    if not found:
        raise CommandError(f"the store in {backup} starts, but has no accounts")
    line("This backup can be restored.")


def waiting(stored: StoredAccount) -> str:
    """Return what waits for an account."""
    if stored.unreadable:
        return "what waits there cannot be read"
    counts = {
        "waiting event": stored.events,
        "ticket": stored.lanes,
        "dead letter": stored.dead_letters,
        "schedule": stored.schedules,
    }
    nouns = {"ticket": ("scheduled ticket", "scheduled tickets")}
    parts = [plural(count, *nouns.get(noun, (noun,))) for noun, count in counts.items() if count]
    parts += [plural(stored.quarantined, "delivery", "deliveries") + " in quarantine"] if stored.quarantined else []
    return ", ".join(parts) or "nothing"


def orphans(client: redis.Redis, settings: Settings) -> Iterator[tuple[StoredAccount, str]]:
    """Yield the accounts in the store that no setting names, each with the new name of an interrupted move."""
    log = read_log(client)
    for name, keys in find_accounts(client).items():
        if name not in settings.accounts:
            yield describe(client, name, keys), interrupted_move(log, name)


def _told(entry: AccountChange) -> str:
    what = f"{entry.account} to {entry.to}" if entry.to else entry.account
    if entry.keys < 0:
        return f"{entry.by} began to {entry.action} {what}"
    return f"{entry.by} {'moved' if entry.to else 'dropped'} {what}: {plural(entry.keys, 'key')}"


@store.command()
def move(
    old: Annotated[str, typer.Argument(help="The name that the account had.")],
    new: Annotated[str, typer.Argument(help="The name that it has in the settings now.")],
    yes: Yes = False,
    renamed: Annotated[
        bool, typer.Option("--renamed", help="The help desk got another name in HappyFox, too.")
    ] = False,
) -> None:
    """Move what the store has of an account to its new name.

    Workers may run for the new name, none for the old one. What both names have is joined. If the command is
    interrupted, run it again. Afterwards, calls pause for one window, and the next turn of each ticket looks first at
    what has been done.
    """
    settings = accounts_of().settings
    if new not in settings.accounts:
        raise CommandError(f"the settings name no account {new!r}; {suggest(new, settings.accounts)}")
    with store_of(settings) as client, Store(client) as scripts:
        _check_unnamed(client, settings, old)
        if (target := interrupted_move(read_log(client), old)) not in ("", new):
            raise CommandError(f"a move of {old} to {target} was interrupted: finish it, then move {target} to {new}")
        for half in half_moved_to(client, old):
            raise CommandError(f"a move of {half} to {old} was interrupted: finish it, then move {old} to {new}")
        if not renamed:
            _check_help_desk(client, settings, old, new)
        stored = describe(client, old, find_accounts(client)[old])
        line((f"{old} to {new}", "bold"), f": {waiting(stored)}; {plural(stored.keys, 'key')}.")
        if not yes:
            typer.confirm(f"Are both names the same HappyFox account, and no process runs for {old}?", abort=True)
        try:
            moved = Mover(scripts, old, new, current_user()).run(TURN_PATIENCE)
        except RuntimeError as failed:
            raise CommandError(f"{failed}: repair or delete what is wrong, then run this again") from failed
    _report(old, new, moved)


def _report(old: str, new: str, moved: Moved) -> None:
    line(f"Moved {plural(moved.tickets, 'ticket')} and {plural(moved.keys, 'key')} from {old} to {new}.")
    complaints = [f"the key {name} stays: {new} has one of another type" for name in moved.stay]
    for why, count in Counter(moved.refused.values()).items():
        numbers = [number for number, reason in moved.refused.items() if reason == why]
        shown = ", ".join(map(str, numbers[:10])) + (f" and {count - 10} more" if count > 10 else "")
        complaints.append(f"ticket {shown} stays: {REFUSALS[why]}")
    if complaints:
        raise CommandError("\n".join([*complaints, f"Then run `foxhooks store move {old} {new}` again."]))


@store.command()
def drop(
    account: Annotated[str, typer.Argument(help="The name of the account.")],
    yes: Yes = False,
) -> None:
    """Delete what the store has of an account that the settings no longer name.

    Nothing that waits there is done, and nothing is changed in HappyFox.
    """
    settings = accounts_of().settings
    with store_of(settings) as client:
        _check_unnamed(client, settings, account)
        if is_worked_on(client, account):
            raise CommandError(f"a worker works for {account}: stop the processes that have settings for it")
        stored = describe(client, account, find_accounts(client)[account])
        last = f"; last sign {clock(stored.last)}" if stored.last else ""
        line((account, "bold"), f": {waiting(stored)}; {plural(stored.keys, 'key')}{last}.")
        if not yes:
            typer.confirm("Delete this? Nothing that waits there will be done.", abort=True)
        deleted = delete(client, account, current_user())
        line(f"Deleted {plural(deleted, 'key')} of {account}.")
        line(REWRITES[rewrite_log(client, REWRITE_PATIENCE)])


def _check_unnamed(client: redis.Redis, settings: Settings, account: str) -> None:
    if account in settings.accounts:
        raise CommandError(
            f"the settings name {account}, so its processes would go on writing there: remove it from them first"
        )
    known = find_accounts(client)
    if account not in known:
        raise CommandError(f"the store has nothing of an account {account!r}; {suggest(account, known)}")


def _check_help_desk(client: redis.Redis, settings: Settings, old: str, new: str) -> None:
    """Refuse to mix two help desks: the numbers of their tickets mean different tickets."""
    ours = {help_desk(host_in(settings.accounts[new].url)), *_help_desks(client, new)} - {""}
    theirs = _help_desks(client, old) - {""}
    if ours and theirs and not ours & theirs:
        raise CommandError(
            f"{old} belongs to the help desk {' or '.join(sorted(theirs))} and {new} to {' or '.join(sorted(ours))}: "
            "numbers of tickets mean different tickets there. If HappyFox has renamed the help desk, add --renamed"
        )


def _help_desks(client: Any, account: str) -> set[str]:
    return {help_desk(host) for host in AccountRecords(client, account).hosts()}
