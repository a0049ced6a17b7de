"""What the doctor finds."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: how it is, what it is about, what was found, and the cure unless it is fine."""

    level: Level
    subject: str
    text: str
    cure: str = ""


def ok(subject: str, text: str) -> Finding:
    """Makes the finding that something is as it should be."""
    return Finding("ok", subject, text)


def warning(subject: str, text: str, cure: str) -> Finding:
    """Makes a finding that does not keep foxhooks from working."""
    return Finding("warning", subject, text, cure)


def error(subject: str, text: str, cure: str) -> Finding:
    """Makes a finding that does."""
    return Finding("error", subject, text, cure)
