"""Loads the settings: every value that a part reads, and every complaint at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.settings.checks import check_names
from workers.settings.reading import UNNAMED, Reading
from workers.settings.setting import Part
from workers.settings.table import ALLOW, RULES
from workers.settings.values import Account, Settings


def load(part: Part, environ: Mapping[str, str], folder: Path) -> Settings:
    """Returns the settings *part* reads, from *environ* and the settings file in *folder*.

    `web` and `worker` neither need nor read each other's settings, `all` is both, `store` reads no account
    at all. Raises SettingsError with every complaint.
    """
    reading = Reading(part, environ, folder)
    reading.complaints.extend(check_names(reading.sources, part))
    settings = reading.settings()
    reading.end()
    return settings


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A rules file and what it is permitted to do; `account` is empty for what holds for all."""

    account: str
    path: Path | None
    allow: frozenset[tuple[str, str]]


def rules_files(environ: Mapping[str, str], folder: Path) -> list[RulesFile]:
    """Returns the rules file of each account, or what there is without one; no other setting has to be right.

    Raises SettingsError with every complaint about what it reads.
    """
    reading = Reading("worker", environ, folder)
    found = [
        RulesFile(name, reading.value(RULES, name), reading.value(ALLOW, name))
        for name in (list(reading.sources.file.accounts) or [UNNAMED])
    ]
    reading.end()
    return found


def drafts(environ: Mapping[str, str], folder: Path) -> list[Account]:
    """Returns what there is of each account while its settings still have mistakes: for looking at its handlers.

    What is missing or wrong has no value in it; nobody may work with such an account.
    """
    reading = Reading("worker", environ, folder)
    return [reading.account(name) for name in (list(reading.sources.file.accounts) or [UNNAMED])]
