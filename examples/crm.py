"""Set a custom field of each new ticket from a CRM: the plan of the contact, read over HTTP.

    [router.crm]
    base_url = "https://crm.example"
    token = "env:CRM_TOKEN"
    field = "Plan"

The CRM is only read, so nothing happens twice if the handler runs again. If the CRM does not answer, this handler is
retried later, and the actions of other handlers do not wait. Contacts that the CRM does not know are left unchanged.
"""

from dataclasses import dataclass

import httpx

from workers import Context, Event, GiveUp, Retry, Router, Ticket


@dataclass(frozen=True)
class Crm:
    """The settings of this router."""

    base_url: str
    token: str
    field: str = "Plan"


router = Router("crm", settings=Crm)


@router.on("ticket-created", when=lambda ticket: ticket.contact.email)
def plan(ticket: Ticket, event: Event, ctx: Context[Crm]) -> None:
    found = look_up(ticket.contact.email, ctx.settings)
    if found:
        ticket.set(fields={ctx.settings.field: found})


def look_up(email: str, crm: Crm) -> str:
    """Return the plan of the customer with this address, or "" if the CRM has none."""
    headers = {"Authorization": f"Bearer {crm.token}"}
    try:
        answer = httpx.get(f"{crm.base_url}/customers", params={"email": email}, headers=headers, timeout=5)
    except httpx.TransportError as error:
        raise Retry(f"the CRM does not answer ({type(error).__name__})") from None
    if answer.status_code in (401, 403):
        raise GiveUp("the CRM refuses the token; correct [router.crm] and replay this")
    if answer.status_code >= 500 or answer.status_code == 429:
        raise Retry(f"the CRM answered {answer.status_code}", after="1m")
    customers = answer.json() if answer.is_success else []
    return str(customers[0].get("plan", "")) if customers else ""
