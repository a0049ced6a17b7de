"""MCP over HTTP at /mcp, beside the gateway: the same clients, with their tokens."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from service.gateway.bodies import BadBody
from service.gateway.driver import GatewayAccounts
from service.gateway.endpoint import BadRequest, Clients, receive_body
from service.mcp.server import TicketServer
from workers.happyfox.buffer import Buffer
from workers.settings import GatewayClient

#: The most sessions of a client, the seconds after which an unused one ends, and the most bytes of a request.
SESSIONS, IDLE, MOST_BODY = 50, 600.0, 12 * 1024 * 1024

#: Where a request keeps its client.
CLIENT = "foxhooks.client"


class McpEndpoint:
    """A plain ASGI application; ``running`` must surround its requests.

    Each client has sessions of its own, so that none can take them from the others.
    """

    def __init__(self, accounts: GatewayAccounts, names: tuple[str, ...], clients: Mapping[str, GatewayClient]) -> None:
        self._clients = Clients(clients)
        server = TicketServer(accounts, names).build(_client_of)
        self._sessions = {
            name: StreamableHTTPSessionManager(
                server,
                session_idle_timeout=IDLE,
                max_sessions=SESSIONS,
                max_request_body_size=MOST_BODY,
                # Against other web pages in a browser: each request needs a token, which a page does not have.
                security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            )
            for name in clients
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the sessions for the block."""
        async with AsyncExitStack() as stack:
            for sessions in self._sessions.values():
                await stack.enter_async_context(sessions.run())
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of a client; a session belongs to the client that opened it."""
        client = self._clients.of(Headers(scope=scope).get("authorization", ""))
        if client is None:
            why = "this is no client's token: see [clients.NAME] in the settings of foxhooks"
            headers = {"www-authenticate": "Bearer"}
            await JSONResponse({"error": why}, 401, headers)(scope, receive, send)
            return
        try:
            received = await _whole(receive)
        except (BadRequest, BadBody) as bad:
            await JSONResponse({"error": str(bad)}, bad.status, {"connection": "close"})(scope, receive, send)
            return
        user = AuthenticatedUser(AccessToken(token=client.name, client_id=client.name, scopes=[]))
        await self._sessions[client.name].handle_request({**scope, CLIENT: client, "user": user}, received, send)


async def _whole(receive: Receive) -> Receive:
    """Receive a body within the gateway's deadline; return what passes it on in one piece, then what follows it."""
    buffer = Buffer()
    try:
        await receive_body(receive, buffer, MOST_BODY)
        body = [buffer.read()]
    finally:
        buffer.close()

    async def received() -> Message:
        return {"type": "http.request", "body": body.pop(), "more_body": False} if body else await receive()

    return received


def _client_of(context: ServerRequestContext[Any]) -> GatewayClient:
    assert context.request is not None
    client: GatewayClient = context.request.scope[CLIENT]
    return client
