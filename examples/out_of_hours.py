"""Answer out of hours: whoever writes at night or on a weekend hears once when we are back.

    [router.out-of-hours]
    zone = "Europe/Berlin"
    opens = 9
    closes = 17
    answer = "Thank you for your message. We are back on the next working day at 9."

    [permissions]
    out-of-hours = ["reply"]

The tag `out-of-hours` remembers it, so nobody hears it twice on one ticket.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workers import Context, Event, Router, Ticket, TicketRead

TAG = "out-of-hours"


@dataclass(frozen=True)
class Hours:
    """The table of this router: from which hour to which we work, Monday to Friday, in which zone."""

    answer: str = "Thank you for your message. We are back on the next working day."
    zone: str = "UTC"
    opens: int = 9
    closes: int = 17

    def __post_init__(self) -> None:
        if not 0 <= self.opens < self.closes <= 24:
            raise ValueError("opens and closes are no hours of one day; write them as opens = 9 and closes = 17")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"no time zone {self.zone!r}; write it as Europe/Berlin") from None

    def closed(self, now: datetime) -> bool:
        """Tells whether nobody works at this time."""
        here = now.astimezone(ZoneInfo(self.zone))
        return here.weekday() >= 5 or not self.opens <= here.hour < self.closes


router = Router("out-of-hours", settings=Hours)


def unanswered_and_closed(ticket: TicketRead, now: datetime, settings: Hours) -> bool:
    return settings.closed(now) and TAG not in ticket.tags


@router.on("ticket-created", "contact-replied", when=unanswered_and_closed)
def answer(ticket: Ticket, event: Event, ctx: Context[Hours]) -> None:
    ticket.reply(ctx.settings.answer)
    ticket.add_tags(TAG)
