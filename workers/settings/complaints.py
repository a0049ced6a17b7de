"""What is wrong with the settings, all of it at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Complaint:
    """One mistake: the setting and where it came from, what is wrong with it, and what to do."""

    setting: str
    problem: str
    cure: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.problem}; {self.cure}"


class SettingsError(Exception):
    """The settings cannot be used. `str()` lists every complaint, one per line, and never a secret."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__(self.complaints)

    def __str__(self) -> str:
        return "\n".join(map(str, self.complaints))


class UnfitError(Exception):
    """A value does not fit its setting. Neither text may repeat the value of a secret.

    ``more`` are further reasons why the same value does not fit.
    """

    def __init__(self, problem: str, cure: str, more: Sequence["UnfitError"] = ()) -> None:
        self.problem = problem
        self.cure = cure
        self.more = tuple(more)
        super().__init__(problem, cure)


def refuse(reasons: Sequence[UnfitError]) -> None:
    """Raises all reasons as one; does nothing when there is none."""
    if reasons:
        first, *more = reasons
        raise UnfitError(first.problem, first.cure, more)
