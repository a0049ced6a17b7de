"""What a check finds: what is well, what should be changed and what must be, each with what to do."""

from dataclasses import dataclass
from functools import partial
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    level: Literal["ok", "warning", "error"]
    subject: str
    text: str
    fix: str = ""
    """What to do; empty if all is well."""


#: An error prevents foxhooks from working, a warning does not.
ok, warning, error = partial(Finding, "ok"), partial(Finding, "warning"), partial(Finding, "error")
