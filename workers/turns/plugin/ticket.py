"""The ticket that handlers are given: as read at the start of the turn, with methods that record intents."""

from dataclasses import dataclass, field, fields

from workers.models.ticket import TicketRead
from workers.turns.plugin.intents import AnyIntent, Own
from workers.turns.plugin.recorder import Recorder


@dataclass(frozen=True, kw_only=True)
class Ticket(TicketRead, Recorder):
    """A ticket as read; its methods record what a handler wants. Nothing recorded shows in it."""

    intents: list[AnyIntent] = field(default_factory=list, repr=False, compare=False)

    def _want(self, intent: Own) -> None:
        self.intents.append(intent)


def for_handler(ticket: TicketRead, intents: list[AnyIntent]) -> Ticket:
    """Gives a handler its own ticket, which records on ``intents``: handlers do not see each other's."""
    return Ticket(**{each.name: getattr(ticket, each.name) for each in fields(TicketRead)}, intents=intents)
