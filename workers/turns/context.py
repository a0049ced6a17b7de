"""What a handler finds in ``ctx``, beside ticket and event."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

from workers.errors import GiveUp
from workers.happyfox.client import Client
from workers.turns.intents import AnyIntent
from workers.turns.steps import Wanted
from workers.turns.timers import timer

if TYPE_CHECKING:  # only a checker needs the default: a bare Context has settings of any type
    from typing_extensions import TypeVar as Defaulted

    Settings = Defaulted("Settings", default=Any)
else:
    Settings = TypeVar("Settings")

#: What JSON can hold.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Value = TypeVar("Value", bound=Json)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[Settings]):
    """The surroundings of one run of a handler.

    ``now`` is the time of the turn (aware, UTC), ``settings`` the router's settings, of the type that ``Context[Crm]``
    names, ``log`` a structured logger with account, ticket and handler bound, ``happyfox`` the client for reads; each
    read takes a permit. The rest is for the engine: ``intents`` is where the handler's intents are recorded, ``act``
    makes its effects in other systems, ``timers`` are the names of those that its router receives.
    """

    now: datetime
    settings: Settings
    log: "Logger | LoggerAdapter[Logger]"
    happyfox: Client
    act: Callable[[Wanted], Any] = field(repr=False)
    intents: list[AnyIntent] = field(default_factory=list, repr=False)
    timers: Collection[str] = field(default=(), repr=False)

    @overload
    def effect(
        self, name: str, call: Callable[[], Value], landed: Callable[[], Value | None] | None = None, *, dry: Value
    ) -> Value: ...

    @overload
    def effect(
        self, name: str, call: Callable[[], Value], landed: Callable[[], Value | None] | None = None, dry: None = None
    ) -> Value | None: ...

    def effect(self, name: str, call: Any, landed: Any = None, dry: Any = None) -> Any:
        """Changes something in another system, once: calls ``call`` and gives its value, JSON of at most 64 kB.

        ``name`` tells the effects of a handler apart (``a-z``, ``0-9`` and ``. _ : -``). Until the handler has
        succeeded, also after a retry, a crash or a replay, a name that is done gives its first value and calls nothing.
        ``landed`` tells after a crash whether the call happened: what ``call`` would have given, or None. Without it
        such an effect becomes a dead letter. A ``Retry`` or ``GiveUp`` out of ``call`` says that it did not happen.
        In a dry run nothing is called and ``dry`` is given.
        """
        return self.act(Wanted(name, call, landed, dry))

    def create_ticket(self, **_: Any) -> None:
        """Wants a new ticket; not available yet."""
        raise GiveUp("ctx.create_ticket is not available yet")

    def on_ticket(self, number: int) -> Any:
        """Gives intents for another ticket; not available yet."""
        raise GiveUp("ctx.on_ticket is not available yet")

    def later(self, wait: float | str | timedelta, name: str, unless: str | Iterable[str] = ()) -> None:
        """Wants this router called again for this ticket: ``@router.on("later", name=name)`` receives it.

        ``wait`` is a number of seconds, a text such as ``"10m"``, ``"2h"``, ``"3d"``, or a timedelta; 1 s at least,
        366 days at most. A change of a kind in ``unless`` ends the timer; what foxhooks does itself is no change. A
        ticket has one timer of each name for a router: a new one takes the place of the old. Nothing is set when the
        handler fails. Timers are lost with the store's memory. Raises ``WrongIntent`` for a wait, a kind or a name that
        cannot be, also for one that no handler of the router receives.
        """
        self.intents.append(timer(wait, name, unless, self.timers))
