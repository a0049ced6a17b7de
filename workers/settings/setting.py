"""One setting: what it is called, who has it, and who reads it."""

from dataclasses import dataclass
from typing import Any, Literal

from workers.settings.names import short
from workers.settings.readers import Reader

Part = Literal["web", "worker", "all", "calls", "store"]
"""Who loads settings: the web process, the worker, both in one, a script that calls HappyFox, or a command that needs
the store alone."""

WEB, WORKER, BOTH = (
    frozenset({"web", "all"}),
    frozenset({"worker", "all"}),
    frozenset({"web", "worker", "all"}),
)
CALLS = WORKER | {"calls"}
EVERY = BOTH | CALLS | {"store"}

Scope = Literal["environment", "deployment", "single", "account", "shared"]
"""Who has a setting: `environment`, the deployment, as a variable only; `deployment`, the deployment;
`single`, a deployment of one account; `account`, each account; `shared`, all accounts, or each its own."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its variable, who has it, which parts read it, how, and which of them cannot do without.

    `default` also stands for a value that is required but not read by the part that is loaded. `shown` is the
    default in the documentation's words, where it needs some; `also` holds further keys in the file. `blank` tells
    that a blank value is one, and not a way of leaving it out.
    """

    variable: str
    scope: Scope
    parts: frozenset[str]
    read: Reader
    help: str
    default: Any = None
    required: frozenset[str] = frozenset()
    shown: str = ""
    also: tuple[str, ...] = ()
    blank: bool = False

    @property
    def key(self) -> str:
        """Its short name, as it stands in the file."""
        return short(self.variable)

    @property
    def top_keys(self) -> tuple[str, ...]:
        """Its keys at the top of the file, where an account's own has only the full name."""
        full = self.variable.lower()
        if self.scope in ("deployment", "shared"):
            return tuple(dict.fromkeys((full, self.key, *self.also)))
        return () if self.scope == "environment" else (full,)

    @property
    def account_keys(self) -> tuple[str, ...]:
        """Its keys in [accounts.NAME]."""
        return (self.key, *self.also) if self.scope in ("account", "shared") else ()

    @property
    def default_text(self) -> str:
        """The default in the documentation's words."""
        if self.shown or self.required:
            return self.shown or "required"
        if not self.default:
            return "off" if self.default is False else "none"
        return f"`{self.default:g}`" if isinstance(self.default, float) else f"`{self.default}`"
