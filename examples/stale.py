"""Close stale tickets: what has waited for its contact for two weeks is closed, with a friendly word.

    [permissions]
    stale = ["reply"]

Once a day foxhooks searches for tickets on hold that nobody has touched for 14 days. When the contact writes after all,
the ticket wakes up.
"""

from workers import Event, Router, Ticket

router = Router("stale", bulk=True)  # nobody waits for this: it leaves room for what people wait for


@router.every("1d", find='status:"On Hold"', older_than="14d")
def close(ticket: Ticket, event: Event) -> None:
    ticket.reply("We have not heard from you, so we close this for now. Just answer to open it again.", status="Closed")
    ticket.add_tags("stale")


@router.on("contact-replied", when=lambda ticket: ticket.status.closed and "stale" in ticket.tags)
def wake(ticket: Ticket, event: Event) -> None:
    ticket.set(status="In Progress")
    ticket.remove_tags("stale")
