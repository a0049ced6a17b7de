"""What an endpoint is given, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workers.simulator.bodies import Upload
from workers.simulator.world import Ticket

Label = Literal["ticket-created", "ticket-updated"]


@dataclass(frozen=True, slots=True)
class Arguments:
    """A call's parts: the number in its path (0 without one), its query and its body.

    `late`: seconds after which reads see the row this call writes.
    """

    number: int = 0
    query: dict[str, str] = field(default_factory=dict)
    body: Any = field(default_factory=dict)
    files: tuple[Upload, ...] = ()
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class News:
    """Something the configured webhooks are told: the ticket as it is after the write, and whether the write
    left a row (then it is the ticket's last)."""

    label: Label
    ticket: Ticket
    row: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """An endpoint's answer of 200 with this JSON, and the news it makes."""

    payload: Mapping[str, Any] | list[Any]
    news: tuple[News, ...] = ()
