"""Regular expressions of conditions: they match as people read, whatever a mail program did to the text.

A blank matches any white space, also a line break; quotes, dashes and Unicode characters match in every form; `.`
matches a line break, because mail programs wrap lines anywhere.
"""

import re
from dataclasses import dataclass
from math import prod
from typing import Final
from unicodedata import lookup, normalize

import regex

from workers.tickets.folding import fold, unify

#: The time limit of one search, in seconds: some expressions need exponential time for a text that a contact chose.
LIMIT: Final = 0.1

#: The longest expression, and the most repetitions by (nested) braces: compiling takes time, too.
LONGEST: Final = 10_000
REPEATS: Final = 10_000

_COUNTS: Final = re.compile(r"(?<!\\)\{[^{}]*?(\d+)\s*\}")
#: A character with its quantifier, if any. Only plain characters are part of a word.
_ATOM: Final = re.compile(r"(\\.|.)([?*+])?", re.DOTALL)

#: Parts in which a letter may stand for something else.
_NO_WORDS: Final = re.compile(r"[(\[{]|\\[xuUNpPgkL0-9]")

#: An expression that ignores its blanks.
_VERBOSE: Final = re.compile(r"\(\?[a-zA-Z]*x")
#: What no pattern with wildcards has.
ONLY_REGEX: Final = re.compile(r"\.\*|\.\+|\\[dwsbDWSB.]|^\^|\$$|\[[^\]]+\][*+]?|\(\?|\([^)]*\|")
_CODE: Final = r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^{}]*\})"
_PROPERTY: Final = r"\\[pP]\{[^{}]*\}"
_SPACE: Final = r"(?P<space>(?P<break>(?:\\r\??)?\\n|\\r)|\s|\\[ st]|\\x(?:09|20|[aA]0)|\\u00[aA]0)"
_TOKEN: Final = re.compile(
    rf"{_SPACE}(?P<some>[?*+]|\{{[\d,]+\}})?(?(some)[?+]?)"
    rf"|(?P<set>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])|(?P<verbatim>{_PROPERTY}|\{{[^{{}}]*\}})"
    rf"|(?P<letter>{_CODE}|\\.|.)",
    re.DOTALL,
)
_MEMBER: Final = re.compile(
    rf"(?P<first>{_CODE}|\\.|.)-(?P<last>{_CODE}|\\.|[^\]])|(?P<verbatim>\[:\^?\w+:\]|{_PROPERTY})|(?P<letter>{_CODE}|\\.|.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A case-insensitive regular expression.

    Most texts match none of the expressions. Searching for plain words, which is fast, excludes most expressions.
    """

    written: str
    pattern: "regex.Pattern[str]"
    words: tuple[str, ...]
    """Every matching text contains one of these words; empty if there are no such words."""

    def matches(self, text: str, folded: str) -> bool:
        """Search a text from `unify`, of which `folded` is the folded form; raise TimeoutError after LIMIT."""
        if self.words and not any(map(folded.__contains__, self.words)):
            return False
        return self.pattern.search(text, timeout=LIMIT) is not None


def expression(written: str) -> Expression:
    """Compile an expression of a rule; raise ValueError with "problem; fix"."""
    if not written:
        raise ValueError("an empty expression matches everything; write what to search for, or remove it")
    if any(ord(letter) < 32 and letter not in "\t\n" for letter in written):
        raise ValueError(
            "the expression contains a control character; write it in single quotes, '\\b' instead of \"\\b\""
        )
    if len(written) > LONGEST:
        raise ValueError(f"the expression is longer than {LONGEST} characters; split it into a list of several")
    if _empty_alternative(written):
        filled = "|".join(part.strip() for part in written.split("|") if part.strip())
        raise ValueError(f"an empty text beside | matches everything; write '{filled or 'refund|return'}'")
    if prod(int(count[:9]) or 1 for count in _COUNTS.findall(written)) > REPEATS:
        raise ValueError(f"the expression repeats something more than {REPEATS} times; write + or *")
    try:
        unified = _unified(written)
        if unified != written:
            regex.compile(written, regex.IGNORECASE)  # an error names a place in what was written
        pattern = regex.compile(unified, regex.IGNORECASE | regex.DOTALL)
    except (regex.error, OverflowError, RecursionError) as error:
        fix = f"write '{wildcard(written)}'" if re.match(r"[*%+?]", written) else "correct it"
        if re.search("parenthesis|missing \\)", str(error)):
            fix = r"close it, or write \( or \) for one in the text"
        raise ValueError(f"the expression {written!r} is broken ({error}); {fix}") from None
    words = () if _NO_WORDS.search(written) else tuple(fold(_word(part)) for part in written.split("|"))
    return Expression(written, pattern, words if all(words) else ())


def _empty_alternative(written: str) -> bool:
    """Return whether one of the alternatives of an expression is empty, so that it matches everything."""
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", written, flags=re.DOTALL)
    while (inner := re.sub(r"\([^()]*\)[?*]?", "x", plain)) != plain:
        plain = inner
    return "|" in plain and not all(part.strip() for part in plain.split("|"))


def wildcard(written: str) -> str:
    """Return an expression for a pattern with * or %, or for an expression that is already one."""
    pattern = written.strip().replace("%", "*") if not ONLY_REGEX.search(written) else ""
    if not pattern or "|" in pattern:
        return written
    inner = ".*".join(re.sub(r"([.+?()\[\]{}|^$])", r"\\\1", part) for part in pattern.strip("*").split("*"))
    return f"{'' if pattern.startswith('*') else '^'}{inner}{'' if pattern.endswith('*') else '$'}"


def _word(part: str) -> str:
    """Return the longest word that every match of this part of an expression contains."""
    best, word = "", ""
    for found in _ATOM.finditer(normalize("NFC", part)):
        atom, quantifier = found[1], found[2]
        letter = atom if atom not in ".^$*+?{}()[]\\" and len(atom) == 1 else ""
        if letter and quantifier in (None, "+"):
            word += letter
            best = max(best, word, key=len)
        if not letter or quantifier:
            word = ""
    return best


# Expressions for texts from `unify`


def _unified(written: str) -> str:
    """Return an expression that matches in a unified text what `written` means to a reader."""
    if _VERBOSE.search(written):
        return written
    pieces: list[str] = []
    space: tuple[bool, bool] | None = None  # whether white space is required, and a line break
    for token in _TOKEN.finditer(normalize("NFC", written)):
        if token["space"]:
            required = not (token["some"] or "+").startswith(("?", "*", "{0", "{,"))
            before, breaks = space or (False, False)
            space = before or required, breaks or (required and token["break"] not in (None, "\\r"))
            continue
        if space:
            pieces.append(_white_space(*space))
            space = None
        pieces.append(_set(token["set"]) if token["set"] else token["verbatim"] or _letter(token["letter"]))
    return "".join(pieces) + (_white_space(*space) if space else "")


def _white_space(required: bool, breaks: bool) -> str:
    """Return an expression for white space: in a unified text, it is one character."""
    return (r"\n" if breaks else r"\s") + ("" if required else "?")


def _set(written: str) -> str:
    """Return a set such as `[a-z ]` with its members in their unified form, if that is one character."""
    start = 2 if written.startswith("[^") else 1
    first = written[start] if written[start] == "]" and len(written) > start + 2 else ""
    pieces = [written[:start], first]
    for member in _MEMBER.finditer(written[start + len(first) : -1]):
        letter = member["letter"]
        ends = [letter] if letter else [end for end in (member["first"], member["last"]) if end]
        forms = [form for end in ends if (form := _letter(end)) != end and not form.startswith("(?:")]
        pieces += forms if letter and forms else [member[0], *forms]
    return "".join(pieces) + "]"


def _letter(written: str) -> str:
    """Return one character of an expression in its unified form, a special one as it is."""
    letter = _meant(written)
    if letter.isspace():
        return r"\s"
    form = unify(letter)
    if form == letter and (letter == written or not letter):
        return written
    return regex.escape(form, special_only=True) if len(form) == 1 else f"(?:{regex.escape(form, special_only=True)})"


def _meant(written: str) -> str:
    """Return the character that is written, perhaps as a code or after a backslash; empty if it is special."""
    if len(written) == 1:
        return written
    try:
        if written.startswith("\\N{"):
            return lookup(written[3:-1])
        if len(written) > 2:
            return chr(int.from_bytes(bytes.fromhex(written[2:]), "big"))
    except (KeyError, ValueError, OverflowError):  # the compiler of expressions will say what is wrong
        return ""
    return "" if written[1].isascii() else written[1]
