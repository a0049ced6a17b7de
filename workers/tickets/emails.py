"""How many emails a ticket has sent that nobody answered: what the brakes on email count."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from workers.tickets.change import Change
from workers.tickets.model import TicketRead, by_staff


class EmailRun(msgspec.Struct, frozen=True, array_like=True):
    """The emails that we have sent from a ticket, as the brakes count them."""

    unanswered: int = 0
    """How many in a row, without an update by a person between them."""
    any: bool = False
    """Whether we have sent one at all."""
    staff_wrote: bool = False
    """Whether a colleague has written since the last one."""


def count_people(emails: EmailRun, changes: Iterable[Change], staff: int) -> EmailRun:
    """Return the emails in a row after these changes; ``staff`` is the staff member we write as."""
    for change in changes:
        colleague = change.actor.kind == "staff" and change.actor.id != staff
        if colleague or (change.actor.kind == "contact" and not change.automatic):
            emails = replace(emails, unanswered=0)
        if colleague and emails.any and change.kind in ("staff-replied", "note-added"):
            emails = replace(emails, staff_wrote=True)
    return emails


def emails_shown(ticket: TicketRead, changes: Iterable[Change], staff: int) -> EmailRun:
    """Return the emails in a row as a ticket without a snapshot shows them: our public messages."""
    automatic = {change.update_id for change in changes if change.automatic}
    emails = EmailRun()
    for update in ticket.history:
        public = update.message is not None and not update.message.private
        if by_staff(update, staff):
            emails = EmailRun(emails.unanswered + 1, True) if public else emails
        elif update.author == "staff" or (update.author == "contact" and update.id not in automatic):
            wrote = update.author == "staff" and update.message is not None and emails.any
            emails = EmailRun(0, emails.any, emails.staff_wrote or wrote)
    return emails
