"""The people of a seed: contacts, staff and rules, who work on tickets while the engine does."""

from dataclasses import replace
from typing import Any

from tests.simulation.agenda import Player
from tests.simulation.post import Post
from tests.simulation.stage import Stage
from workers.testing.world import ACCOUNT, BOT, START

#: How long their part lasts (ms).
PLAY = 300_000


class People:
    """Everybody but us."""

    def __init__(self, stage: Stage, post: Post) -> None:
        self._stage, self._post = stage, post

    def play(self) -> Player:
        """Opens tickets, edits them, and has each delivered once more in the end."""
        stage, rng = self._stage, self._stage.rng
        for _ in range(4):
            ticket = stage.world.simulator.create_ticket(
                email=rng.choice(["sam@bigcorp.example", "mia@smallshop.example"])
            )
            stage.lanes.append(ticket.id)
            self._post.collect()
            yield rng.uniform(0, 20_000)
        while stage.world.now < START + PLAY:
            self.edit(rng.choice(stage.lanes))
            self._post.collect()
            yield rng.choice([rng.uniform(0, 300), rng.uniform(0, 5_000), rng.uniform(0, 60_000)])
        yield 200_000
        stage.faults.calm = True
        for number in stage.lanes:
            self._post.repeat(number)
        while not stage.history.rest:
            yield 30_000
            stage.history.rest = not stage.client.zcard(f"foxhooks:{{{ACCOUNT}}}:sched") and not stage.under_way

    def edit(self, number: int) -> None:
        """Does what a contact, a staff member or a rule does to a ticket."""
        simulator, rng, history = self._stage.world.simulator, self._stage.rng, self._stage.history
        at = len(history.accepted) + self._stage.world.now % 1000
        what = rng.choice(
            ["contact"] * 5 + ["reply", "note", "status", "status", "priority", "tag", "tag", "field", "rule"]
        )
        if what == "contact":
            simulator.contact_replies(number, f"It is broken again, {at}.")
        elif what == "rule":
            simulator.fire_rule(
                number, "Overdue", note=rng.choice(["", f"Too late {at}."]), status=rng.choice([None, 3])
            )
        elif what == "tag":
            tags = history.staff_tags.setdefault(number, [])
            tags.append(f"tag{len(tags)}")
            simulator.staff_updates(number, staff=1, add_tags=[tags[-1]])
        elif what == "field":
            values = history.staff_values.setdefault(number, [])
            values.append((2, str(len(values) + 1)))
            simulator.staff_updates(number, staff=1, fields={"Amount": len(values)})
        else:
            edits: dict[str, Any] = {
                "reply": {"text": f"We are on it, {at}."},
                "note": {"text": f"To myself, {at}.", "private": True},
                "status": {"status": rng.choice([1, 3, 4])},
                "priority": {"priority": rng.choice([1, 2])},
            }[what]
            staff = rng.choice([1, 2, BOT])
            ticket = simulator.staff_updates(number, staff=staff, **edits)
            history.as_us |= {ticket.rows[-1].update_id} if staff == BOT else set()
        if self._stage.faults.draws("row"):
            self._hide(number)

    def _hide(self, number: int) -> None:
        """Lets the last row of a ticket become visible only later."""
        tickets = self._stage.world.simulator.world.tickets
        ticket = tickets[number]
        shows = self._stage.world.now / 1000 + self._stage.rng.uniform(1, 60)
        tickets[number] = replace(ticket, rows=(*ticket.rows[:-1], replace(ticket.rows[-1], visible_at=shows)))
