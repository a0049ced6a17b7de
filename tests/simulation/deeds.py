"""The deeds of people: what contacts, staff, rules and other tools do to tickets, each told to the history."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.simulation.history import History, Written
from workers.simulator import Simulator, edits
from workers.simulator.forms import WebhookEvent
from workers.testing.desk import BOT

#: Each deed with its weight.
WEIGHTS = {
    "contact replies": 5.0,
    "staff replies": 1.0,
    "staff writes a note": 1.0,
    "staff sets a status": 2.0,
    "staff sets a priority": 1.0,
    "staff sets a tag": 1.5,
    "nobody sets a tag": 0.5,
    "staff writes a field": 0.6,
    "staff writes a field of ours": 0.6,
    "a rule fires": 1.0,
    "staff assigns": 0.6,
    "staff moves": 0.4,
    "staff marks as spam": 0.1,
    "staff deletes": 0.1,
}

#: Who is named in the row of a call that names no staff member.
NOBODY = {"id": None, "name": "", "email": None, "type": "staff"}


class Deeds:
    """One method for each deed, on one ticket."""

    def __init__(self, simulator: Simulator, rng: random.Random, history: History) -> None:
        self._simulator, self._rng, self._history = simulator, rng, history
        self._count = 0
        self._do: dict[str, Callable[[int], object]] = {
            "contact replies": lambda number: simulator.contact_replies(number, f"It is broken again, {self._count}."),
            "staff replies": lambda number: self._staff(number, text=f"We are on it, {self._count}."),
            "staff writes a note": lambda number: self._staff(number, text=f"To myself, {self._count}.", private=True),
            "staff sets a status": lambda number: self._staff(number, status=rng.choice([1, 3, 4])),
            "staff sets a priority": lambda number: self._staff(number, priority=rng.choice([1, 2])),
            "staff sets a tag": lambda number: self._staff(number, add_tags=[self._tag(number, "tag")]),
            "nobody sets a tag": self._nobody_tags,
            "staff writes a field": lambda number: self._field(number, 2, "Amount", str(self._count)),
            "staff writes a field of ours": lambda number: self._field(number, 1, "Refund reason", f"{self._count}th"),
            "a rule fires": self._rule,
            "staff assigns": lambda number: self._staff(number, assignee=rng.choice([1, 2, 3, None])),
            "staff moves": lambda number: self._staff(number, category=rng.choice([1, 2, 3])),
            "staff marks as spam": lambda number: self._staff(number, add_tags=[self._tag(number, "spam")]),
            "staff deletes": self._delete,
        }

    def do(self, number: int) -> None:
        """Does one of them, drawn by its weight."""
        self._count += 1
        action = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self._history.faults[action] += 1
        self._do[action](number)

    def _staff(self, number: int, **edit: Any) -> None:
        # Not in a row that says nothing: nobody could tell whether it is the trace of a tag that we set, or theirs.
        ticket = self._simulator.account.tickets[number]
        telling = "text" in edit or any(getattr(ticket, name, value) != value for name, value in edit.items())
        staff = self._rng.choice([1, 2, BOT] if telling and not edit.keys() & {"add_tags", "fields"} else [1, 2])
        update = self._simulator.staff_updates(number, staff=staff, **edit).updates[-1]
        if staff == BOT:
            self._history.faults["a person works as our staff member"] += 1
            self._history.as_us.add(update.update_id)

    def _tag(self, number: int, sort: str) -> str:
        tags = self._history.staff_tags.setdefault(number, [])
        tags.append(f"{sort}{self._count}")
        return tags[-1]

    def _nobody_tags(self, number: int) -> None:
        """An older tool sets a tag and names no staff member: its row says neither who nor what (KB 1039, 2020)."""
        simulator = self._simulator
        ticket, edit = simulator.account.tickets[number], edits.TicketEdit(add_tags=(self._tag(number, "tool"),))
        after = edits.change_ticket(simulator.account, ticket, NOBODY, edit)
        simulator.webhooks.post(simulator.account, WebhookEvent("ticket-updated", after))

    def _field(self, number: int, field: int, name: str, value: str) -> None:
        written = Written(field, value, int(self._simulator.clock() * 1000))
        self._history.staff_values.setdefault(number, []).append(written)
        self._staff(number, fields={name: value})

    def _rule(self, number: int) -> None:
        note = self._rng.choice(["", f"Too late {self._count}."])
        self._simulator.fire_rule(number, "Overdue", note=note, status=self._rng.choice([None, 3]))

    def _delete(self, number: int) -> None:
        """Nothing tells of it (seen with live accounts: a deletion emits no webhook)."""
        self._history.removed[number] = self._simulator.account.tickets[number]
        self._simulator.account.remove(number)


def hide(simulator: Simulator, number: int, until: float) -> None:
    """Lets the last row of a ticket become visible only later (epoch seconds)."""
    ticket = simulator.account.tickets[number]
    simulator.account.tickets[number] = replace(
        ticket, updates=(*ticket.updates[:-1], replace(ticket.updates[-1], visible_at=until))
    )
