"""The lanes of a killed worker run again in order after its leases have expired.

The bounds are ten times those of the measurement, because tests run in parallel.
"""

import pytest

from tests.chaos.orphans import BOUNDS, measure

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("lease", [2, pytest.param(15, marks=pytest.mark.e2e)])
def test_orphans_run_again_when_their_lease_ends(lease: int) -> None:
    orphans = measure(lease, lanes=15, rounds=1, seed=1)
    assert len(orphans.seconds) == 15
    assert orphans.worst <= 10 * BOUNDS[lease]
    assert orphans.disordered == []
