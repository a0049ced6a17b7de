"""The governor in memory answers as the one in a store does, call for call."""

import random

import pytest
import redis

from workers.governor.governor import Class, Governor, Outcome
from workers.governor.memory import Memory
from workers.lanes.keys import prefix
from workers.lanes.scripts import Script
from workers.lanes.store import Store
from workers.settings import Budget

OUTCOMES: list[Outcome] = ["answered"] * 12 + [  # type: ignore[assignment]
    "failed", "limited", "throttled", "denied", "forbidden", "forbidden", "unsent", "doubt",
]  # fmt: skip
CLASSES: list[Class] = ["interactive", "normal", "bulk"]


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_calls_is_answered_alike(store: redis.Redis, seed: int) -> None:
    chance, now = random.Random(seed), 1_700_000_000_000
    governor = Governor("acme", Budget(12, 8, 6.0, 20.0, 0.9, 4))
    clock = lambda: now  # noqa: E731
    places = (Store(store, clock), Memory(clock))
    out: list[tuple[str, str]] = []
    for n in range(400):
        now += chance.choice((0, 1, 50, 300, 2_000, 7_000 if chance.random() < 0.2 else 10))
        if out and chance.random() < 0.45:
            method, id = out.pop(chance.randrange(len(out)))
            script: Script = governor.release(  # type: ignore[type-arg]
                method, id, chance.choice(OUTCOMES), chance.choice((0, 40, 900)), chance.choice((0, 0, 30_000))
            )
            assert [place.run(script) for place in places] == [None, None]
        else:
            method, id = chance.choice(("GET", "POST", "PUT")), f"call-{n}"
            grants = [place.run(governor.permit(method, id, chance.choice(CLASSES[:1]), 1_500)) for place in places]
            assert grants[0] == grants[1], f"step {n}"
            if not grants[0].wait:
                out.append((method, id))
        assert places[0].run(governor.forecast()) == places[1].run(governor.forecast()), f"step {n}"


@pytest.mark.parametrize("class_", CLASSES)
def test_a_class_leaves_as_many_slots_as_in_a_store(store: redis.Redis, class_: Class) -> None:
    governor, clock = Governor("acme", Budget(100, 100, 60, 600, 1.0, 1000)), lambda: 1_700_000_000_000
    for place in (Store(store, clock), Memory(clock)):
        granted = [not place.run(governor.permit("GET", str(n), class_, 1_000)).wait for n in range(101)]
        assert sum(granted) == {"interactive": 100, "normal": 90, "bulk": 70}[class_]


def test_other_scripts_need_a_store() -> None:
    with pytest.raises(LookupError, match="store"):
        Memory().run(Script("read_lists", prefix("acme"), [b"{}"], list))
