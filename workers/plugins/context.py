"""What a handler finds in ``ctx``, beside ticket and event."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from inspect import iscoroutinefunction
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

from workers.errors import InvalidAction, seconds, suggest
from workers.happyfox.endpoints import Client
from workers.plugins import arguments
from workers.plugins.actions import AnyAction, Create, Later, OnOtherTicket, OnTicket, Recorder
from workers.plugins.arguments import NameOrId
from workers.plugins.router import Handler
from workers.tickets.change import Change, check, matches
from workers.tickets.snapshot import Timer, replace_timer

#: Names of effects appear in histories and logs, so they leave no room for a customer's words.
EFFECT_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class EffectRequest:
    """An effect in another system, as a handler asked for it by ``ctx.effect``."""

    name: str
    call: Callable[[], Any]
    landed: Callable[[], Any] | None
    dry: Any

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not EFFECT_NAME.fullmatch(self.name):
            raise InvalidAction(
                "the name of an effect takes at most 64 of a-z, 0-9 and . _ : -, "
                "and begins with a letter or digit: crm-42"
            )
        for what, function in (("call", self.call), ("landed", self.landed)):
            if not callable(function) and not (what == "landed" and function is None):
                raise InvalidAction(f"effect {self.name!r}: {what} is not a function; write lambda: ... around it")
            if iscoroutinefunction(function):
                raise InvalidAction(
                    f"effect {self.name!r}: {what} is `async def`; write `def`, with a client that is not async"
                )


# Timers as handlers ask for them: what `ctx.later` is given, checked; and what a turn's wishes make of them. Pure.


#: The shortest and the longest wait (s) of a timer.
SHORTEST, LONGEST = 1.0, 366 * 86_400.0


def timer(wait: float | str | timedelta, name: str, unless: str | Iterable[str], received: Collection[str]) -> Later:
    """Make the intent of a timer. ``received`` are the names that the router receives. Raises ``InvalidAction``."""
    given = arguments.several("ctx.later: unless", [unless] if isinstance(unless, str) else unless)
    for kind in given:
        try:
            check(kind)
        except ValueError as error:
            raise InvalidAction(f"ctx.later, unless: {error}") from None
    if not isinstance(name, str) or name not in received:
        raise InvalidAction(f"ctx.later: nobody receives the timer {name!r}; {_cure(name, received)}")
    return Later(name, _ms(wait), tuple(dict.fromkeys(given)))


def _ms(wait: Any) -> int:
    try:
        given = seconds(wait)
    except ValueError:
        raise InvalidAction(f"ctx.later: {wait!r} is no wait; write it as 10m, 2h or 3d") from None
    if not SHORTEST <= given <= LONGEST:
        raise InvalidAction(f"ctx.later: a wait of {wait!r} cannot be; it is a second at least and 366d at most")
    return round(given * 1000)


def _cure(name: str, received: Collection[str]) -> str:
    return suggest(name, received, f'write @router.on("later", name={name!r}) above a handler of the same router')


def run_on(
    timers: Sequence[Timer],
    handler: Handler,
    actions: Iterable[AnyAction],
    changes: Sequence[Change],
    now: int,
    dry: bool,
) -> tuple[tuple[Timer, ...], list[str]]:
    """Return the timers that run after a handler had its say, and remarks for the ticket history.

    ``changes`` are those it was shown. What came behind the last one that it asked for may end a timer at once, as it
    would had it come a turn later: how many changes one turn holds makes no difference.
    """
    asked = max((place for place, change in enumerate(changes, 1) if matches(handler.kinds, change)), default=0)
    running, remarks = tuple(timers), []
    for action in actions:
        if not isinstance(action, Later):
            continue
        new = Timer(handler.router, action.name, now + action.wait, now, action.unless, dry)
        kind = new.ended_by(changes[asked:])
        running = replace_timer(running, new)[: -1 if kind else None]
        due = datetime.fromtimestamp(new.due / 1000, UTC)
        remarks.append(f"{new.words}: " + (f"not set, ended by {kind}" if kind else f"due {due:%Y-%m-%d %H:%M:%S} UTC"))
    return running, remarks


if TYPE_CHECKING:  # only a checker needs the default: a bare Context has settings of any type
    from typing_extensions import TypeVar as Defaulted

    Settings = Defaulted("Settings", default=Any)
else:
    Settings = TypeVar("Settings")

#: What JSON can hold.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Value = TypeVar("Value", bound=Json)

#: Of how many other tickets a handler may want something in one run: all of it is handed over in one step.
MOST_OTHERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[Settings]):
    """The surroundings of one run of a handler for the ticket of number ``ticket``.

    ``now`` is the time of the turn (aware, UTC), ``settings`` the router's settings, of the type that ``Context[Crm]``
    names, ``log`` a structured logger with account, ticket and handler bound, ``happyfox`` the client for reads; each
    read takes a permit. The rest is for the engine: ``intents`` is where the handler's intents are recorded, ``act``
    makes its effects in other systems, ``timers`` are the names of those that its router receives.
    """

    ticket: int
    now: datetime
    settings: Settings
    log: "Logger | LoggerAdapter[Logger]"
    happyfox: Client
    act: Callable[[EffectRequest], Any] = field(repr=False)
    actions: list[AnyAction] = field(default_factory=list, repr=False)
    timers: Collection[str] = field(default=(), repr=False)

    @overload
    def effect(
        self, name: str, call: Callable[[], Value], landed: Callable[[], Value | None] | None, dry: Value
    ) -> Value: ...

    @overload
    def effect(
        self, name: str, call: Callable[[], Value], landed: Callable[[], Value | None] | None = None, *, dry: Value
    ) -> Value: ...

    @overload
    def effect(
        self, name: str, call: Callable[[], Value], landed: Callable[[], Value | None] | None = None, dry: None = None
    ) -> Value | None: ...

    def effect(self, name: str, call: Any, landed: Any = None, dry: Any = None) -> Any:
        """Change something in another system, once: calls ``call`` and gives its value, JSON of at most 64 kB.

        ``name`` tells the effects of a handler apart (``a-z``, ``0-9`` and ``. _ : -``). Until the handler has
        succeeded, also after a retry, a crash or a replay, a name that is done gives its first value and calls nothing.
        ``landed`` tells after a crash whether the call happened: what ``call`` would have given, or None. Without it
        such an effect becomes a dead letter. A ``Retry`` or ``GiveUp`` out of ``call`` says that it did not happen.
        In a dry run nothing is called and ``dry`` is given.
        """
        return self.act(EffectRequest(name, call, landed, dry))

    def create_ticket(
        self,
        *,
        subject: str,
        category: NameOrId,
        text: str = "",
        html: str | None = None,
        client: int | None = None,
        email: str = "",
        name: str = "",
        phone: str = "",
        priority: NameOrId | None = None,
        assignee: NameOrId | None = None,
        tags: Iterable[str] = (),
        cc: Iterable[str] = (),
        bcc: Iterable[str] = (),
        due_date: date | str | None = None,
        fields: Mapping[str, Any] | None = None,
        visible_only_staff: bool = False,
    ) -> None:
        """Request a ticket created, which needs the grant ``create``; the members are HappyFox's (KB 1039).

        The contact goes by ``client``, the id of one that exists, or by ``email`` and ``name``. ``text`` is plain,
        ``html`` is markup and wins. ``fields`` are custom fields by name. Our handlers are not called for a ticket that
        foxhooks created: it is our own doing.
        """
        if client is None and not email:
            raise InvalidAction(
                "create_ticket without a contact: give client=ticket.contact.id, or email=... and name=..."
            )
        if client is not None and (isinstance(client, bool) or not isinstance(client, int)):
            raise InvalidAction("create_ticket: client is the id of a contact (int), as client=ticket.contact.id")
        if not arguments.line("subject", subject):
            raise InvalidAction("create_ticket without a subject: give it a text")
        contact: dict[str, Any] = {"client": client}
        if client is None:
            [address] = arguments.addresses("email", (email,))
            contact = {"email": address, "name": arguments.line("name", name) or address}
        members = {
            **contact,
            "phone": arguments.line("phone", phone),
            "subject": subject,
            "html": arguments.body("ticket", text, html),
            "category": arguments.name("category", category),
            "priority": None if priority is None else arguments.name("priority", priority),
            "assignee": None if assignee is None else arguments.name("assignee", assignee),
            "tags": arguments.tags(tags),
            "cc": arguments.addresses("cc", cc),
            "bcc": arguments.addresses("bcc", bcc),
            "due_date": None if due_date is None else arguments.day(due_date),
            "fields": arguments.fields(fields),
            "visible_only_staff": bool(visible_only_staff),
        }
        self.actions.append(
            Create({key: value for key, value in members.items() if value not in (None, "", (), {}, False)})
        )

    def on_ticket(self, number: int) -> Recorder:
        """Return a recorder of intents for another ticket: ``ctx.on_ticket(7).add_tags("duplicate")``.

        They become an event in that ticket's own lane, are done there in their turn, under this router's grants, and
        call no handler. A ticket that does not exist makes a dead letter. The handler's own ticket is simply that. At
        most 200 tickets in one run.
        """
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InvalidAction("on_ticket: give the ticket's number (int), as in on_ticket(12)")
        others = {each.number for each in self.actions if isinstance(each, OnOtherTicket)}
        if number not in (self.ticket, *others) and len(others) >= MOST_OTHERS:
            raise InvalidAction(f"on_ticket: at most {MOST_OTHERS} other tickets in one run")
        return OnTicket(number, self.actions, own=number == self.ticket)

    def later(self, wait: float | str | timedelta, name: str, unless: str | Iterable[str] = ()) -> None:
        """Request this router called again for this ticket: ``@router.on("later", name=name)`` receives it.

        ``wait`` is a number of seconds, a text such as ``"10m"``, ``"2h"``, ``"3d"``, or a timedelta; 1 s at least,
        366 days at most. A change of a kind in ``unless`` ends the timer; what foxhooks does itself is no change. A
        ticket has one timer of each name for a router: a new one takes the place of the old. Nothing is set when the
        handler fails. Timers are lost with the store's memory. Raise ``InvalidAction`` for an invalid wait, kind or
        name, also for a name that no handler of the router receives.
        """
        self.actions.append(timer(wait, name, unless, self.timers))
