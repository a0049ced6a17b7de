"""Routers: what a plug-in ships, a named collection of handlers. Registration is checked when the module is loaded."""

import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar, overload

from workers.errors import seconds
from workers.plugins.actions import Ticket
from workers.tickets.change import Event, check, schedule_kind, timer_kind
from workers.tickets.model import TicketRead

#: The shortest and the longest period (s): a search costs calls, and what comes once in a year nobody waits for.
SHORTEST_PERIOD, LONGEST_PERIOD = 60.0, 366 * 86_400.0

#: How many characters a search may have: it stands in an address.
LARGEST = 1_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """A search that runs every ``period`` ms and finds the tickets that nobody has changed for ``older_than`` ms."""

    period: int
    find: str
    older_than: int = 0

    @property
    def words(self) -> str:
        """Describe how often it searches, and for what."""
        age = f", older than {_told(timedelta(milliseconds=self.older_than))}" if self.older_than else ""
        return f"{_told(timedelta(milliseconds=self.period))}: {self.find}{age}"

    def query(self, now: int) -> str:
        """Return the search as HappyFox takes it at ``now`` (ms).

        It compares whole days in a time zone that is not documented: a day more lets none slip through, and
        ``refusal`` looks at the time of each ticket.
        """
        if not self.older_than:
            return self.find
        day = datetime.fromtimestamp((now - self.older_than) / 1000, UTC) + timedelta(days=1)
        return f'{self.find} last-modified-on-or-before:"{day:%Y/%m/%d}"'

    def refusal(self, ticket: TicketRead, now: datetime) -> str:
        """Return why the ticket, as read, is not meant; empty when it is."""
        if not self.older_than or ticket.modified_at is None:
            return ""
        age = now - ticket.modified_at
        if age >= timedelta(milliseconds=self.older_than):
            return ""
        return f"the ticket was changed {_told(age)} ago, wanted {_told(timedelta(milliseconds=self.older_than))}"


def schedule(period: Any, find: object, older_than: Any = None) -> Schedule:
    """Make a schedule of what a handler or a rule gives. Raises ValueError: what is wrong; the cure."""
    if not isinstance(find, str) or not find.strip():
        raise ValueError("find is empty; write a search, as find='status:\"On Hold\"'")
    if not find.strip().isprintable() or len(find) > LARGEST:
        raise ValueError(f"find: a search has one line, of {LARGEST} characters at most; correct it")
    given = _duration("a period", period)
    if not SHORTEST_PERIOD <= given <= LONGEST_PERIOD:
        raise ValueError(f"a period of {period!r} cannot be; it is 1m at least and 366d at most")
    age = 0.0 if older_than is None else _duration("older_than:", older_than)
    if not 0 <= age <= 100 * LONGEST_PERIOD:
        raise ValueError(f"older_than: {older_than!r} cannot be; write it as 14d")
    return Schedule(round(given * 1000), find.strip(), round(age * 1000))


def _duration(what: str, given: Any) -> float:
    try:
        return seconds(given)
    except ValueError:
        raise ValueError(f"{what} {given!r} cannot be read; write it as 30m, 1h or 14d") from None


def _told(age: timedelta) -> str:
    whole = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


Function = TypeVar("Function", bound=Callable[..., None])

#: A ``when`` as checkers and editors see it: one parameter is the ticket, and a second one mostly the event.
WhenTicket: TypeAlias = Callable[[Ticket], object]
WhenEvent: TypeAlias = Callable[[Ticket, Event], object]
WhenMore: TypeAlias = (
    Callable[[Any, Any], object] | Callable[[Any, Any, Any], object] | Callable[[Any, Any, Any, Any], object]
)

NAME = re.compile(r"[a-z][a-z0-9-]*")

#: How many characters the name of a timer may have: it stands in trails.
LONGEST_TIMER_NAME = 64

#: The parameters that a handler and a `when` may have, matched by name.
HANDLER_TAKES = ("ticket", "event", "ctx")
WHEN_TAKES = ("ticket", "event", "now", "settings")


@dataclass(frozen=True, slots=True)
class Handler:
    """A function on a router: it decides for the kinds it asked for, and performs nothing.

    ``ask`` stands for ``when`` where that is made of conditions: it tells why they do not hold, empty when they do. It
    takes next to no time and raises nothing, so the engine asks it without the precautions other people's code needs.
    ``bulk``, ``echoes``: see ``Router``. ``once`` tells that it acts on each ticket only once. ``every`` is when and
    for which tickets it is called by the clock; ``receives`` are the names of the timers that handlers of its router
    receive.
    """

    router: str
    function: str
    kinds: frozenset[str]
    decide: Callable[..., None]
    takes: tuple[str, ...]
    when: Callable[..., object] | None
    when_takes: tuple[str, ...]
    ask: Callable[[TicketRead, Event, datetime], str] | None = None
    bulk: bool = False
    once: bool = False
    every: Schedule | None = None
    receives: Collection[str] = field(default=(), compare=False)
    echoes: bool = False
    name: str = field(init=False)
    """Its full name, ``router.function``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.router}.{self.function}")


def router_of(handler: str) -> str:
    """Return the name of the router in a handler's full name, or in what stands for all of its handlers."""
    return handler.partition(".")[0]


class Router:
    """A named collection of handlers.

    ``settings`` is a frozen dataclass that the router's ``[router.NAME]`` table must fit; handlers find the instance
    in ``ctx.settings``. ``bulk`` tells that nobody waits for what its handlers do: its writes leave three tenths of the
    budget to others. ``echoes`` asks for the changes that we made ourselves, actor ``us``, each once: they start no
    other router's handlers. The fuse watches over what comes of it.
    """

    def __init__(
        self, name: str, *, settings: type[Any] | None = None, bulk: bool = False, echoes: bool = False
    ) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"router name {name!r}: use lower-case letters, digits and dashes, a letter first")
        if settings is not None and not (isinstance(settings, type) and is_dataclass(settings)):
            raise ValueError(f"router {name!r}: settings must be a dataclass, the class itself")
        self.name = name
        self.settings = settings
        self.bulk = bulk
        self.echoes = echoes
        self.handlers: list[Handler] = []
        self._received: set[str] = set()

    @overload
    def on(self, *kinds: str, when: WhenTicket | None = None, name: str = "") -> Callable[[Function], Function]: ...

    @overload
    def on(self, *kinds: str, when: WhenEvent, name: str = "") -> Callable[[Function], Function]: ...

    @overload
    def on(self, *kinds: str, when: WhenMore, name: str = "") -> Callable[[Function], Function]: ...

    def on(
        self, *kinds: str, when: Callable[..., object] | None = None, name: str = ""
    ) -> Callable[[Function], Function]:
        """Register a function for kinds of change; ``when`` must hold as well.

        ``when`` takes ``ticket`` and, if it names them, ``event``, ``now`` (the time of the turn) and ``settings`` (the
        router's). What it returns counts by its truth; when that is an object with a ``reason``, as ``Matches.holds``
        gives, the reason is told why the handler did not run.
        ``name`` is that of the timer (``ctx.later``) whose kind is ``later``.
        """
        if not kinds:
            raise ValueError(f"router {self.name!r}: on() needs at least one kind, such as 'ticket-created'")
        if inspect.isroutine(kinds[0]):
            raise TypeError(f'router {self.name!r}: on stands without its kinds; write @router.on("ticket-created")')
        if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_TIMER_NAME:
            raise ValueError(
                f"router {self.name!r}: the name of a timer is a text of {LONGEST_TIMER_NAME} characters at most"
            )
        if name and "later" not in kinds:
            raise ValueError(f'router {self.name!r}: name={name!r} is for timers; write on("later", name={name!r})')
        asked = frozenset(timer_kind(self.name, name) if kind == "later" and name else check(kind) for kind in kinds)
        if name:
            self._received.add(name)
        return self._register(lambda _: asked, when, None)

    def every(
        self,
        period: float | str | timedelta,
        *,
        find: str,
        older_than: float | str | timedelta | None = None,
        when: Callable[..., object] | None = None,
    ) -> Callable[[Function], Function]:
        """Register a function that is called for each ticket that a search finds, time and again.

        ``period`` is as for ``Retry``, a minute at least. ``find`` is a search as HappyFox's own: ``status:"On Hold"``.
        ``older_than`` leaves out tickets that anybody, foxhooks included, has changed within that time. All processes
        together search once each period, at first when the schedule is new; a search takes 1,000 tickets at the most.
        The event's kind is ``scheduled``; ``when`` is as for ``on``.
        """
        try:
            made = schedule(period, find, older_than)
        except ValueError as error:
            raise ValueError(f"router {self.name!r}, every: {error}") from None
        return self._register(lambda handler: frozenset({schedule_kind(handler)}), when, made)

    def _register(
        self, asked: Callable[[str], frozenset[str]], when: Callable[..., object] | None, every: Schedule | None
    ) -> Callable[[Function], Function]:
        def register(function: Function) -> Function:
            name = getattr(function, "__name__", "")
            if any(handler.function == name for handler in self.handlers):
                raise ValueError(f"router {self.name!r} has two handlers named {name!r}; rename one")
            where = f"{self.name}.{name}"
            if not callable(function) or not name:
                raise TypeError(f"router {self.name!r}: a {type(function).__name__} has no name; write a def")
            if when is not None and not callable(when):
                raise TypeError(f"when of {where} is a {type(when).__name__}; give a function: when=lambda ticket: ...")
            self.handlers.append(
                Handler(
                    router=self.name,
                    function=name,
                    kinds=asked(where),
                    decide=function,
                    takes=_parameters(where, function, HANDLER_TAKES),
                    when=when,
                    when_takes=_parameters(f"when of {where}", when, WHEN_TAKES) if when else (),
                    bulk=self.bulk,
                    every=every,
                    receives=self._received,
                    echoes=self.echoes,
                )
            )
            return function

        return register


def _parameters(where: str, function: Callable[..., object], known: tuple[str, ...]) -> tuple[str, ...]:
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{where} is `async def`; write `def`: a handler only decides, the engine does the waiting")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{where} has a `yield`, so its lines would never run; record actions on the ticket instead")
    parameters = inspect.signature(function).parameters.items()
    names = tuple(
        name
        for name, parameter in parameters
        if (name in known or parameter.default is parameter.empty)
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    )
    if any(parameter.kind is parameter.POSITIONAL_ONLY for _, parameter in parameters):
        raise TypeError(f"{where} takes parameters by their place; take out the `/`: they are matched by name")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise TypeError(
            f"{where} takes {', '.join(map(repr, unknown))}; its parameters are matched by name and may be: "
            f"{', '.join(known)}"
        )
    if "ticket" not in names:
        raise TypeError(f"{where} takes no 'ticket'; its first parameter must be named so")
    return names
