"""The brakes on email: foxhooks stops writing to people who do not answer, and to programs that answer by themselves.

Two limits count emails, not writes. One counts those from a ticket in a row, without an update by a person between
them: an automatic answer is none, and neither is a rule of HappyFox. The other counts those to one address within a
day, over all tickets of the account, because a program may open a new ticket with each of its answers. All spellings of
an address count together, what a program adds to its own included, and emails to a contact for its id, too, because its
address may change. An email does not count for its address if a colleague has written on the ticket since our previous
one: then people are in a conversation.

What exceeds a limit is not sent. It is held in one dead letter per ticket or address, from which a person can send it;
the turn's other actions are performed. What a person replays is never held.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec

from workers.engine.context import TurnContext
from workers.engine.effect import Effect, Held, split_actions
from workers.engine.guards import describe_cause
from workers.engine.read import Reading
from workers.engine.steps import Steps
from workers.errors import HappyFoxError
from workers.happyfox.contacts import contact as contact_request
from workers.happyfox.messages import Answer, read
from workers.store.records import ADDRESS, UNANSWERED, read_emails
from workers.tickets.change import Change
from workers.tickets.emails import mailbox
from workers.tickets.model import Contact, mapping, text
from workers.tickets.snapshot import ActingTurn, EmailRun, Snapshot

#: How many tickets a dead letter names.
LISTED_TICKETS = 10


def recipients(effect: Effect, contact: Contact, others: Mapping[int, str]) -> tuple[str, ...]:
    """Return the mailboxes and contacts that an effect sends email to.

    ``contact`` opened its ticket, ``others`` are the addresses of other contacts by id, as far as they are known.
    HappyFox mails a reply if ``update_customer`` asks for it (KB 1039). Whether it mails a survey without that is not
    documented, and whether it mails a created ticket to its contact depends on the account's settings: both count as if
    it did.
    """
    found: Iterable[str] = ()
    if effect.kind in ("reply", "contact reply", "forward"):
        own = _keys_of(contact.id, contact.email) if effect.notify or effect.survey else ()
        found = (*own, *map(mailbox, (*effect.to, *effect.cc, *effect.bcc)))
    elif effect.kind == "create":
        client, draft = _named_client(effect), effect.draft
        email = contact.email if client == contact.id else others.get(client or 0, "")
        named = _keys_of(client, email) if client else ()
        found = (*named, *map(mailbox, (str(draft.get("email") or ""), *draft.get("cc", ()), *draft.get("bcc", ()))))
    return tuple(dict.fromkeys(each for each in found if each))


def _keys_of(contact: int | None, email: str) -> tuple[str, ...]:
    """Return under what a contact is counted: the mailbox, and the id, because the address may change."""
    return (*((mailbox(email),) if email else ()), *((f"contact {contact}",) if contact or not email else ()))


def _named_client(effect: Effect) -> int | None:
    """Return the contact that a ticket is created for, if it is named by its id."""
    client = effect.draft.get("client")
    return client if isinstance(client, int) else None


def _read_addresses(context: TurnContext, contact: Contact, effects: Iterable[Effect]) -> Steps[dict[int, str]]:
    """Read the addresses of the other contacts that tickets are created for.

    One that cannot be read is counted by its id alone.
    """
    sent = (effect for effect in effects if not effect.dry and not context.config.dry_run)
    found: dict[int, str] = {}
    for client in dict.fromkeys(map(_named_client, sent)):
        if client is not None and client != contact.id:
            outcome = yield from context.get(contact_request(client))
            if isinstance(outcome, Answer):
                with suppress(HappyFoxError):
                    found[client] = text(mapping(read(outcome)).get("email"))
    return found


def address_key(secret: bytes, address: str) -> str:
    """Return the name under which an address is counted in the store, from which it cannot be read."""
    return hmac.new(secret, address.encode(), hashlib.sha256).hexdigest()[:24]


def hold_emails(context: TurnContext, reading: Reading, effects: Sequence[Effect]) -> Steps[tuple[Effect, ...]]:
    """Return the effects with the keys of their addresses; those that exceed a limit are marked as held.

    Properties that other handlers have set in the same call as a held reply become effects of their own.
    """
    secret, contact = context.config.address_secret, reading.ticket.contact
    addresses_of = yield from _read_addresses(context, contact, effects)
    keys = [
        tuple(address_key(secret, each) for each in recipients(effect, contact, addresses_of)) for effect in effects
    ]
    if not any(keys):
        return tuple(effects)
    known = list(dict.fromkeys(key for each in keys for key in each))
    stored: list[list[str]] = yield read_emails(context.lane.account, known)
    sent = dict(zip(known, stored, strict=True))
    kept: list[Effect] = []
    emails = reading.diff.snapshot.emails
    for effect, addresses in zip(effects, keys, strict=True):
        if not addresses:
            kept.append(effect)
            continue
        braked = msgspec.structs.replace(effect, addresses=addresses, uncounted=emails.staff_wrote)
        held = None if effect.by_person or effect.dry else _limit(context, reading, emails, braked, sent)
        if held is not None:
            message, *others = split_actions(braked)
            kept += [msgspec.structs.replace(message, held=held), *others]
            continue
        kept.append(braked)
        if effect.dry:
            continue
        emails = emails.one_more()
        for key in addresses if not braked.uncounted else ():
            sent[key] = [*sent[key], f"{context.lane.ticket} "]
    return tuple(kept)


def _limit(
    context: TurnContext, reading: Reading, emails: EmailRun, effect: Effect, sent: dict[str, list[str]]
) -> Held | None:
    """Return why an email is held, if it exceeds a limit."""
    config, ticket = context.config, context.lane.ticket
    loop = describe_loop(reading.diff.snapshot, reading.diff.changes, effect)
    if emails.unanswered >= config.unanswered_replies:
        reason = (
            f"{_count(emails.unanswered, 'email')} in a row from this ticket without an update by a person "
            f"(FOXHOOKS_UNANSWERED_REPLIES={config.unanswered_replies})"
        )
        return Held(f"{UNANSWERED}{ticket}", f"{reason}. {loop}")
    if effect.uncounted:
        return None
    for key in effect.addresses:
        if len(sent[key]) >= config.replies_per_contact:
            return address_limit(key, config.replies_per_contact, sent[key], loop)
    return None


def address_limit(key: str, limit: int, sent: Sequence[str], loop: str) -> Held:
    """Return why an email is held whose address has got its limit of emails."""
    tickets = list(dict.fromkeys(each.partition(" ")[0] for each in sent))
    listed = ", ".join(tickets[-LISTED_TICKETS:])
    reason = (
        f"{_count(len(sent), 'automatic email')} to this address within 24 hours "
        f"(FOXHOOKS_REPLIES_PER_CONTACT={limit}), from {'ticket' if len(tickets) == 1 else 'tickets'} {listed}"
    )
    return Held(f"{ADDRESS}{key}", f"{reason}. {loop}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def describe_loop(snapshot: Snapshot, changes: Iterable[Change], effect: Effect) -> str:
    """Describe what leads to the emails: the last turns of the ticket, and this one."""
    causes = ", ".join(dict.fromkeys(map(describe_cause, changes))) or "pending work"
    acts = (*snapshot.loop_guard.acting_turns, ActingTurn(0, causes, f"{effect.handler}: {effect.summary}"))
    counts = Counter(f"{act.cause} -> {act.actions}" for act in acts)
    return "Loop: " + "; ".join(f"{step} ({count} times)" if count > 1 else step for step, count in counts.items())
