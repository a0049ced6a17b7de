"""Decide from the ticket whether an effect that began and was not confirmed has happened."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from workers.engine.context import Parked, TicketGone, TurnContext
from workers.engine.effect import Effect, fingerprint, omit_parts
from workers.engine.plan import Doubt, Entry, Plan, journaled_effects
from workers.engine.steps import Steps
from workers.store.lanes import FORGET
from workers.tickets.fields import FieldValue
from workers.tickets.folding import fold
from workers.tickets.model import (
    TicketRead,
    Update,
    contact_values,
    field_values,
    items,
    mapping,
    read_ticket,
    readable,
)
from workers.tickets.snapshot import Fingerprint, attribute, fits, fits_answer, properties
from workers.tickets.text import same_value, same_words, words

#: How often an effect is sent if the ticket does not reflect it.
TRIES = 3

#: Why we gave up on an effect that may have happened.
MAYBE = "it may or may not have happened"
UNDECIDED = f"{MAYBE}; look at the ticket"

#: Why we gave up on an effect that certainly did not happen.
NOT_TAKEN = f"HappyFox did not take it, sent {TRIES} times; each time the ticket showed that it had not happened"


class UpdateAttribution:
    """Which updates of a ticket belong to the effects of a plan, and which to others."""

    def __init__(self, context: TurnContext, plan: Plan) -> None:
        self.context, self.plan = context, plan
        #: The staff member that the plan writes as, even if the settings have changed since.
        self.staff = plan.staff or context.config.staff_id
        #: The last read since the plan's own, and when the ticket was last read (ms).
        self.checked: TicketRead | None = None
        self.read_at = plan.read_at
        self._in_answers: dict[int, Update] = {}

    @property
    def updates(self) -> tuple[Update, ...]:
        """The updates of the last read, and those of colleagues seen since in answers to our own writes."""
        read = self.checked.history if self.checked else ()
        known = {update.id for update in read}
        return (*read, *(update for update in self._in_answers.values() if update.id not in known))

    def attribute(
        self, updates: Iterable[Update], wanted: Fingerprint | None = None, after: int = 0
    ) -> tuple[list[Update], int | None]:
        """Return the new updates of others, and the new update above ``after`` that fits the fingerprint.

        An update that an earlier effect made, or is still expected to make, never counts for a later one, even if it is
        not above ``after``. The updates of others exclude those that look like ours: a call may land late or twice.
        """
        snapshot, journal = self.plan.snapshot, self.context.journal
        own = [(fingerprint(effect, self.staff), entry) for _, effect, entry in journaled_effects(self.plan, journal)]
        taken = {update for entry in journal.values() for update in entry.updates}
        fresh = [update for update in updates if not snapshot.knows(update.id) and update.id not in taken]
        expected = [*(each for _, each in snapshot.expected), *(each for each, entry in own if entry.expected)]
        taken = {*attribute(expected, fresh).values()}
        found = attribute([wanted], (update for update in fresh if update.id not in taken and update.id > after)).get(0)
        made = [each for each, entry in own if each and entry.state == "done"]
        others = [
            update
            for update in fresh
            if update.id not in {*taken, found}
            and not snapshot.may_be_ours(update, self.staff)
            and not any(fits(each, update) for each in made)
        ]
        return others, found

    def newest(self) -> int:
        """Return the newest update of the last read; effects that begin later make newer ones."""
        known = (update.id for update in self.checked.history) if self.checked else self.plan.snapshot.ids
        return max(known, default=self.plan.snapshot.floor)

    def doubt(self, begun: Entry) -> Doubt:
        """Return the facts for looking later for an effect that began: its update is newer than all known then."""
        others = tuple(update for entry in self.context.journal.values() for update in entry.updates)
        return Doubt(self.staff, max(self.plan.snapshot.floor, begun.newest_update), others)

    def answered(self, effect: Effect, updates: tuple[Update, ...], shown: Mapping[str, object], after: int) -> Entry:
        """Return the entry of an effect that happened, by the fields and the updates above ``after`` in its answer."""
        # An update by our own staff member may be ours without being recognized, so no effect is withheld for it.
        self._in_answers |= {
            update.id: update for update in updates if update.author == "staff" and update.author_id != self.staff
        }
        wanted = fingerprint(effect, self.staff)
        others, found = self.attribute(updates, wanted, after)
        if found is None and wanted is not None:
            found = max(
                (update.id for update in others if update.id > after and fits_answer(wanted, update)), default=None
            )
        values = {str(field.id): field.value for field in field_values(shown.get("custom_fields"))}
        return _done(wanted, found, {field_id: values[field_id] for field_id in effect.fields if field_id in values})

    def found(self, effect: Effect, ticket: TicketRead, after: int) -> Entry:
        """Return the entry of an effect that happened, by a later read; others may have written, too."""
        wanted = fingerprint(effect, self.staff)
        others, found = self.attribute(ticket.history, wanted, after)
        others = [update for update in others if update.id > after]
        if found is None and effect.kind == "forward":
            found = next((update.id for update in others if is_forward(effect, update, self.staff)), None)
        meanwhile = any(update.author != "contact" and update.id > (found or 0) for update in others)
        return _done(wanted, found, _field_values(effect, ticket, meanwhile))


def _done(wanted: Fingerprint | None, found: int | None, fields: Mapping[str, str]) -> Entry:
    updates, expected = () if found is None else (found,), wanted is not None and found is None
    return Entry(state="done", updates=updates, expected=expected, fields=fields)


def look_up(attribution: UpdateAttribution, key: str, effect: Effect) -> Steps[int]:
    """Return the number of attempts so far if the effect must be resent, else 0."""
    context, entry = attribution.context, attribution.context.journal[key]
    ticket = yield from context.read_ticket()
    if ticket is None:
        if effect.kind == "delete":
            yield from context.record_effect(key, Entry(state="done"))
            return 0
        raise TicketGone
    sent = omit_parts(effect, entry.omitted)
    done = attribution.found(sent, ticket, entry.newest_update)
    proven = _is_proven(sent, ticket, done.updates)
    if proven or reflects(sent, ticket):
        if not proven and reflects(sent, read_ticket(attribution.plan.ticket, "")):
            wait_until_settled(context, entry, effect)  # it was so before, and the call may still be under way
        yield from context.record_effect(key, replace(done, omitted=entry.omitted))
        return 0
    wait_until_settled(context, entry, effect)
    # What the store has lost may have been done by an update that it does not know either.
    unclear = effect.kind == "forward" or (effect.kind == "contact reply" and bool(effect.maybe_since))
    if unclear or entry.attempts >= TRIES:
        yield from context.record_effect(key, _given_up(attribution, effect, ticket, entry.attempts))
        return 0
    return (yield from resend(attribution, key, ticket))


def resend(attribution: UpdateAttribution, key: str, ticket: TicketRead) -> Steps[int]:
    """Forget that the effect began, since it has not happened by this read; return the attempts so far."""
    attempts = attribution.context.journal[key].attempts
    attribution.checked, attribution.read_at = ticket, attribution.context.now()
    yield from attribution.context.record_effect(key, FORGET)
    return max(attempts, 1)


def wait_until_settled(context: TurnContext, entry: Entry, effect: Effect) -> None:
    """Park the turn while the effect's call may still take effect."""
    wait = entry.deadline + context.config.doubt_ms - context.now()
    if wait > 0:
        raise Parked(max(wait, 50), f"checks again whether it happened: {effect.summary}")


def _is_proven(effect: Effect, ticket: TicketRead, found: tuple[int, ...]) -> bool:
    """Return whether the update found proves that the effect happened.

    An update without an author may be anybody's, and one without a message may be by a person who uses our staff
    account. Then the ticket's state decides, unless somebody else wrote later and may have undone our change.
    """
    update = next((update for update in ticket.history if update.id in found), None)
    if update is None or update.author_id is None:
        return False
    later = any(other.id > update.id and other.author != "contact" for other in ticket.history)
    return update.message is not None or later or not _contradicts(effect, ticket)


def _given_up(attribution: UpdateAttribution, effect: Effect, ticket: TicketRead, attempts: int) -> Entry:
    evidence = {"updates": [update.id for update in ticket.history][-10:], "attempts": attempts}
    if effect.kind not in ("forward", "contact reply"):
        return Entry(state="refused", reason=NOT_TAKEN, evidence=evidence)
    # A forward may make no update (KB 1039 shows none), so its absence proves nothing.
    floor = attribution.plan.snapshot.floor
    doubt = Doubt(attribution.staff, floor, tuple(update.id for update in ticket.history if update.id > floor))
    return Entry(state="refused", reason=UNDECIDED, evidence=evidence, doubt=doubt)


def is_forward(effect: Effect, update: Update, staff: int) -> bool:
    """Return whether an update is that of the forward; HappyFox may not make one (KB 1039 shows none)."""
    if update.author != "staff" or update.author_id != staff or update.message is None or not update.message.forwarded:
        return False
    return same_words(words(effect.html), words(update.message.html or update.message.text))


def reflects(effect: Effect, ticket: TicketRead) -> bool:
    """Return whether the ticket is in the state that an effect without a message asked for."""
    if effect.kind == "tags":
        tags = set(map(fold, ticket.tags))
        return tags.issuperset(map(fold, effect.add)) and tags.isdisjoint(map(fold, effect.remove))
    if effect.kind == "subscribe":
        return set(effect.staff) <= {mapping(one).get("id") for one in items(ticket.raw.get("subscribers"))}
    if effect.kind == "unsubscribe":
        return {mapping(one).get("id") for one in items(ticket.raw.get("subscribers"))}.isdisjoint(effect.staff)
    if effect.kind == "contact":
        return _contact_reflects(effect, ticket)
    if effect.kind not in ("move", "properties"):
        return False
    now = properties(ticket)
    as_set = all(now[name] == value for name, value in effect.property_values.items())
    return as_set and set(compare_fields(effect, ticket)) <= {True}


def _contact_reflects(effect: Effect, ticket: TicketRead) -> bool:
    """Return whether the ticket's contact has all values of the effect, as far as they can be compared."""
    contact, known = ticket.contact, contact_values(ticket)
    members = {name: value for name, value in effect.draft.items() if name != "fields"}
    same = [getattr(contact, name) == value for name, value in members.items()]
    fields: Mapping[str, object] = effect.draft.get("fields", {})
    same += [key in known and same_value(value, known[key].raw) is not False for key, value in fields.items()]
    return contact.id == effect.contact and all(same)


def _contradicts(effect: Effect, ticket: TicketRead) -> bool:
    """Return whether the ticket certainly lacks the tags or a custom field that the effect asked for."""
    return (effect.kind == "tags" and not reflects(effect, ticket)) or False in compare_fields(effect, ticket)


def compare_fields(effect: Effect, ticket: TicketRead) -> list[bool | None]:
    """Compare each custom field of an effect with the ticket; None: cannot be compared."""
    now = _fields(ticket)
    fields = effect.fields.items()
    return [same_value(value, now[field_id].raw) if field_id in now else None for field_id, value in fields]


def _field_values(effect: Effect, ticket: TicketRead, meanwhile: bool) -> dict[str, str]:
    """Return the values to remember for the custom fields of an effect that happened.

    If the value is not ours, a person changed it: we remember ours, so that the next turn finds that change. HappyFox
    may rewrite ours: a value that cannot be compared counts as ours unless somebody else wrote ``meanwhile``.
    """
    now, values = _fields(ticket), {}
    for field_id, value in effect.fields.items():
        if (field := now.get(field_id)) is not None:
            same = same_value(value, field.raw)
            ours = not meanwhile if same is None else same
            values[field_id] = field.value if ours else readable(value)
    return values


def _fields(ticket: TicketRead) -> dict[str, FieldValue]:
    return {str(field.id): field for field in ticket.field_values}
