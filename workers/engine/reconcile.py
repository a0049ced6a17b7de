"""Doubt: whether an effect that began and was not confirmed has landed; the ticket tells."""

from collections.abc import Iterable, Mapping

import msgspec

from workers.engine.context import Parked, TicketGone, TurnContext
from workers.engine.plan import Doubt, Effect, Entry, Plan, fingerprint, less, pieces
from workers.engine.steps import Steps
from workers.store.lanes import FORGET
from workers.tickets.model import FieldValue, TicketRead, Update, field_values, items, mapping, readable
from workers.tickets.snapshot import Fingerprint, answers, attribute, fits, properties
from workers.tickets.text import same_value, same_words, words

# Sight: whose the rows of a ticket are, as far as a plan under way can tell.


class UpdateAttribution:
    """What is known of the ticket while a plan is performed.

    ``staff`` is whom the plan writes as, whatever the settings say by now. ``checked`` is the last read that the plan
    was held against, None when it was none but its own, ``read_at`` the time of that in ms.
    """

    def __init__(self, context: TurnContext, plan: Plan) -> None:
        self.context, self.plan = context, plan
        self.staff = plan.staff or context.config.staff_id
        self.checked: TicketRead | None = None
        self.read_at = plan.read_at
        self._told: dict[int, Update] = {}

    @property
    def updates(self) -> tuple[Update, ...]:
        """The rows of the last read, and those of colleagues that answers to our own writes have shown since."""
        read = self.checked.history if self.checked else ()
        known = {update.id for update in read}
        return (*read, *(update for update in self._told.values() if update.id not in known))

    def attribute(
        self, updates: Iterable[Update], look: Fingerprint | None = None, after: int = 0
    ) -> tuple[list[Update], int | None]:
        """Tells whose the rows newer than the snapshot are: gives those of others, and the one that has this look.

        A row that an earlier effect made, or is still expected to show, is never given to a later one; the row that has
        this look is above ``after``, and an earlier effect may by now show its own below. Those of others are without
        what looks like one of our own: a call that landed late, or twice.
        """
        snapshot, journal = self.plan.snapshot, self.context.journal
        taken = {update for entry in journal.values() for update in entry.updates}
        expected: list[Fingerprint | None] = [look for _, look in snapshot.expected]
        expected += [
            fingerprint(effect, self.staff) for _, effect, entry in pieces(self.plan, journal) if entry.expected
        ]
        fresh = [update for update in updates if not snapshot.knows(update.id) and update.id not in taken]
        taken = {*attribute(expected, fresh).values()}
        found = attribute([look], (update for update in fresh if update.id not in taken and update.id > after)).get(0)
        others = [
            update for update in fresh if update.id not in {*taken, found} and not snapshot.made(update, self.staff)
        ]
        made = [
            fingerprint(effect, self.staff) for _, effect, entry in pieces(self.plan, journal) if entry.state == "done"
        ]
        return [update for update in others if not any(fits(one, update) for one in made if one)], found

    def newest(self) -> int:
        """Gives the newest row that the last read showed; an effect that begins after it makes a newer one."""
        known = (update.id for update in self.checked.history) if self.checked else self.plan.snapshot.ids
        return max(known, default=self.plan.snapshot.floor)

    def answered(self, effect: Effect, updates: tuple[Update, ...], shown: Mapping[str, object], after: int) -> Entry:
        """Makes the entry of an effect that landed, from the rows above ``after`` and the fields in its answer."""
        # By our own staff member it may be a row of ours that is not known again: no effect gives way to that.
        self._told |= {
            update.id: update for update in updates if update.author == "staff" and update.author_id != self.staff
        }
        look = fingerprint(effect, self.staff)
        others, found = self.attribute(updates, look, after)
        if found is None and look is not None:
            found = max((update.id for update in others if update.id > after and answers(look, update)), default=None)
        values = {str(field.id): field.value for field in field_values(shown.get("custom_fields"))}
        return Entry(
            "done",
            updates=() if found is None else (found,),
            expected=look is not None and found is None,
            fields={identity: values[identity] for identity in effect.fields if identity in values},
        )

    def found(self, effect: Effect, ticket: TicketRead, after: int) -> Entry:
        """Makes the entry of an effect as a later read shows it, when others may have written too."""
        look = fingerprint(effect, self.staff)
        others, update = self.attribute(ticket.history, look, after)
        others = [one for one in others if one.id > after]
        if update is None and effect.sort == "forward":
            update = next((one.id for one in others if forwards(effect, one, self.staff)), None)
        meanwhile = any(other.author != "contact" and other.id > (update or 0) for other in others)
        return Entry(
            "done",
            updates=() if update is None else (update,),
            expected=look is not None and update is None,
            fields=_fields(effect, ticket, meanwhile),
        )


def forwards(effect: Effect, update: Update, staff: int) -> bool:
    """Tells whether a row is a forward's. Nobody knows whether HappyFox makes one for it (KB 1039 shows none)."""
    if update.author != "staff" or update.author_id != staff or update.message is None or not update.message.forwarded:
        return False
    return same_words(words(effect.html), words(update.message.html or update.message.text))


def differs(effect: Effect, ticket: TicketRead) -> bool:
    """Tells whether a custom field surely holds something other than an effect wanted."""
    return False in _compared(effect, ticket)


def holds(effect: Effect, ticket: TicketRead) -> bool:
    """Tells whether every custom field surely holds what an effect wanted."""
    return set(_compared(effect, ticket)) <= {True}


def _fields(effect: Effect, ticket: TicketRead, meanwhile: bool) -> dict[str, str]:
    """Gives the values to remember for the custom fields of an effect that landed.

    A value that is not the one we set is a person's and stays news, for which ours is remembered. HappyFox may write
    ours in a way that cannot be compared: then it is ours unless somebody else wrote meanwhile.
    """
    shown = _shown(ticket)
    values = {}
    for identity, wanted in effect.fields.items():
        if (field := shown.get(identity)) is not None:
            same = same_value(wanted, field.told)
            ours = not meanwhile if same is None else same
            values[identity] = field.value if ours else readable(wanted)
    return values


def _compared(effect: Effect, ticket: TicketRead) -> list[bool | None]:
    """Tells of each custom field of an effect whether it holds what was wanted; None: cannot be told."""
    shown = _shown(ticket)
    return [same_value(wanted, shown[name].told) if name in shown else None for name, wanted in effect.fields.items()]


def _shown(ticket: TicketRead) -> dict[str, FieldValue]:
    return {str(field.id): field for field in ticket.field_values}


#: How often an effect is sent that the ticket shows not to have landed.
TRIES = 3

#: What is said of an effect of which nobody can tell whether it happened.
UNDECIDED = "it may or may not have happened; look at the ticket"

#: What is said of an effect that surely did not happen, however often it was sent.
UNTAKEN = f"HappyFox did not take it, sent {TRIES} times; each time the ticket showed that it had not landed"


def look_up(attribution: UpdateAttribution, key: str, effect: Effect) -> Steps[int]:
    """Looks whether an effect in doubt landed.

    Gives how often it was sent when it did not, can no longer land, and is to be sent again; 0 when that is settled.
    """
    state, entry = attribution.context, attribution.context.journal[key]
    ticket = yield from state.read_ticket()
    if ticket is None:
        if effect.sort == "delete":
            yield from state.record_effect(key, Entry("done"))
            return 0
        raise TicketGone
    sent = less(effect, entry.without)
    done = attribution.found(sent, ticket, entry.after)
    if _has_row(sent, ticket, done.updates) or shows(sent, ticket):
        yield from state.record_effect(key, msgspec.structs.replace(done, without=entry.without))
        return 0
    settled_at = entry.deadline + state.config.doubt_ms
    if state.now() < settled_at:
        raise Parked(max(settled_at - state.now(), 50), f"looks again whether its {effect.words} landed")
    if effect.sort == "forward" or entry.tries >= TRIES:
        yield from state.record_effect(key, _given_up(attribution, effect, ticket, entry.tries))
        return 0
    attribution.checked, attribution.read_at = ticket, state.now()
    yield from state.record_effect(key, FORGET)
    return entry.tries


def _has_row(effect: Effect, ticket: TicketRead, found: tuple[int, ...]) -> bool:
    """Tells whether the row found is proof.

    One that names nobody may be anybody's, and one without words that of a person who works as our staff member: then
    the ticket itself tells, unless somebody else wrote later and may have taken back what ours did.
    """
    update = next((update for update in ticket.history if update.id in found), None)
    if update is None or update.author == "unknown":
        return False
    later = any(other.id > update.id and other.author != "contact" for other in ticket.history)
    return update.message is not None or later or not lacks(effect, ticket)


def _given_up(attribution: UpdateAttribution, effect: Effect, ticket: TicketRead, tries: int) -> Entry:
    evidence = {"rows": [update.id for update in ticket.history][-10:], "tries": tries}
    if effect.sort != "forward":
        return Entry("refused", said=UNTAKEN, evidence=evidence)
    # A forward may leave no row (KB 1039 shows none): that none is there tells nothing.
    floor = attribution.plan.snapshot.floor
    doubt = Doubt(attribution.staff, floor, tuple(update.id for update in ticket.history if update.id > floor))
    return Entry("refused", said=UNDECIDED, evidence=evidence, doubt=doubt)


def lacks(effect: Effect, ticket: TicketRead) -> bool:
    """Tells whether the ticket surely does not hold the tags or a custom field that an effect wanted."""
    return (effect.sort == "tags" and not shows(effect, ticket)) or differs(effect, ticket)


def shows(effect: Effect, ticket: TicketRead) -> bool:
    """Tells whether the ticket shows what an effect without message wanted."""
    if effect.sort == "tags":
        return set(effect.add) <= ticket.tags and not set(effect.remove) & ticket.tags
    if effect.sort == "subscribe":
        return set(effect.staff) <= {mapping(one).get("id") for one in items(ticket.raw.get("subscribers"))}
    now = properties(ticket)
    if effect.sort == "move":
        return now["category"] == str(effect.category)
    if effect.sort != "properties":
        return False
    set_so = all(now[name] == value for name, value in effect.values.items())
    return set_so and holds(effect, ticket)
