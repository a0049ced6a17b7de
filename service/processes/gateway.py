"""The gateway process: uvicorn, the paths of HappyFox for clients, and health checks; never on the webhooks' port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from importlib.util import find_spec
from socket import socket
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from service.gateway.driver import GatewayAccounts
from service.gateway.endpoint import GatewayEndpoint
from service.web.app import configure
from service.web.connections import STATE, Connections, Limits
from service.web.health import SharedCheck, may_see_details
from workers.logs import init_logging, init_sentry
from workers.settings import Settings
from workers.store.client import connect, url_of
from workers.store.fleet import Presence, describe_process

if TYPE_CHECKING:
    from service.mcp.http import McpEndpoint

#: Connections at once; each may have a body in a temporary file.
LIMITS = Limits(connections=200)


def serve(settings: Settings, listener: socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT."""
    init_logging(settings)
    init_sentry(settings, "gateway")
    uvicorn.Server(configure(build(settings), LIMITS)).run([listener])


def build(settings: Settings, limits: Limits = LIMITS) -> Starlette:
    """Build the application; it connects to the store on the first request."""
    accounts = GatewayAccounts(settings)
    connections = Connections(limits)
    models = _models(accounts, settings)
    client = connect(url_of(settings.redis_url, settings.data), connections=1)
    presence = Presence(client, describe_process("gateway", settings))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Connections]]:
        presence.start()
        async with nullcontext() if models is None else models.running():
            with connections.outliving_sigterm():
                yield {STATE: connections}
        check.cancel()
        await asyncio.to_thread(presence.stop)
        await accounts.close()

    async def alive(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    check = SharedCheck(accounts.ready)

    async def ready(request: Request) -> JSONResponse:
        problems = await check.result()
        is_ready = len(problems) < len(settings.accounts)
        content: dict[str, object] = {"status": "ready" if is_ready else "unavailable"}
        if may_see_details(request, settings.tokens):
            content["degraded" if is_ready else "reasons"] = problems
        return JSONResponse(content) if is_ready else JSONResponse(content, 503, {"retry-after": "5"})

    routes = [
        Route("/healthz", alive),
        Route("/readyz", ready),
        Mount("/gateway", GatewayEndpoint(accounts, settings.clients)),
        Route("/mcp", _without_package if models is None else models),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


def _models(accounts: GatewayAccounts, settings: Settings) -> "McpEndpoint | None":
    """Return the endpoint for language models; None without the packages of the extra `mcp`."""
    if find_spec("mcp") is None:
        return None
    from service.mcp.http import McpEndpoint

    return McpEndpoint(accounts, tuple(settings.accounts), settings.clients)


async def _without_package(_request: Request) -> JSONResponse:
    return JSONResponse({"error": "MCP needs another package where foxhooks runs: pip install 'foxhooks[mcp]'"}, 404)
