"""Connections: one to a server that cannot work is closed, and an old server is refused, by every client."""

import ast
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from service.web.writer import StoreWriter
from tests.support.resp import OK, answering
from workers.errors import StoreUnavailable
from workers.store.client import Store, connect
from workers.store.connection import OldServer, check_version, connect_async
from workers.store.failures import failure
from workers.store.scripts import Script

ROOT = Path(__file__).parents[3]

#: What a server says that is the wrong one, or unfit to work.
UNFIT = [
    "READONLY You can't write against a read only replica.",
    "READONLY Can not run script with write flag on readonly replica.",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "LOADING Redis is loading the dataset in memory",
    "CLUSTERDOWN The cluster is down",
    "MOVED 3999 10.0.0.7:6379",
    "ASK 3999 10.0.0.7:6379",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOREPLICAS Not enough good replicas to write.",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "DENIED Redis is running in protected mode because protected mode is enabled",
    "ERR max number of clients reached",
]
SCRIPT: Script[bytes] = Script("forecast", "acme", [], lambda raw: raw)


def ask_client(url: str) -> Any:
    with connect(url) as client:
        return client.get("name")


def ask_pipeline(url: str) -> Any:
    with connect(url) as client, client.pipeline(transaction=False) as batch:
        batch.get("name")
        batch.get("other")
        return batch.execute()


def ask_store(url: str) -> Any:
    with connect(url) as client, Store(client) as store:
        return store.run(SCRIPT)


def ask_replicated_store(url: str) -> Any:
    with connect(url) as client, Store(client, replicated=True) as store:
        return store.run(Script("begin", "acme", [], lambda raw: raw, before_call=True))


def ask_async_client(url: str) -> Any:
    async def main() -> Any:
        client = connect_async(url, connect_seconds=5, answer_seconds=5)
        try:
            return await client.get("name")
        finally:
            await client.aclose()

    return asyncio.run(main())


def ask_writer(url: str) -> Any:
    async def main() -> Any:
        writer = StoreWriter(url, "memory")
        try:
            await writer.run([SCRIPT])  # the first connection may be new only once
            return await writer.run([SCRIPT], wake=True)
        finally:
            await writer.close()

    return asyncio.run(main())


ALL = [ask_client, ask_pipeline, ask_store, ask_replicated_store, ask_async_client, ask_writer]


@pytest.mark.parametrize(
    ("ask", "text"),
    [*((ask, text) for ask in (ask_store, ask_writer) for text in UNFIT), *((ask, UNFIT[0]) for ask in ALL)],
)
def test_a_connection_to_an_unfit_server_is_closed_and_the_command_repeated(
    ask: Callable[[str], Any], text: str
) -> None:
    work = {b"GET", b"FCALL"}
    asked = 0

    def answer(connection: int, command: bytes) -> bytes:
        nonlocal asked
        asked += command in work
        if command == b"FUNCTION":
            return b"*0\r\n"
        if command in work and connection == 1 and asked > (ask is ask_writer):
            return f"-{text}\r\n".encode()
        return b":1\r\n" if command == b"WAIT" else OK

    with answering(answer) as server:
        assert ask(server.url)
        assert server.connections == 2


@pytest.mark.parametrize("text", ["OOM command not allowed", "BUSY Redis is busy running a script"])
def test_a_connection_to_a_full_or_busy_server_is_kept(text: str) -> None:
    with answering(lambda *_: f"-{text}\r\n".encode()) as server:
        with connect(server.url) as client:
            for _ in range(2):
                with pytest.raises(redis.ResponseError):
                    client.get("name")
        assert server.connections == 1


def test_a_call_that_gives_up_is_not_repeated() -> None:
    with answering(lambda *_: b"") as server:
        with connect(server.url, give_up=0.1) as client, pytest.raises(redis.TimeoutError):
            client.get("name")
        assert server.connections == 1


@pytest.mark.parametrize(
    ("name", "version", "old"),
    [
        ("redis", "6.2.14", True),
        ("redis", "6.9.240", True),
        ("redis", "7.0.0", False),
        ("redis", "8.2.1", False),
        ("redis", "255.255.255", False),
        ("redis", "unknown", False),
        ("valkey", "7.2.5", False),
        ("valkey", "9.1.2", False),
    ],
)
@pytest.mark.parametrize("ask", ALL)
def test_every_client_refuses_a_server_that_is_too_old(
    ask: Callable[[str], Any], name: str, version: str, old: bool
) -> None:
    answers = {b"FUNCTION": b"*0\r\n", b"WAIT": b":1\r\n"}
    with answering(lambda _, command: answers.get(command, OK), name, version) as server:
        if not old:
            assert ask(server.url)
            return
        with pytest.raises((redis.RedisError, StoreUnavailable)) as caught:
            ask(server.url)
    problem, fix = failure(caught.value)
    assert problem == f"the store is too old: it is Redis {version}"
    assert fix == "use Redis 7.0 or newer, or Valkey 7.2 or newer"


@pytest.mark.parametrize("ask", ALL)
def test_a_server_without_the_command_hello_is_too_old(ask: Callable[[str], Any]) -> None:
    with answering(lambda *_: OK) as server:
        server.greeting = b"-ERR unknown command `HELLO`, with args beginning with: `3` `AUTH` `fox` `secret-word`\r\n"
        with pytest.raises((redis.RedisError, StoreUnavailable)) as caught:
            ask(server.url)
    assert failure(caught.value).problem == "the store is too old: it is Redis older than 6.0"
    assert "secret" not in str(failure(caught.value))


def test_the_oldest_versions_are_told_apart_by_the_name_of_the_server() -> None:
    check_version("Redis", "7.0.15")
    check_version("Valkey", "7.2.0")
    for name, version in (("Redis", "6.2.14"), ("Redis", "5"), ("Valkey", "7.0.15")):
        with pytest.raises(OldServer, match=f"{name} {version}"):
            check_version(name, version)


#: How clients are made.
MAKERS = ("Redis", "StrictRedis", "from_url", "ConnectionPool", "BlockingConnectionPool")


def test_clients_are_made_in_one_module_only() -> None:
    found = set()
    for path in [*ROOT.glob("service/**/*.py"), *ROOT.glob("workers/**/*.py")]:
        tree = ast.parse(path.read_text("utf-8"))
        calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
        if any("redis" in call.lower() and call.endswith(MAKERS) for call in calls):
            found.add(str(path.relative_to(ROOT)))
    # The other one asks once whether a server runs in a folder, which is often not so, and closes its connection.
    assert found == {"workers/store/connection.py", "service/embedded.py"}
