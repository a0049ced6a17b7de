"""The brakes: few emails to whoever does not answer, all emails of a conversation, no call without its grant.

Who is a person, which message is a program's and which address gets an email is known from what people did and from
the calls, not from what the engine made of it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tests.simulation.checkers.evidence import by_us, record_of
from tests.simulation.checkers.performed import pieces
from tests.simulation.history import History, Sent
from tests.simulation.transport import TIMEOUT
from workers.engine.context import DAY
from workers.engine.effect import EMAIL_KINDS
from workers.engine.plan import EVERYONE, Plan
from workers.plugins.actions import denied
from workers.plugins.router import router_of
from workers.simulator.account import StoredUpdate
from workers.tickets.snapshot import HOUR

#: An update that became visible this long (ms) before the answer to a read may be missing from it.
LAG = TIMEOUT

#: The statuses of calls that HappyFox has refused because of what they ask for: they cost the account's budget, too.
COSTLY = (400, 403)


class Email(NamedTuple):
    """A call that sends email."""

    sent: Sent
    plan: Plan
    by_person: bool
    """Whether a person asked for it by a replay."""
    applied: bool


def emails_per_address_are_few(history: History) -> Iterator[str]:
    """An address gets few emails in any 24 hours, not counting those of a conversation or by a person."""
    limit = history.world.config.replies_per_contact
    counted: defaultdict[str, list[Email]] = defaultdict(list)
    before: dict[int, Email] = {}
    in_conversation: dict[tuple[str, str], bool] = {}
    for email in _emails(history):
        key = email.sent.turn, email.sent.effect
        if key not in in_conversation:  # not sent before
            in_conversation[key] = _colleague_wrote(history, email, before.get(email.sent.ticket))
        if email.applied:  # after a refusal, its parts are sent in the same place of the conversation
            before[email.sent.ticket] = email
        if not email.applied or email.by_person or email.sent.granted <= history.emptied or in_conversation[key]:
            continue  # one that waits for its next attempt counts already, and a person may send another meanwhile
        for address in _addresses(history, email.sent):
            day = [each for each in counted[address] if each.sent.granted > email.sent.granted - DAY]
            if len(day) >= limit:
                yield f"ticket {email.sent.ticket}: email {len(day) + 1} within 24 hours to {address}"
            counted[address].append(email)


def emails_in_a_row_are_few(history: History) -> Iterator[str]:
    """A ticket sends few emails without an update by a person between them; a program and a rule are no persons."""
    limit = history.world.config.unanswered_replies
    rows: defaultdict[int, list[Email]] = defaultdict(list)
    for email in sorted(_emails(history), key=lambda email: email.plan.read_at):
        if not email.applied or email.by_person or email.sent.granted <= history.emptied:
            continue
        row, number = rows[email.sent.ticket], email.sent.ticket
        if row and _person_wrote(history, number, row[-1].plan.read_at - LAG, email.plan.read_at):
            row.clear()
        row.append(email)
        if len(row) > limit:
            yield f"ticket {number}: {len(row)} emails in a row, and no person wrote between them"


def conversations_are_never_braked(history: History) -> Iterator[str]:
    """No email to a contact who talks with a colleague is held."""
    # A replay is a person's email, after which others may be held; that of a held email is what this looks for.
    brakes = ("FOXHOOKS_UNANSWERED_REPLIES", "FOXHOOKS_REPLIES_PER_CONTACT")
    replayed = {number for number, each in history.replayed if not any(brake in each.reason for brake in brakes)}
    for turn, number, _, _, effect, entry in pieces(history):
        held = entry is not None and entry.state == "held"
        if held and number in history.conversations and number not in replayed:
            yield f"ticket {number}: {effect.summary} of turn {turn} was held in a conversation"


def calls_are_few(history: History) -> Iterator[str]:
    """A plan, and all plans of an hour together, make no more calls on a ticket than the loop guard allows.

    When it has tripped, handlers act only after a person has written or has replayed its dead letter.
    """
    limit = history.world.config.loop_guard
    for turn, (number, plan) in history.witness.plans.items():
        calls = sum(not effect.dry and not effect.held for effect in plan.effects)
        if calls > limit and not _asked_by_person(history, plan):
            yield f"ticket {number}: {calls} calls in the plan of turn {turn}"
    for number, calls_of in _calls(history).items():
        trips = _trips(history, number)
        resets = sum(ticket == number and each.handler == EVERYONE for ticket, each in history.replayed)
        for begin, end in zip([0, *trips], [*trips, history.world.now + 1], strict=True):
            since = [sent for plan, sent in calls_of if begin <= plan.read_at < end]
            for sent in since:
                hour = sum(sent.granted - HOUR < each.granted <= sent.granted for each in since)
                if hour > limit * (1 + resets):
                    yield f"ticket {number}: {hour} calls within an hour"
            first = min((plan.read_at for plan, _ in calls_of if begin <= plan.read_at < end), default=0)
            if begin and first and not resets and not _person_wrote(history, number, begin, first):
                yield f"ticket {number}: the loop guard was reset, and no person wrote"


def effects_have_a_grant(history: History) -> Iterator[str]:
    """No call is made without the grant that it needs, even if its plan was stored with the grant."""
    for sent in history.sent:
        effect = sent.planned
        if effect and denied(effect, router_of(effect.handler), sent.allow):
            yield f"ticket {sent.ticket}: {effect.summary} of {effect.handler} was sent without a grant"


def _emails(history: History) -> list[Email]:
    """Return the calls that send email, in the order of their permits."""
    log = history.world.simulator.log
    found = [
        Email(sent, sent.plan, sent.planned.by_person, log[sent.number - 1].applied)
        for sent in history.sent
        if sent.plan and sent.planned and sent.planned.kind in EMAIL_KINDS
    ]
    return sorted(found, key=lambda email: email.sent.granted)


def _addresses(history: History, sent: Sent) -> set[str]:
    """Return who gets a reply or a forward as email."""
    if sent.sort == "forward":
        return set(sent.body["to"].split(","))
    contact = history.world.simulator.account.contacts[history.tickets[sent.ticket].contact]
    return {str(contact.email)} if sent.body["update_customer"] else set()


def _colleague_wrote(history: History, email: Email, before: Email | None) -> bool:
    """Return whether a colleague had written a message since the email ``before`` it on the same ticket.

    A message by a person who works as our staff member may be such an email: nobody can tell them apart.
    """
    updates = history.tickets[email.sent.ticket].updates
    perhaps = [each.at * 1000 for each in updates if each.update_id in history.as_our_staff]
    since = before.plan.read_at - LAG if before else min(perhaps, default=float("inf"))
    return any(
        update.shown["message"]
        and update.shown["by"]["type"] == "staff"
        and not by_us(history, update)
        and update.at * 1000 <= email.plan.read_at
        and update.visible_at * 1000 > since
        for update in updates
    )


def _person_wrote(history: History, number: int, after: float, until: float) -> bool:
    """Return whether a person made an update, or it became visible, in a span of time (ms)."""
    return any(
        after < at * 1000 <= until
        for update in history.tickets[number].updates
        if _by_person(history, update)
        for at in (update.at, update.visible_at)
    )


def _by_person(history: History, update: StoredUpdate) -> bool:
    rule = update.shown["by"]["type"] == "smartrule"
    return not rule and not by_us(history, update) and update.update_id not in history.automatic


def _asked_by_person(history: History, plan: Plan) -> bool:
    """Return whether a replay takes part in a turn; it does not count."""
    shown = any(shown.replay and shown.turn == plan.turn for shown in history.witness.shown)
    return shown or any(event.id.startswith("replay-") for event in plan.events)


def _calls(history: History) -> Mapping[int, Sequence[tuple[Plan, Sent]]]:
    """Return the calls on each ticket, refused ones included, except those of turns that a person asked for."""
    found: defaultdict[int, list[tuple[Plan, Sent]]] = defaultdict(list)
    for turn, (number, plan) in history.witness.plans.items():
        record = record_of(history, turn)
        if record is None or _asked_by_person(history, plan):
            continue
        for sent in history.sent:
            call = history.world.simulator.log[sent.number - 1]
            counts = sent.turn == turn and sent.planned and (call.applied or call.status in COSTLY)
            if counts and sent.granted > history.emptied:
                found[number].append((plan, sent))
    return found


def _trips(history: History, number: int) -> list[int]:
    """Return when the loop guard of a ticket tripped (ms)."""
    prefix = f"loop-guard-{number}-"
    return sorted(
        {
            int(dead_letter.id.removeprefix(prefix))
            for settled in history.witness.settled
            for dead_letter in settled.dead_letters
            if dead_letter.id.startswith(prefix)
        }
    )
