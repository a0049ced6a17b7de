"""Turns in tests: sample handlers, working until nothing is left, dead letters, tickets as HappyFox answers them."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tests.support.witness import Witness
from workers import Event, Router, Ticket
from workers.store.lanes import ClaimedLane, NothingDue, claim
from workers.store.records import replay
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment
from workers.tickets.model import TicketRead, read_ticket

T = TypeVar("T")
R = TypeVar("R")

P = f"foxhooks:{{{ACCOUNT}}}:"

BOT = {"type": "staff", "id": 7, "name": "Foxhooks Bot"}
ADA = {"type": "staff", "id": 1, "name": "Ada King"}
SAM = {"type": "user", "id": 5, "name": "Sam Reed"}
RULE = {"type": "smartrule", "id": None, "name": "Overdue"}


def vip() -> Router:
    """Return a router that greets new tickets and reopens closed ones."""
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("vip")
        ticket.note("VIP contact: answer within the hour.")
        ticket.set(priority="High")

    @router.on("contact-replied", when=lambda ticket: ticket.status.closed)
    def reopen(ticket: Ticket, event: Event) -> None:
        ticket.reply("Thank you, we are on it again.", status="In Progress")

    return router


def noting(calls: list[T], call: T, value: R) -> Callable[[], R]:
    """Return a function that notes that it was called and returns ``value``."""

    def noted() -> R:
        calls.append(call)
        return value

    return noted


def finish(world: SimulatedDeployment, witness: Witness | None = None, worker: Any = None, hours: int = 2) -> None:
    """Work and deliver, jumping to the next moment something is due, until nothing is left."""
    end = world.now + hours * 3_600_000
    while world.now < end:
        world.deliver()
        got = world.store.run(claim(world.config.claim, world.nonce()))
        if isinstance(got, ClaimedLane):
            if witness is not None:
                witness.begins(worker)
            try:
                world.drive(got)
            except Crash:
                world.now += world.lease
        elif isinstance(got, NothingDue) and got.wait < 0:
            return
        else:
            world.now += max(1, got.wait)
    raise AssertionError("the lanes still have work")


def dead_letters(store: Any) -> dict[str, dict[str, Any]]:
    """Return the dead letters of single handlers by their id."""
    names = [name.decode() for name in store.zrange(f"{P}dead_letters", 0, -1)]
    found = {name: msgspec.json.decode(store.hget(f"{P}dead_letter:{name}", "evidence")) for name in names}
    return {name: dead_letter for name, dead_letter in found.items() if dead_letter["handler"] not in ("", "*")}


def put_back(world: SimulatedDeployment) -> None:
    """Replay the only dead letter and work until nothing is left."""
    [name] = dead_letters(world.client)
    world.store.run(replay(ACCOUNT, name))
    world.settle_down()


def update(number: int, by: dict[str, Any], text: str = "", *, note: bool = False, minute: int = 0, **more: Any) -> Any:
    """Return an update of a ticket; ``status=(old, new)`` and the like are changes of properties."""
    message = {"text": text, "html": "", "message_type": "p" if note else None} if text else None
    changes = {f"{name}_change": {"old": old, "new": new} for name, (old, new) in more.items()}
    return {
        "update_id": number,
        "timestamp": f"2026-03-01 10:{minute:02}:00",
        "by": by,
        "message": message,
        **changes,
    }


def ticket(*updates: Any, tags: str = "", status: int = 1, fields: dict[int, str] | None = None) -> TicketRead:
    """Return a ticket with these updates after the opening one, which is update 1."""
    opening = update(1, SAM, "Please help.")
    values = [{"id": number, "name": f"field {number}", "value": value} for number, value in (fields or {}).items()]
    return read_ticket(
        {
            "id": 9,
            "status": {"id": status, "name": f"status {status}"},
            "priority": {"id": 1, "name": "Medium"},
            "category": {"id": 1, "name": "Default"},
            "user": {"id": 5, "name": "Sam Reed", "email": "sam@bigcorp.example"},
            "tags": tags,
            "custom_fields": values,
            "updates": [opening, *updates],
        }
    )
