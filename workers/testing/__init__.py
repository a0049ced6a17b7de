"""The test kit for handlers.

`run` needs no store, network or clock:

    from workers.testing import run, ticket

    def test_vip():
        result = run(router, ticket(email="sam@bigcorp.example"), "ticket-created")
        assert result.tags_added == {"vip"}

With pytest, the fixture `desk` runs the real engine on a simulated help desk, and can crash the worker.
"""

from workers.testing.desk import Clock, Desk
from workers.testing.handlers import NOON, MemoryStore, Result, run, ticket

__all__ = ["NOON", "Clock", "Desk", "MemoryStore", "Result", "run", "ticket"]
