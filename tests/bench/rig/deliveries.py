"""Deliveries to measure with."""

import json
from collections.abc import Iterable
from itertools import islice

import redis

from workers.events.delivery import parse
from workers.lanes.inbox import Arrival, accept, receive
from workers.lanes.store import Store


def body(number: int) -> bytes:
    """A flat delivery of about 1.3 kB, for the ticket of this number."""
    return json.dumps(
        {
            "ticket_id": number,
            "display_id": f"#DC{number:08d}",
            "subject": "Printer on fire",
            "priority_name": "High",
            "assignee_name": "Ada King",
            "client_details": {"name": "Sam Reed", "email": "sam@example.com"},
            "agent_ticket_url": f"https://acme.example/staff/ticket/{number}",
            "update": {
                "message_type": "Client Reply",
                "by": {"type": "user", "name": "Sam Reed"},
                "message": "lorem ipsum " * 75,
            },
        }
    ).encode()


def arrival(payload: bytes) -> Arrival:
    """The delivery as it is stored."""
    return receive(parse(payload), payload)


def fill(client: redis.Redis, account: str, bodies: Iterable[bytes]) -> None:
    """Stores deliveries, a hundred at a time."""
    store, arrivals = Store(client), map(arrival, bodies)
    while some := list(islice(arrivals, 100)):
        store.run(accept(account, some, keep=3600))
