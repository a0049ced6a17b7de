"""A simulated account in process: every call of a client goes, as the bytes it would send, into the simulator."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.workers.simulator.conftest import AUTH, Clock
from workers.happyfox.client import Client
from workers.happyfox.exchange import BASE, Answer, Request
from workers.happyfox.multipart import Multipart
from workers.simulator import Request as Arrived
from workers.simulator import Simulator

STAFF = 7


@dataclass
class Desk:
    """The simulator and a client on it; `asked` keeps the requests."""

    options: dict[str, Any] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.simulator = Simulator(self.clock, **{"gets": 10_000, "posts": 10_000, **self.options})
        self.client = Client(self.send, staff_id=STAFF, site="https://demo.happyfox.example")

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        kind, body = "application/json", b"" if request.body is None else json.dumps(request.body).encode()
        if request.files:
            with Multipart(request.body or {}, request.files) as multipart:
                kind, body = multipart.content_type, b"".join(multipart)
                assert len(body) == multipart.length
        headers = {"authorization": AUTH, "content-type": kind}
        query = urlencode(request.query, doseq=True)
        response = self.simulator.handle(Arrived(request.method, BASE + request.path, query, headers, body))
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)

    def ticket(self, **draft: Any) -> int:
        """Opens a ticket as a contact, and gives its number."""
        return self.simulator.create_ticket(**draft).id
