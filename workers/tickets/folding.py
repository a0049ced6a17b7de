"""Fold text: what a person reads as the same text becomes the same string.

Mail programs wrap lines, insert no-break spaces and replace quotes and dashes. Folding removes these differences from
names, tags, values, the words of fingerprints, and the texts that expressions search. It takes linear time.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

import regex

#: More combining marks than this on one letter are left out: ordering them takes quadratic time.
_MOST_MARKS: Final = 30
_MARKS: Final = regex.compile(rf"(\p{{M}}{{{_MOST_MARKS}}})\p{{M}}+")


def _table(characters: Mapping[str, str | None], invisible: Iterable[tuple[int, int]]) -> dict[int, str | None]:
    hidden = {code: None for first, last in invisible for code in range(first, last + 1)}
    return {**hidden, **{ord(one): to for each, to in characters.items() for one in each}}


#: Characters that nobody can see (Unicode: default ignorable), and those with several forms.
_FORMS: Final = _table(
    {
        "\u2018\u2019\u201a\u201b\u2032\u02bb\u02bc\u02b9\u00b4\u1ffd\u0060\uff07": "'",
        "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02": '"',
        "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d": "-",
        "\u00df": "ss",
        "\u1e9e": "SS",
    },
    (
        *((0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
        *((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164)),
        *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF)),
    ),
)


def fold(text: str) -> str:
    """Return a text on one line, without differences of case, spaces, quotes, dashes and Unicode forms.

    The four Turkish letters i are equal. Folding a folded text does not change it.
    """
    if text.isascii():
        return " ".join(text.replace("`", "'").lower().split())
    folded = _normalized(text).casefold().replace("\u0131", "i").replace("i\u0307", "i")
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def unify(text: str) -> str:
    """Return a text with single spaces and line breaks and one form of each character, in its own case.

    This is what expressions search. Blank lines are left out.
    """
    one_form = text.replace("`", "'") if text.isascii() else _normalized(text)
    return "\n".join(line for each in one_form.splitlines() if (line := " ".join(each.split())))


def _normalized(text: str) -> str:
    composed = unicodedata.normalize("NFKC", _MARKS.sub(r"\1", text.translate(_FORMS)))
    return composed.translate(_FORMS)
