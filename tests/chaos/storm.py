"""Inject faults according to a seeded timetable."""

import heapq
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from tests.chaos.contacts import Contacts
from tests.chaos.deployment import LOCKOUT, WINDOW, Deployment
from tests.chaos.strangers import LARGE_KINDS, SLOW_KINDS, SMALL_KINDS, Attack
from tests.support.fleet import LEASE, TIMEOUT
from tests.support.replicas import ReplicatedStore

#: The faults that take back what the store has confirmed, and by how many seconds the replica is behind.
RESTORE, FAILOVER, LAG = "store restored from an older copy", "store failed over to a replica 2.5 s behind", 2.5
#: The faults of a store with a replica.
SWITCHOVER = "store failed over, connections kept open"
REPLICATED = (FAILOVER, SWITCHOVER)
#: HappyFox is unreachable, and for how many seconds after foxhooks has stopped to call it.
REFUSING, SILENT = "HappyFox refuses connections", "HappyFox never answers"
OUTAGES = {REFUSING: 3.0, SILENT: 6.0}
STRANGERS = "strangers at the webhook endpoint"

#: The average seconds between two faults of a kind. Each kind occurs at least once.
EVERY = {
    "worker killed (kill -9)": 10.0,
    "worker frozen past its lease (SIGSTOP)": 12.0,
    "web killed (kill -9)": 25.0,
    "web frozen (SIGSTOP)": 40.0,
    "store killed and restarted": 40.0,
    "store frozen (SIGSTOP)": 40.0,
    RESTORE: 60.0,
    FAILOVER: 60.0,
    SWITCHOVER: 60.0,
    STRANGERS: 60.0,
    REFUSING: 60.0,
    SILENT: 60.0,
    "429 storm": 80.0,
    "lockout": 200.0,
    "5xx storm": 15.0,
    "5xx storm, writes applied": 15.0,
    "connections cut": 15.0,
    "connections cut, writes applied": 15.0,
    "answers unreadable, writes applied": 30.0,
    "answers withheld, writes applied": 30.0,
    "writes landing after their deadline": 30.0,
}

#: Seconds that a write may need to the replica even if nothing holds it back.
REPLICATION = 1.0

#: What the call log shows of a fault of calls once it has really occurred.
SHOWN = {
    "429 storm": "calls answered 429 or 5xx, nothing done",
    "5xx storm": "calls answered 429 or 5xx, nothing done",
    "5xx storm, writes applied": "writes applied and answered 5xx",
    "connections cut": "connections cut, nothing done",
    "connections cut, writes applied": "connections cut, write applied",
    "answers unreadable, writes applied": "writes applied, answer unreadable",
    "answers withheld, writes applied": "writes applied, never answered",
    "writes landing after their deadline": "writes applied after their deadline",
}

REFUSALS = ("429 storm", "lockout")
#: All faults of calls; there is one at a time.
OF_CALLS = frozenset({*SHOWN, *OUTAGES, "lockout"})

#: What shows that these faults have really occurred.
BREAKER = "breaker opened"
ENDED = {
    "requests without a valid signature refused": tuple(SMALL_KINDS),
    "oversized requests refused": tuple(LARGE_KINDS),
    "slow connections cut off": tuple(SLOW_KINDS),
}
SIGNS = {REFUSING: (BREAKER,), SILENT: (BREAKER,), STRANGERS: tuple(ENDED)}

#: Seconds without a fault after a 429.
CALM = 1.5
#: Seconds after a fault of the store or of a web process until strangers attack.
RECOVERED = 3.0
#: How many deliveries must have been answered 200 in a row before.
LATEST = 10
#: The longest time (s) that HappyFox is unreachable, if foxhooks makes no calls that would show it.
LONGEST = 15.0
#: Seconds after a failover until clients have noticed, and until they are looked at again.
NOTICED = 2.5


def fault_of(call: dict[str, Any]) -> str:
    """Return the name of a call's fault; empty if it had none."""
    fault, applied = call["fault"], call["applied"]
    if fault is None:
        return "calls refused in a lockout" if call["status"] == 429 else ""
    if fault == "status" and call["status"] == 403:
        return "reads of tickets that the key may not read"
    if fault == "status":
        return "writes applied and answered 5xx" if applied else "calls answered 429 or 5xx, nothing done"
    if fault == "cut":
        return "connections cut, write applied" if applied else "connections cut, nothing done"
    if not applied:
        return ""
    if fault == "hang":
        late = call["answered"] - call["arrived"] > TIMEOUT
        return "writes applied after their deadline" if late else "writes applied, never answered"
    return "writes applied, answer unreadable"


class Storm:
    """Injects faults into a deployment, each kind at its average interval."""

    def __init__(
        self, deployment: Deployment, contacts: Contacts, seed: int, seconds: float, every: Mapping[str, float]
    ) -> None:
        self.deployment, self.fleet, self.contacts = deployment, deployment.fleet, contacts
        self.counts: Counter[str] = Counter(
            dict.fromkeys([*every, *(sign for k in every for sign in SIGNS.get(k, ()))], 0)
        )
        """How often each kind occurred."""
        self.hits: list[tuple[float, float]] = []
        """The periods (epoch seconds) during which a worker or the store was down or frozen."""
        self.pauses: list[tuple[float, float]] = []
        """The periods (epoch seconds) in which foxhooks may have to make no call at all."""
        self.silences: list[tuple[float, float]] = []
        """From when foxhooks had noticed that HappyFox does not answer, until it did again (epoch seconds)."""
        self.rejected: list[float] = []
        """When foxhooks made no calls because HappyFox seemed to reject its key (epoch seconds)."""
        self.stranded: list[str] = []
        """The connections that clients kept using although their server had become a replica."""
        self.attacks: list[Attack] = []
        self.intended_lockouts: list[float] = []
        """When the account was locked out (epoch seconds)."""
        self._random = random.Random(f"{seed} storm")
        self._order = count()
        self._timetable: list[tuple[float, int, Callable[[], None]]] = []
        self._stored = True
        self._breaking = False
        self._attacked = False
        self._calm = self._recovered = 0.0
        began = time.monotonic()
        self._end = began + seconds
        for kind, pause in every.items():
            times = max(2 if pause < 60 else 1, round(seconds / pause))
            for number in range(times):
                at = seconds * (number + self._random.random()) / times
                # A 429 halves the share that foxhooks uses for an hour, so there is none in the first third.
                at = max(at, seconds * self._random.uniform(0.35, 0.6)) if kind in REFUSALS else at
                self._at(began + at, partial(self._strike, kind))

        self._at(began, self._look_at_gate)

    def pending(self) -> bool:
        """Return whether any fault or repair is left to do."""
        return bool(self._timetable)

    def next_at(self) -> float:
        """Return the time of the next fault or repair, on the monotonic clock."""
        return self._timetable[0][0] if self._timetable else float("inf")

    def run(self) -> None:
        """Inject and repair everything that is due."""
        while self.next_at() <= time.monotonic():
            heapq.heappop(self._timetable)[2]()

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timetable, (moment, next(self._order), action))

    def _later(self, least: float, most: float, action: Callable[[], None]) -> None:
        self._at(time.monotonic() + self._random.uniform(least, most), action)

    def _strike(self, kind: str) -> None:
        # The checker expects no call after a 429, so all workers must be running to receive it.
        away = not self._stored or any(name.startswith("worker") for name in self.deployment.frozen)
        waits = away if kind in REFUSALS else time.monotonic() < self._calm
        busy = self._breaking and kind in OF_CALLS
        if not waits and not busy and self._struck(kind):
            self.counts[kind] += 1
            self._calm = time.monotonic() + CALM if kind in REFUSALS else 0.0
        else:
            self._later(0.3, 0.8, lambda: self._strike(kind))

    def _struck(self, kind: str) -> bool:
        noun = kind.partition(" ")[0]
        if kind in OUTAGES:
            self._cut_off(kind)
            return True
        if kind == STRANGERS:
            return self._attack()
        if noun in ("web", "store") and self._attacked:
            return False
        if noun in ("worker", "web"):
            return self._strike_process(noun, frozen="frozen" in kind)
        if noun == "store":
            return self._strike_store(kind)
        if noun == "lockout":
            self._lock_out()
            return True
        chance = self._random
        few = chance.randint(2, 5)
        faults: dict[str, dict[str, Any]] = {
            "429 storm": {"kind": "status", "status": 429, "count": 2, "seconds": chance.choice((0, 1))},
            "5xx storm": {"kind": "status", "status": chance.choice((500, 502, 503)), "count": 2 * few},
            "5xx storm, writes applied": {
                "kind": "status",
                "status": chance.choice((500, 502, 504)),
                "count": few,
                "before": False,
                "method": "POST",
            },
            "connections cut": {"kind": "cut", "count": few},
            "connections cut, writes applied": {"kind": "cut", "count": few, "before": False, "method": "POST"},
            "answers unreadable, writes applied": {
                "kind": chance.choice(("html", "empty", "broken")),
                "status": 200,
                "count": few,
                "before": False,
                "method": "POST",
            },
            "answers withheld, writes applied": {"kind": "hang", "seconds": 30, "count": 2, "method": "POST"},
            "writes landing after their deadline": {
                "kind": "hang",
                "seconds": 2.4,
                "count": 2,
                "method": "POST",
                "before": True,
            },
        }
        self._break_calls(kind, faults[kind])
        return True

    def _break_calls(self, kind: str, fault: dict[str, Any]) -> None:
        """Inject a fault into the next calls; do it again if it met none: workers may be down, or wait.

        One fault at a time: a fault behind another one in the simulator's list may never meet a call.
        """
        simulator = self.fleet.simulator
        before, give_up = len(simulator.log), time.monotonic() + 4.0
        self.fleet.ask("POST", "faults", **fault)
        self._breaking = True

        def watch() -> None:
            if simulator.faults.faults and time.monotonic() < give_up:
                self._later(0.1, 0.2, watch)
                return
            # A fault that is left over would hit the probes of a closed gate, one after another.
            self.fleet.ask("DELETE", "faults")
            self._breaking = False
            self._later(3.0, 3.5, check)  # a call is logged when it is answered

        def check() -> None:
            shown = map(fault_of, map(asdict, simulator.log[before:]))
            if time.monotonic() < self._end and SHOWN[kind] not in shown:
                self._strike(kind)

        self._later(0.1, 0.2, watch)

    def _look_at_gate(self) -> None:
        """Note that calls stopped as if the key was rejected. The reason stays until they stop for another one."""
        if self._stored and self.deployment.why_closed() == "denied":
            self.rejected.append(time.time())
        if time.monotonic() < self._end:
            self._later(0.5, 1.0, self._look_at_gate)

    def _cut_off(self, kind: str) -> None:
        """Make HappyFox unreachable until foxhooks has noticed, and for a while longer."""
        network, happyfox = self.deployment.network, self.deployment.happyfox
        began, give_up, noticed = time.time(), time.monotonic() + LONGEST, 0.0
        network.do(happyfox.shut() if kind == REFUSING else happyfox.silence())
        self._breaking = True

        def watch() -> None:
            nonlocal give_up, noticed
            if not noticed and self._stored and self.deployment.why_closed() == "unreachable":
                noticed, give_up = time.time(), time.monotonic() + OUTAGES[kind]
            if time.monotonic() < give_up:
                self._later(0.1, 0.2, watch)
                return
            network.do(happyfox.open() if kind == REFUSING else happyfox.recover())
            self._breaking = False
            self.pauses.append((began, time.time()))
            self.counts[BREAKER] += noticed > 0
            if noticed and kind == SILENT:
                self.silences.append((noticed, time.time()))
            if not noticed and time.monotonic() < self._end:
                self._strike(kind)

        self._later(0.1, 0.2, watch)

    def _attack(self) -> bool:
        """Let strangers attack. Until the flood is over, no fault hits what should answer honest deliveries."""
        deployment, courier = self.deployment, self.deployment.courier
        complete = self._stored and len(deployment.alive("web")) == len(courier.ports)
        # After the end, no new delivery shows that all is well again.
        well = time.monotonic() > self._end or all(status == 200 for _, status in courier.attempts[-LATEST:])
        if self._attacked or not complete or not well or time.monotonic() < self._recovered + RECOVERED:
            return False
        deployment.memory()
        before, starved, attack = deployment.memory(), deployment.starved(), Attack(courier.ports)
        attacking = deployment.network.begin(attack.run())
        self._attacked = True
        self.attacks.append(attack)

        def watch() -> None:
            if attack.flooded and self._attacked:
                self._attacked = False
                attack.starved = deployment.starved() - starved
                attack.grown = {name: most - before[name] for name, most in deployment.memory().items()}
            if not attacking.done():
                self._later(0.1, 0.2, watch)
                return
            attacking.result()
            self.counts.update({sign: attack.count(kinds) for sign, kinds in ENDED.items()})

        self._later(0.1, 0.2, watch)
        return True

    def _lock_out(self) -> None:
        """Lock the account out, and do it again if no call was refused.

        A gate that a 429 or a restarted store has already closed may stay closed for longer than the lockout. Then the
        next call would prove nothing.
        """
        log = self.fleet.simulator.log
        before = len(log)
        self.fleet.ask("POST", "lock", seconds=LOCKOUT)
        self.intended_lockouts.append(time.time())

        def check() -> None:
            met = any(call.status == 429 and call.fault is None for call in log[before:])
            if not met and time.monotonic() < self._end:
                self._strike("lockout")

        self._later(LOCKOUT, LOCKOUT + 0.5, check)

    def _strike_process(self, kind: str, frozen: bool) -> bool:
        alive = self.deployment.alive(kind)
        if not alive:
            return False
        name, began = self._random.choice(alive), time.time()
        if not frozen:
            self.deployment.kill(name)
            self._hit(kind, began)
            self._later(0.1, 1.5, lambda: self._restart(kind, name))
            return True
        process = self.deployment.processes[name]
        process.signal(signal.SIGSTOP)
        self.deployment.frozen.add(name)

        def resume() -> None:
            process.signal(signal.SIGCONT)
            self.deployment.frozen.discard(name)
            self._hit(kind, began)

        self._later(LEASE * 1.2, LEASE * 3, resume)
        return True

    def _restart(self, kind: str, name: str) -> None:
        self.deployment.start(name)
        if kind == "web":
            self._recovered = time.monotonic()

    def _hit(self, kind: str, began: float) -> None:
        if kind != "worker":
            self._recovered = time.monotonic()
        if kind != "web":
            self.hits.append((began, time.time()))
        if kind == "store":
            self.pauses.append((began, time.time() + WINDOW))

    def _strike_store(self, kind: str) -> bool:
        """Begin a fault of the store; there is one at a time."""
        if not self._stored:
            return False
        self._stored = False
        began, store = time.time(), self.fleet.store
        if "frozen" in kind:
            store.freeze()
            self._later(0.3, 2.0, lambda: self._repair_store(began, store.thaw))
        elif "killed" in kind:
            store.kill()
            self._later(0.3, 3.0, lambda: self._repair_store(began, store.start))
        elif kind == FAILOVER:
            assert isinstance(store, ReplicatedStore)
            store.lag()
            self._at(time.monotonic() + LAG, partial(self._fail_over, began, store))
        elif kind == SWITCHOVER:
            assert isinstance(store, ReplicatedStore)
            store.switch_over()
            self._at(time.monotonic() + NOTICED, partial(self._find_stranded, began, store))
        else:
            self._later(2.0, 8.0, partial(self._lose, began, store.copy()))
        return True

    def _lose(self, began: float, copy: Path) -> None:
        """Kill the store and put back an older copy of its data."""
        store = self.fleet.store
        store.kill()
        store.put_back(copy)
        self._later(0.1, 1.5, lambda: self._repair_store(began, store.start, forgotten_since=began))

    def _fail_over(self, began: float, store: ReplicatedStore) -> None:
        """Kill the primary, so that the Sentinel promotes the replica; the killed server becomes its replica."""
        store.fail_over()
        self._forgotten(began - REPLICATION)
        self._later(1.0, 3.0, lambda: self._repair_store(began, store.recover))

    def _find_stranded(self, began: float, store: ReplicatedStore) -> None:
        """Find the connections to the demoted server that are used again and again."""
        noticed = time.time() - began
        used = store.clients_of_replica()

        def look_again() -> None:
            still = used & store.clients_of_replica()
            if still:
                self.stranded.append(f"{len(still)} connections {noticed + NOTICED:.1f} s after the failover")

        self._later(NOTICED, NOTICED, lambda: self._repair_store(began, look_again))

    def _repair_store(self, began: float, repair: Callable[[], None], forgotten_since: float | None = None) -> None:
        repair()
        self._stored = True
        self._hit("store", began)
        if forgotten_since is not None:
            self._forgotten(forgotten_since)

    def _forgotten(self, since: float) -> None:
        """Note what the store has forgotten; contacts write again where nothing else tells foxhooks about it."""
        self.deployment.courier.accepted.losses.append((since, time.time()))
        for ticket in self.contacts.unheard():
            self._later(0.5, 10.0, partial(self.contacts.write_again, ticket))
