"""Answer out of hours: tell whoever writes at night or on a weekend, once, when we are back.

    [router.out-of-hours]
    zone = "Europe/Berlin"
    opens = 9
    closes = 17
    answer = "Thank you for your message. We are back on the next working day at 9."

    [permissions]
    out-of-hours = ["reply"]

The tag `out-of-hours` marks answered tickets, so nobody gets the answer twice on one ticket.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workers import Context, Event, Router, Ticket, TicketRead

TAG = "out-of-hours"


@dataclass(frozen=True)
class Hours:
    """The settings of this router: working hours from Monday to Friday, and their time zone."""

    answer: str = "Thank you for your message. We are back on the next working day."
    zone: str = "UTC"
    opens: int = 9
    closes: int = 17

    def __post_init__(self) -> None:
        if not 0 <= self.opens < self.closes <= 24:
            raise ValueError("opens must be before closes, on one day; write for example opens = 9 and closes = 17")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"unknown time zone {self.zone!r}; write for example Europe/Berlin") from None

    def closed(self, now: datetime) -> bool:
        """Return whether nobody works at this time."""
        here = now.astimezone(ZoneInfo(self.zone))
        return here.weekday() >= 5 or not self.opens <= here.hour < self.closes


router = Router("out-of-hours", settings=Hours)


def unanswered_and_closed(ticket: TicketRead, now: datetime, settings: Hours) -> bool:
    return settings.closed(now) and TAG not in ticket.tags


@router.on("ticket-created", "contact-replied", when=unanswered_and_closed)
def answer(ticket: Ticket, event: Event, ctx: Context[Hours]) -> None:
    ticket.reply(ctx.settings.answer)
    ticket.add_tags(TAG)
