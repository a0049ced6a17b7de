"""MCP over standard input and output, for a program on the same machine that starts `foxhooks mcp`."""

import asyncio

from mcp.server.stdio import stdio_server

from service.gateway.driver import GatewayAccounts
from service.mcp.server import TicketServer
from workers.logs import init_logging
from workers.settings import GatewayClient, Settings


def serve(settings: Settings, client: GatewayClient) -> None:
    """Serve one client until its input ends."""
    asyncio.run(_serve(settings, client))


async def _serve(settings: Settings, client: GatewayClient) -> None:
    init_logging(settings)
    accounts = GatewayAccounts(settings)
    server = TicketServer(accounts, tuple(settings.accounts)).build(lambda _: client)
    try:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        await accounts.close()
