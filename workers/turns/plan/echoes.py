"""Echoes: the changes that we made ourselves, for the routers that ask for them. Pure.

They are owed to such a router when the turn that made them settles, and so are presented once, whatever happens to
HappyFox's webhook of them. No other router is ever shown one.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from workers.events.change import Actor, Change, matches
from workers.events.differences import KIND_OF, labels, named
from workers.events.last_seen import properties
from workers.models.reference import Named
from workers.models.ticket import TicketRead, read_ticket
from workers.turns.plan.effects import Effect
from workers.turns.plan.owed import ALL_OF, Owed
from workers.turns.plan.plan import Entry, Plan, pieces
from workers.turns.steps import Bound


def owed_echoes(
    plan: Plan, journal: Mapping[str, Entry], handlers: tuple[Bound, ...], now: int, due: int
) -> Iterator[Owed]:
    """Gives what the routers that hear our own changes are owed of a turn, at ``due``; times in ms."""
    hearing: dict[str, frozenset[str]] = {}
    for bound in handlers:
        if bound.handler.echoes:
            hearing[bound.handler.router] = hearing.get(bound.handler.router, frozenset()) | bound.handler.kinds
    changes = tuple(echoes(plan, journal, now)) if hearing else ()
    for router, kinds in hearing.items():
        if any(matches(kinds, change) for change in changes):
            yield Owed(ALL_OF.format(router), changes, 0, now, "", "", due)


def echoes(plan: Plan, journal: Mapping[str, Entry], now: int) -> Iterator[Change]:
    """Gives the changes that the effects of a turn made, in their order, dated ``now`` (ms)."""
    at, ticket = datetime.fromtimestamp(now / 1000, UTC), read_ticket(plan.ticket, "")
    for _, effect, entry in pieces(plan, journal):
        if entry.state == "done" and not entry.said:  # what is said is that there was nothing to do
            yield from _echo(effect, entry, ticket, at, Actor("us", plan.staff or None))


def _echo(effect: Effect, entry: Entry, ticket: TicketRead, at: datetime, actor: Actor) -> Iterator[Change]:
    row = entry.rows[0] if entry.rows else None
    if effect.sort in ("note", "reply"):
        kind = "note-added" if effect.sort == "note" else "staff-replied"
        yield Change(kind=kind, at=at, update_id=row, actor=actor, text=effect.text, html=effect.html)
    if effect.add or effect.remove:
        added, removed = frozenset(effect.add), frozenset(effect.remove)
        yield Change(kind="tags-changed", at=at, update_id=row, actor=actor, added=added, removed=removed)
    before, known = properties(ticket), labels(ticket)
    values = {name: value for name, value in effect.set.items() if name not in entry.without}
    if effect.sort == "move":
        values["category"] = effect.category
    for name, value in values.items():
        old = named(name, before[name], known[name])
        new = named(name, "" if value is None else str(value), effect.names.get(name, ""))
        yield Change(kind=KIND_OF[name], at=at, update_id=row, actor=actor, old=old, new=new)
    fields = {str(field.id): field for field in ticket.field_values}
    for identity in effect.fields:
        if f"#{identity}" not in entry.without:
            now_, then = entry.fields.get(identity, ""), fields.get(identity)
            yield Change(
                kind="field-changed",
                at=at,
                update_id=row,
                actor=actor,
                field=effect.names.get(f"#{identity}", then.name if then else identity),
                old=Named(None, then.value) if then and then.value else None,
                new=Named(None, now_) if now_ else None,
            )
