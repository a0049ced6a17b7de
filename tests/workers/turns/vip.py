"""The handlers that most tests of turns run."""

from workers import Event, Router, Ticket


def vip() -> Router:
    """Greets new tickets and wakes closed ones."""
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("vip")
        ticket.note("VIP contact: answer within the hour.")
        ticket.set(priority="High")

    @router.on("contact-replied", when=lambda ticket: ticket.status.closed)
    def reopen(ticket: Ticket, event: Event) -> None:
        ticket.reply("Thank you, we are on it again.", status="In Progress")

    return router
