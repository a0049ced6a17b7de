"""The checks a condition is made of. Each answers with a reason in plain words, made of configured values only."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import regex

from workers.models.reference import Named
from workers.rules.hours import Hours
from workers.rules.sight import Sight, Word

#: How long (s) one search may take: an expression can need exponential time, and contacts choose the text.
LIMIT = 0.1

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

    def look(self, sight: Sight) -> Answer:
        found = list(self.word.found(sight))
        same = next((each for each in self.wanted if any(_equal(each, thing) for thing in found)), None)
        if same is not None:
            return Answer(True, f"{self.word.label} is {_shown(same)}")
        if self.word.shown:
            names = _either(thing.name for thing in found)
            return Answer(False, f"{self.word.label} is {names}, wanted {_either(self.wanted)}")
        return Answer(False, f"{self.word.label} is not {_either(self.wanted)}")


@dataclass(slots=True)
class Expressions:
    """One of the regular expressions matches. One that takes too long is told once, and then nobody can tell."""

    label: str
    where: str
    text: Callable[[Sight], str]
    patterns: "Sequence[regex.Pattern[str]]"
    slow: set[str] = field(default_factory=set)

    def look(self, sight: Sight) -> Answer:
        text, late = self.text(sight), ""
        for pattern in self.patterns:
            try:
                if pattern.search(text, timeout=LIMIT):
                    return Answer(True, f"{self.label} matches {pattern.pattern!r}")
            except TimeoutError:
                late = pattern.pattern
                self._report(late)
        if late:
            return Answer(None, f"{self.label}: {late!r} took longer than {LIMIT * 1000:.0f} ms, so it does not count")
        return Answer(False, f"{self.label} does not match {_either(each.pattern for each in self.patterns)}")

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
    return thing.name.strip().casefold() == wanted.strip().casefold()


def _either(values: Iterable[object]) -> str:
    return " or ".join(map(_shown, values)) or "none"


def _shown(value: object) -> str:
    return str(value) if value != "" else "none"
