"""HappyFox's API without the wire, as the engine uses it: how its requests look, what an answer means."""

from workers.happyfox.answers import nothing_to_update, problems, read, retry_after, settlement
from workers.happyfox.exchange import BASE, Answer, Request
from workers.happyfox.requests.dialect import Dialect
from workers.happyfox.requests.members import UNSET, Unset, contact_field, ticket_field
from workers.happyfox.requests.reference import categories, priorities, staff, statuses
from workers.happyfox.requests.ticket import (
    delete,
    forward,
    move,
    private_note,
    staff_update,
    subscribe,
    unsubscribe,
    update_custom_fields,
    update_tags,
    user_reply,
)
from workers.happyfox.requests.tickets import create_ticket, ticket, ticket_custom_fields, tickets

__all__ = [
    "BASE", "UNSET", "Answer", "Dialect", "Request", "Unset", "categories", "contact_field",
    "create_ticket", "delete", "forward", "move", "nothing_to_update", "priorities", "private_note",
    "problems", "read", "retry_after", "settlement", "staff", "staff_update", "statuses", "subscribe",
    "ticket", "ticket_custom_fields", "ticket_field", "tickets", "unsubscribe", "update_custom_fields",
    "update_tags", "user_reply",
]  # fmt: skip
