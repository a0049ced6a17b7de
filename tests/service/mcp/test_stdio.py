"""MCP over standard input and output: `foxhooks mcp` as a program would start it."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from service.processes.simulator import running
from tests.support.commands import refused
from tests.support.gateway import SETTINGS, clients_table
from workers.simulator import Simulator


def test_a_program_that_starts_the_command_reads_a_ticket(valkey_url: str, tmp_path: Path) -> None:
    simulator = Simulator(time.time)
    number = simulator.create_ticket("sam@example.com", subject="No light").id
    with running(simulator) as happyfox:
        clients = clients_table({"reader": {"allow": ["tickets:read"]}})
        text = SETTINGS.format(timeout=2, happyfox=happyfox, top="", account="", clients=clients)
        (tmp_path / "foxhooks.toml").write_text(text)
        server = StdioServerParameters(
            command=sys.executable,
            args=["-P", "-m", "service", "mcp", "--client", "reader"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), "REDIS_URL": valkey_url},
        )

        async def work() -> tuple[list[str], str]:
            async with Client(server) as client:
                names = [tool.name for tool in (await client.list_tools()).tools]
                return names, str((await client.call_tool("ticket", {"n": number})).content)

        names, shown = asyncio.run(work())
    assert names == ["tickets", "ticket"]
    assert "No light" in shown


def test_an_unknown_client_is_named(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = clients_table({"reader": {"allow": ["tickets:read"]}})
    text = SETTINGS.format(timeout=2, happyfox="https://acme.happyfox.com", top="", account="", clients=clients)
    (tmp_path / "foxhooks.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    assert "did you mean 'reader'?" in refused("mcp", "--client", "raeder")
