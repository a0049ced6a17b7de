"""Round robin with limits and absences: new tickets go to the agents in turn.

    [router.round-robin]
    agents = ["Ada King", "Lin Wu", "Grace Park"]
    most_per_day = 20

Four simultaneous tickets go to four agents, because `ctx.choose` counts with the plan of each turn. An agent who writes
the private note `away 5d` on any ticket gets none for five days, or until the note `back`; then the agent is next once,
and does not make up for the absence. If nobody is left, the ticket gets a tag.
"""

import re
from dataclasses import dataclass

from workers import Context, Event, Router, Ticket


@dataclass(frozen=True)
class RoundRobin:
    """The settings of this router."""

    agents: tuple[str, ...]
    most_per_day: int = 0
    """How many tickets each agent gets on a day (UTC), 0 for any number."""
    nobody: str = "unassigned"
    """The tag of tickets that nobody can take."""


router = Router("round-robin", settings=RoundRobin)

ABSENCE = re.compile(r"\s*(away\s+(?P<days>\d{1,2})d|back)\b", re.IGNORECASE)


@router.on("ticket-created", when=lambda ticket: ticket.assignee is None)
def assign(ticket: Ticket, event: Event, ctx: Context[RoundRobin]) -> None:
    absent, most = ctx.store.members("absent"), ctx.settings.most_per_day
    ready = [
        name
        for name in ctx.settings.agents
        if name not in absent and (not most or ctx.store.count(today(ctx, name)) < most)
    ]
    if not ready:
        ticket.add_tags(ctx.settings.nobody)
        return
    chosen = ctx.choose("agents", ready)
    ctx.store.increment(today(ctx, chosen), keep="2d")
    ticket.set(assignee=chosen)


@router.on("note-added")
def note_absence(ticket: Ticket, event: Event, ctx: Context[RoundRobin]) -> None:
    for change in event.matched:
        found = ABSENCE.match(change.text)
        if not found or change.actor.kind != "staff" or change.actor.name not in ctx.settings.agents:
            continue
        if found["days"]:
            ctx.store.add("absent", change.actor.name, keep=f"{max(1, int(found['days']))}d")
        else:
            ctx.store.remove("absent", change.actor.name)


def today(ctx: Context[RoundRobin], agent: str) -> str:
    """Return the name of the counter of an agent's tickets of this day."""
    return f"{ctx.now:%Y-%m-%d} {agent}"
