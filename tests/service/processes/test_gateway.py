"""The gateway process: it publishes itself, and what its clients may do, without their tokens."""

from pathlib import Path

import redis

from tests.support.gateway import serving
from tests.support.processes import wait_until
from tests.support.stores import untyped
from workers.store.fleet import RunningClient, read_fleet
from workers.store.keys import FLEET


def test_the_gateway_publishes_its_clients(valkey_url: str, store: redis.Redis, tmp_path: Path) -> None:
    reporting = {"allow": ["tickets:read"], "class": "bulk", "wait": 2, "categories": [4]}
    with serving(valkey_url, tmp_path, {"reporting": reporting}):
        wait_until(lambda: read_fleet(store).of("gateway"), "the gateway is known")
        [known] = read_fleet(store).clients()
        assert known == RunningClient(
            name="reporting", allow=("tickets:read",), priority="bulk", wait=2, categories=(4,)
        )
        assert b"reporting-token" not in b"".join(untyped(store).hvals(FLEET))
    assert read_fleet(store).of("gateway") == ()
