"""The account acme as the tests of the commands find it: what came in for it, and what a command prints of it."""

import json
from typing import Any

import pytest
import redis

from workers.events.delivery import parse
from workers.lanes.inbox import accept, receive, unreadable
from workers.lanes.store import Store

P = "foxhooks:{acme}:"
DAY = 86_400


def take_in(store: redis.Redis) -> None:
    """Two tickets' deliveries, one of them twice, one unreadable, two refused."""
    bodies = [b'{"ticket_id": 3}', b'{"ticket_id": 3}', b'{"ticket_id": 4}']
    arrivals = [*(receive(parse(body), body) for body in bodies), unreadable("not JSON", b"?")]
    Store(store).run(accept("acme", arrivals, DAY, {"bad-signature": 2}))


def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)
