"""The faults: how likely each of them is, and which one happens now."""

import random
from collections import Counter

from workers.simulator import ApiFault

#: The faults of each kind, with the highest probability of each per step.
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
        "a wrong 404": 0.01,
        "a page of html": 0.01,
        "an empty answer": 0.02,
        "broken JSON": 0.02,
        "a late update": 0.03,
    },
    "write": {"400 of a write": 0.02},
    "handler": {
        "crash in a handler": 0.01,
        "handler raises": 0.06,
        "handler asks to retry": 0.04,
        "gives up": 0.003,
        "slow handler": 0.01,
    },
    "delivery": {"dropped": 0.1, "duplicated": 0.2, "shuffled": 0.2, "accepted twice": 0.1},
    "update": {"a person's update is late": 0.15},
}

#: How the simulated HappyFox makes its own faults.
STRIKES = {
    "cut before it was applied": ApiFault("cut", before=True),
    "cut after it was applied": ApiFault("cut", before=False),
    "500 before it was applied": ApiFault("status", status=500),
    "500 after it was applied": ApiFault("status", status=500, before=False),
    "400 of a write": ApiFault("status", status=400),
    "503 with a wait": ApiFault("status", status=503, seconds=5),
    "a wrong 404": ApiFault("status", path="ticket/*", status=404),
    "a page of html": ApiFault("html", status=200, before=False),
    "an empty answer": ApiFault("empty"),
    "broken JSON": ApiFault("broken"),
    "a late update": ApiFault("late-update", seconds=20),
}


class Faults:
    """The faults of one seed: some are frequent, others never happen; ``calm`` ends them all."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._rates = {
            name: rate * rng.choice([0, 0.5, 1, 2]) for sort in FAULTS.values() for name, rate in sort.items()
        }
        self.calm = False
        self.counts: Counter[str] = Counter()

    def draw(self, sort: str) -> str:
        """Draw the fault that happens now; "" for none, and always at the end."""
        drawn = self._rng.random()
        if self.calm:
            return ""
        for name in FAULTS[sort]:
            drawn -= self._rates[name]
            if drawn < 0:
                self.counts[name] += 1
                return name
        return ""
