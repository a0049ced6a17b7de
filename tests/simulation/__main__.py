"""Run many seeds on all cores, or one again: ``python -m tests.simulation --seeds 1000`` or ``--seed 17``."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import redis

from tests.simulation.checkers import check, undecided
from tests.simulation.checkers.performed import pieces
from tests.simulation.faults import FAULTS
from tests.simulation.history import History
from tests.simulation.outages import KINDS
from tests.simulation.people import VERSIONS, WEIGHTS
from tests.simulation.simulation import Simulation
from tests.support import stores

SORTS = ("tags", "note", "reply", "properties", "forward", "subscribe", "move", "delete")
ENDS = {
    "withheld": "an effect is withheld",
    "refused": "an effect is refused",
    "split": "a folded effect is split",
    "gone": "an effect meets a ticket that is gone",
    "held": "a brake holds an email",
}

#: Why guards make dead letters, by what their reasons contain.
GUARDS = {
    "the loop guard tripped": "the loop guard trips",
    " planned, ": "a handler asks for more calls than the loop guard allows",
    "no longer allowed": "an effect is refused because its grant was taken away",
}

#: Everything that must happen in a long run.
EXPECTED = (
    *(name for sort in FAULTS.values() for name in sort),
    *WEIGHTS,
    *(f"rolled out: {version}" for version in VERSIONS),
    "the store is emptied",
    *KINDS,
    "the web process is down",
    "lost while the web process is down",
    "a ticket is denied",
    "a denied ticket is given up",
    "a person replays a dead letter",
    "a person discards a dead letter",
    "a person works as our staff member",
    *(f"foxhooks does: {sort}" for sort in SORTS),
    *ENDS.values(),
    *GUARDS.values(),
    "a handler has acted once and for all",
    "a program answers an email",
    "handlers decide again",
    "a rule fires on a silent contact's ticket",
    "a contact and a colleague talk",
    "a person sends held emails",
)


@dataclass(frozen=True)
class Outcome:
    """The results of a batch: complaints by seed, how often each fault struck, and a few sums."""

    complaints: dict[int, list[str]]
    faults: Counter[str]
    sums: Counter[str]


def play(client: "redis.Redis", seed: int) -> Outcome:
    """Run one seed and check it."""
    history = Simulation(client, seed).run()
    complaints = check(history)
    settled = history.witness.settled
    sums = Counter(
        seeds=1,
        deliveries=len(history.accepted),
        turns=len(settled),
        steps=history.steps,
        calls=len(history.sent),
        shown=len(history.witness.shown),
        dead_letters=sum(len(turn.dead_letters) for turn in settled),
        undecided=undecided(history),
    )
    return Outcome({seed: complaints} if complaints else {}, count_events(history), sums)


def batch(seeds: list[int]) -> Outcome:
    """Run seeds one after another on a store of their own."""
    complaints: dict[int, list[str]] = {}
    faults: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    with stores.running("valkey", "--appendonly", "no") as url, redis.Redis.from_url(url) as client:
        for seed in seeds:
            one = play(client, seed)
            complaints |= one.complaints
            faults += one.faults
            sums += one.sums
    return Outcome(complaints, faults, sums)


def count_events(history: History) -> Counter[str]:
    """Count the faults, what people did, and what became of our effects."""
    found = Counter(history.faults)
    for _, _, _, _, effect, entry in pieces(history):
        if entry is not None and entry.state == "done":
            found[f"foxhooks does: {effect.kind}"] += 1
        elif entry is not None and entry.state in ENDS:
            found[ENDS[entry.state]] += 1
    found["handlers decide again"] = history.witness.decided_again
    for settled in history.witness.settled:
        for dead_letter in settled.dead_letters:
            found.update(name for text, name in GUARDS.items() if text in dead_letter.reason)
    for shown in history.witness.shown:
        found["a handler has acted once and for all"] += shown.handler in history.witness.once and bool(shown.actions)
    return found


def main() -> int:
    """Run the seeds and print what happened; return 1 if a checker complains."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="play this one seed again")
    parser.add_argument("--seeds", type=int, default=1000, help="play so many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    first, count = (asked.seed, 1) if asked.seed is not None else (asked.first, asked.seeds)
    began = time.monotonic()
    seeds = list(range(first, first + count))
    shares = [share for share in (seeds[index :: asked.processes] for index in range(asked.processes)) if share]
    with ProcessPoolExecutor(len(shares)) as pool:
        outcomes = list(pool.map(batch, shares))
    complaints = {seed: lines for outcome in outcomes for seed, lines in outcome.complaints.items()}
    faults = sum((outcome.faults for outcome in outcomes), Counter[str]())
    sums = sum((outcome.sums for outcome in outcomes), Counter[str]())
    for name in EXPECTED:
        faults.setdefault(name, 0)
    for name, often in sorted(faults.items()):
        print(f"{often:8} {name}")
    times = os.times()
    took = f"in {time.monotonic() - began:.0f} s, {times.children_user + times.children_system:.0f} s of CPU"
    print(", ".join(f"{value} {name}" for name, value in sums.items()), took)
    for seed, lines in sorted(complaints.items()):
        print(f"seed {seed} fails; run it again with: python -m tests.simulation --seed {seed}")
        print("".join(f"    {line}\n" for line in lines[:8]), end="")
    print(f"{len(complaints)} of {count} seeds fail")
    unused = [name for name, often in faults.items() if not often] if count >= 100 else []
    if unused:
        print("never counts:", ", ".join(unused))
    return 1 if complaints or unused else 0


if __name__ == "__main__":
    sys.exit(main())
