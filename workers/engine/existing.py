"""Leave out what exists already because the store has lost the turns that did it.

After an older copy of the store was restored, or a replica that lagged behind took over, the ticket shows updates that
we made and no longer know. Actions with an older cause may ask for the same again: in the next turn, after a retry or a
pause, or from another ticket. So the snapshot keeps those updates until an action is found to be theirs.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from msgspec.structs import replace

from workers.engine.context import TurnContext
from workers.engine.effect import Effect, Held, fingerprint, split_actions
from workers.engine.fold import Folded
from workers.engine.handlers import Outcomes
from workers.engine.read import Reading
from workers.engine.reconcile import compare_fields, is_forward
from workers.plugins.router import Handler
from workers.store.lanes import HANDLER
from workers.tickets.change import Change, matches
from workers.tickets.model import TicketRead, Update, id_or_name, millis
from workers.tickets.snapshot import fits

#: The ms by which something may seem to have happened later than what it caused: updates have whole seconds.
SECOND = 999


class EffectCause(NamedTuple):
    """Something that a handler reacts to."""

    update: int
    """Its update, 0 if it has none on this ticket."""
    at: int
    """When it happened (ms, HappyFox's time)."""

    def precedes(self, update: Update) -> bool:
        """Return whether an update may be a reaction to this."""
        return update.id > self.update if self.update else millis(update.at) + SECOND >= self.at


class ExistingEffects:
    """The updates that we made and the store has lost, and which effects they are."""

    def __init__(self, context: TurnContext, reading: Reading, outcomes: Outcomes) -> None:
        self._context, self._reading, self._outcomes = context, reading, outcomes
        made = {*(update.id for update in reading.diff.unattributed), *reading.diff.snapshot.lost}
        self._free = [
            update for update in reading.ticket.history if update.id in made and (update.message or update.changes)
        ]

    @cached_property
    def _handlers(self) -> dict[str, Handler]:
        return {bound.name: bound.handler for bound in self._context.config.handlers}

    @property
    def lost(self) -> tuple[int, ...]:
        """The lost updates that are not known to be any effect's."""
        free = {update.id for update in self._free}
        return tuple(update for update in self._reading.diff.snapshot.lost if update in free)

    def leave_out(self, folded: Folded) -> tuple[Effect, ...]:
        """Return the effects except those whose updates exist already; a reply that may be one of them is held.

        An update that is older than what its handler reacts to proves nothing: the same words may be an earlier answer.
        Only for a handler that runs once per ticket, in a turn that completes an interrupted one, and for a note, any
        update counts that is newer than the first cause.
        """
        if not self._free and not self._context.lane.memory.at:
            return tuple(folded.effects)
        kept: list[Effect] = []
        for effect in folded.effects:
            causes = self._causes(effect)
            update = None if effect.dry else self._made_by(effect, causes)
            if update is None:
                kept.append(self._doubt(effect, causes))
                continue
            self._free.remove(update)
            folded.remarks.append(f"{effect.summary}: already there (update {update.id})")
            if rest := _not_carried(effect, update, self._reading.ticket):
                kept.append(rest)
        return tuple(part for each in kept for part in self._hold_answered(each)) if self._free else tuple(kept)

    def _causes(self, effect: Effect) -> list[EffectCause]:
        """Return what the handlers of an effect react to; nothing for those that run once per ticket."""
        return [
            cause
            for name in ((effect.handler,) if effect.handler else effect.handlers)
            if (handler := self._handlers.get(name)) is None or not handler.once
            for cause in self._causes_of(name)
        ]

    def _causes_of(self, name: str) -> Iterable[EffectCause]:
        handler, ahead = self._handlers.get(name), self._reading.ahead
        asked = [each for each in self._outcomes.requested if each.handler == name]
        if any(not each.work for each in asked):
            shown = self._outcomes.handler_changes.get(name, self._reading.diff.changes)
            yield from (_cause(change, ahead) for change in shown if not handler or matches(handler.kinds, change))
        for work in (each.work for each in asked):
            if work and work.actions:
                yield EffectCause(0, work.since)
                yield EffectCause(0, work.until)
            elif work:
                yield from (_cause(change, ahead) for change in work.changes)

    def _made_by(self, effect: Effect, causes: Sequence[EffectCause]) -> Update | None:
        """Return the lost update that the effect has made."""
        staff, note = self._context.config.staff_id, effect.kind == "note" and not effect.set and not effect.fields
        follows = _follows_one if note or self._reading.diff.interrupted else _follows_all
        newer = (each for each in self._free if follows(each, causes))
        return next((update for update in newer if _fits(effect, update, staff)), None)

    def _doubt(self, effect: Effect, causes: Sequence[EffectCause]) -> Effect:
        """Mark an effect that leaves no trace on this ticket, if it may have been done in the time that is lost."""
        silent = effect.kind == "create" or (
            effect.kind in ("forward", "contact reply") and not self._by_person(effect)
        )
        memory = self._context.lane.memory
        maybe = silent and memory.at and self._is_older(effect, causes)
        return replace(effect, maybe_since=memory.ends if maybe else 0)

    def _is_older(self, effect: Effect, causes: Sequence[EffectCause]) -> bool:
        """Return whether what an effect reacts to may have happened before the store's memory was in doubt.

        A handler that runs once per ticket may have reacted to any update of the lost time then, or to the clock.
        """
        memory, ahead, ticket = self._context.lane.memory, self._reading.ahead, self._reading.ticket
        noticed = memory.at + ahead + SECOND
        if causes:
            return any(cause.at <= noticed for cause in causes)
        times = [millis(update.at) for update in ticket.history]
        if any(memory.ends + ahead <= at + SECOND and at <= noticed for at in times):
            return True
        by_clock = any(not cause.update for name in effect.handlers for cause in self._causes_of(name))
        return by_clock and millis(ticket.created_at) <= noticed

    def _by_person(self, effect: Effect) -> bool:
        """Return whether a person replays an effect and has seen the ticket since the store has lost time."""
        at = self._context.lane.memory.at
        asked = (event.at for event in self._context.lane.events if event.work and event.source != HANDLER)
        return effect.by_person and not any(then <= at for then in asked)

    def _hold_answered(self, effect: Effect) -> Sequence[Effect]:
        """Hold a reply if a lost message that is no other effect's may be its answer in other words."""
        causes = self._causes(effect)
        public = (update for update in self._free if update.message and not update.message.private)
        update = next((each for each in public if _follows_one(each, causes)), None)
        if effect.kind != "reply" or effect.dry or self._by_person(effect) or update is None:
            return (effect,)
        self._free.remove(update)
        reason = (
            f"update {update.id} may be this answer in other words: the store has lost the turn that wrote it; "
            "look at the ticket before you replay this"
        )
        message, *others = split_actions(effect)
        return replace(message, held=Held(f"answered-{update.id}", reason)), *others


def _follows_one(update: Update, causes: Sequence[EffectCause]) -> bool:
    return not causes or any(cause.precedes(update) for cause in causes)


def _follows_all(update: Update, causes: Sequence[EffectCause]) -> bool:
    return all(cause.precedes(update) for cause in causes)


def _cause(change: Change, ahead: int) -> EffectCause:
    return EffectCause(change.update_id or 0, happened_at(change, ahead))


def happened_at(change: Change, ahead: int) -> int:
    """Return when a change happened (ms, HappyFox's time); timers and schedules are dated by the store's clock."""
    return millis(change.at) + (ahead if change.to else 0)


def _fits(effect: Effect, update: Update, staff: int) -> bool:
    """Return whether an effect may have made an update; its message may have carried other properties then."""
    if effect.kind == "forward":
        return is_forward(effect, update, staff)
    if (wanted := fingerprint(effect, staff)) is None:
        return False
    if wanted.message:
        carried = {name: id_or_name(change.new) for name, change in update.changes.items()}
        wanted = replace(wanted, changes={**wanted.changes, **carried})
    return fits(wanted, update)


def _not_carried(effect: Effect, update: Update, ticket: TicketRead) -> Effect | None:
    """Return what is left of an effect with a message whose update exists: what the update did not set."""
    done = {name: id_or_name(change.new) for name, change in update.changes.items()}
    values = effect.property_values
    left = {name: value for name, value in effect.set.items() if done.get(name) != values[name]}
    same = dict(zip(effect.fields, compare_fields(effect, ticket), strict=True))
    fields = {field_id: value for field_id, value in effect.fields.items() if same[field_id] is False}
    if not left and not fields:
        return None
    names = {*left, *(f"#{field_id}" for field_id in fields)}
    owners = {name: owner for name, owner in effect.owners.items() if name in names}
    return Effect(kind="properties", set=left, fields=fields, owners=owners, names=effect.names)
