"""Clients' calls on a virtual clock: the real store and engine, and a simulated HappyFox without sockets."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.engine.steps import Call
from workers.gateway.answers import ClientAnswer
from workers.gateway.call import ClientCall, perform
from workers.gateway.steps import ClientStep, Wait
from workers.happyfox.messages import Request
from workers.settings import GatewayClient, Secret
from workers.store.client_calls import finish_call
from workers.store.scripts import Script
from workers.testing.desk import SimulatedDeployment

__all__ = ["ClientDesk", "client", "finish_call"]


def client(name: str = "triage", allow: tuple[str, ...] = ("*",), **values: Any) -> GatewayClient:
    """Return a client that may do everything, unless ``allow`` says what."""
    return GatewayClient(name=name, token=Secret(f"{name}-token"), allow=frozenset(allow), **values)


class Killed(BaseException):
    """The gateway was killed."""


@dataclass
class ClientDesk:
    """Performs clients' calls in a simulated deployment."""

    world: SimulatedDeployment
    after: Callable[[ClientStep, Any], Any] = lambda _, result: result
    waits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._nonces = map(str, itertools.count(1))

    def call(
        self,
        who: GatewayClient,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str | tuple[str, ...]] | None = None,
        key: str = "",
    ) -> ClientAnswer:
        """Perform one call to its end; time passes while it waits."""
        request = Request(method, path, query or {}, body)
        digest = repr((method, path, body)) if key else ""
        nonce = f"c{next(self._nonces)}"
        steps = perform(ClientCall(client=who, request=request, nonce=nonce, key=key, digest=digest), self.world.config)
        try:
            step = next(steps)
            while True:
                step = steps.send(self.after(step, self._perform(step)))
        except StopIteration as stop:
            reply: ClientAnswer = stop.value
            return reply

    def _perform(self, step: ClientStep) -> Any:
        if isinstance(step, Wait):
            self.waits.append(step.ms)
            self.world.now += step.ms
            return None
        if isinstance(step, Call):
            return self.world.answer(step)
        assert isinstance(step, Script)
        return self.world.store.run(step)

    def note(self, who: GatewayClient, ticket: int, text: str, **more: Any) -> ClientAnswer:
        """Write a private note as Ada."""
        return self.call(who, "POST", f"/ticket/{ticket}/staff_pvtnote/", {"staff": 1, "text": text}, **more)

    def reply(self, who: GatewayClient, ticket: int, text: str, **more: Any) -> ClientAnswer:
        """Email a reply to the contact as Ada."""
        body = {"staff": 1, "text": text, "update_customer": True}
        return self.call(who, "POST", f"/ticket/{ticket}/staff_update/", body, **more)

    def writes(self) -> list[str]:
        """Return the paths of the writes that arrived at HappyFox."""
        return [call.path for call in self.world.simulator.log if call.method != "GET"]
