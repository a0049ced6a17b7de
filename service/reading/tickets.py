"""One ticket: what was received, decided and done turn by turn, and what happens next; for commands and pages."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

import msgspec
import redis

from service.errors import CommandError
from service.words import ahead, clock, plural, silent, span
from workers.engine import guards, plan
from workers.engine.context import DAY
from workers.engine.effect import Effect, split_actions
from workers.engine.handlers import NOT_TRIGGERED
from workers.engine.settle import VERDICTS, describe_effect, describe_external, describe_handovers, learned
from workers.errors import BLOCKED
from workers.plugins.actions import describe_denials
from workers.settings import Account
from workers.store.audit import AuditLine, read_audit
from workers.store.client import Store, store_time
from workers.store.completeness import SWEEP
from workers.store.failures import Problems, UnreadableKey, reading
from workers.store.memory import Memory
from workers.store.pauses import Pause, Scope, describe_pause
from workers.store.permits import Governor
from workers.store.records import AccountRecords, HistoryLine
from workers.tickets.change import Change, describe
from workers.tickets.model import millis
from workers.tickets.snapshot import Snapshot, Timer

#: How many lines of the audit log are searched for those about a ticket.
MOST_ACTIONS = 200

#: How many of the newest records are searched for a ticket that has no history: a live page does it once a second.
MOST_RECORDS = 500

#: The label of the line that says that one turn sent several emails.
SEVERAL_EMAILS = "attention"

Pauses = Mapping[tuple[Scope, str], Pause]


@dataclass(frozen=True, slots=True)
class TurnEntry:
    """One turn of the ticket."""

    turn: str
    at: int
    record: plan.Record | None
    """None if it has expired or this version cannot read it."""
    history: tuple[HistoryLine, ...]
    unreadable: str = ""
    """What is wrong with the key of its record, if it cannot be read."""


@dataclass(frozen=True, slots=True)
class PendingSummary:
    """The pending work of one handler, or of every handler."""

    handler: str
    changes: int
    due: int
    """When it is tried again (ms), unless it is paused."""
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketStatus:
    """The present state of a ticket."""

    waiting: int
    """Events that wait."""
    due: int | None
    """When its next turn is due (ms)."""
    claimed: bool
    """Whether a worker is processing it."""
    is_known: bool
    """Whether a turn of it has been settled."""
    pending: tuple[PendingSummary, ...]
    timers: tuple[Timer, ...]
    why_stopped: tuple[str, ...]
    """Why its handlers do not run."""
    account_paused: bool
    """Whether events of the account are queued until it is resumed."""
    memory_in_doubt: str = ""
    """Since when and why what the store knows about the ticket is in doubt; empty if it has been read since."""
    no_calls_until: int = 0
    """When HappyFox may be called again (ms); 0 if it may be called now."""
    why_no_calls: str = ""
    locked_out: bool = False
    """Whether that is a lockout because of too many calls."""
    unreadable: tuple[str, ...] = ()
    """What is wrong with keys of the ticket that cannot be read."""


def read_actions(records: AccountRecords, ticket: int) -> tuple[AuditLine, ...]:
    """Return what people did about a ticket, oldest first: who paused, replayed, discarded."""
    page = read_audit(records.client, [records.account], about=f"ticket {ticket}", most=MOST_ACTIONS)
    mine = f"ticket {ticket}"
    return tuple(line for line in reversed(page.items) if mine in (line.object, line.before, line.after))


def describe_action(line: AuditLine) -> str:
    """Describe what somebody did."""
    what = line.what if line.object.startswith("ticket ") else f"{line.what} {line.object}"
    return f"{line.who}: {what}" + (f" ({line.why})" if line.why else "")


def read_turns(records: AccountRecords, ticket: int) -> Iterator[TurnEntry]:
    """Yield the ticket's turns, oldest first, by its history; if that is lost, by the account's newest records."""
    lines = records.history(ticket)
    for turn, same in groupby(lines, key=lambda line: line.turn):
        history = tuple(same)
        try:
            yield TurnEntry(turn, history[0].at, _read_record(records, turn), history)
        except UnreadableKey as error:
            yield TurnEntry(turn, history[0].at, None, history, str(error))
    newest = () if lines else reversed([*records.records(most=MOST_RECORDS)])
    for record in map(plan.read_record, newest):
        if record is not None and record.number == ticket:
            yield TurnEntry(record.turn, record.at, record, ())


def _read_record(records: AccountRecords, turn: str) -> plan.Record | None:
    with reading(records.keys.record(turn)):
        stored = records.record(turn)
        return None if stored is None else plan.decode_record(stored)


def read_status(records: AccountRecords, account: Account, ticket: int) -> TicketStatus:
    """Read the present state of a ticket."""
    state, pauses = records.ticket(ticket), records.pauses()
    problems, pending = Problems(dict.fromkeys(state.unreadable)), tuple[plan.Pending, ...]()
    with problems.noted(records.keys.turn(ticket)):
        pending = plan.decode_pending(state.pending)
    whole = pauses.get(("account", ""))
    with Store(records.client) as store:
        calls = store.run(Governor(account.name, account.budget).forecast())
    closed, now = calls.gate != "open", store_time(records.client)
    why = silent(calls.silent_since, now) if calls.silent_since else BLOCKED.get(calls.why, calls.why)
    return TicketStatus(
        waiting=state.waiting,
        due=state.due,
        claimed=state.claimed,
        is_known=state.snapshot is not None,
        pending=tuple(
            PendingSummary(each.handler, len(each.changes), each.due, each.paused)
            for each in pending
            if each.handler != plan.TICKET
        ),
        timers=tuple(sorted(state.snapshot.timers, key=lambda timer: timer.due)) if state.snapshot else (),
        why_stopped=tuple(_why_stopped(account, ticket, state.snapshot, pending, pauses)),
        account_paused=whole is not None and not whole.skip,
        memory_in_doubt=_doubt(records.memory(), state.snapshot, now),
        no_calls_until=now + round(calls.reopens * 1000) if closed else 0,
        why_no_calls=why if closed else "",
        locked_out=calls.locked_out,
        unreadable=tuple(problems),
    )


def _doubt(memory: Memory, snapshot: Snapshot | None, now: int) -> str:
    if snapshot is None and memory.at > now - DAY:
        what = "The store may have forgotten turns of this ticket. Its memory"
    elif snapshot is not None and snapshot.doubts < memory.doubts:
        what = "The store's memory of this ticket"
    else:
        return ""
    return (
        f"{what} is in doubt since {clock(memory.at)}: {memory.cause}. It knew nothing later than "
        f"{clock(memory.ends)}. The next turn first looks for what foxhooks has done since."
    )


def _why_stopped(
    account: Account, ticket: int, snapshot: Snapshot | None, pending: Sequence[plan.Pending], pauses: Pauses
) -> Iterator[str]:
    for (scope, name), pause in pauses.items():
        if scope != "ticket" or name == str(ticket):
            yield describe_pause(f"the router {name}" if scope == "router" else f"the {scope}", pause)
    if snapshot is None:
        return
    if guards.has_pause_tag(snapshot.tags, account.off_tag):
        since = next((each.first_at for each in pending if each.handler == plan.EVERYONE and each.paused), 0)
        when = f" since {clock(since)}" if since else ""
        yield f"the ticket is paused{when} by its tag {account.off_tag}"
    if tripped := guards.describe_loop_guard(snapshot.loop_guard):
        yield tripped


def describe_turn(turn: TurnEntry) -> Iterator[tuple[str, str]]:
    record = turn.record
    if record is None:
        yield from (("", past.text) for past in turn.history)
        yield from [("unreadable", turn.unreadable)] if turn.unreadable else []
        return
    for (source, kind), same in groupby(record.events, key=lambda event: (event.source, event.kind)):
        count = len(list(same))
        yield "received", f"{source}: {kind}" + (f", {count} times" if count > 1 else "")
    yield from describe_record(record)


def describe_record(record: plan.Record) -> Iterator[tuple[str, str]]:
    """Describe what a turn found, decided and did."""
    by, news = learned(record)
    for change in record.changes:
        late = f", learned {span(record.at - millis(change.at))} later by a sweep" if by == SWEEP else ""
        yield "change", f"{describe_change(change)}{late if change in news else ''}"
    yield from (("handler", verdict) for verdict in _verdicts(record.verdicts))
    yield from (("external", effect) for effect in describe_external(record.turn, record.external))
    yield from (("other ticket", handover) for handover in describe_handovers(record.handovers, record.dry))
    yield from (("note", remark) for remark in record.remarks)
    yield from _describe_emails(record)
    for index, effect in enumerate(record.effects):
        entry = record.journal.get(str(index))
        if entry is not None and entry.state == "split":
            for part, piece in enumerate(split_actions(effect)):
                yield from _effect(piece, record.journal.get(f"{index}.{part}"))
        else:
            yield from _effect(effect, entry)


def _describe_emails(record: plan.Record) -> Iterator[tuple[str, str]]:
    """Say which handlers have each sent an email, if one turn sent several."""
    senders = [
        effect.handler
        for index, effect in enumerate(record.effects)
        if effect.sends_email and (entry := record.journal.get(str(index))) is not None and entry.state == "done"
    ]
    if len(senders) > 1:
        each = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in Counter(senders).items())
        yield SEVERAL_EMAILS, f"{len(senders)} emails were sent in this turn, by {each}"


def describe_change(change: Change) -> str:
    if words := describe(change):
        return words
    who = " ".join(part for part in (change.actor.kind, change.actor.name) if part)
    what = ""
    if change.added or change.removed:
        what = ", ".join([f"+{tag}" for tag in sorted(change.added)] + [f"-{tag}" for tag in sorted(change.removed)])
    elif change.kind != "smart-rule" and (change.old or change.new):  # a rule is named as the actor already
        sides = [side.name or str(side.id) if side else "none" for side in (change.old, change.new)]
        what = f"{change.field} {' → '.join(sides)}".strip()
    update = f" (update {change.update_id})" if change.update_id else ""
    return f"{change.kind} by {who}" + (f": {what}" if what else "") + update


def _verdicts(verdicts: Sequence[plan.Verdict]) -> Iterator[str]:
    """Describe each decision; handlers that were not triggered share a line at the end."""
    idle = [verdict for verdict in verdicts if verdict.state == "skipped" and verdict.reason == NOT_TRIGGERED]
    for each in verdicts:
        if each not in idle:
            attempt = f" (attempt {each.attempt})" if each.attempt > 1 else ""
            decision = f"{VERDICTS[each.state]} {each.reason}{attempt}{describe_denials(each.denied, each.grant)}"
            yield f"{plan.describe_handler(each.handler)} {decision}"
    if idle:
        yield f"{', '.join(plan.describe_handler(each.handler) for each in idle)}: not triggered by this event"


def _effect(effect: Effect, entry: plan.Entry | None) -> Iterator[tuple[str, str]]:
    """Describe an action, how it ended, who asked for it, and the message that it has."""
    handlers = ", ".join(sorted({*filter(None, (effect.handler,)), *effect.owners.values()}))
    asked = f", for {handlers}" if handlers else ""
    if entry is None:
        yield "action", f"{effect.summary}: not started{asked}"
    else:
        yield "dry run" if entry.state == "dry" else "action", f"{describe_effect(effect, entry)}{asked}"
    if effect.text:
        yield "message", f'"{effect.text}"'


def describe_status(status: TicketStatus, now: int) -> Iterator[str]:
    """Describe the present state of a ticket at the time ``now`` (ms)."""
    yield from (f"{problem[:1].upper()}{problem[1:]}." for problem in status.unreadable)
    if status.memory_in_doubt:
        yield status.memory_in_doubt
    for reason in status.why_stopped:
        yield f"Handlers do not run: {reason}."
    if status.claimed:
        yield "A worker is processing it."
        return
    if status.waiting and status.due is not None:
        when = (
            "next turn when the account is resumed" if status.account_paused else _next("turn", status.due, status, now)
        )
        yield f"{plural(status.waiting, 'waiting event')}, {when}."
    for each in status.pending:
        handler = plan.describe_handler(each.handler)
        work = f"{plural(each.changes, 'change')} for {handler}" if each.changes else handler
        when = "queued until the pause ends" if each.paused else _next("attempt", each.due, status, now)
        yield f"{work}: {when}."
    for timer in status.timers:
        unless = f", unless {' or '.join(timer.unless)} comes first" if timer.unless else ""
        yield f"{timer.words[:1].upper()}{timer.words[1:]}: due {ahead(timer.due, now)}{unless}."
    if not status.waiting and not status.pending:
        yield "No events waiting."


def _next(what: str, due: int, status: TicketStatus, now: int) -> str:
    """Say when something is done next, or until when no call can be made."""
    if due >= status.no_calls_until:
        return f"next {what} {ahead(due, now)}"
    when = clock(status.no_calls_until, "%H:%M")
    return f"locked out until {when}" if status.locked_out else f"{status.why_no_calls}, next {what} at {when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketReport:
    """What happened to a ticket and what happens next, as `foxhooks explain` shows it."""

    account: str
    ticket: int
    turns: tuple[TurnEntry, ...]
    people: tuple[AuditLine, ...]
    """What people did about it, oldest first."""
    now: TicketStatus
    at: int
    """The store's time (ms)."""

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` and the API show."""
        timers = [msgspec.structs.asdict(timer) for timer in self.now.timers]
        present = msgspec.to_builtins(self.now, enc_hook=str) | {"timers": timers}
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"now": present}


class UnknownTicket(CommandError):
    """Nothing is known of a ticket; the text says so, and whether the store may have forgotten it."""


def read_ticket(client: redis.Redis, account: Account, number: int) -> TicketReport:
    """Read what happened to a ticket; raise ``UnknownTicket`` if nothing is known of it."""
    records = AccountRecords(client, account.name)
    turns, present = tuple(read_turns(records, number)), read_status(records, account, number)
    if not turns and present.due is None and not records.knows(number):
        raise UnknownTicket(f"No webhook received for ticket {number} yet. {present.memory_in_doubt}".rstrip())
    return TicketReport(
        account=account.name,
        ticket=number,
        turns=turns,
        people=read_actions(records, number),
        now=present,
        at=store_time(client),
    )
