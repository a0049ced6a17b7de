"""Expressions: regular expressions in any case, which a rule may have hundreds of and a contact's text decides over.

Most texts fulfil none of them, so each is told by its plain words first, which cost next to nothing to look for.
"""

import re
from dataclasses import dataclass, field
from math import prod

import regex

#: How long (s) one search may take: an expression can need exponential time, and contacts choose the text.
LIMIT = 0.1

#: The longest expression, and how often braces may repeat something, taken together: compiling takes time, too.
LONGEST = 10_000
REPEATS = 10_000
COUNTS = re.compile(r"(?<!\\)\{[^{}]*?(\d+)\s*\}")

#: A character with its quantifier, if any; what is no plain character ends a word.
_ATOM = re.compile(r"(\\.|.)([?*+])?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression; `words` are those of which a text must hold one, `plain` tells that they say it all."""

    pattern: "regex.Pattern[str]"
    words: tuple[str, ...] = field(init=False)
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        parts = [_word(part) for part in self.pattern.pattern.split("|")]
        known = all(word for word, _ in parts) and not set(self.pattern.pattern) & set("([{")
        object.__setattr__(self, "words", tuple(fold(word) for word, _ in parts) if known else ())
        object.__setattr__(self, "plain", known and all(plain for _, plain in parts))

    def found(self, text: str, folded: str) -> bool:
        """Tells whether it matches somewhere in a text, also given as `fold` gives it.

        Raises TimeoutError after LIMIT.
        """
        if self.words:
            for word in self.words:
                if word in folded:
                    break
            else:
                return False
            if self.plain:
                return True
        return self.pattern.search(text, timeout=LIMIT) is not None


def expression(written: str) -> Expression:
    """Reads an expression of a rule; raises ValueError, with the cure behind its last semicolon."""
    if not written:
        raise ValueError("an empty expression matches everything; write what to look for, or remove it")
    if any(ord(letter) < 32 and letter not in "\t\n" for letter in written):
        raise ValueError("the expression holds a control character; write it in single quotes, '\\b' and not \"\\b\"")
    if len(written) > LONGEST:
        raise ValueError(f"the expression is longer than {LONGEST} characters; split it into a list of several")
    if prod(int(count[:9]) or 1 for count in COUNTS.findall(written)) > REPEATS:
        raise ValueError(f"the expression repeats something more than {REPEATS} times; write + or *")
    try:
        return Expression(regex.compile(written, regex.IGNORECASE))
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"the expression {written!r} is broken ({error}); correct it") from None


def fold(text: str) -> str:
    """Gives a text without its case, as expressions compare: the four Turkish i are one letter to them."""
    return text.casefold().replace("\u0307", "").replace("\u0131", "i")


def _word(part: str) -> tuple[str, bool]:
    """Gives the longest word that whatever matches this part must hold, and whether the part is that word alone."""
    best, word = "", ""
    for found in _ATOM.finditer(part):
        atom, quantifier = found[1], found[2]
        letter = atom if atom not in ".^$*+?{}()[]\\" and len(atom) == 1 else ""
        if letter and quantifier in (None, "+"):
            word += letter
            best = max(best, word, key=len)
        if not letter or quantifier:
            word = ""
    return best, best == part
