"""``ctx``: settings, reads, timers, and actions beyond the handler's own ticket."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

from workers.errors import LONGEST, InvalidAction, seconds, suggest
from workers.happyfox.endpoints import Reads
from workers.logs import HandlerLog
from workers.plugins import arguments
from workers.plugins.actions import AnyAction, Create, Later, OnOtherTicket, OnTicket, Recorder, Veto
from workers.plugins.arguments import Attachable, NameOrId
from workers.plugins.router import Handler
from workers.plugins.state import Option, RouterStore
from workers.tickets.change import Change, Kind, check, matches
from workers.tickets.hours import Hours
from workers.tickets.hours import hours as parse_hours
from workers.tickets.snapshot import Timer, replace_timer

#: Names of effects appear in histories and logs, so they leave no room for a customer's words.
EFFECT_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class EffectRequest:
    """An effect in another system, as passed to ``ctx.effect``, which documents the fields."""

    name: str
    call: Callable[[], Any]
    landed: Callable[[], Any] | None
    dry: Any

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not EFFECT_NAME.fullmatch(self.name):
            raise InvalidAction(
                "the name of an effect is invalid; use at most 64 of a-z, 0-9 and . _ : -, "
                "starting with a letter or digit: crm-42"
            )
        for what, function in (("call", self.call), ("landed", self.landed)):
            if not callable(function) and not (what == "landed" and function is None):
                raise InvalidAction(f"effect {self.name!r}: {what} is not a function; write lambda: ...")
            if iscoroutinefunction(function):
                raise InvalidAction(
                    f"effect {self.name!r}: {what} is `async def`; write `def` and use a synchronous client"
                )


if TYPE_CHECKING:  # only type checkers need the default: a bare Context has settings of any type
    from typing_extensions import TypeVar as Defaulted

    Settings = Defaulted("Settings", default=Any)
else:
    Settings = TypeVar("Settings")

#: The values JSON can represent.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Value = TypeVar("Value", bound=Json)

#: The most other tickets that one run may address: all their actions are stored in one step.
MAX_OTHER_TICKETS = 200

#: The shortest wait of a timer, in seconds.
SHORTEST_WAIT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[Settings]):
    """The context of one handler run; ``act``, ``actions`` and ``timers`` are for the engine."""

    ticket: int
    """The number of the ticket."""
    now: datetime
    """The time of the turn (aware, UTC)."""
    settings: Settings
    """The router's settings, of the type that ``Context[Crm]`` names."""
    log: HandlerLog
    """A logger with account, ticket and handler in each line; keywords are fields: ``log.info("done", vip=True)``."""
    happyfox: Reads
    """The client for reads; each read takes a permit."""
    store: RouterStore = field(repr=False)
    """What the router remembers across tickets."""
    act: Callable[[EffectRequest], Any] = field(repr=False)
    """Perform an effect in another system."""
    actions: list[AnyAction] = field(default_factory=list, repr=False)
    """The actions recorded so far."""
    timers: Collection[str] = field(default=(), repr=False)
    """The names of the timers that the router receives."""

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
        """Change something in another system once; return the value of ``call``, at most 64 kB of JSON.

        ``name`` identifies the effect within its handler (``a-z``, ``0-9`` and ``. _ : -``). Until the handler has
        succeeded, even after a retry, a crash or a replay, a completed effect returns its first value without a call.
        After a crash, ``landed`` checks whether the call happened: it returns what ``call`` would have, or None.
        Without it, such an effect becomes a dead letter. A ``Retry`` or ``GiveUp`` raised by ``call`` means that the
        call did not happen. A dry run calls nothing and returns ``dry``.
        """
        return self.act(EffectRequest(name, call, landed, dry))

    def choose(self, name: str, options: Sequence[Option]) -> Option:
        """Return the option whose turn it is: the one that was chosen longest ago, or the first that never was.

        ``name`` identifies the rotation within the router. The options may differ each time, for example because
        somebody is absent. Like all of ``ctx.store``, the choice counts once, when the turn's plan is stored: four
        simultaneous tickets get four different options.
        """
        return self.store.choose(name, options)

    def create_ticket(  # noqa: PLR0913 - a keyword for each member of HappyFox's endpoint
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
        attachments: Iterable[Attachable] = (),
    ) -> None:
        """Create a ticket, which needs the grant ``create``; the members are HappyFox's (KB 1039).

        Identify the contact by ``client``, an existing id, or by ``email`` and ``name``. ``html`` takes precedence over
        plain ``text``. ``fields`` are custom fields by name. ``attachments`` are as in ``ticket.note``. Handlers are
        not called for tickets that foxhooks created.
        """
        if client is None and not email:
            raise InvalidAction(
                "create_ticket has no contact; pass client=ticket.contact.id, or email=... and name=..."
            )
        if client is not None and (isinstance(client, bool) or not isinstance(client, int)):
            raise InvalidAction("create_ticket: client is not an id (int); pass client=ticket.contact.id")
        if not arguments.line("subject", subject):
            raise InvalidAction("create_ticket has no subject; pass a string")
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
        given = {key: value for key, value in members.items() if value not in (None, "", (), {}, False)}
        self.actions.append(Create(given, arguments.files(attachments, self.ticket)))

    def on_ticket(self, number: int) -> Recorder:
        """Return a recorder for another ticket: ``ctx.on_ticket(7).add_tags("duplicate")``.

        Its actions become an event in that ticket's own lane and are performed there, under this router's grants,
        without calling handlers. A ticket that does not exist becomes a dead letter. The handler's own number records
        on its own ticket. One run may address at most 200 other tickets.
        """
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InvalidAction("on_ticket: the ticket's number is not a positive int; write on_ticket(12)")
        others = {each.number for each in self.actions if isinstance(each, OnOtherTicket)}
        if number not in (self.ticket, *others) and len(others) >= MAX_OTHER_TICKETS:
            raise InvalidAction(
                f"on_ticket: a run may address at most {MAX_OTHER_TICKETS} other tickets; address fewer"
            )
        return OnTicket(number, self.actions, self.ticket)

    def veto(self, reason: str) -> None:
        """Keep all handlers and rules that come after this one from running on this event.

        The ticket's history shows ``reason`` for each of them. Work that they have pending from earlier events
        continues. The veto counts only if this handler does not fail; in a dry run of its router alone, it is ignored.
        """
        self.actions.append(Veto(arguments.line("reason of a veto", reason) or "no reason"))

    def later(
        self,
        wait: float | str | timedelta,
        name: str,
        unless: Kind | Iterable[Kind] = (),
        hours: Hours | str | None = None,
    ) -> None:
        """Set a timer on this ticket; ``@router.on("later", name=name)`` receives it.

        ``wait`` is a number of seconds, a string such as ``"10m"``, ``"2h"`` or ``"3d"``, or a timedelta, from 1 second
        to 366 days. With ``hours``, such as ``"Mon-Fri 09:00-17:00 Europe/Berlin"``, only time within them counts: two
        hours from Friday 16:00 on end on Monday at 10:00. A change of a kind in ``unless`` ends the timer, unless
        foxhooks made it. A new timer replaces the one that the ticket has for this router and name. No timer is set if
        the handler fails. Timers are lost with the store's memory. Raise ``InvalidAction`` for an invalid wait or kind,
        or a name that no handler receives.
        """
        kinds = arguments.several("ctx.later: unless", [unless] if isinstance(unless, str) else unless)
        for kind in kinds:
            try:
                check(kind)
            except ValueError as error:
                raise InvalidAction(f"ctx.later, unless: {error}") from None
        if not isinstance(name, str) or name not in self.timers:
            fix = f'write @router.on("later", name={name!r}) above a handler of the same router'
            raise InvalidAction(f"ctx.later: no handler receives the timer {name!r}; {suggest(name, self.timers, fix)}")
        try:
            length = seconds(wait)
        except ValueError:
            raise InvalidAction(f"ctx.later: {wait!r} is not a duration; write it as 10m, 2h or 3d") from None
        if hours is not None and length >= 0:
            try:
                within = hours if isinstance(hours, Hours) else parse_hours(hours)
                length = (within.add(self.now, timedelta(seconds=length)) - self.now).total_seconds()
            except (ValueError, OverflowError, AttributeError) as error:
                raise InvalidAction(f"ctx.later, hours: {error}") from None
        if not SHORTEST_WAIT <= length <= LONGEST:
            raise InvalidAction(f"ctx.later: a wait of {wait!r} is out of range; use 1s to 366d")
        self.actions.append(Later(name, round(length * 1000), tuple(dict.fromkeys(kinds))))


def update_timers(
    timers: Sequence[Timer],
    handler: Handler,
    actions: Iterable[AnyAction],
    changes: Sequence[Change],
    now: int,
    dry: bool,
) -> tuple[tuple[Timer, ...], list[str]]:
    """Return the timers that run after a handler decided, and remarks for the ticket history.

    ``changes`` are those the handler saw. Changes after the last one it asked for may end a new timer at once, just as
    if they had come one turn later: the result must not depend on how many changes one turn holds.
    """
    last_asked = max((place for place, change in enumerate(changes, 1) if matches(handler.kinds, change)), default=0)
    running, remarks = tuple(timers), []
    for action in actions:
        if not isinstance(action, Later):
            continue
        new = Timer(handler.router, action.name, now + action.wait, now, action.unless, dry)
        kind = new.ended_by(changes[last_asked:])
        running = replace_timer(running, new)[: -1 if kind else None]
        due = datetime.fromtimestamp(new.due / 1000, UTC)
        remarks.append(f"{new.words}: " + (f"not set, ended by {kind}" if kind else f"due {due:%Y-%m-%d %H:%M:%S} UTC"))
    return running, remarks
