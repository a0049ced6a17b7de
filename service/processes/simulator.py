"""Serve a simulated HappyFox over HTTP: its API, the simulator's own JSON API, and a page; and send its webhooks.

The simulator decides and this module performs: it waits, cuts connections and sends answers slowly. It runs in one
event loop, so the simulator has one caller at a time.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from html import escape
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from workers.http_library import httpx
from workers.simulator import ApiRequest, Simulator, WebhookDelivery, admin

LOOPBACK = ("127.0.0.1", "::1")
#: Seconds for a receiver to answer a webhook. HappyFox does not document its limit.
WEBHOOK_TIMEOUT = 10.0


def build(simulator: Simulator) -> Starlette:
    """Build the application: `/api/...`, `/simulator/...` (for this machine only), and a page at `/`."""
    served = SimulatorApp(simulator)
    routes = [Route("/", served.page), Route("/simulator{rest:path}", served.admin), Route("/{path:path}", served)]
    for route in routes[1:]:
        route.methods = None  # the simulator answers 405 itself
    app = Starlette(routes=routes, lifespan=served.sending_webhooks)
    app.state.served = served
    app.router.redirect_slashes = False
    return app


def serve(simulator: Simulator, listener: socket.socket) -> None:
    """Serve until interrupted."""
    simulator.listens_at(url_of(listener))
    _server(simulator).run(sockets=[listener])


@contextmanager
def running(simulator: Simulator) -> Iterator[str]:
    """Serve from a thread of this process during the block; yield the URL, like `http://127.0.0.1:4711`.

    While it runs, change the simulator over HTTP only; reading its logs and tickets from outside is safe.
    """
    listener = socket.create_server((LOOPBACK[0], 0))
    simulator.listens_at(url_of(listener))
    server = _server(simulator)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulator")
    thread.start()
    try:
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class SimulatorApp:
    """Connect the simulator to HTTP; as an ASGI application it serves the paths of HappyFox's API."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.closing = asyncio.Event()
        self._webhooks_due = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one API call, with every fault applied to the answer."""
        try:
            call = await _read(HttpRequest(scope, receive))
        except ClientDisconnect:  # a call that did not arrive completely has no effect
            return
        pending = self.simulator.begin(call)
        if pending.delay and await _interrupted(pending.delay, self.closing.wait()):
            await _cut(scope, receive)
            return
        response = self.simulator.end(pending)  # also if the client has left: a late call still lands
        self._webhooks_due.set()
        interrupted = response.wait and await _interrupted(response.wait, self.closing.wait(), _disconnect(receive))
        if interrupted or response.cut:
            await _cut(scope, receive)
        elif response.pace:
            headers = {**response.headers, "content-length": str(len(response.body))}
            body = _one_by_one(response.body, response.pace)
            await StreamingResponse(body, response.status, headers)(scope, receive, send)
        else:
            await HttpResponse(response.body, response.status, dict(response.headers))(scope, receive, send)

    async def admin(self, request: HttpRequest) -> HttpResponse:
        """Answer a call to the simulator's own API; see `workers.simulator.admin`."""
        if request.client is None or request.client.host not in LOOPBACK:
            return JSONResponse({"error": "The simulator's own API only answers callers on the same machine."}, 403)
        response = admin.handle(self.simulator, await _read(request))
        self._webhooks_due.set()
        return HttpResponse(response.body, response.status, dict(response.headers))

    async def page(self, _request: HttpRequest) -> HttpResponse:
        """Show an overview in the browser."""
        overview = msgspec.json.format(msgspec.json.encode(admin.overview(self.simulator)))
        return HTMLResponse(f"<title>Simulated HappyFox</title><pre>{escape(overview.decode())}</pre>")

    @asynccontextmanager
    async def sending_webhooks(self, _app: Starlette) -> AsyncIterator[None]:
        """Send webhooks while the application runs, each once its change is visible."""
        timeout = httpx.Timeout(WEBHOOK_TIMEOUT, pool=None)
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            sender = asyncio.create_task(self._send_webhooks(client))
            try:
                yield
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)

    async def _send_webhooks(self, client: httpx.AsyncClient) -> None:
        async with asyncio.TaskGroup() as sending:
            while True:
                self._webhooks_due.clear()
                for delivery in self.simulator.take_deliveries():
                    sending.create_task(self._deliver(client, delivery))
                await self._webhooks_due.wait()

    async def _deliver(self, client: httpx.AsyncClient, delivery: WebhookDelivery) -> None:
        await asyncio.sleep(max(0.0, delivery.due - self.simulator.clock()))
        try:
            answer = await client.post(delivery.hook.url, content=delivery.body, headers=delivery.headers)
        except Exception as error:  # noqa: BLE001 - no failure of one webhook may stop the others
            self.simulator.delivered(delivery, None, f"{type(error).__name__}: {error}")
        else:
            self.simulator.delivered(delivery, answer.status_code)
        self._webhooks_due.set()  # a failed delivery may be queued again


class _Protocol(HttpToolsProtocol):
    """Pass the transport to the application, so that a fault can cut the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """Interrupt calls that wait, so that stopping is quick."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.served.closing.set()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def _server(simulator: Simulator) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            build(simulator),
            http=_Protocol,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # the simulator writes it, from its own clock
            timeout_graceful_shutdown=10,
        )
    )


def url_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _read(request: HttpRequest) -> ApiRequest:
    return ApiRequest(
        method=request.method,
        path=request.scope["path"],
        query=request.scope["query_string"].decode("latin-1"),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.body(),
    )


async def _cut(scope: Scope, receive: Receive) -> None:
    scope["state"]["transport"].abort()
    await _disconnect(receive)


async def _interrupted(seconds: float, *events: Coroutine[Any, Any, object]) -> bool:
    """Wait, and return whether one of the events ended the wait early."""
    tasks = [asyncio.create_task(event) for event in events]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    return bool(done)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _one_by_one(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    """Yield the bytes of a body with a pause after each."""
    for byte in body:
        yield bytes([byte])
        await asyncio.sleep(seconds)
