"""The public API for plug-ins.

    from workers import Event, Router, Ticket

    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        if ticket.contact.domain == "bigcorp.example":
            ticket.add_tags("vip")

Handlers decide, the engine acts: a handler records actions on the ticket and performs none itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.errors import GiveUp, Retry
    from workers.plugins.actions import Recorder, Ticket
    from workers.plugins.context import Context
    from workers.plugins.router import Router
    from workers.plugins.state import RouterStore
    from workers.rules.matches import Matches
    from workers.tickets.change import Actor, Change, Event
    from workers.tickets.hours import Hours, hours
    from workers.tickets.model import Attachment, Contact, Message, Named, Staff, Status, Survey, TicketRead, Update
    from workers.version import __version__

__all__ = [
    "Actor",
    "Attachment",
    "Change",
    "Contact",
    "Context",
    "Event",
    "GiveUp",
    "Hours",
    "Matches",
    "Message",
    "Named",
    "Recorder",
    "Retry",
    "Router",
    "RouterStore",
    "Staff",
    "Status",
    "Survey",
    "Ticket",
    "TicketRead",
    "Update",
    "__version__",
    "hours",
]

#: The modules of these names. Each is imported on its first use: a command that runs no handlers starts much faster.
_MODULES = {
    "workers.errors": ("GiveUp", "Retry"),
    "workers.plugins.actions": ("Recorder", "Ticket"),
    "workers.plugins.context": ("Context",),
    "workers.plugins.router": ("Router",),
    "workers.plugins.state": ("RouterStore",),
    "workers.rules.matches": ("Matches",),
    "workers.tickets.change": ("Actor", "Change", "Event"),
    "workers.tickets.hours": ("Hours", "hours"),
    "workers.tickets.model": (
        *("Attachment", "Contact", "Message", "Named", "Staff", "Status", "Survey", "TicketRead", "Update"),
    ),
    "workers.version": ("__version__",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # else type checkers would accept every name

    def __getattr__(name: str) -> Any:
        """Import a name on its first use."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
