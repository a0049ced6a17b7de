"""The dashboard that a command uses instead of the store: what `foxhooks --at URL` names."""

from contextvars import ContextVar

#: The address, empty without `--at`.
AT: ContextVar[str] = ContextVar("at", default="")
