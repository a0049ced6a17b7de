"""The owed: what handlers must still hear or do, and the dead letters of what we stopped trying. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from workers.events.change import Change
from workers.turns.plan.effects import Effect
from workers.turns.plugin.intents import Own

#: Stands for every handler, where something is theirs together: what they miss while the ticket's fuse is blown.
EVERYONE = "*"

#: The same for every handler of a router.
ALL_OF = "{}.*"


def whom(handler: str) -> str:
    """Says who is meant by a handler's name, or by what stands for several."""
    if handler == EVERYONE:
        return "every handler"
    return f"every handler of {handler[:-2]}" if handler.endswith(f".{EVERYONE}") else handler


class Foreign(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the journal says of an effect in another system, made by a handler in ``turn``.

    One that is ``begun`` and never ended is in doubt: ``looks`` tells whether its handler can find out if it happened,
    ``until`` is the time (ms) before which it is not made again. ``value`` is what it gave, ``said`` why that could not
    be kept, ``again`` that a person replays its handler.
    """

    state: Literal["begun", "done", "dry"]
    turn: str
    v: int = 1
    value: Any = None
    until: int = 0
    looks: bool = False
    again: bool = False
    said: str = ""


#: Effects in other systems by the names that their handler gave them.
Foreigns = Mapping[str, Foreign]


class Doubt(msgspec.Struct, frozen=True):
    """What is needed to look once more for an effect of which nobody can tell whether it happened.

    ``staff`` is whom it was written as. ``rows`` are those above ``floor`` that are surely not its own.
    """

    staff: int
    floor: int
    rows: tuple[int, ...]


#: Stands for the handler in the note that the ticket itself is missing; see ``missing``.
TICKET = ""


class Owed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A handler that failed and must still run, with every change it has not seen yet. Times are ms.

    ``replay`` tells that a person asked for it. ``foreign`` is what it has done in other systems already. With an
    ``effect``, of the letter ``letter``, nothing runs: the effect is brought about again. Neither does anything with a
    ``wish``: that is what it wants of this ticket, decided on ticket ``origin``. ``missing`` is when its handler was
    first not to be found, ``look`` the time before which nobody need look again. ``paused`` tells that it waits for the
    end of a pause.
    """

    handler: str
    changes: tuple[Change, ...]
    attempt: int
    first_at: int
    first_error: str
    last_error: str
    retry: int
    replay: bool = False
    foreign: Foreigns = {}
    wish: tuple[Own, ...] = ()
    origin: int = 0
    effect: Effect | None = None
    doubt: Doubt | None = None
    letter: str = ""
    missing: int = 0
    look: int = 0
    paused: bool = False

    @property
    def due(self) -> int:
        """When its lane is to be claimed for it."""
        return max(self.retry, self.look)


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter: a handler, an effect or a wish for which we stopped trying, with the evidence."""

    id: str
    handler: str
    reason: str
    attempts: int = 1
    first_error: str = ""
    last_error: str = ""
    changes: tuple[Change, ...] = ()
    effect: Effect | None = None
    evidence: Mapping[str, Any] = {}
    doubt: Doubt | None = None
    foreign: Foreigns = {}
    wish: tuple[Own, ...] = ()
    origin: int = 0


def together(debts: Iterable[Owed]) -> tuple[Owed, ...]:
    """Joins what one handler is owed several times over, so that it runs once, with every change in order.

    Effects stay by themselves, each once.
    """
    joined: dict[tuple[str, str], Owed] = {}
    for debt in debts:
        key = debt.handler, debt.letter
        before = joined.get(key, debt)
        changes = (*before.changes, *(change for change in debt.changes if change not in before.changes))
        foreign = {**debt.foreign, **before.foreign}
        joined[key] = msgspec.structs.replace(before, changes=changes, foreign=foreign)
    return tuple(joined.values())
