"""Greet new tickets from VIP contacts, and wake closed ones."""

from workers import Event, Router, Ticket

router = Router("vip")  # reopen needs the grant vip:reply


@router.on("ticket-created")
def greet(ticket: Ticket, event: Event) -> None:
    if ticket.contact.domain == "bigcorp.example":
        ticket.add_tags("vip")
        ticket.note("VIP contact: answer within the hour.")
        ticket.set(priority="High")


@router.on("contact-replied", when=lambda ticket: ticket.status.closed)
def reopen(ticket: Ticket, event: Event) -> None:
    ticket.reply("Thank you, we are on it again.", status="In Progress")
