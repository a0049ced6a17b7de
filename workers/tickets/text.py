"""The words of a message as a person reads them, so that what we sent is known again however it comes back.

The scanner is our own because contacts write what it reads, and it only ever moves forward: Python's
``html.parser`` takes quadratic time for ``<a <a <a`` and raises on ``<![<``.
"""

import re
import unicodedata
from collections.abc import Iterator
from html import unescape
from typing import Any, Final

from workers.tickets.model import readable

_FEWEST: Final = 3  # fewer words than these say too little to be recognised by their beginning
_CHUNK: Final = 128  # characters normalised at a time: ordering combining marks takes quadratic time

#: A date as fields are sent it; HappyFox may show it in another form.
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")

_NAME: Final = re.compile(r"/?([a-zA-Z][^\s/>]*)")
_QUOTE_OR_END: Final = re.compile("[\"'>]")
_HIDDEN: Final = {name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII) for name in ("script", "style", "title")}
_INLINE: Final = (
    "a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span strike"
    " strong sub sup time tt u var wbr"
)
_WITHIN_WORDS: Final = frozenset(_INLINE.split())
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))


def words(text_or_html: str) -> tuple[str, ...]:
    """Splits a text or HTML into words: markup, scripts and styles gone, NFKC, case folded.

    Takes time in proportion to the length, whatever a contact wrote. Never raises.
    """
    return tuple(_folded("".join(_pieces(text_or_html))))


def same_words(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Tells whether theirs say what ours say; HappyFox may have appended to ours, as with a signature.

    With fewer than three words of ours only equal words count.
    """
    return ours == theirs or (len(ours) >= _FEWEST and ours == theirs[: len(ours)])


def within(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Tells whether theirs hold ours as they are, however few, with more before or behind them."""
    starts = range(len(theirs) - len(ours) + 1)
    return bool(ours) and any(theirs[at] == ours[0] and theirs[at : at + len(ours)] == ours for at in starts)


def _pieces(text: str) -> Iterator[str]:
    """Yields what stands between the tags, unescaped, and a space for each tag that ends a word."""
    at = 0
    while (start := text.find("<", at)) >= 0:
        yield _unescaped(text[at:start])
        if text.startswith("<!--", start):
            end = text.find("-->", start + 4)
            if end < 0:
                return
            at = end + 3
        elif text.startswith(("<!", "<?"), start):
            end = text.find(">", start)
            if end < 0:
                return
            at = end + 1
        elif tag := _NAME.match(text, start + 1):
            end = _end_of_tag(text, tag.end())
            if end < 0:  # no tag after all, and there is no other to come
                at = start
                break
            name = tag[1].lower()
            yield "" if name in _WITHIN_WORDS else " "
            at = end + 1
            if name in _HIDDEN and text[start + 1] != "/":
                closing = _HIDDEN[name].search(text, at)
                if closing is None:
                    return
                at = closing.start()
        else:
            yield "<"
            at = start + 1
    yield _unescaped(text[at:])


def _end_of_tag(text: str, at: int) -> int:
    """Finds the ``>`` that ends a tag, not one in a quoted value; -1 when there is none."""
    while found := _QUOTE_OR_END.search(text, at):
        at = found.start()
        if text[at] == ">":
            return at
        closing = text.find(text[at], at + 1) if text[at - 1] == "=" else at
        at = max(at, closing) + 1
    return -1


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a character's number of more than 4,300 digits
        return text


def _folded(text: str) -> Iterator[str]:
    if text.isascii():
        yield from text.lower().split()
        return
    for word in text.translate(_INVISIBLE).split():
        chunks = (word[at : at + _CHUNK] for at in range(0, len(word), _CHUNK))
        # Normalising may bring in spaces, as for an accent that stands alone.
        yield from "".join(unicodedata.normalize("NFKC", chunk) for chunk in chunks).casefold().split()


def same_value(wanted: Any, told: object) -> bool | None:
    """Tells whether a custom field holds what was sent: a text, a number, a choice's id or several; None: who knows."""
    if wanted is None:
        return not readable(told)
    if isinstance(wanted, list):
        return sorted(map(readable, wanted)) == sorted(map(readable, told)) if isinstance(told, list) else None
    if isinstance(wanted, int | float):
        try:
            return float(wanted) == float(readable(told) or "nan")
        except ValueError:
            return None
    if _DAY.fullmatch(str(wanted)):
        return True if readable(told)[:10] == wanted else None
    return words(str(wanted)) == words(readable(told))
