"""The people of a seed: contacts, staff and tools, an operator, a maintainer, and whoever empties the store."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from tests.simulation.history import History, Written
from tests.simulation.plugins import ALLOW, NEWER
from tests.simulation.state import Activity, SimulationState
from tests.simulation.transport import DeliveryService
from workers.engine.plan import DeadLetter
from workers.simulator import Simulator, edits
from workers.simulator.forms import WebhookEvent
from workers.store.pauses import Pause, Scope, pause, resume
from workers.store.records import discard, replay
from workers.testing.desk import ACCOUNT, BOT, START

#: How long people act (ms), and how many tickets are open at any time.
DURATION, TICKETS = 200_000, 4


class People:
    """Contacts, staff, rules and other tools."""

    def __init__(self, state: SimulationState, deliveries: DeliveryService) -> None:
        self._state, self._deliveries = state, deliveries
        self._activities = TicketActivities(state.world.simulator, state.rng, state.history)

    def run(self) -> Activity:
        """Open tickets, work on them, and repeat the last delivery of each at the end."""
        state, rng = self._state, self._state.rng
        simulator = state.world.simulator
        while state.world.now < START + DURATION:
            tickets = [number for number in simulator.account.tickets if number not in state.history.apart]
            if len(tickets) < TICKETS:
                self._open()
                yield rng.uniform(0, 10_000)
                continue
            number = rng.choice(tickets)
            self._activities.do(number)
            if number in simulator.account.tickets and state.faults.draw("update"):
                hide(simulator, number, state.world.now / 1000 + rng.uniform(1, 60))
            self._deliveries.collect()
            yield rng.choice([rng.uniform(0, 300), rng.uniform(0, 5_000), rng.uniform(0, 60_000)])
        yield 200_000
        state.faults.calm = True
        calm_at = state.world.now
        for number in () if state.swept else state.lanes:
            self._deliveries.repeat(number)
        while not state.history.at_rest:
            yield 30_000
            waits = state.client.zcard(f"foxhooks:{{{ACCOUNT}}}:schedule") or state.in_progress or state.denied
            state.history.at_rest = not waits and (state.covered > calm_at or not state.swept)

    def _open(self) -> None:
        address = self._state.rng.choice(["sam@bigcorp.example", "mia@smallshop.example"])
        self._state.lanes.append(self._state.world.simulator.create_ticket(email=address).id)
        self._deliveries.collect()


#: What people do, with weights.
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

#: The author of an update by a call that names no staff member.
NOBODY = {"id": None, "name": "", "email": None, "type": "staff"}


class TicketActivities:
    """What people do to a ticket."""

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
        """Do one of them at random, by weight."""
        self._count += 1
        action = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self._history.faults[action] += 1
        self._do[action](number)

    def _staff(self, number: int, **edit: Any) -> None:
        # Not for a silent update: it could belong to a tag that we set, or to theirs.
        ticket = self._simulator.account.tickets[number]
        telling = "text" in edit or any(getattr(ticket, name, value) != value for name, value in edit.items())
        staff = self._rng.choice([1, 2, BOT] if telling and not edit.keys() & {"add_tags", "fields"} else [1, 2])
        update = self._simulator.staff_updates(number, staff=staff, **edit).updates[-1]
        if staff == BOT:
            self._history.faults["a person works as our staff member"] += 1
            self._history.as_our_staff.add(update.update_id)

    def _tag(self, number: int, sort: str) -> str:
        tags = self._history.staff_tags.setdefault(number, [])
        tags.append(f"{sort}{self._count}")
        return tags[-1]

    def _nobody_tags(self, number: int) -> None:
        """Set a tag as an older tool does, whose update has no author and no content (KB 1039, 2020)."""
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
        """Delete the ticket; no webhook reports that (seen with live accounts)."""
        self._history.removed[number] = self._simulator.account.tickets[number]
        self._simulator.account.remove(number)


def hide(simulator: Simulator, number: int, until: float) -> None:
    """Make the last update of a ticket visible only later (epoch seconds)."""
    ticket = simulator.account.tickets[number]
    simulator.account.tickets[number] = replace(
        ticket, updates=(*ticket.updates[:-1], replace(ticket.updates[-1], visible_at=until))
    )


#: The longest pause (ms).
LONGEST = 40_000


class Operator:
    """Pauses and resumes accounts, routers and tickets; each command runs once or twice, as if repeated."""

    def __init__(self, state: SimulationState) -> None:
        self._state = state
        self._routers = sorted({bound.handler.router for bound in state.world.config.handlers})

    def run(self) -> Activity:
        """Pause and resume until the people stop."""
        state, rng = self._state, self._state.rng
        if rng.random() < 0.5:
            return
        yield rng.uniform(0, DURATION / 2)
        while state.world.now < START + DURATION:
            scope, name = rng.choice(list(self._targets()))
            entry = Pause(state.world.now, "operator")
            for _ in range(rng.choice([1, 1, 2])):
                state.world.store.run(pause(ACCOUNT, scope, name, entry))
            state.faults.counts[f"pause of the {scope}"] += 1
            yield rng.uniform(0, LONGEST)
            for _ in range(rng.choice([1, 1, 2])):
                state.world.store.run(resume(ACCOUNT, scope, name))
                state.check_schedule("resume")
            state.agenda.wake()
            yield rng.uniform(0, LONGEST)

    def _targets(self) -> Iterator[tuple[Scope, str]]:
        yield "account", ""
        yield from (("router", name) for name in self._routers)
        yield from (("ticket", str(number)) for number in self._state.lanes)


#: What is rolled out, with weights.
VERSIONS = {"the newest version": 3, "an older version": 1, "a dry run": 1, "fewer grants": 1}

#: The handlers whose dead letters nobody replays: they ask for more than is good.
NEVER_REPLAYED = ("hungry.ask",)


class Maintainer:
    """Replays and discards dead letters, deploys versions, and tries dry runs."""

    def __init__(self, state: SimulationState) -> None:
        self._state = state

    def run(self) -> Activity:
        """Act now and then until the faults end; leave the newest version running."""
        state, rng = self._state, self._state.rng
        while not state.faults.calm:
            yield rng.uniform(10_000, 60_000)
            self._handle_dead_letters()
            self._roll_out(rng.choices(list(VERSIONS), list(VERSIONS.values()))[0])
        self._roll_out("the newest version")

    def _handle_dead_letters(self) -> None:
        """Discard some dead letters and replay others, some of them twice."""
        state, store = self._state, self._state.world.store
        prefix = f"foxhooks:{{{ACCOUNT}}}:"
        client: Any = state.client
        for name in client.zrange(f"{prefix}dead_letters", 0, -1):
            ticket, evidence = client.hmget(f"{prefix}dead_letter:{name.decode()}", "ticket", "evidence")
            dead_letter = msgspec.json.decode(evidence, type=DeadLetter)
            if state.rng.random() < 0.4 or not dead_letter.handler or dead_letter.handler in NEVER_REPLAYED:
                state.history.faults["a person discards a dead letter"] += 1
                store.run(discard(ACCOUNT, name.decode()))
                continue
            state.history.faults["a person replays a dead letter"] += 1
            held = [msgspec.msgpack.decode(each) for each in client.lrange(f"{prefix}held:{name.decode()}", 0, -1)]
            state.history.faults["a person sends held emails"] += bool(held)
            for _ in range(state.rng.choice([1, 1, 2])):
                store.run(replay(ACCOUNT, name.decode()))
                state.check_schedule(f"replay {name.decode()}")
            for email, number, stored in held:
                state.history.replayed.append((int(number), msgspec.json.decode(stored, type=DeadLetter)))
                state.history.accepted.append(f"replay-{email}")
            if not held:
                state.history.replayed.append((int(ticket), dead_letter))
                state.history.accepted.append(f"replay-{name.decode()}")
            state.agenda.wake()

    def _roll_out(self, version: str) -> None:
        """Roll out a version; each worker takes it after its turn, so that several versions run at once."""
        state, newest = self._state, self._state.world.config
        state.history.faults[f"rolled out: {version}"] += 1
        fewer = frozenset(grant for grant in sorted(ALLOW) if state.rng.random() < 0.5)
        older = tuple(bound for bound in newest.handlers if bound.name not in NEWER)
        state.config = {
            "the newest version": newest,
            "an older version": replace(newest, handlers=older),
            "a dry run": replace(newest, dry_run=True),
            "fewer grants": replace(newest, allow=fewer),
        }[version]
        state.agenda.wake()


#: One seed in this many has one.
SEEDS = 8


class StoreLoss:
    """Empties the store once. The histories before and after it are checked separately, except for repetitions."""

    def __init__(self, state: SimulationState, seed: int) -> None:
        self._state, self._rng = state, random.Random(f"accident {seed}")

    def happens(self) -> bool:
        """Return whether this seed has one."""
        return self._rng.randrange(SEEDS) == 0

    def run(self) -> Activity:
        """Empty the store and close the gate, as a worker does that finds an empty store."""
        state = self._state
        yield self._rng.uniform(DURATION / 4, DURATION)
        state.client.flushdb()
        state.world.store.run(state.world.governor.close_gates())
        state.history.restart()
        state.check_schedule("the store was emptied")
        state.faults.counts["the store is emptied"] += 1
        state.agenda.wake()
