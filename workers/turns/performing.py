"""Performing: one effect of the plan after another, each journaled before and after; what is in doubt is looked up.

HappyFox has no key for telling a repeated write from a new one. So an effect that began and was not confirmed is never
sent again before the ticket shows that it did not land, and only after the old call can no longer land.
"""

from collections.abc import Callable, Iterable

import msgspec

from workers.errors import HappyFoxError, InDoubt, Refused, Unsent
from workers.events.last_seen import properties
from workers.events.mark import Mark, attribute
from workers.happyfox.answers import nothing_to_update, read, settlement
from workers.happyfox.protocol import Answer
from workers.lanes.lanes import FORGET, LEAVE, Begun, begin
from workers.models.fields import field_values
from workers.models.row import Row
from workers.models.ticket import TicketRead, read_rows
from workers.turns.effects import Effect, mark, split
from workers.turns.plan import Entry, Plan, pieces
from workers.turns.requests import request
from workers.turns.state import Lost, Parked, State
from workers.turns.steps import Outcome, Steps, ask

#: A plan older than this (ms) is held against a fresh read before anything more is sent.
STALE = 30_000

#: How often an effect is sent before what became of it counts as undecidable.
TRIES = 3

#: What a bulk router wants counts as bulk for this long (ms), so that a busy account does not keep it for ever.
PATIENCE = 300_000

#: What is said of an effect of which nobody can tell whether it happened.
UNDECIDED = "it may or may not have happened; look at the ticket"


class Gone(Exception):
    """The ticket does not exist any more: the plan ends here."""


class Performer:
    """Performs one plan; the journal tells what became of each effect."""

    def __init__(self, state: State, plan: Plan) -> None:
        self.state, self.plan = state, plan
        self._checked: TicketRead | None = None
        self._read_at = plan.read_at

    def perform(self) -> Steps[None]:
        """Performs every effect that is not done; a ticket that is gone ends the plan."""
        for index, effect in enumerate(self.plan.effects):
            key = str(index)
            try:
                yield from self._one(key, effect)
                if self._entry(key) == "split":
                    for part, piece in enumerate(split(effect)):
                        yield from self._one(f"{key}.{part}", piece)
            except Gone:
                if self._entry(key) != "gone":
                    yield from self.state.enter(key, Entry("gone", said="the ticket is gone"))
                return

    def _entry(self, key: str) -> str:
        entry = self.state.journal.get(key)
        return entry.state if entry else ""

    def _one(self, key: str, effect: Effect) -> Steps[None]:
        """Brings one effect to its end: done, withheld, refused, split or dry."""
        while self._entry(key) in ("", "begun"):
            if self._entry(key) == "begun":
                yield from self._look_up(key, effect)
            else:
                yield from self._send(key, effect)

    # -- sending

    def _send(self, key: str, wanted: Effect, tries: int = 0) -> Steps[None]:
        state, terms = self.state, self.state.terms
        dry = [name for name in wanted.handlers if terms.dry(name)]  # which may be set after the plan was stored
        if self.plan.dry or terms.dry_run or wanted.dry or (dry and len(dry) == len(wanted.handlers)):
            state.journal[key] = Entry("dry")
            return
        if dry:
            yield from state.enter(key, Entry("split", said=f"{', '.join(dry)} runs dry by now"))
            return
        effect = yield from self._allowed(key, wanted)
        if effect is None:
            return
        yield from state.release_read()
        permit = state.permit_id()
        begun = yield from ask(begin(state.held, key, permit, terms.life, terms.budget, self._class(effect), tries))
        if not isinstance(begun, Begun):
            if begun.lost or begun.doubt:
                raise Lost
            raise Parked(begun.wait, f"no permit ({begun.why})")
        entry = Entry("begun", permit=permit, at=begun.at, deadline=begun.at + terms.life, tries=tries + 1)
        state.journal[key] = entry
        state.posts += 1
        outcome = yield from state.call(request(effect, state.held.ticket, terms.staff), permit)
        without = wanted.set.keys() - effect.set.keys()
        without |= {f"#{identity}" for identity in wanted.fields.keys() - effect.fields.keys()}
        yield from self._understand(key, effect, permit, outcome, tuple(sorted(without)))

    def _class(self, effect: Effect) -> str:
        """Gives the class of the turn, by its changes and what its lane was claimed for; bulk routers lower theirs."""
        lowered = {bound.name for bound in self.state.terms.handlers if bound.handler.bulk}
        waited = self.state.now() - min((hint.at for hint in self.plan.events), default=self.state.now())
        if effect.handlers and lowered.issuperset(effect.handlers) and waited < PATIENCE:
            return "bulk"
        urgent = any(change.kind in ("ticket-created", "contact-replied") for change in self.plan.changes)
        return "interactive" if urgent else self.state.held.class_

    def _understand(
        self, key: str, effect: Effect, permit: str, outcome: Outcome, without: tuple[str, ...]
    ) -> Steps[None]:
        """Takes what came of a write; anything but a clear answer leaves it in doubt."""
        state = self.state
        result, wait = settlement("POST", outcome)

        def enter(entry: Entry | bytes) -> Steps[None]:
            if isinstance(entry, Entry) and without:
                entry = msgspec.structs.replace(entry, without=without)
            return state.enter(key, entry, permit, result, wait)

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
        elif outcome.status == 404:
            yield from enter(Entry("gone", said="the ticket is gone"))
            raise Gone
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
            yield from enter(self._done(effect, read_rows(shown.get("updates")), shown))

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

    def _done(self, effect: Effect, rows: tuple[Row, ...], shown: dict[str, object]) -> Entry:
        """Makes the entry of an effect that landed, from the rows and fields of a read or an answer."""
        look = mark(effect, self.state.terms.staff)
        _, found = self._attribute(rows, look)
        values = {str(field.id): field.value for field in field_values(shown.get("custom_fields"))}
        return Entry(
            "done",
            rows=() if found is None else (found,),
            expected=look is not None and found is None,
            fields={identity: values[identity] for identity in effect.fields if identity in values},
        )

    # -- doubt

    def _look_up(self, key: str, effect: Effect) -> Steps[None]:
        """Looks whether an effect in doubt landed; sends it again only when it can no longer land."""
        state, entry = self.state, self.state.journal[key]
        ticket = yield from state.ticket()
        if ticket is None:
            if effect.sort == "delete":
                yield from state.enter(key, Entry("done"))
                return
            raise Gone
        done = self._done(effect, ticket.history, {"custom_fields": ticket.raw.get("custom_fields")})
        nameless = {row.id for row in ticket.history if row.author == "unknown"}
        # A row that names nobody and says nothing may be anybody's: then the tags themselves tell.
        if (done.rows and nameless.isdisjoint(done.rows)) or self._shows(effect, ticket):
            yield from state.enter(key, done)
            return
        settled_at = entry.deadline + state.terms.doubt
        if state.now() < settled_at:
            raise Parked(max(settled_at - state.now(), 50), f"looks again whether its {effect.words} landed")
        if effect.sort == "forward" or entry.tries >= TRIES:
            # A forward leaves no row (KB 1039 shows none): nobody can tell whether it went out.
            evidence = {"rows": [row.id for row in ticket.history][-10:], "tries": entry.tries}
            yield from state.enter(key, Entry("refused", said=UNDECIDED, evidence=evidence))
            return
        self._checked, self._read_at = ticket, state.now()
        yield from state.enter(key, FORGET)
        yield from self._send(key, effect, entry.tries)

    def _shows(self, effect: Effect, ticket: TicketRead) -> bool:
        """Tells whether the ticket shows what an effect without message wanted."""
        if effect.sort == "tags":
            return set(effect.add) <= ticket.tags and not set(effect.remove) & ticket.tags
        now = properties(ticket)
        if effect.sort == "move":
            return now["category"] == str(effect.category)
        if effect.sort != "properties" or effect.fields:
            return False
        return all(now[name] == ("" if value is None else str(value)) for name, value in effect.set.items())

    def _attribute(self, rows: Iterable[Row], look: Mark | None = None) -> tuple[list[Row], int | None]:
        """Tells whose the rows newer than the snapshot are: gives those of others, and the one that has this look.

        A row that an earlier effect made, or is still expected to show, is never given to a later one.
        """
        seen, staff, journal = self.plan.seen, self.state.terms.staff, self.state.journal
        taken = {row for entry in journal.values() for row in entry.rows}
        expected: list[Mark | None] = [look for _, look in seen.expected]
        expected += [mark(effect, staff) for _, effect, entry in pieces(self.plan, journal) if entry.expected]
        fresh = [row for row in rows if not seen.knows(row.id) and row.id not in taken]
        found = attribute([*expected, look], fresh)
        return [row for row in fresh if row.id not in found.values()], found.get(len(expected))

    # -- people come first

    def _allowed(self, key: str, effect: Effect) -> Steps[Effect | None]:
        """Gives what of an effect does not go over what a person did since the read; None when it is withheld."""
        if self.state.now() - self._read_at > STALE:
            self._checked, self._read_at = (yield from self.state.ticket()), self.state.now()
            if self._checked is None:
                raise Gone
        if self._checked is None:
            return effect
        others, _ = self._attribute(self._checked.history)
        reason = _answered(others) if effect.sort == "reply" else ""
        if effect.sort == "delete" and others:
            reason = f"the ticket was changed meanwhile (row {others[-1].id})"
        changed = {name for row in others for name in row.changes}
        both = changed & ({"category"} if effect.sort == "move" else effect.set.keys())
        written = self._written(effect, self._checked)
        if (both or written) and not reason:
            left = {name: value for name, value in effect.set.items() if name not in both}
            fields = {identity: value for identity, value in effect.fields.items() if identity not in written}
            if left or fields or effect.sort in ("note", "reply"):
                return msgspec.structs.replace(effect, set=left, fields=fields)
            names = sorted(both) + [f"field {identity}" for identity in sorted(written)]
            reason = f"{', '.join(names)} was changed meanwhile"
        if not reason:
            return effect
        yield from self.state.enter(key, Entry("withheld", said=reason))
        return None

    def _written(self, effect: Effect, ticket: TicketRead) -> set[str]:
        """Gives the custom fields of an effect that do not hold any more what the handlers saw; rows tell nothing."""
        seen = self.plan.seen.fields
        now = {str(field.id): field.value for field in ticket.field_values}
        return {identity for identity in effect.fields if now.get(identity, "") != seen.get(identity, "")}


def _answered(rows: list[Row]) -> str:
    """Says which colleague answered meanwhile, or nothing."""
    for row in rows:
        if row.author == "staff" and row.message is not None and not row.message.private:
            return f"{row.author_name or 'a colleague'} answered meanwhile (row {row.id})"
    return ""
