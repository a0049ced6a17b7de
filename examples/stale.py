"""Close stale tickets: those that have waited for their contact for two weeks, with a friendly message.

    [permissions]
    stale = ["reply"]

Once a day foxhooks searches for tickets on hold that nobody has changed for 14 days. If the contact replies later, the
ticket is reopened.
"""

from workers import Event, Router, Ticket

router = Router("stale", bulk=True)  # bulk: not urgent, so it leaves most of the budget to other work


@router.every("1d", find='status:"On Hold"', older_than="14d")
def close(ticket: Ticket, event: Event) -> None:
    ticket.reply("We have not heard from you, so we close this for now. Just answer to open it again.", status="Closed")
    ticket.add_tags("stale")


@router.on("contact-replied", when=lambda ticket: ticket.status.closed and "stale" in ticket.tags)
def wake(ticket: Ticket, event: Event) -> None:
    ticket.set(status="In Progress")
    ticket.remove_tags("stale")
