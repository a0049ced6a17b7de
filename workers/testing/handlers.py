"""Run a router's handlers on one event, without a store, a network or a clock."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn, TypeVar

from workers.errors import suggest
from workers.happyfox.base import IN_HANDLER
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Request
from workers.logs import HandlerLog
from workers.plugins.actions import (
    Action,
    AnyAction,
    ContactReply,
    Create,
    Delete,
    Forward,
    Later,
    Move,
    Note,
    OnOtherTicket,
    Reply,
    Set,
    SetContact,
    StateChange,
    Subscribe,
    Tags,
    Unsubscribe,
    Veto,
    denied,
    tag_changes,
)
from workers.plugins.arguments import NameOrId
from workers.plugins.context import Context
from workers.plugins.invoke import decide, refusal
from workers.plugins.loading import settings_of
from workers.plugins.router import Router
from workers.plugins.state import MemoryState, RouterStore, StoredEntry
from workers.settings import Grants
from workers.settings.parse import InvalidValueError
from workers.settings.parse import grants as grants_of
from workers.tickets.change import ACTOR_KINDS, Actor, ActorKind, Change, EventKind, check, event_for
from workers.tickets.hours import zone
from workers.tickets.model import Message, TicketRead, Update, read_ticket

Kind = TypeVar("Kind", bound=Action)

#: The default time in tests: noon of a Monday, UTC.
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The actions of a router's handlers, combined as in the engine; messages are HTML, as they would be sent."""

    tags_added: frozenset[str] = frozenset()
    """Without tags that the ticket has already; ``tags_removed`` without those that it does not have."""
    tags_removed: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    properties: Mapping[str, NameOrId | None] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    moved: NameOrId | None = None
    forwards: tuple[Forward, ...] = ()
    subscribed: frozenset[NameOrId] = frozenset()
    unsubscribed: frozenset[NameOrId] = frozenset()
    replies_as_contact: tuple[str, ...] = ()
    contact: Mapping[str, Any] = field(default_factory=dict)
    """What changes of the contact: ``name``, ``email`` and custom fields by name."""
    attachments: tuple[str, ...] = ()
    """The names of the files on notes, replies and new tickets."""
    time_spent: int = 0
    """The minutes of all actions together."""
    deleted: bool = False
    created: tuple[Mapping[str, Any], ...] = ()
    """The members of each ticket to create."""
    on_tickets: Mapping[int, "Result"] = field(default_factory=dict)
    """The actions on other tickets, by number."""
    effects: Mapping[str, Any] = field(default_factory=dict)
    """The ``dry`` value of each effect in another system, by name; nothing is called."""
    timers: Mapping[str, timedelta] = field(default_factory=dict)
    """The wait of each timer that was set, by name."""
    actions: tuple[AnyAction, ...] = ()
    denied: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The missing grants by handler, such as `FOXHOOKS_ALLOW=vip:reply`; denied actions appear nowhere else."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why a handler for this kind did not run, by handler."""
    failed: Mapping[str, Exception] = field(default_factory=dict)
    """The exception of a handler that raised; its actions are discarded."""


class MemoryStore(RouterStore):
    """What `ctx.store` of a router holds in tests; its methods read and change it at once.

    store = MemoryStore()
    store.add("absent", "ben")
    run(router, ticket(), "ticket-created", store=store)
    assert store.count("open-ada") == 1
    """

    def __init__(self) -> None:
        self.now = NOON
        self._state = MemoryState()
        super().__init__(self.read, _Immediate(self), lambda: self.now)

    def read(self, entry: str) -> StoredEntry:
        """Return an entry as it is stored."""
        return StoredEntry(self._state.read(f":{entry}"))

    def apply(self, actions: Iterable[AnyAction], now: datetime) -> None:
        """Make the changes among the actions of a handler, at the time of its turn."""
        self.now = now
        changes = [action for action in actions if isinstance(action, StateChange)]
        self._state.apply("", changes, int(now.timestamp() * 1000))


class _Immediate(list[AnyAction]):
    """A list of actions that makes each change at once."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self._store = store

    def append(self, action: AnyAction) -> None:
        self._store.apply([action], self._store.now)


def combine(actions: Sequence[AnyAction], has: frozenset[str] | None = None) -> Result:
    """Combine as the engine does: later values win; equal notes and tags that the ticket `has` are dropped."""

    def of(kind: type[Kind]) -> list[Kind]:
        return [each for each in actions if isinstance(each, kind)]

    tags = [
        each for each in tag_changes((("", one, False) for one in of(Tags)), has or ()) if each.needed or has is None
    ]
    others = of(OnOtherTicket)
    return Result(
        tags_added=frozenset(each.tag for each in tags if each.added),
        tags_removed=frozenset(each.tag for each in tags if not each.added),
        notes=tuple(dict.fromkeys(each.html for each in of(Note))),
        replies=tuple(each.html for each in of(Reply)),
        properties={name: value for each in of(Set) for name, value in each.properties.items()},
        fields={name: value for each in of(Set) for name, value in each.fields.items()},
        timers={each.name: timedelta(milliseconds=each.wait) for each in of(Later)},
        moved=next((each.category for each in reversed(of(Move))), None),
        forwards=tuple(of(Forward)),
        subscribed=frozenset(staff for each in of(Subscribe) for staff in each.staff),
        unsubscribed=frozenset(staff for each in of(Unsubscribe) for staff in each.staff),
        replies_as_contact=tuple(each.html for each in of(ContactReply)),
        contact={name: value for each in of(SetContact) for name, value in {**each.members, **each.fields}.items()},
        attachments=tuple(
            file.name
            for each in actions
            if isinstance(each, Note | Reply | ContactReply | Create)
            for file in each.files
        ),
        time_spent=sum(each.time_spent for each in actions if isinstance(each, Note | Reply | Set)),
        deleted=bool(of(Delete)),
        created=tuple(each.members for each in of(Create)),
        on_tickets={
            number: combine([each.ticket_action for each in others if each.number == number])
            for number in dict.fromkeys(each.number for each in others)
        },
        actions=tuple(actions),
    )


def ticket(  # noqa: PLR0913 - a keyword for each property that a test may set
    *,
    id: int = 1,
    email: str = "sam@example.com",
    name: str = "Sam Doe",
    subject: str = "Help",
    text: str = "Please help.",
    status: NameOrId = "New",
    closed: bool | None = None,
    priority: NameOrId = "Medium",
    category: NameOrId = "Support",
    assignee: NameOrId | None = None,
    tags: Iterable[str] = (),
    fields: Mapping[str, Any] | None = None,
    groups: Iterable[str] = (),
    contact_fields: Mapping[str, Any] | None = None,
    due_date: date | str | None = None,
    modified_at: datetime | None = None,
    source: str = "TKT_CREATION_API",
    unresponded: bool = True,
    sla_breaches: int = 0,
    raw: Mapping[str, Any] | None = None,
) -> TicketRead:
    """Build a ticket as read from HappyFox; `raw` overrides members of its answer (KB 1039).

    Statuses, priorities and so on have only a name, or with a number only an id; the contact's id is 1. `closed` sets
    the behavior of the status; by default, Closed and Solved are closed.
    """
    if closed is None:
        closed = str(status).casefold() in ("closed", "solved")
    created = NOON.strftime("%Y-%m-%d %H:%M:%S")
    answer = {
        "id": id,
        "display_id": f"HF{id:08}",
        "subject": subject,
        "first_message": text,
        "status": {**_named(status), "behavior": "completed" if closed else "pending"},
        "priority": _named(priority),
        "category": _named(category),
        "assigned_to": _named(assignee) if assignee else None,
        "user": {
            "id": 1,
            "name": name,
            "email": email,
            "contact_groups": [{"name": group} for group in ([groups] if isinstance(groups, str) else groups)],
            "custom_fields": _custom_fields(contact_fields or {}),
        },
        "tags": tags if isinstance(tags, str) else ", ".join(tags),
        "custom_fields": _custom_fields(fields or {}),
        "due_date": str(due_date) if due_date else None,
        "created_at": created,
        "last_modified": str(modified_at or created),
        "source": source,
        "unresponded": unresponded,
        "sla_breaches": sla_breaches,
        "updates": [],
    }
    return read_ticket({**answer, **(raw or {})}, "https://example.happyfox.com")


def _named(given: NameOrId) -> dict[str, NameOrId]:
    return {"name": given} if isinstance(given, str) else {"id": given}


def _custom_fields(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return custom fields as HappyFox would; a key of digits is the id of a field, any other key its name."""
    return [
        {
            "id": int(key) if key.isdecimal() else number,
            "name": key,
            "value": str(value) if isinstance(value, date) else value,
            "type": "date" if isinstance(value, date) else "number" if type(value) in (int, float) else "",
        }
        for number, (key, value) in enumerate(given.items(), 1)
    ]


def run(  # noqa: PLR0913 - the options of a turn, all but three with a default
    router: Router,
    ticket: TicketRead,
    kind: EventKind,
    *,
    by: ActorKind | Actor = "contact",
    text: str = "",
    name: str = "",
    data: Mapping[str, Any] | None = None,
    changes: Sequence[Change] | None = None,
    settings: Any = None,
    now: datetime | None = None,
    allow: Iterable[str] = (),
    store: "MemoryStore | None" = None,
) -> Result:
    """Run the handlers of a router in one turn and return their actions.

    The turn holds one change of `kind`, made `by` an actor, with `text` as its message, or only the given `changes`.
    For the kind `later`, `name` is the timer; for `hook`, it is the hook, and `data` what was sent to it; for
    `scheduled`, the schedules of all handlers match the ticket.
    `settings` is an instance, or a table as in the settings file; `allow` holds permissions such as `"reply"`. `store`
    is what `ctx.store` holds before and after, nothing by default.
    """
    now, store = now or NOON, store or MemoryStore()
    if changes is None:
        called = Change(kind="hook", at=now, name=name, to=router.name, data=data or {})
        changes = (called,) if kind == "hook" else _changes(router, ticket, kind, by, text, name, now)
        ticket = with_message(ticket, changes[0])
    effects: dict[str, Any] = {}
    recorded: list[AnyAction] = []
    context = Context(
        ticket=ticket.id,
        now=now,
        settings=_settings(router, settings),
        log=HandlerLog(router.name, account="test", ticket=ticket.id),
        happyfox=Client(_no_call, reads_only=True),
        actions=recorded,
        store=RouterStore(store.read, recorded, lambda: now),
        act=lambda request: effects.setdefault(request.name, request.dry),
    )
    grants = checked_grants((f"{router.name}:{each}" for each in allow), [router.name])
    actions: list[AnyAction] = []
    refused: dict[str, list[str]] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, Exception] = {}
    veto = ""
    for handler in router.handlers:
        event = event_for("test", handler.kinds, tuple(changes), now=now)
        if event is None:
            continue
        decided: Sequence[AnyAction] = ()
        try:
            IN_HANDLER.add(run)
            if reason := veto or refusal(handler, ticket, event, now, context.settings):
                skipped[handler.name] = reason
            else:
                decided = decide(handler, ticket, event, context)
                vetoes = [each.reason for each in decided if isinstance(each, Veto)]
                veto = f"vetoed by {handler.name}: {vetoes[0]}" if vetoes else ""
        except Exception as error:  # noqa: BLE001 - a handler may raise anything, which is part of the result
            failed[handler.name] = error
        finally:
            IN_HANDLER.discard(run)
        store.apply(decided, now)
        for action in decided:
            if missing := denied(action, router.name, grants):
                line = Grants().adding(router.name, [missing])
                refused[handler.name] = list(dict.fromkeys((*refused.get(handler.name, ()), line)))
            else:
                actions.append(action)
    return replace(combine(actions, ticket.tags), denied=refused, skipped=skipped, failed=failed, effects=effects)


def checked_grants(allow: Iterable[str], routers: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Return grants such as `vip:reply`; raise ValueError that names the nearest router or permission."""
    try:
        granted = grants_of(list(allow))
    except InvalidValueError as invalid:
        raise ValueError(f"allow {invalid.problem}; {invalid.fix}") from None
    for router, _ in sorted(granted):
        if router not in routers:
            raise ValueError(f"allow grants to {router!r}, which is not a router here; {suggest(router, routers)}")
    return granted


_CLOCK = re.compile(r"\d\d?:\d\d")


def moment(given: datetime | str, now: datetime) -> datetime:
    """Return a time: aware, or as text in UTC or in the zone named at its end; only an hour is the next one."""
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise ValueError(f"{given} has no time zone; pass datetime(..., tzinfo=UTC), or a text")
        return given
    text, _, name = given.rpartition(" ") if re.search(r" [A-Za-z]", given) else (given, "", "UTC")
    zone_of = zone(name)
    if _CLOCK.fullmatch(text):
        local = now.astimezone(zone_of)
        hour, minute = map(int, text.split(":"))
        found = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return found if found >= now else found + timedelta(days=1)
    return datetime.fromisoformat(text).replace(tzinfo=zone_of)


def _changes(
    router: Router, ticket: TicketRead, kind: str, by: ActorKind | Actor, text: str, name: str, now: datetime
) -> tuple[Change, ...]:
    if kind == "later":
        if not any(name in handler.receives for handler in router.handlers):
            raise ValueError(f"no handler of router {router.name!r} receives the timer {name!r}; pass its name=...")
        return (Change(kind=kind, at=now, name=name, to=router.name),)
    if kind == "scheduled":
        found = [handler.name for handler in router.handlers if handler.every]
        if not found:
            raise ValueError(f"no handler of router {router.name!r} has a schedule; add @router.every to one")
        return tuple(Change(kind=kind, at=now, to=handler) for handler in found)
    if not isinstance(by, Actor) and by not in ACTOR_KINDS:
        raise ValueError(f"by: no actor {by!r}; {suggest(by, ACTOR_KINDS)}")
    actor = by if isinstance(by, Actor) else Actor(by)
    message = text or (ticket.first_message if kind == "ticket-created" else "")
    newest = max((update.id for update in ticket.history), default=0)
    return (Change(kind=check(kind), at=now, update_id=newest + 1, actor=actor, text=message),)


def with_message(ticket: TicketRead, change: Change) -> TicketRead:
    """Add the message of a change to the history, where a handler would find it."""
    if change.kind not in ("contact-replied", "staff-replied", "note-added") or change.update_id is None:
        return ticket
    actor = change.actor
    author = actor.kind
    if author == "us" or author == "client":  # noqa: PLR1714 - for mypy
        author = "contact" if change.kind == "contact-replied" else "staff"
    update = Update(
        id=change.update_id,
        at=change.at,
        author=author,
        author_id=actor.id,
        author_name=actor.name,
        client=(actor.name or "a client") if actor.kind == "client" else "",
        message=Message(text=change.text, private=change.kind == "note-added", attachments=change.attachments),
        changes={},
        raw={},
    )
    return replace(ticket, history=(*ticket.history, update))


def _settings(router: Router, given: Any) -> Any:
    if router.settings is not None and isinstance(given, router.settings):
        return given
    if given is not None and not isinstance(given, Mapping):
        expected = router.settings.__name__ if router.settings else "none"
        raise TypeError(f"settings is a {type(given).__name__}; pass {expected} or a table to router {router.name!r}")
    return settings_of(router, given or {})


def _no_call(request: Request) -> NoReturn:
    raise RuntimeError(
        f"ctx.happyfox asked for {request.path}: the test kit has no network; pass the data in the ticket"
    )
