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
from tests.chaos.deployment import LOCKOUT, Deployment
from tests.support.fleet import LEASE, TIMEOUT
from tests.support.replicas import ReplicatedStore

#: The faults that take back what the store has confirmed, and by how many seconds the replica is behind.
RESTORE, FAILOVER, LAG = "store restored from an older copy", "store failed over to a replica 2.5 s behind", 2.5

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
#: Seconds without a fault after a 429.
CALM = 1.5


def fault_of(call: dict[str, Any]) -> str:
    """Return the name of a call's fault; empty if it had none."""
    fault, applied = call["fault"], call["applied"]
    if fault is None:
        return "calls refused in a lockout" if call["status"] == 429 else ""
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
        self.counts: Counter[str] = Counter(dict.fromkeys(every, 0))
        """How often each kind occurred."""
        self.hits: list[tuple[float, float]] = []
        """The periods (epoch seconds) during which a worker or the store was down or frozen."""
        self.intended_lockouts: list[float] = []
        """When the account was locked out (epoch seconds)."""
        self._random = random.Random(f"{seed} storm")
        self._order = count()
        self._timetable: list[tuple[float, int, Callable[[], None]]] = []
        self._stored = True
        self._breaking = False
        self._calm = 0.0
        began = time.monotonic()
        self._end = began + seconds
        for kind, pause in every.items():
            times = max(2 if pause < 60 else 1, round(seconds / pause))
            for number in range(times):
                at = seconds * (number + self._random.random()) / times
                # A 429 halves the share that foxhooks uses for an hour, so there is none in the first third.
                at = max(at, seconds * self._random.uniform(0.35, 0.6)) if kind in REFUSALS else at
                self._at(began + at, partial(self._strike, kind))

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
        busy = self._breaking and kind in SHOWN
        if not waits and not busy and self._struck(kind):
            self.counts[kind] += 1
            self._calm = time.monotonic() + CALM if kind in REFUSALS else 0.0
        else:
            self._later(0.3, 0.8, lambda: self._strike(kind))

    def _struck(self, kind: str) -> bool:
        noun = kind.partition(" ")[0]
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
            self._later(0.1, 1.5, lambda: self.deployment.start(name))
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

    def _hit(self, kind: str, began: float) -> None:
        if kind != "web":
            self.hits.append((began, time.time()))

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
