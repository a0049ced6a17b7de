"""Faults: what is wrong with a rules file, each with its line and its cure."""

from dataclasses import dataclass

from workers.settings import SettingProblem as Complaint


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake; `rule` says in which rule it stands, empty for the file itself.

    A `warning` is most likely a mistake too, and does not keep the other rules from running.
    """

    line: int
    rule: str
    problem: str
    cure: str
    warning: bool = False

    def complaint(self, file: str) -> Complaint:
        """Tells the fault as a complaint about the settings."""
        return Complaint(f"{file}, line {self.line}" + (f", {self.rule}" if self.rule else ""), self.problem, self.cure)
