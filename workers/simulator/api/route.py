"""What an endpoint is given, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workers.simulator.bodies import Upload
from workers.simulator.world import Ticket

Label = Literal["ticket-created", "ticket-updated"]


@dataclass(frozen=True, slots=True)
class Arguments:
    """A call's parts: the number or the word in its path (0 or empty without one), its query and its body.

    `every` holds all values of a query parameter, `query` the last. `late`: seconds after which reads see the row
    this call writes.
    """

    number: int = 0
    word: str = ""
    query: dict[str, str] = field(default_factory=dict)
    every: Mapping[str, list[str]] = field(default_factory=dict)
    body: Any = field(default_factory=dict)
    files: tuple[Upload, ...] = ()
    late: float = 0.0

    def flag(self, name: str) -> bool:
        """Whether a query parameter is `true` or `1`."""
        return self.query.get(name, "").lower() in ("1", "true")


@dataclass(frozen=True, slots=True)
class News:
    """Something the configured webhooks are told: the ticket as it is after the write, and whether the write
    left a row (then it is the ticket's last)."""

    label: Label
    ticket: Ticket
    row: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """An endpoint's answer, and the news it makes. The payload is JSON; None is an empty body, and bytes are sent as
    they are under `media`."""

    payload: Mapping[str, Any] | list[Any] | bytes | None
    news: tuple[News, ...] = ()
    media: str = "application/json"
    status: int = 200
