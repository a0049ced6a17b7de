"""Compare text as a person reads it, however HappyFox returns it.

The scanner is our own because contacts write its input, and it only moves forward: Python's
``html.parser`` takes quadratic time for ``<a <a <a`` and raises on ``<![<``.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any, Final

from workers.tickets.folding import fold
from workers.tickets.model import readable

_FEWEST: Final = 3  # fewer words are not distinctive enough to be recognized by their beginning

#: A date as we send it in fields; HappyFox may return it in another form.
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")

_NAME: Final = re.compile(r"/?([a-zA-Z][^\s/>]*)")
_QUOTE_OR_END: Final = re.compile("[\"'>]")
_HIDDEN: Final = {name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII) for name in ("script", "style", "title")}
_INLINE: Final = (
    "a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span strike"
    " strong sub sup time tt u var wbr"
)
_WITHIN_WORDS: Final = frozenset(_INLINE.split())
_BLOCK: Final = (
    "address article blockquote body br center dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li main ol p pre"
    " section table tr ul"
)
_LINE_TAGS: Final = frozenset(_BLOCK.split())
#: How mail programs mark a signature: Gmail, Thunderbird, Outlook, Zimbra.
_SIGNATURE: Final = re.compile(r"(?:class|id|data-marker)\s*=\s*[\"']?[^\"'>]{0,80}signature", re.IGNORECASE)


def plain_text(text_or_html: str) -> str:
    """Return the text without markup, scripts or styles.

    Takes time proportional to the length for any input. Never raises.
    """
    return "".join(
        piece if not tag else "" if tag.lstrip("/") in _WITHIN_WORDS else " " for tag, piece in _tokens(text_or_html)
    )


def lines(html: str) -> str:
    """Return the text of HTML in lines, those of quotes after ``>``, without scripts, styles and signatures.

    Takes time proportional to the length for any input. Never raises.
    """
    pieces: list[str] = []
    quotes, signature, open_tags = 0, "", 0
    for tag, source in _tokens(html):
        name, closes = tag.lstrip("/"), tag.startswith("/")
        if signature:
            open_tags += 0 if name != signature else -1 if closes else 1
            signature = signature if open_tags else ""
        elif not tag:
            pieces.append(source.replace("\n", "\n> ") if quotes else source)
        elif name in _LINE_TAGS:
            if name == "blockquote":
                quotes = max(0, quotes + (-1 if closes else 1))
            elif not closes and _SIGNATURE.search(source):
                signature, open_tags = name, 1
            pieces.append("\n> " if quotes else "\n")
        elif name not in _WITHIN_WORDS:
            pieces.append(" ")
    return "".join(pieces)


def words(text_or_html: str) -> tuple[str, ...]:
    """Split text or HTML into folded words, without markup, scripts or styles.

    Takes time proportional to the length for any input. Never raises.
    """
    return tuple(fold(plain_text(text_or_html)).split())


def same_words(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Return whether theirs are our words, perhaps followed by a signature.

    Fewer than three words must be equal.
    """
    return ours == theirs or (len(ours) >= _FEWEST and ours == theirs[: len(ours)])


def within(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Return whether theirs contain our words, with anything before or after."""
    starts = range(len(theirs) - len(ours) + 1)
    return bool(ours) and any(theirs[at] == ours[0] and theirs[at : at + len(ours)] == ours for at in starts)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield the unescaped text between tags as ("", text), and each tag as (its name in lower case, its source)."""
    at = 0
    while (start := text.find("<", at)) >= 0:
        yield "", _unescaped(text[at:start])
        if text.startswith(("<!", "<?"), start):
            opening, closing = ("<!--", "-->") if text.startswith("<!--", start) else ("<!", ">")
            end = text.find(closing, start + len(opening))
            if end < 0:
                return
            at = end + len(closing)
        elif tag := _NAME.match(text, start + 1):
            end = _end_of_tag(text, tag.end())
            if end < 0:  # not a tag after all, and no other follows
                at = start
                break
            name = tag[0].lower()
            yield name, text[tag.end() : end]
            at = end + 1
            if name in _HIDDEN:
                closing_tag = _HIDDEN[name].search(text, at)
                if closing_tag is None:
                    return
                at = closing_tag.start()
        else:
            yield "", "<"
            at = start + 1
    yield "", _unescaped(text[at:])


def _end_of_tag(text: str, at: int) -> int:
    """Return the position of the unquoted ``>`` that ends a tag, -1 if none."""
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
    except ValueError:  # a character reference of more than 4,300 digits
        return text


def same_value(sent: Any, raw: object) -> bool | None:
    """Return whether a field has the value that was sent; None if unclear."""
    if sent is None:
        return not readable(raw)
    if isinstance(sent, list):
        return sorted(map(readable, sent)) == sorted(map(readable, raw)) if isinstance(raw, list) else None
    if isinstance(sent, int | float):
        try:
            return float(sent) == float(readable(raw) or "nan")
        except ValueError:
            return None
    if _DAY.fullmatch(str(sent)):
        return True if readable(raw)[:10] == sent else None
    return words(str(sent)) == words(readable(raw))
