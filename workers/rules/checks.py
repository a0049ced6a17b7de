"""The checks a condition is made of. Each answers with a reason in plain words, made of configured values only."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

import regex

from workers.models.reference import Named
from workers.rules.hours import Hours
from workers.rules.sight import Sight, Word

#: How long (s) one search may take: an expression can need exponential time, and contacts choose the text.
LIMIT = 0.1

#: Characters that mean more than themselves in an expression, `|` apart.
SPECIAL = frozenset(".^$*+?{}[]()\\")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check says: it holds, it does not, or (None) nobody can tell; and why."""

    holds: bool | None
    reason: str


class Check(Protocol):
    """One condition, or several in one."""

    def look(self, sight: Sight) -> Answer:
        """Answers for this sight."""


@dataclass(frozen=True, slots=True)
class Equals:
    """One of the wanted values is found: names in any case, integers as ids."""

    word: Word
    wanted: tuple[str | int, ...]
    names: frozenset[str] = field(init=False, repr=False)
    refusal: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = frozenset(_key(each) for each in self.wanted if isinstance(each, str))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "refusal", f"{self.word.label} is not {_either(self.wanted)}")

    def look(self, sight: Sight) -> Answer:
        found = list(self.word.found(sight))
        for thing in found:
            if _key(thing.name) in self.names or (thing.id is not None and thing.id in self.wanted):
                same = next(each for each in self.wanted if _equal(each, thing))
                return Answer(True, f"{self.word.label} is {_shown(same)}")
        if self.word.shown:
            names = _either(thing.name for thing in found)
            return Answer(False, f"{self.word.label} is {names}, wanted {_either(self.wanted)}")
        return Answer(False, self.refusal)


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression, in any case. One of plain words between `|` is looked for without the machinery."""

    pattern: "regex.Pattern[str]"
    words: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        written = self.pattern.pattern
        words = () if SPECIAL & set(written) else tuple(written.split("|"))
        object.__setattr__(self, "words", tuple(map(fold, words)) if all(words) else ())

    def found(self, text: str) -> bool:
        """Tells whether it matches somewhere. Raises TimeoutError after LIMIT."""
        if self.words:
            folded = fold(text)
            return any(word in folded for word in self.words)
        return self.pattern.search(text, timeout=LIMIT) is not None


@lru_cache(maxsize=64)
def fold(text: str) -> str:
    """Gives a text without its case; a turn asks for the same few texts again and again."""
    return text.casefold().replace("\u0307", "")  # what remains of the dot of a Turkish capital i


@dataclass(slots=True)
class Expressions:
    """One of the regular expressions matches. One that takes too long is told once, and then nobody can tell."""

    label: str
    where: str
    text: Callable[[Sight], str]
    expressions: Sequence[Expression]
    slow: set[str] = field(default_factory=set)
    refusal: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.refusal = f"{self.label} does not match {_either(each.pattern.pattern for each in self.expressions)}"

    def look(self, sight: Sight) -> Answer:
        text, late = self.text(sight), ""
        for each in self.expressions:
            try:
                if each.found(text):
                    return Answer(True, f"{self.label} matches {each.pattern.pattern!r}")
            except TimeoutError:
                late = each.pattern.pattern
                self._report(late)
        if late:
            return Answer(None, f"{self.label}: {late!r} took longer than {LIMIT * 1000:.0f} ms, so it does not count")
        return Answer(False, self.refusal)

    def _report(self, pattern: str) -> None:
        if pattern not in self.slow:
            self.slow.add(pattern)
            reason = f"{self.where}: {pattern!r} took longer than {LIMIT * 1000:.0f} ms; make it simpler"
            logger.warning("An expression takes too long; it does not count.", extra={"reason": reason})


@dataclass(frozen=True, slots=True)
class Within:
    """The time of the turn lies within one of the hours."""

    texts: tuple[str, ...]
    hours: tuple[Hours, ...]

    def look(self, sight: Sight) -> Answer:
        holds = any(each.hold(sight.now) for each in self.hours)
        return Answer(holds, f"the time is {'within' if holds else 'outside'} {_either(self.texts)}")


@dataclass(frozen=True, slots=True)
class Not:
    """Turned round; what nobody can tell stays so."""

    check: Check

    def look(self, sight: Sight) -> Answer:
        answer = self.check.look(sight)
        if answer.holds is None:
            return answer
        reason = answer.reason if not answer.holds else f"{answer.reason}, which is not wanted"
        return replace(answer, holds=not answer.holds, reason=reason)


@dataclass(frozen=True, slots=True)
class All:
    """Every one holds; the reason is that of the first that does not."""

    checks: tuple[Check, ...]

    def look(self, sight: Sight) -> Answer:
        answers = []
        for check in self.checks:
            answer = check.look(sight)
            if not answer.holds:
                return answer
            answers.append(answer.reason)
        return Answer(True, ", ".join(answers) or "there is no condition")


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the alternatives holds."""

    checks: tuple[Check, ...]

    def look(self, sight: Sight) -> Answer:
        answers = []
        for check in self.checks:
            answer = check.look(sight)
            if answer.holds:
                return answer
            answers.append(answer)
        holds = None if any(answer.holds is None for answer in answers) else False
        return Answer(holds, f"no alternative holds ({'; '.join(answer.reason for answer in answers)})")


def _equal(wanted: str | int, thing: Named) -> bool:
    if isinstance(wanted, int):
        return thing.id == wanted
    return _key(thing.name) == _key(wanted)


def _key(name: str) -> str:
    return name.strip().casefold()


def _either(values: Iterable[object]) -> str:
    return " or ".join(map(_shown, values)) or "none"


def _shown(value: object) -> str:
    return str(value) if value != "" else "none"
