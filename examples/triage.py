"""Triage by custom field: the product decides who gets a ticket and how urgent it is.

    [router.triage]
    field = "Product"
    unknown = "Omar Haddad"

    [router.triage.products.Printer]
    assignee = "Ada King"
    priority = "High"
    tags = ["hardware"]

This runs for new tickets, and again if somebody corrects the field. A ticket that is assigned keeps its assignee.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from workers import Context, Event, Router, Ticket, TicketRead


@dataclass(frozen=True)
class Product:
    """What to set on tickets about one product; empty values change nothing."""

    assignee: str
    priority: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Triage:
    """The settings of this router."""

    field: str = "Product"
    unknown: str = ""
    """Who gets tickets without a product, or about one that is not listed."""
    products: Mapping[str, Product] = dataclasses.field(default_factory=dict)


router = Router("triage", settings=Triage)


def about_the_field(ticket: TicketRead, event: Event, settings: Triage) -> bool:
    """Return whether the ticket is new or the field was changed."""
    return any(change.kind == "ticket-created" or change.field == settings.field for change in event.matched)


@router.on("ticket-created", "field-changed", when=about_the_field)
def triage(ticket: Ticket, event: Event, ctx: Context[Triage]) -> None:
    product = ctx.settings.products.get(ticket.fields.get(ctx.settings.field, ""), Product(ctx.settings.unknown))
    if product.assignee and ticket.assignee is None:
        ticket.set(assignee=product.assignee)
    if product.priority:
        ticket.set(priority=product.priority)
    if product.tags:
        ticket.add_tags(*product.tags)
