"""Explain why a rules file is not TOML: the line, the place in it, the likely mistake, and the line as TOML has it.

A repair of the line counts only if TOML then accepts it, so what is suggested works. The search continues in
the repaired text, so that one mistake does not hide the next.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from workers.rules.repairs import ABOVE, HEADER, REPAIRS, Repair, Rows

#: More mistakes than this in one rule, or longer texts, are not explained.
MOST: Final = 20
LONGEST: Final = 50_000

#: Longer lines are not repaired.
_LONGEST_ROW: Final = 1_000

_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_THREE: Final = ('"""', "'''")


@dataclass(frozen=True, slots=True)
class SyntaxMistake:
    """Where a text is not TOML, and how to correct it."""

    line: int
    column: int
    """Both are counted from 1."""
    source: str
    """The line."""
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class _Error:
    """What tomllib reports."""

    line: int
    """One more than there are, if it is the end of the text."""
    column: int
    said: str


def mistakes(text: str, before: int = 0) -> Iterator[SyntaxMistake]:
    """Yield each mistake of a text that is not TOML, which has this number of lines before it."""
    rows = text.split("\n")
    for _ in range(MOST):
        error = _error("\n".join(rows))
        if error is None:
            return
        found = _repaired(rows, error) if len(text) <= LONGEST else None
        if found is None:
            yield _unexplained(rows, error, before)
            return
        at, repair = found
        column = _difference(rows[at], repair.rows[0]) + 1
        fix = repair.fix or f"write {repair.rows[0].strip()}"
        yield SyntaxMistake(before + at + 1, column, rows[at], repair.mistake, fix)
        rows[at : at + len(repair.rows)] = repair.rows


def _difference(one: str, other: str) -> int:
    """Return where two texts begin to differ."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (own, its) in pairs if own != its), min(len(one), len(other)))


def _error(text: str) -> _Error | None:
    try:
        tomllib.loads(text)
    except RecursionError:
        return _Error(1, 1, "nested too deeply")
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        place = _PLACE.search(said)
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (text.count("\n") + 2, 1)
        said = _PLACE.sub("", said)
        return _Error(line, column, said[:1].lower() + said[1:])
    return None


def _repaired(rows: Rows, error: _Error) -> tuple[int, Repair] | None:
    """Return the first repair with which TOML accepts all lines up to the error, and its row."""
    last = min(error.line, len(rows)) - 1
    for at in range(last, max(last - ABOVE, -1), -1):
        if not 0 < len(rows[at].strip()) < _LONGEST_ROW:
            continue
        if at < last and _error("\n".join(rows[: at + 1])) is None:
            return None  # the mistake is below this line
        repairs = [repair for make in REPAIRS for repair in make(rows, at)]
        for helps in (_ends, _leads_on):
            for repair in repairs:
                if helps(repair, rows, at, error):
                    return at, repair
    return None


def _ends(repair: Repair, rows: Rows, at: int, _: _Error) -> bool:
    """Return whether TOML accepts the text up to the repaired lines."""
    return _error("\n".join((*rows[:at], *repair.rows))) is None


def _leads_on(repair: Repair, rows: Rows, at: int, error: _Error) -> bool:
    """Return whether TOML accepts more lines than before: the repaired one may be in a list of several lines."""
    end = at + len(repair.rows)
    after = _error("\n".join((*rows[:at], *repair.rows, *rows[end:])))
    return after is None or max(error.line, end) < after.line <= len(rows)


def _unexplained(rows: Rows, error: _Error, before: int) -> SyntaxMistake:
    """Return a mistake without a repair."""
    at = min(error.line, len(rows)) - 1
    column = error.column if error.line <= len(rows) else len(rows[at]) + 1
    problem, fix = error.said, "correct this line"
    open_text = next((each for each in _THREE for row in rows if row.count(each) % 2), "")
    if error.line > len(rows) and open_text:
        at = max(number for number, row in enumerate(rows) if row.count(open_text) % 2)
        column = rows[at].find(open_text) + 1
        problem, fix = f"the text after {open_text} does not end", f"write {open_text} after its last line"
    elif re.search("overwrite|twice|mutate|redefine", error.said, re.IGNORECASE):
        key = rows[at].partition("=")[0].strip()
        first = next((before + row + 1 for row in range(at) if key and rows[row].partition("=")[0].strip() == key), 0)
        column = len(rows[at]) - len(rows[at].lstrip()) + 1
        problem = f"{problem}: {key} is on line {first}, too" if first else problem
        fix = 'a rule has the same key twice; for several values write a list, for example when.tag = ["a", "b"]'
        if re.fullmatch(r"\s*\[\s*rules?\..*\]\s*", rows[at]):
            fix = (
                f"write [[rule]] above it if it belongs to another rule, or all keys below the first {rows[at].strip()}"
            )
        elif HEADER.fullmatch(rows[at]):
            fix = "write [[rule]] in place of each [rule]: with two pairs of brackets"
        elif not first and (inner := re.match(r"=\s*\{\s*([\w-]+)", rows[at].partition(key)[2].lstrip())):
            fix = f"{key} has keys above: write each on a line of its own, such as {key}.{inner[1]} = ..."
        elif not first and "." in key:
            fix = f"write every key below {key.partition('.')[0]} as {key} = ..., on a line of its own"
    elif re.match(r"\s*(if|elif|else|then|unless|end)\b", rows[at]):
        problem = "a rule has no if"
        fix = 'write each condition as when.status = "New", and below it what to do: set.status = "Open"'
    elif not rows[at].strip() and at > 0:
        at = max((number for number in range(at) if rows[number].strip()), default=at)
        column = len(rows[at]) + 1
    return SyntaxMistake(before + at + 1, column, rows[at], problem, fix)
