"""foxhooks' engine, and the one front door for plug-ins.

    from workers import Event, Router, Ticket

    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        if ticket.contact.domain == "bigcorp.example":
            ticket.add_tags("vip")

Handlers decide, the engine acts: a handler records what it wants on the ticket, and performs nothing.
"""

from workers.errors import GiveUp, Retry
from workers.events.change import Actor, Change, Event
from workers.models.people import Contact, Staff
from workers.models.reference import Named, Status
from workers.models.row import Attachment, Message, Row
from workers.models.ticket import TicketRead
from workers.rules.matches import Matches
from workers.turns.plugin.context import Context
from workers.turns.plugin.recorder import Recorder
from workers.turns.plugin.router import Router
from workers.turns.plugin.ticket import Ticket
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
    "Row",
    "Staff",
    "Status",
    "Ticket",
    "TicketRead",
    "__version__",
]
