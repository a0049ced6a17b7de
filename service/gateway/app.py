"""The gateway process: uvicorn, the paths of HappyFox for clients, and health checks; never on the webhooks' port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from service.gateway.driver import Accounts
from service.gateway.endpoint import GatewayEndpoint
from service.web.app import configure
from service.web.connections import STATE, Connections, Limits
from workers.logs import init_logging, init_sentry
from workers.settings import Settings

#: Connections at once; each may have a body in a temporary file.
LIMITS = Limits(connections=200)


def serve(settings: Settings, listener: socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT."""
    init_logging(settings)
    init_sentry(settings, "gateway")
    uvicorn.Server(configure(build(settings), LIMITS)).run([listener])


def build(settings: Settings, limits: Limits = LIMITS) -> Starlette:
    """Build the application; it connects to the store on the first request."""
    accounts = Accounts(settings)
    connections = Connections(limits)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Connections]]:
        with connections.outliving_sigterm():
            yield {STATE: connections}
        await accounts.close()

    async def alive(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> JSONResponse:
        problems = await accounts.ready()
        if len(problems) < len(settings.accounts):
            return JSONResponse({"status": "ready", "degraded": problems})
        return JSONResponse({"status": "unavailable", "reasons": problems}, 503, {"retry-after": "5"})

    routes = [
        Route("/healthz", alive),
        Route("/readyz", ready),
        Mount("/gateway", GatewayEndpoint(accounts, settings.clients)),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app
