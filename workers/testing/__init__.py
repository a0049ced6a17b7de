"""The kit for testing handlers. `run` needs no store, no network and no clock:

    from workers.testing import run, ticket

    def test_vip():
        result = run(router, ticket(email="sam@bigcorp.example"), "ticket-created")
        assert result.tags_added == {"vip"}

With pytest there is also the fixture `desk`: the real engine on a simulated help desk, which may crash and go on.
"""

from workers.testing.desk import Clock, Desk
from workers.testing.handlers import NOON, Result, run, ticket

__all__ = ["NOON", "Clock", "Desk", "Result", "run", "ticket"]
