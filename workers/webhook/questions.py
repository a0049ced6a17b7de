"""The thirteen open questions about HappyFox, and which shapes have settled them.

Nobody outside HappyFox knows the exact form of its webhooks and of some answers. Each question is settled by the first
delivery or answer that shows it. Most need no switch, because foxhooks works with every answer; the names that `parse`
needs are learned, see learning.py.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from workers.webhook.shapes import Shape

DELIVERY: Final = "delivery"

#: The keys that may hold the type of the event.
_EVENT: Final = re.compile(r"(?:.*\.)?(?:event_type|event|webhook_event|event_name|action|trigger|type)=(.+)")


@dataclass(frozen=True, slots=True)
class Question:
    """One of the questions."""

    number: int
    text: str
    answer: str = ""
    """What was seen; empty while the question is open."""
    by: str = ""
    """The digest of the shape that settled it."""
    at: int = 0
    """When that was first seen (ms)."""
    either_way: str = ""
    """How foxhooks works with every answer."""


Finder = Callable[[Shape], str]


def _digest(shape: Shape) -> str:
    return f"signed over the raw body, written as {shape.signature}" if shape.signature else ""


def _event_type(shape: Shape) -> str:
    if shape.what != DELIVERY:
        return ""
    words = [word for word in shape.words if _EVENT.fullmatch(word) and "update" not in word.partition("=")[0]]
    return ", ".join(words) if words else "the body names no event type"


def _members(shape: Shape) -> str:
    return f"{len(shape.paths)} members, form {shape.form}" if shape.what == DELIVERY and shape.form else ""


def _labels(shape: Shape) -> str:
    return ", ".join(word for word in shape.words if "message_type=" in word) if shape.what == DELIVERY else ""


def _rule(shape: Shape) -> str:
    words = [word for word in shape.words if "smart" in word.lower()] if shape.what == DELIVERY else []
    return f"{len(shape.paths)} members: {', '.join(words)}" if words else ""


def _delivery_id(shape: Shape) -> str:
    own = [each for each in shape.headers if each.startswith("x-") and "signature" not in each]
    return f"headers {', '.join(own)}" if shape.what == DELIVERY and own else ""


def _answers(pattern: str, what: str = "") -> Finder:
    """Return a finder of answers whose method, path and status match."""
    expression = re.compile(pattern)
    return lambda shape: f"{shape.what}: {len(shape.paths)} members{what}" if expression.fullmatch(shape.what) else ""


def _members_named(*names: str) -> Finder:
    """Return a finder of filled members."""
    filled = re.compile(rf"(?:.*\.)?(?:{'|'.join(names)})\b.*: (?!null$|empty).*")

    def find(shape: Shape) -> str:
        found = [path for path in shape.paths if filled.fullmatch(path)]
        return "; ".join(found[:3]) if shape.what.startswith("GET ticket") else ""

    return find


_NEVER: Final[Finder] = lambda _: ""  # noqa: E731 - nothing that foxhooks sees settles it

#: The questions, how each is settled, and how foxhooks works with every answer.
QUESTIONS: Final[tuple[tuple[str, Finder, str], ...]] = (
    ("How is the digest written, and what is signed?", _digest, "every way to write a digest is accepted"),
    (
        "What are key and value of the event type?",
        _event_type,
        "known names and values are read, another name is learned; without one, the URL and the update decide",
    ),
    (
        "Which members does the body have?",
        _members,
        "only a ticket number is needed; if its name is unknown, it is learned",
    ),
    ("Which labels does update.message_type have?", _labels, "every label is accepted; the ticket says what happened"),
    (
        "Does a delivery of a smart rule differ in more than update.by?",
        _rule,
        "every form is accepted; the ticket says who acted. A type of contacts that is unknown is learned",
    ),
    (
        "Are there delivery ids, and are deliveries repeated or ordered?",
        _delivery_id,
        "repeated deliveries join, the ticket gives the order, and sweeps find what was not delivered",
    ),
    ("What do 401, 403, 404 and 429 contain?", _answers(r".* (401|403|404|429)"), "only the status counts"),
    (
        "What happens to writes to one ticket at the same time?",
        _answers(r"POST ticket/N/.* 409"),
        "foxhooks never sends two writes to one ticket at the same time",
    ),
    (
        "What do notes, replies as a contact and changed fields return?",
        _answers(r"POST ticket/N/(staff_pvtnote|user_reply|update_custom_fields) 2\d\d"),
        "every answer is accepted; without the ticket in it, the next read shows the update",
    ),
    (
        "Do tags on staff_update replace or add, and what clears a field?",
        _NEVER,
        "tags are changed with update_tags; the next read shows whether a field is clear",
    ),
    (
        "What do custom_field_change, satisfaction_survey and multiple choices contain?",
        _members_named("custom_field_change", "satisfaction_survey"),
        "every form is accepted; changes of fields are found by comparing values",
    ),
    (
        "What do the knowledge base and the lists of priorities contain?",
        _answers(r"GET (kb/.*|priorities) 200"),
        "lists of the knowledge base are read with pages and without",
    ),
    ("Which time zone do the days of searches have?", _NEVER, "sweeps search one more day"),
)


def settle(shapes: Iterable[tuple[str, Shape]]) -> list[Question]:
    """Return every question with its first answer, from shapes by their digests."""
    ordered: Sequence[tuple[str, Shape]] = sorted(shapes, key=lambda each: each[1].at)
    found = []
    for number, (text, find, either_way) in enumerate(QUESTIONS, 1):
        settled = ((digest, shape, answer) for digest, shape in ordered if (answer := find(shape)))
        digest, shape, answer = next(settled, ("", None, ""))
        found.append(Question(number, text, answer, digest, shape.at if shape else 0, either_way))
    return found
