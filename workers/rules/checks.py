"""The checks a condition is made of. Each answers with a reason in plain words, made of configured values only."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from workers.rules.expression import LIMIT, Expression
from workers.rules.hours import Hours
from workers.rules.sight import Sight, Word, key

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check says: it holds, it does not, or (None) nobody can tell; and why."""

    holds: bool | None
    reason: str

    def __bool__(self) -> bool:
        return self.holds is True


class Check(Protocol):
    """One condition, or several in one."""

    def look(self, sight: Sight) -> Answer:
        """Answers for this sight."""


@dataclass(slots=True)
class Equals:
    """One of the wanted values is found: names in any case, integers as ids."""

    word: Word
    wanted: tuple[str | int, ...]
    keys: frozenset[str | int] = field(init=False, repr=False)
    shown: str = field(init=False, repr=False)
    label: str = field(init=False, repr=False)
    refusals: dict[str, Answer] = field(default_factory=dict, repr=False)
    """By what is shown of what was found: nothing, or a name that the account gave to a state."""

    def __post_init__(self) -> None:
        self.keys = frozenset(map(key, self.wanted))
        self.shown = _either(self.wanted)
        self.label = self.word.label

    def look(self, sight: Sight) -> Answer:
        keys, names = sight.known.get(self.label) or sight.find(self.word)
        if not self.keys.isdisjoint(keys):
            same = next(each for each in self.wanted if key(each) in keys)
            return Answer(True, f"{self.label} is {_shown(same)}")
        refusal = self.refusals.get(names)
        return self._refusal(names) if refusal is None else refusal

    def _refusal(self, names: str) -> Answer:
        reason = f"{self.label} is {names}, wanted {self.shown}" if names else f"{self.label} is not {self.shown}"
        return self.refusals.setdefault(names, Answer(False, reason))


@dataclass(slots=True)
class Expressions:
    """One of the regular expressions matches. One that takes too long is told once, and then nobody can tell."""

    label: str
    where: str
    text: Callable[[Sight], str]
    expressions: Sequence[Expression]
    slow: set[str] = field(default_factory=set)
    refusal: Answer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        patterns = _either(each.pattern.pattern for each in self.expressions)
        self.refusal = Answer(False, f"{self.label} does not match {patterns}")

    def look(self, sight: Sight) -> Answer:
        text, folded = sight.texts.get(self.label) or sight.read(self.label, self.text)
        late = ""
        for each in self.expressions:
            try:
                if each.found(text, folded):
                    return Answer(True, f"{self.label} matches {each.pattern.pattern!r}")
            except TimeoutError:
                late = each.pattern.pattern
                self._report(late)
        if late:
            return Answer(None, f"{self.label}: {late!r} took longer than {LIMIT * 1000:.0f} ms, so it does not count")
        return self.refusal

    @property
    def cost(self) -> int:
        """What it costs to ask, next to others."""
        return 1 if all(each.plain for each in self.expressions) else 3

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
        return Answer(not answer.holds, reason)


@dataclass(frozen=True, slots=True)
class All:
    """Every one holds; the reason is that of the first that does not."""

    checks: tuple[Check, ...]

    def look(self, sight: Sight) -> Answer:
        reasons = []
        for check in self.checks:
            answer = check.look(sight)
            if not answer.holds:
                return answer
            reasons.append(answer.reason)
        return Answer(True, ", ".join(reasons) or "there is no condition")


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


def _either(values: Iterable[object]) -> str:
    return " or ".join(map(_shown, values)) or "none"


def _shown(value: object) -> str:
    return str(value) if value != "" else "none"
