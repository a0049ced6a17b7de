"""Lines: where each key of a TOML file stands, which Python's reader of TOML does not tell."""

import re
import tomllib
from bisect import bisect
from collections.abc import Iterator

Path = tuple[str | int, ...]

_KEY = r"""[ \t]*(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*"""
_STATEMENT = re.compile(rf"(?P<head>[ \t]*\[\[?)?(?P<keys>{_KEY}(?:\.{_KEY})*)(?:\]|=)")
#: What decides where a statement ends: texts and comments are passed over whole, brackets are counted.
_MARK = re.compile(
    r"""\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[{]|[\]}]|\n""", re.DOTALL
)


class Lines:
    """The lines of a file's keys; `of("rule", 0, "when", "text")` is that of the first rule's `when.text`."""

    def __init__(self, content: str) -> None:
        self._known: dict[Path, int] = {}
        base: Path = ()
        counts: dict[Path, int] = {}
        for line, keys, brackets in _statements(content):
            if not brackets:
                self._note((*base, *keys), line)
                continue
            base = ()
            for number, key in enumerate(keys, 1):
                base = (*base, key)
                if number == len(keys) and brackets == 2:
                    counts[base] = counts.get(base, 0) + 1
                if base in counts:
                    base = (*base, counts[base] - 1)
            self._note(base, line)

    def of(self, *path: str | int) -> int:
        """Gives the line of a key, or of the nearest thing around it; counted from 1."""
        while path and path not in self._known:
            path = path[:-1]
        return self._known.get(path, 1)

    def _note(self, path: Path, line: int) -> None:
        for length in range(1, len(path) + 1):
            self._known.setdefault(path[:length], line)


def _statements(content: str) -> Iterator[tuple[int, list[str], int]]:
    """Yields each key or header: its line, its parts, and how many brackets are around it."""
    ends = [found.start() for found in re.finditer("\n", content)]
    at = 0
    while at < len(content):
        found = _STATEMENT.match(content, at)
        if found and (keys := _parts(found["keys"])):
            yield bisect(ends, found.start()) + 1, keys, (found["head"] or "").count("[")
        at = _end(content, found.end() if found and not found["head"] else at)


def _parts(keys: str) -> list[str]:
    try:
        table = tomllib.loads(f"{keys} = 0")
    except tomllib.TOMLDecodeError:
        return []
    parts = []
    while isinstance(table, dict):
        (key,) = table
        parts.append(key)
        table = table[key]
    return parts


def _end(content: str, at: int) -> int:
    """Gives where the next statement begins: behind the end of a line that no bracket holds open."""
    depth = 0
    while found := _MARK.search(content, at):
        at = found.end()
        mark = found[0]
        if mark == "\n" and depth <= 0:
            return at
        depth += (mark in "[{") - (mark in "]}") if len(mark) == 1 else 0
    return len(content)
