"""A simulated account in process: every call of a client goes, as the bytes it would send, into the simulator."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.workers.simulator.conftest import AUTH, Clock
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import BASE, Answer, Multipart, Request
from workers.simulator import ApiRequest, Simulator

STAFF = 7


class Asked(Exception):
    """Ends a method with the request it would have sent."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request


def asked(method: Callable[[Client], object]) -> Request:
    """Return the first request that a method of the client makes."""

    def send(request: Request) -> Answer:
        raise Asked(request)

    with pytest.raises(Asked) as caught:
        method(Client(send, staff_id=STAFF))
    return caught.value.request


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
        response = self.simulator.handle(
            ApiRequest(request.method, BASE + request.path, query=query, headers=headers, body=body)
        )
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)

    def ticket(self, **draft: Any) -> int:
        """Opens a ticket as a contact, and gives its number."""
        return self.simulator.create_ticket(**draft).id
