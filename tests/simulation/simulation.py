"""One seed: workers, people and deliveries on a virtual clock, and faults wherever a step is taken.

Everything that takes time is an actor, a generator that yields how many ms it sleeps. The next to run is the one whose
time has come first; who goes first of two, how long a step takes and which fault strikes is drawn from the seed, and
nothing else decides.
"""

import heapq
import random
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import redis

from tests.engine import ACCOUNT, BASIC, START, Crash, World
from tests.simulation.plugins import routers
from tests.simulation.witness import Witness
from workers.errors import InDoubt, StoreUnavailable, Unsent
from workers.events.delivery import parse
from workers.happyfox.protocol import BASE, Answer
from workers.lanes.inbox import accept, receive
from workers.lanes.lanes import Begun, Held, Nothing, claim
from workers.lanes.leases import Leases
from workers.lanes.scripts import Script
from workers.settings import Budget
from workers.simulator.exchange import Request
from workers.simulator.faults import Fault
from workers.turns.plan import Plan, decode_plan
from workers.turns.state import SEND_BY
from workers.turns.steps import Call, Decide, Failure, Step
from workers.turns.turn import take_turn

Actor = Generator[float, None, Any]

#: How long the people's part lasts (ms), and when a seed that does not come to rest is given up (ms, steps).
PLAY, LIMIT, MOST = 300_000, 4 * 3_600_000, 5_000

#: A call's whole time, and how long after its deadline it may still land (ms).
TIMEOUT, DOUBT = 15_000, 30_000

#: The faults of each sort, with how likely each strikes a step at most.
FAULTS = {
    "script": {
        "crash before a script": 0.006,
        "crash after a script": 0.006,
        "script run twice": 0.05,
        "script run again later": 0.01,
        "script's answer lost": 0.006,
        "store down": 0.006,
        "worker frozen": 0.004,
    },
    "call": {
        "crash before a call": 0.01,
        "crash while a call is under way": 0.01,
        "worker frozen before a call": 0.02,
        "cut before it was applied": 0.02,
        "cut after it was applied": 0.03,
        "lands after its deadline": 0.02,
        "slow": 0.03,
        "unsent": 0.01,
        "500 before it was applied": 0.02,
        "500 after it was applied": 0.02,
        "503 with a wait": 0.005,
        "429 with a lockout": 0.006,
        "a page of html": 0.01,
        "an empty answer": 0.02,
        "broken JSON": 0.02,
        "a late row": 0.03,
    },
    "handler": {"crash in a handler": 0.01, "handler raises": 0.06, "handler asks to retry": 0.04, "gives up": 0.003},
    "delivery": {"dropped": 0.1, "duplicated": 0.2, "shuffled": 0.2, "accepted twice": 0.1},
    "row": {"a person's row is late": 0.15},
}

#: What the simulated HappyFox does for the faults that it makes itself.
STRIKES = {
    "cut before it was applied": Fault("cut", before=True),
    "cut after it was applied": Fault("cut", before=False),
    "500 before it was applied": Fault("status", status=500),
    "500 after it was applied": Fault("status", status=500, before=False),
    "503 with a wait": Fault("status", status=503, seconds=5),
    "a page of html": Fault("html", status=200, before=False),
    "an empty answer": Fault("empty"),
    "broken JSON": Fault("broken"),
    "a late row": Fault("late-row", seconds=20),
}

LOOK = """
local P, lost = KEYS[1], {}
for _, lane in ipairs(ARGV) do
  local turn = redis.call('HMGET', P .. 'turn:' .. lane, 'plan', 'owed')
  local work = turn[1] or turn[2] or redis.call('LLEN', P .. 'lane:' .. lane) > 0
  local held = redis.call('HEXISTS', P .. 'own', lane) == 1
  if (work or held) and not redis.call('ZSCORE', P .. 'sched', lane) then lost[#lost + 1] = lane end
end
return {lost, redis.call('HMGET', P .. 'gate', 'epoch', 'until')}
"""


@dataclass
class Sent:
    """A call that reached HappyFox: when its permit was taken, when it arrived (ms), for which effect of which turn."""

    granted: int
    arrived: int
    method: str
    ticket: int
    body: Any
    turn: str
    effect: str
    plan: Plan | None
    number: int


@dataclass
class History:
    """What happened in one seed; the checkers read nothing else."""

    world: World
    witness: Witness
    staff_tags: dict[int, list[str]] = field(default_factory=dict)
    staff_values: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    closings: list[tuple[int, int]] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    locks: int = 0
    steps: int = 0
    rest: bool = False


class Process:
    """One worker process, from its start to its death."""

    def __init__(self, simulation: "Simulation", name: str) -> None:
        world = simulation.world
        self.leases = Leases(world.store, world.lease / 1000, lambda: world.now / 1000, name, lambda: None)
        self.frozen_until = 0


class Simulation:
    """One seed on an empty store."""

    def __init__(self, client: "redis.Redis", seed: int) -> None:
        self.rng = random.Random(seed)
        client.flushdb()
        gets, posts = self.rng.choice([(12, 5), (40, 15), (200, 100)])
        budget = Budget(gets, posts, 10.0, 40.0, 1.0, 4)
        self.world = World(
            client,
            *routers(),
            shape=self.rng.choice(["flat", "rest", "wrapped"]),
            budget=budget,
            options={"gets": budget.gets, "posts": budget.posts, "window": 10.0, "lockout": 40.0},
            fuse=1_000,
            life=TIMEOUT + SEND_BY,
            doubt=DOUBT,
        )
        kinds = {bound.name: bound.handler.kinds for bound in self.world.terms.handlers}
        self.history = History(self.world, Witness(kinds))
        self.calm = False
        self._rates = {
            name: rate * self.rng.choice([0, 0.5, 1, 2]) for sort in FAULTS.values() for name, rate in sort.items()
        }
        self._agenda: list[tuple[float, float, int, Actor]] = []
        self._sleeping: dict[int, Actor] = {}
        self._void: set[int] = set()
        self._count = 0
        self._events = 0
        self._bodies: dict[int, bytes] = {}
        self._granted: dict[str, int] = {}
        self._effect: dict[str, str] = {}
        self._look = client.register_script(LOOK)
        self._lanes: list[int] = []
        self._epoch = b"0"
        self._under_way = 0

    # -- the scheduler

    def run(self) -> History:
        """Plays the seed to its end."""
        for number in range(self.rng.choice([3, 3, 4])):
            self.spawn(self.worker(f"w{number}"))
        self.spawn(self.people())
        while not self.history.rest and self.world.now < START + LIMIT and self.history.steps < MOST:
            at, _, entry, actor = heapq.heappop(self._agenda)
            if entry in self._void:
                continue
            self._sleeping.pop(entry, None)
            self.world.now = max(self.world.now, int(at))
            try:
                delay = next(actor)
            except StopIteration:
                continue
            self._push(actor, abs(delay), sleeping=delay < 0)
        return self.history

    def spawn(self, actor: Actor, delay: float = 0) -> None:
        """Lets an actor begin after a while."""
        self._push(actor, delay)

    def _push(self, actor: Actor, delay: float, sleeping: bool = False) -> None:
        self._count += 1
        if sleeping:
            self._sleeping[self._count] = actor
        heapq.heappush(self._agenda, (self.world.now + delay, self.rng.random(), self._count, actor))

    def poke(self) -> None:
        """Wakes the workers that sleep for want of work."""
        sleeping, self._sleeping = self._sleeping, {}
        self._void |= set(sleeping)
        for actor in sleeping.values():
            self._push(actor, self.rng.uniform(1, 50))

    def draws(self, sort: str) -> str:
        """Draws the fault that strikes now, or none; in the end there are none."""
        drawn = self.rng.random()
        if self.calm:
            return ""
        for name in FAULTS[sort]:
            drawn -= self._rates[name]
            if drawn < 0:
                self.history.faults[name] += 1
                return name
        return ""

    # -- people and deliveries

    def people(self) -> Actor:
        """Opens tickets, edits them, and has each delivered once more in the end."""
        simulator, rng = self.world.simulator, self.rng
        for _ in range(4):
            number = simulator.create_ticket(email=rng.choice(["sam@bigcorp.example", "mia@smallshop.example"])).id
            self._lanes.append(number)
            self.post()
            yield rng.uniform(0, 20_000)
        while self.world.now < START + PLAY:
            self.edit(rng.choice(self._lanes))
            self.post()
            yield rng.choice([rng.uniform(0, 300), rng.uniform(0, 5_000), rng.uniform(0, 60_000)])
        yield 200_000
        self.calm = True
        for number in self._lanes:
            self.spawn(self.arrive(self._bodies[number]))
        while not self.history.rest:
            yield 30_000
            self.history.rest = not self.world.client.zcard(f"foxhooks:{{{ACCOUNT}}}:sched") and not self._under_way

    def edit(self, number: int) -> None:
        """Does what a contact, a staff member or a rule does to a ticket."""
        simulator, rng, at = self.world.simulator, self.rng, len(self.history.accepted) + self.world.now % 1000
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
            tags = self.history.staff_tags.setdefault(number, [])
            tags.append(f"tag{len(tags)}")
            simulator.staff_updates(number, staff=1, add_tags=[tags[-1]])
        elif what == "field":
            values = self.history.staff_values.setdefault(number, [])
            values.append((2, str(len(values) + 1)))
            simulator.staff_updates(number, staff=1, fields={"Amount": len(values)})
        else:
            edits: dict[str, Any] = {
                "reply": {"text": f"We are on it, {at}."},
                "note": {"text": f"To myself, {at}.", "private": True},
                "status": {"status": rng.choice([1, 3, 4])},
                "priority": {"priority": rng.choice([1, 2])},
            }[what]
            simulator.staff_updates(number, staff=rng.choice([1, 2]), **edits)
        if self.draws("row"):
            tickets = simulator.world.tickets
            ticket = tickets[number]
            late = replace(ticket.rows[-1], visible_at=self.world.now / 1000 + rng.uniform(1, 60))
            tickets[number] = replace(ticket, rows=(*ticket.rows[:-1], late))

    def post(self) -> None:
        """Sends off what HappyFox has to tell, not always once and not always in order."""
        for delivery in self.world.simulator.take_deliveries():
            fault, delay = self.draws("delivery"), self.rng.uniform(0, 300)
            self._bodies[delivery.ticket] = delivery.body
            if fault == "dropped" and delivery.label != "ticket-created":
                continue
            if fault == "shuffled":
                delay = self.rng.uniform(0, 60_000)
            self.spawn(self.arrive(delivery.body, fault == "accepted twice"), delay)
            if fault == "duplicated":
                self.spawn(self.arrive(delivery.body), self.rng.uniform(0, 10_000))

    def arrive(self, body: bytes, twice: bool = False) -> Actor:
        """Takes one delivery into the inbox."""
        self._events += 1
        arrival = msgspec.structs.replace(receive(parse(body), body), id=f"e{self._events}")
        for _ in range(2 if twice else 1):
            taken = self.world.store.run(accept(ACCOUNT, [arrival], keep=604_800))
            self.look(f"accept {arrival.id}")
        self.history.accepted.append(taken[0].event)
        self.poke()
        return
        yield

    # -- workers

    def worker(self, name: str) -> Actor:
        """Runs worker processes under one name; a new one follows one that died."""
        while True:
            process = Process(self, name)
            try:
                yield from self.life(process)
            except Crash:
                yield self.rng.uniform(200, 5_000)

    def life(self, process: Process) -> Actor:
        """Claims and works lanes, and sleeps when there are none."""
        while True:
            try:
                began = self.world.now / 1000
                nonce = self.world.nonce()
                got = yield from self.script(process, nonce, claim(self.world.terms.claim, nonce))
                while isinstance(got, Held):
                    got = yield from self.turn(process, got, began)
                    began = self.world.now / 1000
                wait = got.wait if isinstance(got, Nothing) else 1
            except StoreUnavailable:
                wait = 1_000
            yield -min(wait if wait >= 0 else 60_000, 60_000)

    def turn(self, process: Process, held: Held, began: float) -> Generator[float, None, Held | Nothing | None]:
        """Takes the turn of a lane as the driver does."""
        process.leases.add(held, began)
        working = [True]
        self.spawn(self.renew(process, working), self.world.lease / 3)
        self.history.witness.begins(held.token)
        nonce = self.world.nonce() if self.rng.random() < 0.5 else None
        plan: list[Plan] = [decode_plan(held.plan)] if held.plan else []
        turn = take_turn(held, self.world.terms, nonce)
        try:
            step = next(turn)
            while True:
                if isinstance(step, Script) and step.name == "plan":
                    plan = [decode_plan(bytes(step.args[2]))]
                step = turn.send((yield from self.perform(process, held, step, plan)))
        except StopIteration as stop:
            # Parking again, after an answer that came late, finds the lease gone: no harm done.
            if stop.value.end == "lost" and not stop.value.why and process.frozen_until < began * 1000:
                self.history.lost.append(f"lane {held.lane} by a turn claimed at {held.now - START}")
            following: Held | Nothing | None = stop.value.next
            return following
        finally:
            working.clear()
            process.leases.drop(held)

    def renew(self, process: Process, working: list[bool]) -> Actor:
        """Renews a lease while its process works the lane and is not frozen."""
        while working:
            if self.world.now >= process.frozen_until:
                process.leases.renew()
                self.look("renew")
            yield self.world.lease / 3

    def perform(self, process: Process, held: Held, step: Step, plan: list[Plan]) -> Actor:
        """Performs a step; what it brings, time and faults are drawn."""
        self.history.steps += 1
        if isinstance(step, Script):
            return (yield from self.script(process, held.token, step))
        if isinstance(step, Decide):
            return (yield from self.decide(held, step))
        return (yield from self.call(process, held, step, plan))

    def pause(self, process: Process, frozen: bool) -> Actor:
        """Lets a moment pass, or so much that the lease has run out."""
        if frozen:
            process.frozen_until = self.world.now + self.rng.randint(self.world.lease, 4 * self.world.lease)
        yield self.rng.uniform(0, 8)
        if self.world.now < process.frozen_until:
            yield process.frozen_until - self.world.now

    def script(self, process: Process, worker: str, script: Script[Any]) -> Actor:
        """Runs a script, perhaps twice, and perhaps its answer never comes."""
        fault = self.draws("script")
        yield from self.pause(process, fault == "worker frozen")
        if fault == "crash before a script":
            raise Crash
        if fault == "store down":
            raise StoreUnavailable("down")
        answer = self.ran(worker, script)
        if fault in ("script run twice", "script run again later"):
            if fault == "script run again later":
                yield self.rng.uniform(10, 3_000)
            answer = self.ran(worker, script)
        if fault == "crash after a script":
            raise Crash
        if fault == "script's answer lost":
            raise StoreUnavailable("lost")
        return answer

    def ran(self, worker: str, script: Script[Any]) -> Any:
        """Runs a script once and notes what it did."""
        answer = self.world.store.run(script)
        self.history.witness.saw(worker, script, answer)
        if isinstance(answer, Held) and answer.permit:
            self._granted.setdefault(answer.permit, self.world.now)
        if isinstance(answer, tuple) and isinstance(answer[1], Held) and answer[1].permit:
            self._granted.setdefault(answer[1].permit, self.world.now)
        if isinstance(answer, Begun):
            self._granted.setdefault(str(script.args[3]), self.world.now)
            self._effect[str(script.args[3])] = str(script.args[2])
        if script.name == "permit":
            self._granted.setdefault(str(script.args[2]), self.world.now)
        self.look(script.name)
        return answer

    def look(self, where: str) -> None:
        """Looks whether every lane with work is in the schedule, and when the gate was closed."""
        lost, (epoch, until) = self._look(keys=[f"foxhooks:{{{ACCOUNT}}}:"], args=self._lanes)
        self.history.stray += [f"lane {lane.decode()} after {where}" for lane in lost]
        if epoch and epoch != self._epoch:
            self._epoch = epoch
            self.history.closings.append((self.world.now, int(float(until or 0))))

    def decide(self, held: Held, step: Decide) -> Actor:
        """Lets a handler decide, or fail."""
        fault = self.draws("handler")
        yield self.rng.uniform(0, 30)
        if fault == "crash in a handler":
            raise Crash
        said = {
            "handler raises": Failure("Boom"),
            "handler asks to retry": Failure("later", after=self.rng.uniform(1, 60)),
            "gives up": Failure("no use", final=True),
        }.get(fault) or self.world.decide(step)
        self.history.witness.saw(held.token, step, said)
        return said

    # -- the wire

    def call(self, process: Process, held: Held, step: Call, plan: list[Plan]) -> Actor:
        """Makes a call as the transport does: late or without the lease no byte leaves."""
        asked, fault = self.world.now, self.draws("call")
        yield from self.pause(process, fault == "worker frozen before a call")
        if fault == "crash before a call":
            raise Crash
        if self.world.now > asked + step.send_by or not process.leases.still_held(held):
            self.history.faults["a call was refused by send-by or lease"] += 1
            return Unsent("late")
        if fault == "unsent":
            return Unsent("no connection")
        deadline, landed = asked + TIMEOUT, list[Answer | InDoubt]()
        lag = self.rng.uniform(5, 200)
        if fault == "slow":
            lag = self.rng.uniform(2_000, TIMEOUT - 2_000)
        if fault == "lands after its deadline":
            lag = deadline - self.world.now + self.rng.uniform(1, DOUBT - 2_000)
        self.spawn(self.land(held, step, plan, fault, landed), lag)
        self._under_way += 1
        if fault == "crash while a call is under way":
            raise Crash
        while not landed and self.world.now < deadline:
            yield min(self.rng.uniform(20, 200), deadline - self.world.now)
        return landed[0] if landed else InDoubt("no answer in time")

    def land(self, held: Held, step: Call, plan: list[Plan], fault: str, landed: list[Answer | InDoubt]) -> Actor:
        """Lets a call arrive at HappyFox, be applied and be answered."""
        simulator, asked = self.world.simulator, step.request
        if fault == "429 with a lockout":
            simulator.gate.lock(self.world.now / 1000)
            self.history.locks += 1
        if fault in STRIKES:
            simulator.faults.add(STRIKES[fault])
        body = b"" if asked.body is None else msgspec.json.encode(asked.body)
        headers = {"authorization": BASIC, "content-type": "application/json"}
        query = "&".join(f"{name}={value}" for name, value in asked.query.items())
        pending = simulator.begin(Request(asked.method, BASE + asked.path, query, headers, body))
        simulator.faults.clear()
        effect = self._effect.get(step.permit, "") if asked.method != "GET" else ""
        self.history.sent.append(
            Sent(
                self._granted.get(step.permit, self.world.now),
                self.world.now,
                asked.method,
                held.ticket,
                asked.body,
                plan[0].turn if plan else "",
                effect,
                plan[0] if plan else None,
                pending.call.number,
            )
        )
        yield self.rng.uniform(5, 300)
        response = simulator.end(pending)
        self._under_way -= 1
        self.post()
        yield self.rng.uniform(5, 100)
        if response.cut:
            landed.append(InDoubt("cut"))
        else:
            names = {name.lower(): value for name, value in response.headers.items()}
            landed.append(Answer(response.status, names, response.body))
