"""The brakes on email and the loop guard, for the emails that clients send.

They count like those of the engine: its next turn finds them in the snapshot, and clients' calls find those of the
engine there.
"""

from collections.abc import Sequence

from workers.engine.brakes import address_key, recipients
from workers.engine.context import AccountConfig
from workers.engine.effect import Effect
from workers.engine.guards import describe_loop_guard
from workers.gateway.access import Operation
from workers.gateway.steps import ClientSteps, GetContent, held
from workers.happyfox.contacts import contact as contact_request
from workers.store.client_calls import ClientLease
from workers.store.lanes import Emails, Refusal
from workers.tickets.clients import ClientWrite, count_client_emails
from workers.tickets.emails import emails_shown, is_automatic
from workers.tickets.fields import FieldValues
from workers.tickets.model import Contact, TicketRead, Update, by_staff, mapping, text
from workers.tickets.snapshot import HOUR, EmailRun, Snapshot

#: How many tickets a refusal names.
LISTED_TICKETS = 10

_NOBODY = Contact(id=None, name="", email="", phones=(), groups=(), fields=FieldValues(()))


def check(
    operation: Operation,
    effects: Sequence[Effect],
    lease: ClientLease | None,
    ticket: TicketRead | None,
    config: AccountConfig,
    get_content: GetContent,
) -> ClientSteps[Emails | None]:
    """Return the addresses that a call sends email to, as far as they count; refuse it if a limit is reached."""
    if not operation.emails:
        return None
    counted = True
    if lease and ticket:
        snapshot = count_client_emails(lease.snapshot or Snapshot(), lease.writes)
        emails = _emails_now(ticket, lease, snapshot, config.staff_id)
        _check_ticket(emails, snapshot, lease.now, config)
        counted = not emails.staff_wrote
    contact, others = ticket.contact if ticket else _NOBODY, dict[int, str]()
    for client in {effect.draft["client"] for effect in effects if "client" in effect.draft}:
        others[client] = text(mapping((yield from get_content(contact_request(client), "the contact"))).get("email"))
    named = [each for effect in effects for each in recipients(effect, contact, others)]
    keys = tuple(address_key(config.address_secret, each) for each in named)
    return Emails(keys, config.replies_per_contact) if keys and counted else None


def _check_ticket(emails: EmailRun, snapshot: Snapshot, now: int, config: AccountConfig) -> None:
    """Refuse an email from a ticket that has sent too many, or whose loop guard has tripped."""
    if emails.unanswered >= config.unanswered_replies:
        raise held(
            f"{emails.unanswered} emails in a row from this ticket without an update by a person "
            f"(FOXHOOKS_UNANSWERED_REPLIES={config.unanswered_replies}); nothing was sent"
        )
    if tripped := describe_loop_guard(snapshot.loop_guard):
        raise held(f"{tripped}; nothing was sent")
    writes = sum(at > now - HOUR for at in snapshot.writes)
    if writes >= config.loop_guard:
        raise held(
            f"{writes} writes to this ticket within an hour (FOXHOOKS_LOOP_GUARD={config.loop_guard}); nothing was sent"
        )


def _emails_now(ticket: TicketRead, lease: ClientLease, counted: Snapshot, staff: int) -> EmailRun:
    """Return the emails in a row: as counted, or as the ticket shows them if a person has written since then."""
    before, people = lease.snapshot, [each.id for each in ticket.history if _is_person(each, ticket, staff)]
    if before is not None and all(map(before.knows, people)):
        return counted.emails
    emails = emails_shown(ticket, staff)
    for _ in range(_hidden_forwards(ticket, lease.writes, max(people, default=0))):
        emails = emails.one_more()
    return emails


def _hidden_forwards(ticket: TicketRead, writes: Sequence[ClientWrite], since: int) -> int:
    """Count the clients' forwards after an update that the ticket does not show: HappyFox may not (KB 1039)."""
    sent = sum(each.forwards and each.after >= since for each in writes)
    updates = (each for each in ticket.history if each.id > since and each.client and each.message)
    return max(0, sent - sum(each.message is not None and each.message.forwarded for each in updates))


def _is_person(update: Update, ticket: TicketRead, staff: int) -> bool:
    if update.author not in ("contact", "staff") or update.client or by_staff(update, staff):
        return False
    return not is_automatic(update, ticket, staff)


def describe_address_limit(refusal: Refusal, emails: Emails | None, config: AccountConfig) -> str:
    """Return why ``emails`` are refused, one of whose addresses would get more than its limit."""
    tickets = list(dict.fromkeys(each.partition(" ")[0] for each in refusal.emails))
    listed = ", ".join(filter(None, tickets[-LISTED_TICKETS:]))
    more = emails.addresses.count(refusal.address) if emails else 0
    return (
        f"{len(refusal.emails)} automatic emails to this address within 24 hours"
        f"{f', and {more} more in this call' if more > 1 else ''} "
        f"(FOXHOOKS_REPLIES_PER_CONTACT={config.replies_per_contact})"
        f"{f', from tickets {listed}' if listed else ''}; nothing was sent"
    )
