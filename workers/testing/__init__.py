"""The kit for testing handlers: no store, no network, no clock.

from workers.testing import run, ticket

def test_vip():
    result = run(router, ticket(email="sam@bigcorp.example"), "ticket-created")
    assert result.tags_added == {"vip"}
"""

from workers.testing.running import Result, run
from workers.testing.sample import NOON, ticket

__all__ = ["NOON", "Result", "run", "ticket"]
