"""Check a customer's installation with a service that takes minutes: a job on the same workers.

    [router.diagnose]
    url = "https://checks.example/installations"

The handler starts the job once (`ctx.effect`) and ends, so that the ticket and its lane do not wait. Dramatiq runs the
job, and repeats it if the service fails. Its result comes back as an event of the ticket (`router.post`), for which
another handler writes a note. The message of a job waits in the store: pass it ids, not the words of customers.
"""

from dataclasses import dataclass
from functools import partial

import dramatiq
import httpx

from workers import Context, Event, Router, Ticket


@dataclass(frozen=True)
class Diagnose:
    """The settings of this router."""

    url: str


router = Router("diagnose", settings=Diagnose)


@router.on("ticket-created", when=lambda ticket: ticket.contact.domain)
def start(ticket: Ticket, event: Event, ctx: Context[Diagnose]) -> None:
    send = partial(check.send, ctx.settings.url, ticket.contact.domain, event.account, ticket.id)
    ctx.effect("check", lambda: send().message_id)


@dramatiq.actor(queue_name="checks", max_retries=5, time_limit=600_000)
def check(url: str, domain: str, account: str, ticket: int) -> None:
    answer = httpx.get(url, params={"domain": domain}, timeout=300)
    answer.raise_for_status()
    router.post("checked", account=account, ticket=ticket, data={"problems": answer.json()["problems"]})


@router.on("hook", name="checked", when=lambda ticket: not ticket.status.closed)
def report(ticket: Ticket, event: Event) -> None:
    problems = event.matched[-1].data["problems"]
    if problems:
        ticket.note("Checked the installation:\n" + "\n".join(f"- {each}" for each in problems))
        ticket.add_tags("unhealthy")
