"""What a handler finds in ``ctx``, beside ticket and event."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workers.errors import GiveUp
from workers.happyfox.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The surroundings of one run of a handler.

    ``now`` is the time of the turn (aware, UTC), ``settings`` the router's settings, ``log`` a structured logger with
    account, ticket and handler bound, ``happyfox`` the client for reads; each read takes a permit.
    """

    now: datetime
    settings: Any
    log: Any
    happyfox: Client

    def effect(self, name: str, call: Callable[[], Any], landed: Any = None, dry: Any = None) -> Any:
        """Runs a change in another system exactly once; not available yet."""
        raise GiveUp("ctx.effect is not available yet")

    def create_ticket(self, **_: Any) -> None:
        """Wants a new ticket; not available yet."""
        raise GiveUp("ctx.create_ticket is not available yet")

    def on_ticket(self, number: int) -> Any:
        """Gives intents for another ticket; not available yet."""
        raise GiveUp("ctx.on_ticket is not available yet")

    def later(self, *_: Any, **__: Any) -> None:
        """Sets a timer for this ticket; not available yet."""
        raise GiveUp("ctx.later is not available yet")
