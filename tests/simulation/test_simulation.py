"""The short form of the simulation; ``make soak`` runs more seeds, ``make mutations`` reports the breakages."""

import pytest
import redis

from tests.simulation.breakages import BREAKAGES, notice
from tests.simulation.checkers import check, undecided
from tests.simulation.history import History
from tests.simulation.simulation import Simulation

SEEDS, CHUNK = 8, 4

#: The breakages of the short form: some that the first few seeds notice.
SHORT = (
    "a token proves nothing",
    "own tags are forgotten",
    "pending work is not stored",
    "a closed gate lets calls pass",
    "emails in a row are not counted",
    "grants are not asked when a handler decides",
    "sweeps find nothing",
    "a sweep leaves out what it finds after the first ticket",
)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_lost_doubled_or_out_of_order_whatever_crashes(store: redis.Redis, first: int) -> None:
    doubtful = 0
    for seed in range(first, first + CHUNK):
        history = Simulation(store, seed).run()
        assert check(history) == [], f"run it again with: python -m tests.simulation --seed {seed}"
        assert len(set(history.accepted)) >= 5
        assert history.faults.total() >= 3
        doubtful += undecided(history)
    assert doubtful <= 5  # a forward leaves no update that would show it


def test_a_seed_runs_the_same_way_again(store: redis.Redis) -> None:
    def digest(history: History) -> tuple[object, ...]:
        updates = [ticket.updates for ticket in history.world.simulator.account.tickets.values()]
        return history.steps, history.world.now, history.faults, history.sent, history.witness.shown, updates

    assert digest(Simulation(store, 7).run()) == digest(Simulation(store, 7).run())


@pytest.mark.parametrize(
    "name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.e2e) for name in BREAKAGES]
)
@pytest.mark.timeout(600)  # some are noticed by one seed of fifty
def test_a_rule_that_is_switched_off_is_noticed(store: redis.Redis, name: str) -> None:
    assert notice(store, name) is not None
