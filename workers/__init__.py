"""The public API for plug-ins.

    from workers import Event, Router, Ticket

    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        if ticket.contact.domain == "bigcorp.example":
            ticket.add_tags("vip")

Handlers decide, the engine acts: a handler records actions on the ticket and performs none itself.
"""

from workers.errors import GiveUp, Retry
from workers.plugins.actions import Recorder, Ticket
from workers.plugins.context import Context
from workers.plugins.router import Router
from workers.plugins.state import RouterStore
from workers.rules.matches import Matches
from workers.tickets.change import Actor, Change, Event
from workers.tickets.model import Attachment, Contact, Message, Named, Staff, Status, TicketRead, Update
from workers.version import __version__

__all__ = [
    "Actor",
    "Attachment",
    "Change",
    "Contact",
    "Context",
    "Event",
    "GiveUp",
    "Matches",
    "Message",
    "Named",
    "Recorder",
    "Retry",
    "Router",
    "RouterStore",
    "Staff",
    "Status",
    "Ticket",
    "TicketRead",
    "Update",
    "__version__",
]
