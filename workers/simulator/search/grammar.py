"""The `q` grammar (tickets article): `name:value` terms, values joined by commas, quotes around spaces, free words."""

import re
from dataclasses import dataclass
from typing import Final

_VALUE: Final = r'(?:"[^"]*"|[^\s",]+)'
_TERM: Final = re.compile(rf'(?:"([^"]+)"|([\w-]+)):({_VALUE}(?:,\s*{_VALUE})*)|"([^"]*)"|(\S+)')
_VALUES: Final = re.compile(r'"([^"]*)"|([^",]+)')


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; all terms of a search have to hold. `values` are alternatives; without a name, they are
    free words that all have to occur, in any order (quotes around them force no phrase: one user's trial)."""

    name: str
    values: tuple[str, ...]


def parse(q: str) -> list[Term]:
    """The terms of a search, in order."""
    found = []
    for quoted, name, several, phrase, word in _TERM.findall(q):
        if several:
            found.append(Term(quoted or name, values(several)))
        elif words := tuple((phrase or word).lower().split()):
            found.append(Term("", words))
    return found


def values(text: str) -> tuple[str, ...]:
    """The members of a list with commas, with or without quotes."""
    return tuple(quoted or bare.strip() for quoted, bare in _VALUES.findall(text) if quoted or bare.strip())
