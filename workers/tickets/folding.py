"""Fold text: what a person reads as the same text becomes the same string.

Mail programs wrap lines, insert no-break spaces and replace quotes and dashes. Folding removes these differences from
names, tags, values, the words of fingerprints, and the texts that expressions search. It takes linear time.
"""

import re
import unicodedata
from typing import Final

import regex

#: More combining marks than this on one letter are left out: ordering them takes quadratic time.
_MOST_MARKS: Final = 30
_MARKS: Final = regex.compile(rf"(\p{{M}}{{{_MOST_MARKS}}})\p{{M}}+")


#: The other forms of quotes and dashes, and the one German letter that is written as two in upper case.
_FORMS: Final = {
    letter: form
    for letters, form in (
        ("\u2018\u2019\u201a\u201b\u2032\u02b9\u02bb\u02bc\u00b4\u1ffd\u0060\uff07", "'"),
        ("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02", '"'),
        ("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d", "-"),
        ("\u00df", "ss"),
        ("\u1e9e", "SS"),
    )
    for letter in letters
}
#: Characters that nobody can see (Unicode: default ignorable).
_INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e0fff"
)
_OTHER_FORMS: Final = re.compile(f"[{''.join(_FORMS)}]|[{_INVISIBLE}]+")


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
    composed = unicodedata.normalize("NFKC", _MARKS.sub(r"\1", _one_form(text)))
    return _one_form(composed)


def _one_form(text: str) -> str:
    return _OTHER_FORMS.sub(lambda found: _FORMS.get(found[0], ""), text)
