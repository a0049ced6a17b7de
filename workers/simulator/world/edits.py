"""What somebody wants done to a ticket: open it like this, or change it like that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workers.simulator.world.things import Contact, Json


@dataclass(frozen=True, slots=True)
class Draft:
    """A ticket about to be opened. `message` is the opening message's JSON; `late`: seconds until reads see it."""

    contact: Contact
    subject: str
    message: Json
    category: int
    priority: int | None = None
    assignee: int | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[int, Any] = field(default_factory=dict)
    due_date: str | None = None
    created_at: float | None = None
    visible_only_staff: bool = False
    source: str = "TKT_CREATION_API"
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes to one ticket that make one row. Absent members stay; `assignee` and `due_date` None clear.

    `late`: seconds after which reads see the row. `row` False: the change leaves none.
    """

    message: Json | None = None
    status: int | None = None
    priority: int | None = None
    category: int | None = None
    assignee: int | Literal["keep"] | None = "keep"
    due_date: str | Literal["keep"] | None = "keep"
    time_spent: int | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    replace_tags: tuple[str, ...] | None = None
    fields: Mapping[int, Any] = field(default_factory=dict)
    late: float = 0.0
    row: bool = True
