"""`foxhooks store`: report that an older copy of the store was restored."""

import typer

from service.commands.format import clock, line
from service.context import AccountName, accounts_of, current_user, store_of
from workers.store.client import Store
from workers.store.memory import doubt

store = typer.Typer(
    help="Report that an older copy of the store was restored.",
    no_args_is_help=True,
    add_completion=False,
)


@store.callback()
def group() -> None:
    """Report that an older copy of the store was restored."""


@store.command()
def restored(account: AccountName = "") -> None:
    """Report that an older copy of the store was restored, for all accounts or one.

    Run this after each restore, before the workers start if possible. On each ticket that has not been read since,
    foxhooks then takes what its staff member did meanwhile for its own, and does nothing a second time. Calls pause for
    one window.
    """
    accounts = accounts_of()
    with store_of(accounts.settings) as client, Store(client) as scripts:
        for each in accounts.chosen(account):
            memory = scripts.run(doubt(each.name, current_user()))
            since = f"The store knew nothing later than {clock(memory.ends)}."
            line((each.name, "bold"), f": the store's memory is in doubt since {clock(memory.at)}. {since}")
    line("On each ticket, the next turn looks first at what has been done. See docs/durability.md.")
