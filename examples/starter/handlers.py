"""Greet new tickets from VIP contacts, and reopen closed ones when their contact replies."""

from workers import Event, Router, Ticket

router = Router("vip")

VIP_DOMAINS = {"bigcorp.example"}


@router.on("ticket-created")
def greet(ticket: Ticket, event: Event) -> None:
    """Tag the ticket, raise its priority and notify the staff."""
    if ticket.contact.domain in VIP_DOMAINS:
        ticket.add_tags("vip")
        ticket.note("VIP contact: answer within the hour.")
        ticket.set(priority="High")


@router.on("contact-replied", when=lambda ticket: ticket.status.closed)
def reopen(ticket: Ticket, event: Event) -> None:
    """Answer at once and reopen the ticket."""
    ticket.reply("Thank you, we are on it again.", status="In Progress")
