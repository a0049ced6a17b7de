"""Perform a plan: one effect after another, each with a journal entry before and after its call.

HappyFox has no idempotency keys. So an effect that began and was not confirmed is in doubt: it is sent again only if
the ticket shows that it did not happen, and after the old call can no longer take effect.
"""

from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from workers.engine.attach import NoFile, read_files
from workers.engine.brakes import address_limit, describe_loop
from workers.engine.context import UNREPLICATED, Parked, TicketGone, TicketUnreadable, TurnContext
from workers.engine.create import announce, find
from workers.engine.effect import Effect, omitted_parts, split_actions
from workers.engine.guards import has_pause_tag, paused_by_tag
from workers.engine.missing import explain_unreadable, ms_until_recheck
from workers.engine.plan import Entry, Plan, count_calls
from workers.engine.reconcile import MAYBE, TRIES, UpdateAttribution, look_up, resend
from workers.engine.requests import request
from workers.engine.steps import CallOutcome, Steps
from workers.errors import HappyFoxError, InDoubt, LeaseLost, NotNow, NotReplicated, Refused, Unsendable, Unsent
from workers.happyfox.messages import Answer, nothing_to_update, permit_outcome, read
from workers.plugins.actions import denied
from workers.plugins.router import router_of
from workers.store.lanes import FORGET, LEAVE, Begun, Emails, Refusal, begin
from workers.tickets.model import TicketRead, read_updates
from workers.tickets.snapshot import HOUR

#: Effects of bulk routers take bulk permits for this long (ms), so that a busy account does not delay them forever.
PATIENCE = 300_000

#: A plan older than this (ms) is compared with a fresh read before anything more is sent.
STALE = 30_000

#: The states of an effect that has not ended; it has none before it begins.
OPEN = ("", "begun", "missing")

#: Writes a journal entry and settles the permit of the call.
Enter = Callable[[Entry | bytes], Steps[None]]


class Performer:
    """Perform the effects of one plan, and record in the journal how each ended."""

    def __init__(self, context: TurnContext, plan: Plan) -> None:
        self.context, self.plan = context, plan
        self.attribution = UpdateAttribution(context, plan)

    def perform(self) -> Steps[None]:
        """Perform every effect that is not done; if the ticket is gone, only create other tickets."""
        for index, effect in enumerate(self.plan.effects):
            key = str(index)
            yield from self._perform(key, effect)
            if self._state(key) == "split":
                for number, part in enumerate(split_actions(effect)):
                    yield from self._perform(f"{key}.{number}", part)

    def _state(self, key: str) -> str:
        entry = self.context.journal.get(key)
        return entry.state if entry else ""

    def _perform(self, key: str, effect: Effect) -> Steps[None]:
        """Look up or send an effect until its journal entry is final."""
        self._doubt(key, effect)
        while (state := self._state(key)) in OPEN:
            gone = next((other.reason for other in self.context.journal.values() if other.state == "gone"), "")
            try:
                if gone and effect.kind != "create":
                    raise TicketGone(gone)
                attempts = 0
                if state:
                    check = search_ticket if state == "missing" else find if effect.kind == "create" else look_up
                    attempts = yield from check(self.attribution, key, effect)
                if attempts or not state:
                    yield from self._send(key, effect, attempts)
            except TicketGone as end:
                yield from miss_ticket(self.attribution, key, str(end))
            except TicketUnreadable as problem:
                yield from miss_ticket(self.attribution, key, "", problem)

    def _doubt(self, key: str, effect: Effect) -> None:
        """Treat an effect that may have been done in a time that the store has lost as one without an answer."""
        context, entry = self.context, self.context.journal.get(key)
        if not effect.maybe_since or effect.dry or effect.held or (entry and entry.state != "begun"):
            return
        begun = entry or Entry(state="begun", at=effect.maybe_since if effect.kind == "create" else context.now())
        deadline = max(begun.deadline, context.lane.memory.at + context.config.call_ms)
        context.journal[key] = replace(begun, deadline=deadline)

    def _send(self, key: str, planned: Effect, attempts: int) -> Steps[None]:
        """Begin the effect, call HappyFox, and record the result; withhold what a person changed meanwhile."""
        context, config = self.context, self.context.config
        if entry := self._never_sent(planned):
            context.journal[key] = entry
            return
        if dry := self._dry(planned):
            yield from context.record_effect(key, Entry(state="split", reason=f"{', '.join(dry)} runs dry now"))
            return
        if missing := self._no_longer_allowed(planned) or self._too_many_calls(planned, attempts):
            yield from self._give_up(key, planned, missing)
            return
        effect = yield from without_collisions(self.attribution, key, planned)
        if effect is None:
            return
        try:
            files = yield from read_files(context, effect)
        except NoFile as problem:
            yield from self._give_up(key, effect, str(problem))
            return
        yield from context.release_read()
        if effect.kind == "create" and not (yield from announce(context, key, effect)):
            return
        permit, priority = context.permit_id(), self._priority(effect)
        omitted, newest = omitted_parts(planned, effect), self.attribution.newest()
        begun = yield from self._begin(key, effect, permit, priority, attempts, omitted, newest)
        if not isinstance(begun, Begun):
            if begun.lost or begun.doubt:
                raise LeaseLost
            if begun.paused:
                yield from self._defer(key, effect, begun.paused)
                return
            if begun.address:
                yield from self._hold(key, effect, begun)
                return
            raise NotNow(begun.wait, begun.why)
        context.journal[key] = Entry(
            state="begun",
            permit=permit,
            at=begun.at,
            deadline=begun.at + config.call_ms,
            attempts=attempts + 1,
            omitted=omitted,
            newest_update=newest,
        )
        context.writes += 1
        call = request(effect, context.lane.ticket, self.attribution.staff, files)
        outcome = yield from context.call(call, permit)
        yield from self._record(key, effect, permit, outcome)

    def _begin(
        self, key: str, effect: Effect, permit: str, priority: str, attempts: int, omitted: tuple[str, ...], newest: int
    ) -> Steps[Begun | Refusal]:
        """Mark in the journal that the effect begins; park the turn if no replica confirms the mark."""
        context, config = self.context, self.context.config
        if tagged := self._paused_by_tag():
            return Refusal(paused=tagged)
        try:
            begun: Begun | Refusal = yield begin(
                *(context.lane, key, permit, config.call_ms, config.claim.budget, priority, attempts, omitted, newest),
                routers=list(dict.fromkeys(map(router_of, effect.handlers))),
                emails=self._emails(effect),
            )
        except NotReplicated as unconfirmed:
            if isinstance(unconfirmed.answer, Begun):
                yield from context.record_effect(key, FORGET, permit, "unsent")
            raise Parked(UNREPLICATED, str(unconfirmed)) from None
        return begun

    def _paused_by_tag(self) -> str:
        """Return that a person has paused the ticket by its tag since it was planned, or nothing."""
        tag, ticket = self.context.config.off_tag, self.attribution.checked
        if ticket is None or any(has_pause_tag(effect.add, tag) for effect in self.plan.effects):
            return ""
        return paused_by_tag(ticket.tags, tag)

    def _dry(self, effect: Effect) -> list[str]:
        """Return the handlers of an effect that run dry now; that may be set after the plan was stored."""
        return [name for name in effect.handlers if self.context.config.dry(name)]

    def _never_sent(self, effect: Effect) -> Entry | None:
        """Return the entry of an effect that is only shown or held."""
        dry = self._dry(effect)
        if self.plan.dry or self.context.config.dry_run or effect.dry or (dry and len(dry) == len(effect.handlers)):
            return Entry(state="dry")
        return Entry(state="held", reason=effect.held.reason, held=effect.held) if effect.held else None

    def give_up(self, why: str) -> None:
        """Give up every effect that has not ended, without a call; settling turns it into dead letters."""
        for index, effect in enumerate(self.plan.effects):
            key = str(index)
            self._give_up_open(key, effect, why)
            if self._state(key) == "split":
                for number, part in enumerate(split_actions(effect)):
                    self._give_up_open(f"{key}.{number}", part, why)

    def _give_up_open(self, key: str, effect: Effect, why: str) -> None:
        self._doubt(key, effect)
        if (state := self._state(key)) not in OPEN:
            return
        if state == "begun":
            doubt = self.attribution.doubt(self.context.journal[key])
            entry = Entry(state="refused", reason=f"{MAYBE}: {why}", doubt=doubt)
        else:
            entry = self._never_sent(effect) or Entry(state="refused", reason=why)
        self.context.journal[key] = entry

    def _emails(self, effect: Effect) -> Emails | None:
        """Return the addresses that an effect sends email to, as far as they are counted."""
        if effect.uncounted or not effect.addresses:
            return None
        return Emails(effect.addresses, 0 if effect.by_person else self.context.config.replies_per_contact)

    def _hold(self, key: str, effect: Effect, refused: Refusal) -> Steps[None]:
        """Hold an email because turns of other tickets have used up the limit of its address since it was planned."""
        loop = describe_loop(self.plan.snapshot, self.plan.changes, effect)
        held = address_limit(refused.address, self.context.config.replies_per_contact, refused.emails, loop)
        yield from self._end(key, effect, Entry(state="held", reason=held.reason, held=held))

    def _defer(self, key: str, effect: Effect, why: str) -> Steps[None]:
        """Defer an effect to the end of a pause that began after it was planned."""
        yield from self._end(key, effect, Entry(state="paused", reason=why))

    def _give_up(self, key: str, effect: Effect, why: str) -> Steps[None]:
        """Give up an effect that must not be sent any more since it was planned."""
        yield from self._end(key, effect, Entry(state="refused", reason=why))

    def _end(self, key: str, effect: Effect, entry: Entry) -> Steps[None]:
        """Record why an effect is not sent; one with several parts is split, because it may concern only one."""
        if _has_parts(key, effect):
            entry = Entry(state="split", reason=entry.reason)
        yield from self.context.record_effect(key, entry)

    def _no_longer_allowed(self, effect: Effect) -> str:
        """Return which grants an effect needs that its routers do not have today, or nothing."""
        if why := self.context.config.wrong_site(self.plan.site):
            return why
        router, grants = router_of(effect.handler), self.context.config.grants
        missing = denied(effect, router, grants.allow)
        return f"no longer allowed; set {grants.adding(router, [missing])}" if missing else ""

    def _too_many_calls(self, effect: Effect, attempts: int) -> str:
        """Return why the loop guard allows no further call, or nothing; ``attempts`` of this effect are not recorded.

        A plan has no more effects than it allows, but one that is refused is sent again in parts, and one in doubt as
        it is.
        """
        if effect.by_person:
            return ""
        config, plan = self.context.config, self.plan
        calls = attempts + count_calls(plan, self.context.journal)
        calls += sum(at > self.context.now() - HOUR for at in plan.snapshot.writes)
        calls += sum(len(each.actions) for each in plan.handovers if not each.dry and not each.by_person)
        if calls < config.loop_guard:
            return ""
        return f"not sent after {calls} calls on this ticket within an hour (FOXHOOKS_LOOP_GUARD={config.loop_guard})"

    def _priority(self, effect: Effect) -> str:
        """Return the priority of an effect: that of its turn, or a lower one for bulk routers.

        A turn that turns out to concern what a person waits for is urgent, but not if it is bulk: a sweep may find
        hundreds of new tickets, and the reserved permits are for those that arrive now.
        """
        bulk = {bound.name for bound in self.context.config.handlers if bound.handler.bulk}
        waited = self.context.now() - min((event.at for event in self.plan.events), default=self.context.now())
        if effect.handlers and bulk.issuperset(effect.handlers) and waited < PATIENCE:
            return "bulk"
        urgent = any(change.kind in ("ticket-created", "contact-replied") for change in self.plan.changes)
        priority = self.context.lane.priority
        return "interactive" if urgent and priority == "normal" else priority

    def _record(self, key: str, effect: Effect, permit: str, outcome: CallOutcome) -> Steps[None]:
        """Record the result of a write; anything but a clear answer leaves it in doubt."""
        context, begun = self.context, self.context.journal[key]
        result, wait = permit_outcome("POST", outcome)

        def enter(entry: Entry | bytes) -> Steps[None]:
            if isinstance(entry, Entry):
                entry = replace(entry, omitted=begun.omitted)
            return context.record_effect(key, entry, permit, result, wait)

        if isinstance(outcome, Unsendable):
            state: Literal["split", "refused"] = "split" if _has_parts(key, effect) else "refused"
            yield from enter(Entry(state=state, reason=str(outcome), evidence={"fields": []}))
            return
        if isinstance(outcome, Unsent):
            yield from enter(FORGET)
            raise Parked(1_000, str(outcome))
        if isinstance(outcome, InDoubt) or outcome.status >= 500:
            yield from enter(LEAVE)
            if result == "throttled":
                raise Parked(0, "HappyFox asks us to wait (503)")
        elif outcome.status in (401, 429):
            yield from enter(FORGET)
            raise Parked(0, f"HappyFox rejects all calls for now ({outcome.status})")
        elif outcome.status == 404 and effect.kind not in ("create", "contact"):
            yield from enter(Entry(state="missing", at=context.now(), attempts=begun.attempts))
            raise TicketGone
        else:
            yield from self._record_answer(key, effect, outcome, enter)

    def _record_answer(self, key: str, effect: Effect, answer: Answer, enter: Enter) -> Steps[None]:
        try:
            content = read(answer)
        except HappyFoxError as error:
            if answer.status < 300 and not isinstance(error, Refused):  # an unreadable success: look at the ticket
                yield from enter(LEAVE)
            else:
                yield from enter(_refused(key, effect, error))
            return
        shown = content if isinstance(content, dict) else {}
        if effect.kind == "create":
            number = shown.get("id")
            yield from enter(Entry(state="done", ticket=number) if isinstance(number, int) else LEAVE)
        else:
            newest = self.context.journal[key].newest_update
            yield from enter(self.attribution.answered(effect, read_updates(shown.get("updates")), shown, newest))


def _refused(key: str, effect: Effect, error: HappyFoxError) -> Entry:
    if nothing_to_update(error):
        return Entry(state="done", reason="nothing to update")
    if _has_parts(key, effect):
        return Entry(state="split", reason=str(error))
    fields = [field for field, _ in error.problems] if isinstance(error, Refused) else []
    return Entry(state="refused", reason=str(error), evidence={"fields": fields})


def _has_parts(key: str, effect: Effect) -> bool:
    """Return whether an effect can be split, and is not a part itself."""
    return "." not in key and len(split_actions(effect)) > 1


def without_collisions(attribution: UpdateAttribution, key: str, effect: Effect) -> Steps[Effect | None]:
    """Return the effect without what a person changed since the handlers' read; None if all of it is withheld."""
    context = attribution.context
    if effect.kind == "create":
        return effect
    if context.now() - attribution.read_at > STALE:
        attribution.checked, attribution.read_at = (yield from context.read_ticket()), context.now()
        if attribution.checked is None:
            raise TicketGone
    others, _ = attribution.attribute(attribution.updates)
    reason = ""
    if effect.kind == "delete" and others:
        reason = f"the ticket was changed meanwhile (update {others[-1].id})"
    for update in others if effect.kind == "reply" else ():
        if not reason and update.author == "staff" and update.message is not None and not update.message.private:
            reason = f"{update.author_name or 'a colleague'} answered meanwhile (update {update.id})"
    changed = {name for update in others for name in update.changes}
    changed &= effect.property_values.keys()
    written = _changed_fields(attribution, effect, attribution.checked) if attribution.checked else set[str]()
    if (changed or written) and not reason:
        left = {name: value for name, value in effect.set.items() if name not in changed}
        fields = {field_id: value for field_id, value in effect.fields.items() if field_id not in written}
        if left or fields or effect.kind in ("note", "reply"):
            return replace(effect, set=left, fields=fields)
        names = sorted(changed) + [f"field {field_id}" for field_id in sorted(written)]
        reason = f"{', '.join(names)} was changed meanwhile"
    if not reason:
        return effect
    withheld = Entry(state="withheld", reason=reason)
    if effect.kind == "reply" and _has_parts(key, effect):  # only the part with the message is
        yield from context.record_effect(f"{key}.0", withheld)
        withheld = Entry(state="split", reason=reason)
    yield from context.record_effect(key, withheld)
    return None


def _changed_fields(attribution: UpdateAttribution, effect: Effect, ticket: TicketRead) -> set[str]:
    """Return the effect's custom fields that changed since the handlers' read; updates do not show such changes."""
    before = attribution.plan.snapshot.fields
    now = {str(field.id): field.value for field in ticket.field_values}
    return {field_id for field_id in effect.fields if now.get(field_id, "") != before.get(field_id, "")}


def miss_ticket(
    attribution: UpdateAttribution, key: str, gone: str, problem: TicketUnreadable | None = None
) -> Steps[None]:
    """Park the turn until the ticket may be back; give the effect up in the end, or now if ``gone`` is set."""
    context = attribution.context
    now, entry = context.now(), context.journal.get(key)
    wait = ms_until_recheck(entry.at if entry else now, now, problem)
    if gone or not wait:
        doubt = attribution.doubt(entry) if entry and entry.state == "begun" else None
        reason = gone or (explain_unreadable(problem) if problem else "the ticket is gone")
        yield from context.record_effect(key, Entry(state="gone", reason=reason, doubt=doubt))
        return
    if entry is None:
        yield from context.record_effect(key, Entry(state="missing", at=now))
    raise Parked(max(wait, 50), str(problem or "HappyFox does not know the ticket (404)"))


def search_ticket(attribution: UpdateAttribution, key: str, _: Effect) -> Steps[int]:
    """Return the number of attempts so far if the ticket is back; 0 if there were too many."""
    context, entry = attribution.context, attribution.context.journal[key]
    ticket = yield from context.read_ticket()
    if ticket is None:
        raise TicketGone
    if entry.attempts >= TRIES:
        reason = f"HappyFox answered 404 to it, sent {TRIES} times, although the ticket exists"
        yield from context.record_effect(key, Entry(state="refused", reason=reason))
        return 0
    return (yield from resend(attribution, key, ticket))
