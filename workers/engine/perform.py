"""Absence: an effect whose ticket HappyFox does not know (404), be it by mistake or for good."""

from collections.abc import Callable

import msgspec

from workers.engine.context import LaneLost, Parked, TicketGone, TurnContext
from workers.engine.create import announce, find
from workers.engine.fold import request
from workers.engine.missing import next_look
from workers.engine.plan import Doubt, Effect, Entry, Plan, left_out, split
from workers.engine.reconcile import TRIES, UpdateAttribution, look_up
from workers.engine.steps import Outcome, Steps, ask
from workers.errors import HappyFoxError, InDoubt, Refused, Unsent
from workers.happyfox.messages import Answer, nothing_to_update, read, settlement
from workers.store.lanes import FORGET, LEAVE, Begun, begin
from workers.tickets.model import TicketRead, Update, read_updates

#: What is said of an effect that did not happen because its ticket is not there any more.
SAID = "the ticket is gone"

#: What is said of an effect that HappyFox knows no place for although the ticket is there.
UNPLACED = f"HappyFox answered 404 to it, sent {TRIES} times, though the ticket is there"


def miss_ticket(attribution: UpdateAttribution, key: str, gone: str) -> Steps[None]:
    """Lets an effect wait for its ticket as all work waits; in the end, or when ``gone`` says why, gives it up."""
    state = attribution.context
    now, entry = state.now(), state.journal.get(key)
    since = entry.at if entry else now
    look = next_look(since, now)
    if gone or not look:
        doubt = (
            Doubt(attribution.staff, attribution.plan.snapshot.floor, ()) if entry and entry.state == "begun" else None
        )
        yield from state.record_effect(key, Entry("gone", said=gone or SAID, doubt=doubt))
        return
    if entry is None:
        yield from state.record_effect(key, Entry("missing", at=now))
    raise Parked(max(look, 50), "HappyFox does not know the ticket (404)")


def search_ticket(attribution: UpdateAttribution, key: str, effect: Effect) -> Steps[int]:
    """Looks for the ticket; when it is there the effect did not happen and is sent again.

    Gives how often it was sent, at least 1; 0 when it was too often.
    """
    state, entry = attribution.context, attribution.context.journal[key]
    ticket = yield from state.read_ticket()
    if ticket is None:
        raise TicketGone
    if entry.tries >= TRIES:
        yield from state.record_effect(key, Entry("refused", said=UNPLACED))
        return 0
    attribution.checked, attribution.read_at = ticket, state.now()
    yield from state.record_effect(key, FORGET)
    return max(entry.tries, 1)


# Collisions: what a person did since the handlers' read comes first; an effect gives way to it, whole or in part.


#: A plan older than this (ms) is held against a fresh read before anything more is sent.
STALE = 30_000


def allowed(attribution: UpdateAttribution, key: str, effect: Effect) -> Steps[Effect | None]:
    """Gives what of an effect does not go over what a person did since the read; None when it is withheld."""
    state = attribution.context
    if effect.sort == "create":
        return effect
    if state.now() - attribution.read_at > STALE:
        attribution.checked, attribution.read_at = (yield from state.read_ticket()), state.now()
        if attribution.checked is None:
            raise TicketGone
    others, _ = attribution.attribute(attribution.updates)
    reason = _answered(others) if effect.sort == "reply" else ""
    if effect.sort == "delete" and others:
        reason = f"the ticket was changed meanwhile (row {others[-1].id})"
    changed = {name for update in others for name in update.changes}
    both = changed & ({"category"} if effect.sort == "move" else effect.set.keys())
    written = _written(attribution, effect, attribution.checked) if attribution.checked else set[str]()
    if (both or written) and not reason:
        left = {name: value for name, value in effect.set.items() if name not in both}
        fields = {identity: value for identity, value in effect.fields.items() if identity not in written}
        if left or fields or effect.sort in ("note", "reply"):
            return msgspec.structs.replace(effect, set=left, fields=fields)
        names = sorted(both) + [f"field {identity}" for identity in sorted(written)]
        reason = f"{', '.join(names)} was changed meanwhile"
    if not reason:
        return effect
    yield from state.record_effect(key, Entry("withheld", said=reason))
    return None


def _written(attribution: UpdateAttribution, effect: Effect, ticket: TicketRead) -> set[str]:
    """Gives the custom fields of an effect that do not hold any more what the handlers saw; rows tell nothing."""
    snapshot = attribution.plan.snapshot.fields
    now = {str(field.id): field.value for field in ticket.field_values}
    return {identity for identity in effect.fields if now.get(identity, "") != snapshot.get(identity, "")}


def _answered(updates: list[Update]) -> str:
    """Says which colleague answered meanwhile, or nothing."""
    for update in updates:
        if update.author == "staff" and update.message is not None and not update.message.private:
            return f"{update.author_name or 'a colleague'} answered meanwhile (row {update.id})"
    return ""


# Performing: one effect of the plan after another, each journaled before and after; what is in doubt is looked up.
#
# HappyFox has no key for telling a repeated write from a new one. So an effect that began and was not confirmed is
# never sent again before the ticket shows that it did not land, and only after the old call can no longer land.


#: What a bulk router wants counts as bulk for this long (ms), so that a busy account does not keep it for ever.
PATIENCE = 300_000


class Performer:
    """Performs one plan; the journal tells what became of each effect."""

    def __init__(self, context: TurnContext, plan: Plan) -> None:
        self.context, self.plan = context, plan
        self.attribution = UpdateAttribution(context, plan)

    def perform(self) -> Steps[None]:
        """Performs every effect that is not done; a ticket that is gone ends all but the creation of others."""
        for index, effect in enumerate(self.plan.effects):
            key = str(index)
            yield from self._one(key, effect)
            if self._entry(key) == "split":
                for part, piece in enumerate(split(effect)):
                    yield from self._one(f"{key}.{part}", piece)

    def _entry(self, key: str) -> str:
        entry = self.context.journal.get(key)
        return entry.state if entry else ""

    def _one(self, key: str, effect: Effect) -> Steps[None]:
        """Brings one effect to its end: done, withheld, refused, gone, split or dry."""
        while (entry := self._entry(key)) in ("", "begun", "missing"):
            gone = next((other.said for other in self.context.journal.values() if other.state == "gone"), "")
            try:
                if gone and effect.sort != "create":
                    raise TicketGone(gone)
                tries = 0
                if entry:
                    look = search_ticket if entry == "missing" else find if effect.sort == "create" else look_up
                    tries = yield from look(self.attribution, key, effect)
                if tries or not entry:
                    yield from self._send(key, effect, tries)
            except TicketGone as end:
                yield from miss_ticket(self.attribution, key, str(end))

    def _send(self, key: str, wanted: Effect, tries: int = 0) -> Steps[None]:
        state, config = self.context, self.context.config
        dry = [name for name in wanted.handlers if config.dry(name)]  # which may be set after the plan was stored
        if self.plan.dry or config.dry_run or wanted.dry or (dry and len(dry) == len(wanted.handlers)):
            state.journal[key] = Entry("dry")
            return
        if dry:
            yield from state.record_effect(key, Entry("split", said=f"{', '.join(dry)} runs dry by now"))
            return
        effect = yield from allowed(self.attribution, key, wanted)
        if effect is None:
            return
        yield from state.release_read()
        if effect.sort == "create" and not (yield from announce(state, key, effect)):
            return
        permit = state.permit_id()
        left, priority, after = left_out(wanted, effect), self._class(effect), self.attribution.newest()
        begin_effect = begin(state.lane, key, permit, config.call_ms, config.budget, priority, tries, left, after)
        begun = yield from ask(begin_effect)
        if not isinstance(begun, Begun):
            if begun.lost or begun.doubt:
                raise LaneLost
            raise Parked(begun.wait, f"no permit ({begun.why})")
        entry = Entry("begun", permit=permit, at=begun.at, deadline=begun.at + config.call_ms, tries=tries + 1)
        state.journal[key] = msgspec.structs.replace(entry, without=left, after=after)
        state.writes += 1
        outcome = yield from state.call(request(effect, state.lane.ticket, self.attribution.staff), permit)
        yield from self._understand(key, effect, permit, outcome)

    def _class(self, effect: Effect) -> str:
        """Gives the class of the turn, by its changes and what its lane was claimed for; bulk routers lower theirs."""
        lowered = {bound.name for bound in self.context.config.handlers if bound.handler.bulk}
        waited = self.context.now() - min((event.at for event in self.plan.events), default=self.context.now())
        if effect.handlers and lowered.issuperset(effect.handlers) and waited < PATIENCE:
            return "bulk"
        urgent = any(change.kind in ("ticket-created", "contact-replied") for change in self.plan.changes)
        return "interactive" if urgent else self.context.lane.priority

    def _understand(self, key: str, effect: Effect, permit: str, outcome: Outcome) -> Steps[None]:
        """Takes what came of a write; anything but a clear answer leaves it in doubt."""
        state = self.context
        result, wait = settlement("POST", outcome)
        left = state.journal[key].without

        def enter(entry: Entry | bytes) -> Steps[None]:
            if isinstance(entry, Entry) and left:
                entry = msgspec.structs.replace(entry, without=left)
            return state.record_effect(key, entry, permit, result, wait)

        if isinstance(outcome, Unsent):
            yield from enter(FORGET)
            raise Parked(1_000, str(outcome))
        if isinstance(outcome, InDoubt) or outcome.status >= 500:
            if result == "throttled":
                yield from enter(LEAVE)
                raise Parked(0, "HappyFox asks us to wait (503)")
            yield from enter(LEAVE)
        elif outcome.status in (401, 429):
            yield from enter(FORGET)
            raise Parked(0, f"HappyFox refuses every call for now ({outcome.status})")
        elif outcome.status == 404 and effect.sort != "create":
            yield from enter(Entry("missing", at=state.now(), tries=state.journal[key].tries))
            raise TicketGone
        else:
            yield from self._answered(key, effect, outcome, enter)

    def _answered(
        self, key: str, effect: Effect, answer: Answer, enter: Callable[[Entry | bytes], Steps[None]]
    ) -> Steps[None]:
        try:
            content = read(answer)
        except Refused as error:
            yield from self._refused(key, effect, error, enter)
        except HappyFoxError as error:
            if answer.status < 300:  # a success that cannot be read: look at the ticket
                yield from enter(LEAVE)
            else:
                yield from self._refused(key, effect, error, enter)
        else:
            shown = content if isinstance(content, dict) else {}
            if effect.sort == "create":
                number = shown.get("id")
                yield from enter(Entry("done", ticket=number) if isinstance(number, int) else LEAVE)
                return
            updates = read_updates(shown.get("updates"))
            yield from enter(self.attribution.answered(effect, updates, shown, self.context.journal[key].after))

    def _refused(
        self, key: str, effect: Effect, error: HappyFoxError, enter: Callable[[Entry | bytes], Steps[None]]
    ) -> Steps[None]:
        if nothing_to_update(error):
            yield from enter(Entry("done", said="nothing to update"))
        elif len(effect.handlers) > 1 and "." not in key:
            yield from enter(Entry("split", said=str(error)))
        else:
            complained = [field for field, _ in error.problems] if isinstance(error, Refused) else []
            yield from enter(Entry("refused", said=str(error), evidence={"fields": complained}))
