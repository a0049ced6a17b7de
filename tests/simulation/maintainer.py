"""The maintainer of a seed: replays and discards dead letters, rolls versions out and back, tries things dry."""

from dataclasses import replace
from typing import Any

import msgspec

from tests.simulation.agenda import Player
from tests.simulation.plugins import NEWER
from tests.simulation.stage import Stage
from workers.engine.plan import DeadLetter
from workers.store.records import discard, replay
from workers.testing.desk import ACCOUNT

#: What is rolled out, and how often.
VERSIONS = {"the newest version": 3, "an older version": 1, "a dry run": 1}


class Maintainer:
    """The person who looks after us."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def play(self) -> Player:
        """Comes by now and then, until the calm; leaves with the newest version in place."""
        stage, rng = self._stage, self._stage.rng
        while not stage.faults.calm:
            yield rng.uniform(10_000, 60_000)
            self._read_letters()
            self._roll_out(rng.choices(list(VERSIONS), list(VERSIONS.values()))[0])
        self._roll_out("the newest version")

    def _read_letters(self) -> None:
        """Discards some dead letters and replays others, perhaps twice over."""
        stage, store = self._stage, self._stage.world.store
        prefix = f"foxhooks:{{{ACCOUNT}}}:"
        client: Any = stage.client
        for name in client.zrange(f"{prefix}dead_letters", 0, -1):
            ticket, evidence = client.hmget(f"{prefix}dead_letter:{name.decode()}", "ticket", "evidence")
            dead_letter = msgspec.json.decode(evidence, type=DeadLetter)
            if stage.rng.random() < 0.4 or not dead_letter.handler:
                stage.history.faults["a person discards a dead letter"] += 1
                store.run(discard(ACCOUNT, name.decode()))
                continue
            stage.history.faults["a person replays a dead letter"] += 1
            for _ in range(stage.rng.choice([1, 1, 2])):
                store.run(replay(ACCOUNT, name.decode()))
                stage.look(f"replay {name.decode()}")
            stage.history.replayed.append((int(ticket), dead_letter))
            stage.history.accepted.append(f"replay-{name.decode()}")
            stage.agenda.poke()

    def _roll_out(self, version: str) -> None:
        """Lets workers take up a version; each does when it has ended its turn, so that several run side by side."""
        stage, newest = self._stage, self._stage.world.config
        stage.history.faults[f"rolled out: {version}"] += 1
        older = tuple(bound for bound in newest.handlers if bound.name not in NEWER)
        stage.config = {
            "the newest version": newest,
            "an older version": replace(newest, handlers=older),
            "a dry run": replace(newest, dry_run=True),
        }[version]
        stage.agenda.poke()
