"""Stop loops with other machines: no other handler acts on an automatic message.

    handlers = ["auto_responder:router", "vip:router", "rules"]

Name this router first. foxhooks recognizes out-of-office answers, bounces and the mail of other help desks
(`change.automatic`); this handler adds what your own mail shows: a sender, or a subject. It tags the ticket, closes a
ticket that such a message has opened, and vetoes all handlers after it.
"""

import re

from workers import Change, Context, Event, Router, Ticket

router = Router("auto-responder")

SENDERS = re.compile(r"(no-?reply|do-?not-?reply|mailer-daemon|postmaster|notifications?)[@+]", re.IGNORECASE)
SUBJECTS = re.compile(r"^(automatic reply|auto(matic)? response|out of (the )?office|abwesenheit)\b", re.IGNORECASE)


@router.on("ticket-created", "contact-replied")
def guard(ticket: Ticket, event: Event, ctx: Context) -> None:
    if all(is_automatic(ticket, change) for change in event.matched):
        ticket.add_tags("automatic")
        if event.kind == "ticket-created":
            ticket.set(status="Closed")
        ctx.veto("the message is automatic")


def is_automatic(ticket: Ticket, change: Change) -> bool:
    """Return whether a message comes from a program."""
    subject = change.subject or ticket.subject
    return change.automatic or bool(SENDERS.match(ticket.contact.email) or SUBJECTS.match(subject.strip()))
