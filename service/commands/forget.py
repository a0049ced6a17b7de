"""`foxhooks forget`: erase what the store holds about tickets or email addresses."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Annotated

import redis
import typer

from service.commands.format import as_argument, line, plural, progress, ticket_option
from service.context import AccountName, Why, accounts_of, acting, one_account, store_of
from service.errors import CommandError
from workers.store.accounts import half_moved_to
from workers.store.client import Store
from workers.store.erasure import Eraser, Erasure, Item, Rewrite, rewrite_log
from workers.store.records import AccountRecords

#: Seconds to wait for a running turn, and for the rewrite of the append-only file.
TURN_PATIENCE, REWRITE_PATIENCE = 30.0, 120.0

#: What each kind of item is called in the summary.
NOUNS = {
    "delivery": ("delivery or event", "deliveries and events"),
    "quarantined": ("delivery in quarantine", "deliveries in quarantine"),
    "turn": ("turn", "turns"),
    "dead letter": ("dead letter", "dead letters"),
    "held email": ("held email", "held emails"),
    "audit line": ("line of the audit log", "lines of the audit log"),
    "answer": ("answer to a client of the gateway", "answers to clients of the gateway"),
    "draft": ("draft of a new ticket", "drafts of new tickets"),
    "job": ("result of a job", "results of jobs"),
    "state": ("entry of a router's store", "entries of routers' stores"),
}

REFUSALS = {
    "running": "a turn of it is running; run this again when it has ended",
    "unfinished": (
        "a turn of it has begun and is not finished, so some of its writes may be missing; run this again when it has "
        "ended (`foxhooks explain` shows it), or drop the rest with --unfinished"
    ),
}

REWRITES: dict[Rewrite, str] = {
    "done": "The store's append-only file was rewritten without it.",
    "none": "The store keeps no append-only file.",
    "forbidden": (
        "The store's user may not run BGREWRITEAOF: until somebody runs it (`redis-cli BGREWRITEAOF`), the deleted "
        "texts stay in the store's append-only file."
    ),
    "failed": "The store could not rewrite its append-only file, which contains the deleted texts: see its log.",
    "running": "The store is still rewriting its append-only file; the deleted texts are in it until it has finished.",
}

STAYS = (
    "What stays: numbers of tickets and ids in counters, pauses, logs and error reports; for a day, how many emails an "
    "address got (under an HMAC); backups and snapshots of the store; and everything in HappyFox."
)


def forget(
    ticket: Annotated[
        list[int] | None,
        ticket_option("A ticket, by its number or display id."),
    ] = None,
    address: Annotated[
        list[str] | None,
        typer.Option("--contact", "--address", help="An email address: all tickets in which it occurs."),
    ] = None,
    account: AccountName = "",
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Drop turns that are not finished, too.")] = False,
    why: Why = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase what the store holds about tickets or email addresses.

    Erase a customer in HappyFox first, or the next webhook stores the ticket again. See docs/privacy.md.
    """
    tickets, addresses = ticket or [], [_address(each) for each in address or []]
    if not tickets and not addresses:
        raise typer.BadParameter("choose something: --ticket N or --contact NAME@EXAMPLE.COM")
    settings = accounts_of().settings
    name = one_account(settings, account).name
    with store_of(settings) as client, Store(client) as store:
        _check_moves(client, name)
        eraser = Eraser(store, name, acting(why), lambda items: progress(items, "Searching the store"))
        erasure = eraser.find(tickets, addresses)
        if not erasure.tickets and not erasure.items:
            line("Nothing is stored about that.")
        else:
            _announce(erasure, AccountRecords(client, name))
            if not yes:
                typer.confirm("Erase this?", abort=True)
        listed = progress(erasure.tickets, "Forgetting tickets")
        refused = {each: why for each in listed if (why := eraser.forget(each, unfinished, TURN_PATIENCE))}
        # Again, because deliveries and turns may have come since.
        erased = _of_others(eraser.find(tickets, addresses).items, refused)
        eraser.erase(erased)
        if erasure.tickets or erasure.items:
            line(f"Erased: {_count(erased)}.")
            line(STAYS)
        # Even if nothing is stored any more: an earlier attempt may have ended before it.
        line(REWRITES[rewrite_log(client, REWRITE_PATIENCE)])
    if refused:
        raise CommandError(
            "\n".join(f"ticket {each} is not forgotten: {REFUSALS[why]}" for each, why in refused.items())
        )


def _check_moves(client: redis.Redis, account: str) -> None:
    """Refuse while an account is only half moved: what is still under its old name would be missed."""
    for old in half_moved_to(client, account):
        text = f"the move of {old} to {account} was interrupted, so not everything would be found"
        command = f"foxhooks store move {as_argument(old)} {as_argument(account)}"
        raise CommandError(f"{text}: run `{command}` first, then this again")


def _address(given: str) -> str:
    """Check that an address is one: a shorter text would match half of the store."""
    name, _, host = given.strip().partition("@")
    if not name or "." not in host or " " in given.strip():
        raise typer.BadParameter("write a whole email address, such as sam@bigcorp.example", param_hint="--contact")
    return given.strip()


def _of_others(items: Sequence[Item], refused: Collection[int]) -> list[Item]:
    """Return the items that are not of tickets that must keep theirs."""
    return [item for item in items if item.ticket not in refused]


def _announce(erasure: Erasure, records: AccountRecords) -> None:
    """Say what will be erased, and which work will then not be done."""
    listed = ", ".join(map(str, erasure.tickets)) or "none"
    line((f"Tickets of {records.account}: {listed}", "bold"))
    line(f"Stored about them: {_count(erasure.items)}, and what foxhooks remembers of each ticket.")
    for ticket in erasure.tickets:
        state = records.ticket(ticket)
        work = [plural(state.waiting, "waiting event")] if state.waiting else []
        work += ["pending handler work"] if state.pending else []
        if work:
            line(("! ", "yellow"), f"Ticket {ticket} has {' and '.join(work)}, which will not be processed.")


def _count(items: Sequence[Item]) -> str:
    counts = Counter(item.kind for item in items)
    listed = [f"{counts[kind]} {nouns[counts[kind] != 1]}" for kind, nouns in NOUNS.items() if counts[kind]]
    return ", ".join(listed) or "no items"
