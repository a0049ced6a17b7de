"""Routers: named collections of handlers, which plug-ins register; checked when the module is loaded."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias, TypeVar, overload

from workers.errors import LONGEST, seconds, suggest
from workers.plugins.actions import Ticket
from workers.tickets.change import Event, Kind, check, hook_kind, schedule_kind, timer_kind
from workers.tickets.model import TicketRead

#: The shortest period of a schedule, in seconds: each search costs calls.
SHORTEST_PERIOD = 60.0

#: The longest search in characters: it is part of a URL.
LONGEST_SEARCH = 1_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """A search that runs at regular intervals."""

    period: int
    """Milliseconds between two searches."""
    find: str
    older_than: int = 0
    """Only find tickets that nobody has changed for this long, in milliseconds."""

    @property
    def words(self) -> str:
        """The period and the search in words."""
        age = f", older than {_in_words(timedelta(milliseconds=self.older_than))}" if self.older_than else ""
        return f"{_in_words(timedelta(milliseconds=self.period))}: {self.find}{age}"

    def query(self, now: int) -> str:
        """Return the search to send to HappyFox at ``now`` (ms).

        HappyFox compares whole days in an undocumented time zone: searching one more day misses no ticket, and
        ``refusal`` checks the exact time of each ticket.
        """
        if not self.older_than:
            return self.find
        day = datetime.fromtimestamp((now - self.older_than) / 1000, UTC) + timedelta(days=1)
        return f'{self.find} last-modified-on-or-before:"{day:%Y/%m/%d}"'

    def refusal(self, ticket: TicketRead, now: datetime) -> str:
        """Return why the ticket, as read, was changed too recently, or an empty string."""
        least = timedelta(milliseconds=self.older_than)
        if not least or ticket.modified_at is None or now - ticket.modified_at >= least:
            return ""
        return f"the ticket was changed {_in_words(now - ticket.modified_at)} ago, less than {_in_words(least)}"


def schedule(period: Any, find: object, older_than: Any = None) -> Schedule:
    """Build the schedule of a handler or a rule; raise ValueError with the problem and its fix."""
    if not isinstance(find, str) or not find.strip():
        raise ValueError("find is empty; write a search such as find='status:\"On Hold\"'")
    if not find.strip().isprintable() or len(find) > LONGEST_SEARCH:
        raise ValueError(f"find is not one line of at most {LONGEST_SEARCH} characters; shorten the search")
    interval = _duration("the period", period)
    if not SHORTEST_PERIOD <= interval <= LONGEST:
        raise ValueError(f"the period {period!r} is out of range; use 1m to 366d")
    age = 0.0 if older_than is None else _duration("older_than", older_than)
    if not 0 <= age <= 100 * LONGEST:
        raise ValueError(f"older_than {older_than!r} is out of range; write it as 14d")
    return Schedule(round(interval * 1000), find.strip(), round(age * 1000))


def _duration(what: str, given: Any) -> float:
    try:
        return seconds(given)
    except ValueError:
        raise ValueError(f"{what} {given!r} is not a duration; write it as 30m, 1h or 14d") from None


def _in_words(age: timedelta) -> str:
    whole = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


#: What a handler may ask for with ``on``.
AskedKind: TypeAlias = Kind | Literal["later", "hook"]

Function = TypeVar("Function", bound=Callable[..., None])

#: The types of ``when`` for type checkers: one parameter is the ticket, a second one usually the event.
WhenTicket: TypeAlias = Callable[[Ticket], object]
WhenEvent: TypeAlias = Callable[[Ticket, Event], object]
WhenMore: TypeAlias = (
    Callable[[Any, Any], object] | Callable[[Any, Any, Any], object] | Callable[[Any, Any, Any, Any], object]
)

NAME = re.compile(r"[a-z][a-z0-9-]*")

#: The longest name of a timer in characters: it appears in ticket histories.
LONGEST_TIMER_NAME = 64

#: The parameters of a handler and of a `when`, matched by name.
HANDLER_PARAMETERS = ("ticket", "event", "ctx")
WHEN_PARAMETERS = ("ticket", "event", "now", "settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function on a router: it decides on changes of certain kinds, and performs nothing."""

    router: str
    function: str
    kinds: frozenset[str]
    decide: Callable[..., None]
    parameters: tuple[str, ...] = HANDLER_PARAMETERS
    """The names of the parameters of ``decide``."""
    when: Callable[..., object] | None = None
    when_parameters: tuple[str, ...] = ()
    ask: Callable[[TicketRead, Event, datetime], str] | None = None
    """For rules, instead of ``when``: return why the conditions do not hold; fast and safe to call without a limit."""
    bulk: bool = False
    """See ``Router``."""
    once: bool = False
    """Act on each ticket only once."""
    every: Schedule | None = None
    receives: Collection[str] = field(default=(), compare=False)
    """The names of the timers that handlers of this router receive."""
    echoes: bool = False
    """See ``Router``."""
    name: str = field(init=False)
    """The full name, ``router.function``; every turn asks for that of every handler."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.router}.{self.function}")


def router_of(handler: str) -> str:
    """Return the router in the full name of a handler, or in a name for all of its handlers."""
    return handler.partition(".")[0]


class Router:
    """A named collection of handlers.

    ``settings`` is a frozen dataclass for the router's ``[router.NAME]`` table; handlers read ``ctx.settings``.
    ``bulk`` marks work that nobody waits for: its writes leave three tenths of the budget to others. ``echoes`` also
    calls the handlers once for each change that foxhooks made (actor ``us``), under the loop guard; such a change
    calls no other router's handlers.
    """

    def __init__(
        self, name: str, *, settings: type[Any] | None = None, bulk: bool = False, echoes: bool = False
    ) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                f"router name {name!r} is invalid; use lower-case letters, digits and dashes, starting with a letter"
            )
        if settings is not None and not (isinstance(settings, type) and is_dataclass(settings)):
            raise ValueError(f"router {name!r}: settings is not a dataclass; pass the class itself")
        self.name = name
        self.settings = settings
        self.bulk = bulk
        self.echoes = echoes
        self.handlers: list[Handler] = []
        self._received: set[str] = set()

    @overload
    def on(
        self, *kinds: AskedKind, when: WhenTicket | None = None, name: str = ""
    ) -> Callable[[Function], Function]: ...

    @overload
    def on(self, *kinds: AskedKind, when: WhenEvent, name: str = "") -> Callable[[Function], Function]: ...

    @overload
    def on(self, *kinds: AskedKind, when: WhenMore, name: str = "") -> Callable[[Function], Function]: ...

    def on(
        self, *kinds: AskedKind, when: Callable[..., object] | None = None, name: str = ""
    ) -> Callable[[Function], Function]:
        """Register a function for kinds of change for which ``when`` returns something true.

        ``when`` takes ``ticket`` and, if it names them, ``event``, ``now`` (the time of the turn) and ``settings`` (the
        router's). If its result has a ``reason``, like that of ``Matches.holds``, the history shows it for a handler
        that did not run. ``name`` is the name of the timer (``ctx.later``) for the kind ``later``, and that of the
        only hook to receive for the kind ``hook``.
        """
        if not kinds:
            raise ValueError(f'router {self.name!r}: on() has no kind; write @router.on("ticket-created")')
        if inspect.isroutine(kinds[0]):
            raise TypeError(f'router {self.name!r}: on has no kind; write @router.on("ticket-created")')
        if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_TIMER_NAME:
            raise ValueError(
                f"router {self.name!r}: the timer name is invalid; use a str of at most {LONGEST_TIMER_NAME} characters"
            )
        if name and not {"later", "hook"}.intersection(kinds):
            raise ValueError(
                f"router {self.name!r}: name={name!r} names a timer or a hook; "
                f'write on("later", name={name!r}) or on("hook", name={name!r})'
            )
        if name and "hook" in kinds and not NAME.fullmatch(name):
            raise ValueError(f"router {self.name!r}: the hook {name!r} cannot be called; use a to z, 0 to 9 and dashes")
        accepted = frozenset(self._accepted(kind, name) for kind in kinds)
        if name and "later" in kinds:
            self._received.add(name)
        return self._register(lambda _: accepted, when, None)

    def post(self, name: str, *, ticket: int, account: str, data: Mapping[str, Any] | None = None) -> None:
        """Call this router's handlers of the hook ``name`` in a ticket's next turn: the way back from an actor.

        ``account`` is that of the event which started the job, ``data`` what the handler finds in the change: JSON of
        at most 256 KiB. If Dramatiq runs the actor's message again, nothing is stored twice.
        """
        names = {kind.split()[-1] for handler in self.handlers for kind in handler.kinds if kind.startswith("hook ")}
        if not any({hook_kind(self.name), hook_kind(self.name, name)} & handler.kinds for handler in self.handlers):
            fix = f'write @router.on("hook", name={name!r}) above a handler'
            raise ValueError(
                f"router {self.name!r}: no handler receives the hook {name!r}; {suggest(name, names, fix)}"
            )
        if isinstance(ticket, bool) or not isinstance(ticket, int) or ticket < 1:
            raise ValueError(f"router {self.name!r}, post: ticket is not a number; pass ticket.id")
        from workers.plugins import jobs  # late: Dramatiq, which those who only read a router never need

        jobs.post(account, ticket, self.name, name, data or {})

    def _accepted(self, kind: str, name: str) -> str:
        if kind == "later" and name:
            return timer_kind(self.name, name)
        return hook_kind(self.name, name) if kind == "hook" else check(kind)

    def every(
        self,
        period: float | str | timedelta,
        *,
        find: str,
        older_than: float | str | timedelta | None = None,
        when: Callable[..., object] | None = None,
    ) -> Callable[[Function], Function]:
        """Register a function that is called regularly for each ticket that a search finds.

        ``period`` is a duration of at least a minute, as for ``Retry``. ``find`` is a HappyFox search: ``tag:"vip"``.
        ``older_than`` excludes tickets that anybody, including foxhooks, has changed within that time. All processes
        together search once per period, first when the schedule is new; a search covers at most 1,000 tickets.
        The event's kind is ``scheduled``; ``when`` is as for ``on``.
        """
        try:
            search = schedule(period, find, older_than)
        except ValueError as error:
            raise ValueError(f"router {self.name!r}, every: {error}") from None
        return self._register(lambda handler: frozenset({schedule_kind(handler)}), when, search)

    def _register(
        self, kinds_of: Callable[[str], frozenset[str]], when: Callable[..., object] | None, every: Schedule | None
    ) -> Callable[[Function], Function]:
        def register(function: Function) -> Function:
            name = getattr(function, "__name__", "")
            if any(handler.function == name for handler in self.handlers):
                raise ValueError(f"router {self.name!r} has two handlers named {name!r}; rename one")
            where = f"{self.name}.{name}"
            if not callable(function) or not name:
                raise TypeError(f"router {self.name!r}: a {type(function).__name__} has no name; write a def")
            if when is not None and not callable(when):
                raise TypeError(f"when of {where} is a {type(when).__name__}; pass a function: when=lambda ticket: ...")
            self.handlers.append(
                Handler(
                    router=self.name,
                    function=name,
                    kinds=kinds_of(where),
                    decide=function,
                    parameters=_parameters(where, function, HANDLER_PARAMETERS),
                    when=when,
                    when_parameters=_parameters(f"when of {where}", when, WHEN_PARAMETERS) if when else (),
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
        raise TypeError(f"{where} is `async def`; write `def`: a handler only decides, the engine waits")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{where} contains `yield`, so it would never run; record actions on the ticket instead")
    parameters = inspect.signature(function).parameters.items()
    names = tuple(
        name
        for name, parameter in parameters
        if (name in known or parameter.default is parameter.empty)
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    )
    if any(parameter.kind is parameter.POSITIONAL_ONLY for _, parameter in parameters):
        raise TypeError(f"{where} has positional-only parameters; remove the `/`: they are matched by name")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise TypeError(
            f"{where} has unknown parameters {', '.join(map(repr, unknown))}; use only {', '.join(known)}, "
            "which are matched by name"
        )
    if "ticket" not in names:
        raise TypeError(f"{where} has no parameter 'ticket'; add it first")
    return names
