"""Sort out spam: a score from several signs, a tag, and no other handler acts on the ticket.

    [router.spam]
    threshold = 3
    trusted_domains = ["bigcorp.example"]

Name this router before those that answer. Nothing is deleted: staff see the tag, and the reasons in a note. Contacts
of a trusted domain or in a contact group are never spam.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers import Context, Event, Router, Ticket

WORDS = re.compile(r"\b(seo|backlinks?|casino|crypto|lottery|loans?|guest post|viagra|winner)\b", re.IGNORECASE)
LINK = re.compile(r"https?://", re.IGNORECASE)
SHORTENED = re.compile(r"https?://(bit\.ly|tinyurl\.com|t\.co|cutt\.ly)/", re.IGNORECASE)


@dataclass(frozen=True)
class Spam:
    """The settings of this router."""

    threshold: int = 3
    trusted_domains: Sequence[str] = ()


router = Router("spam", settings=Spam)


@router.on("ticket-created")
def sort_out(ticket: Ticket, event: Event, ctx: Context[Spam]) -> None:
    if ticket.contact.domain in ctx.settings.trusted_domains or ticket.contact.groups:
        return
    signs = list(signs_of(ticket))
    if sum(points for points, _ in signs) >= ctx.settings.threshold:
        ticket.add_tags("spam")
        ticket.set(priority="Low")
        ticket.note("This looks like spam: " + "; ".join(reason for _, reason in signs))
        ctx.veto("it looks like spam")


def signs_of(ticket: Ticket) -> Iterator[tuple[int, str]]:
    """Yield the points and the name of each sign of spam."""
    text = f"{ticket.subject}\n{ticket.first_message}"
    if words := sorted({word.lower() for word in WORDS.findall(text)}):
        yield min(2, len(words)), f"words: {', '.join(words)}"
    if SHORTENED.search(text):
        yield 2, "a shortened link"
    elif len(LINK.findall(text)) > 3:
        yield 1, "many links"
    if ticket.subject.isupper() and len(ticket.subject) > 10:
        yield 1, "a subject in capitals"
    if not ticket.contact.name or "@" in ticket.contact.name:
        yield 1, "a sender without a name"
