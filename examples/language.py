"""Route new tickets by language: a tag, and the category of the team that speaks it.

    [permissions]
    language = ["move"]

    [router.language]
    categories = { de = "Orders", fr = "Billing" }

The language is the one with most of its common words in the message. If that is not clear, the ticket stays where it
is. For more languages, add words, or ask a library such as `lingua-language-detector`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from workers import Context, Event, Router, Ticket

WORDS = {
    "de": "aber auch bitte das der die ein eine haben ich ist mein meine mit nicht und von wir wie zu",
    "en": "and are but for have how i is it my not of please the this to we when with you",
    "es": "con de el en es esta favor la los mi no para pero por que se si un una y",
    "fr": "avec c'est de des est et je la le les mais mon ne pas plus pour que une vous votre",
}
COMMON = {language: frozenset(words.split()) for language, words in WORDS.items()}


@dataclass(frozen=True)
class Language:
    """The settings of this router."""

    categories: Mapping[str, str] = field(default_factory=dict)


router = Router("language", settings=Language)


@router.on("ticket-created")
def route(ticket: Ticket, event: Event, ctx: Context[Language]) -> None:
    if language := language_of(f"{ticket.subject} {ticket.first_message}"):
        ticket.add_tags(f"language-{language}")
        if category := ctx.settings.categories.get(language):
            ticket.move(category, f"The message seems to be in the language {language!r}.")


def language_of(text: str) -> str:
    """Return the language of a text, or "" if it has too few common words of any, or as many of two."""
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower())
    counts = {language: sum(word in common for word in words) for language, common in COMMON.items()}
    (second, _), (most, best) = sorted((count, language) for language, count in counts.items())[-2:]
    return best if most >= 3 and most > second else ""
