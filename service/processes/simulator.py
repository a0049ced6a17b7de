"""Puts a simulated HappyFox on a socket: its API, its own JSON API and a page.

The simulator decides, this module performs: it waits, cuts connections and lets answers trickle. One event loop, so the
simulator has one caller at a time.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from html import escape
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as Incoming
from starlette.responses import HTMLResponse, JSONResponse
from starlette.responses import Response as Answer
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.processes.emitter import Emitter
from workers.simulator import Request, Response, Simulator, admin

LOOPBACK = ("127.0.0.1", "::1")


def build(simulator: Simulator) -> Starlette:
    """The application: `/api/...`, `/simulator/...` (callers on this machine only), and a page at `/`."""
    door = Door(simulator)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with door.emitter.running():
            yield

    routes = [Route("/", door.page), Route("/simulator{rest:path}", door.admin), Route("/{path:path}", door)]
    for route in routes[1:]:
        route.methods = None  # the simulator answers 405 itself
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.door = door
    app.router.redirect_slashes = False
    return app


def serve(simulator: Simulator, listener: socket.socket, *, announce: Callable[[str], None] = print) -> None:
    """Serve until interrupted; `announce` is told the address first."""
    simulator.listens_at(_address(listener))
    announce(_address(listener))
    _server(simulator).run(sockets=[listener])


@contextmanager
def running(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread of this process while the block runs; gives the address, as `http://127.0.0.1:4711`.

    Change the simulator over HTTP while it runs; reading its logs and world from outside is safe.
    """
    listener = socket.create_server((host, port))
    simulator.listens_at(_address(listener))
    server = _server(simulator)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulator")
    thread.start()
    try:
        yield _address(listener)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class Door:
    """The simulator's HTTP side, as an ASGI application for the paths of HappyFox's API."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.emitter = Emitter(simulator)
        self.closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one API call, with everything a fault wants done to the answer."""
        pending = self.simulator.begin(await _read(Incoming(scope, receive)))
        if pending.delay and await _first(pending.delay, self.closing.wait()):
            await _cut(scope, receive)
            return
        response = self.simulator.end(pending)  # also if the client has left: a late call lands
        self.emitter.news.set()
        waited = response.wait and await _first(response.wait, self.closing.wait(), _disconnect(receive))
        if waited or response.cut:
            await _cut(scope, receive)
        elif response.pace:
            await _trickle(response, send)
        else:
            await Answer(response.body, response.status, dict(response.headers))(scope, receive, send)

    async def admin(self, incoming: Incoming) -> Answer:
        """Answer a call to the simulator's own API; see `workers.simulator.admin`."""
        if incoming.client is None or incoming.client.host not in LOOPBACK:
            return JSONResponse({"error": "The simulator's own API answers callers on its machine only."}, 403)
        response = admin.handle(self.simulator, await _read(incoming))
        self.emitter.news.set()
        return Answer(response.body, response.status, dict(response.headers))

    async def page(self, incoming: Incoming) -> Answer:
        """Tell a person what this is."""
        shown = msgspec.json.format(msgspec.json.encode(admin.overview(self.simulator)))
        return HTMLResponse(f"<title>Simulated HappyFox</title><pre>{escape(shown.decode())}</pre>")


class _Protocol(HttpToolsProtocol):
    """Hands its transport to the application, so that a fault can cut the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """Lets go of calls that wait, so that stopping takes no longer than an answer."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.door.closing.set()  # type: ignore[union-attr]
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
            date_header=False,  # the simulator's clock writes it
            timeout_graceful_shutdown=1,
        )
    )


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _read(incoming: Incoming) -> Request:
    return Request(
        method=incoming.method,
        path=incoming.scope["path"],
        query=incoming.scope["query_string"].decode("latin-1"),
        headers={name.lower(): value for name, value in incoming.headers.items()},
        body=await incoming.body(),
    )


async def _cut(scope: Scope, receive: Receive) -> None:
    state: dict[str, Any] = scope.get("state", {})
    if "transport" not in state:
        raise RuntimeError("Only a server started by `serve` or `running` can cut a connection.")
    state["transport"].abort()
    await _disconnect(receive)


async def _first(seconds: float, *events: Coroutine[Any, Any, object]) -> bool:
    """Wait, and tell whether one of the events ended the wait early."""
    tasks = [asyncio.create_task(event) for event in events]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    return bool(done)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _trickle(response: Response, send: Send) -> None:
    length = str(len(response.body))
    headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in response.headers.items()]
    headers.append((b"content-length", length.encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    for index in range(len(response.body)):
        await send({"type": "http.response.body", "body": response.body[index : index + 1], "more_body": True})
        await asyncio.sleep(response.pace)
    await send({"type": "http.response.body", "body": b""})
