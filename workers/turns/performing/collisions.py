"""Collisions: what a person did since the handlers' read comes first; an effect gives way to it, whole or in part."""

import msgspec

from workers.models.row import Row
from workers.models.ticket import TicketRead
from workers.turns.performing.sight import Sight
from workers.turns.plan.effects import Effect
from workers.turns.plan.plan import Entry
from workers.turns.state import Gone
from workers.turns.steps import Steps

#: A plan older than this (ms) is held against a fresh read before anything more is sent.
STALE = 30_000


def allowed(sight: Sight, key: str, effect: Effect) -> Steps[Effect | None]:
    """Gives what of an effect does not go over what a person did since the read; None when it is withheld."""
    state = sight.state
    if effect.sort == "create":
        return effect
    if state.now() - sight.read_at > STALE:
        sight.checked, sight.read_at = (yield from state.ticket()), state.now()
        if sight.checked is None:
            raise Gone
    others, _ = sight.attribute(sight.rows)
    reason = _answered(others) if effect.sort == "reply" else ""
    if effect.sort == "delete" and others:
        reason = f"the ticket was changed meanwhile (row {others[-1].id})"
    changed = {name for row in others for name in row.changes}
    both = changed & ({"category"} if effect.sort == "move" else effect.set.keys())
    written = _written(sight, effect, sight.checked) if sight.checked else set[str]()
    if (both or written) and not reason:
        left = {name: value for name, value in effect.set.items() if name not in both}
        fields = {identity: value for identity, value in effect.fields.items() if identity not in written}
        if left or fields or effect.sort in ("note", "reply"):
            return msgspec.structs.replace(effect, set=left, fields=fields)
        names = sorted(both) + [f"field {identity}" for identity in sorted(written)]
        reason = f"{', '.join(names)} was changed meanwhile"
    if not reason:
        return effect
    yield from state.enter(key, Entry("withheld", said=reason))
    return None


def _written(sight: Sight, effect: Effect, ticket: TicketRead) -> set[str]:
    """Gives the custom fields of an effect that do not hold any more what the handlers saw; rows tell nothing."""
    seen = sight.plan.seen.fields
    now = {str(field.id): field.value for field in ticket.field_values}
    return {identity for identity in effect.fields if now.get(identity, "") != seen.get(identity, "")}


def _answered(rows: list[Row]) -> str:
    """Says which colleague answered meanwhile, or nothing."""
    for row in rows:
        if row.author == "staff" and row.message is not None and not row.message.private:
            return f"{row.author_name or 'a colleague'} answered meanwhile (row {row.id})"
    return ""
