"""Limits of connections, on real sockets: what strangers cost, and that honest deliveries beside them are answered."""

import asyncio
import contextlib
import inspect
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest
import redis
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.web.app import build, configure
from service.web.connections import DISCARD_LIMIT, HEAD_LIMIT, HEADERS_LIMIT, Limits
from tests.support import stores
from tests.support.intake import KEY, REPLY, P, counts, settings
from tests.support.processes import wait_until
from tests.support.web import Web, dialled, listening
from workers.webhook import HEADER, sign

MB = 1024 * 1024
#: What an attack may cost in memory: far less than the bytes it sends.
BEARABLE = 12 * MB
POST = b"POST /webhooks/acme HTTP/1.1\r\nhost: foxhooks\r\n"
SIGNED = POST + f"{HEADER}: {sign(KEY, REPLY)}\r\n".encode()
#: Looks like a signature, so the body is read.
FORGED = POST + f"{HEADER}: {'0' * 40}\r\n".encode()
LENGTH = b"content-length: %d\r\n\r\n" % len(REPLY)

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@pytest.fixture(scope="module")
def process(foxhooks_store: str) -> Iterator[Web]:
    with contextlib.closing(Web(foxhooks_store)) as process:
        yield process


@pytest.fixture
def web(process: Web, foxhooks_store: str) -> Web:
    """A web process with an empty store: other tests of this session use the same one between these tests."""
    stores.flush(foxhooks_store)
    return process


def flood(port: int, start: bytes, piece: bytes, size: int) -> None:
    """Send a start, then pieces of this total size, unless the other end closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, contextlib.suppress(OSError):
        connection.sendall(start)
        for _ in range(size // len(piece)):
            connection.sendall(piece)


FLOODS = {
    "many headers": (POST, b"".join(b"x-%06d: %s\r\n" % (n, b"y" * 1000) for n in range(64))),
    "one header": (POST + b"x: ", b"y" * 65536),
    "one header in one-byte lines": (POST + b"x: ", b"y\r\n " * 16384),
    "url": (b"GET /", b"y" * 65536),
    "blank lines": (b"", b"\r\n" * 32768),
    "chunk extension": (FORGED + b"transfer-encoding: chunked\r\n\r\n1;x=", b"y" * 65536),
    "trailers": (FORGED + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 10_000),
    "one trailer": (FORGED + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", b"y" * 65536),
    "trailers of a rejected body": (POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", b"y" * 65536),
    "pipelined requests": (b"", b"GET /webhooks/acme HTTP/1.1\r\n\r\n" * 2000),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_no_flood_on_one_connection_fills_the_memory(web: Web, kind: str) -> None:
    assert web.deliver().text.startswith('{"status":"accepted"')
    web.memory()
    before = web.memory()
    attack = threading.Thread(target=flood, args=(web.port, *FLOODS[kind], 40 * MB))
    attack.start()
    answers = {web.deliver().status_code for _ in range(5)}
    attack.join()
    assert answers == {200}
    assert web.memory() - before < BEARABLE


def test_bodies_left_on_idle_connections_are_not_kept(web: Web) -> None:
    web.memory()
    before = web.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=20))
            connection.sendall(POST + b"content-length: 200000\r\n\r\n" + b"x" * 200_000)
            assert connection.recv(12) == b"HTTP/1.1 401"
        assert web.memory() - before < BEARABLE


def test_large_bodies_held_back_do_not_keep_others_out(web: Web) -> None:
    """The same senders would otherwise use up the room for bodies and lock out every delivery."""
    with contextlib.ExitStack() as stack:
        for size in 13 * [5 * MB] + 70 * [66_000]:
            held = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=20))
            with contextlib.suppress(OSError):  # the last ones are rejected
                held.sendall(FORGED + b"content-length: %d\r\n\r\n" % size + b"x" * (size - 1))
        small = {web.deliver(b'{"ticket_id":%d,"x":"%s"}' % (n, b"x" * 65_000)).status_code for n in range(1, 10)}
    assert small == {200}


@pytest.mark.parametrize(
    "header", ["", f"{HEADER}: \r\n", f"{HEADER}: {'0' * 40}\r\n" * 2, f"{HEADER}: {'?' * 40}\r\n"]
)
def test_nothing_is_read_of_a_body_without_one_signature(web: Web, header: str) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as stranger:
        stranger.sendall(POST + header.encode() + b"expect: 100-continue\r\ncontent-length: 5000000\r\n\r\n")
        assert stranger.recv(12) == b"HTTP/1.1 401"


def test_strangers_that_fill_the_descriptors_keep_nobody_out(valkey_url: str) -> None:
    with contextlib.closing(Web(valkey_url, TEST_FILES="350")) as web, contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=20))
        assert [web.get("/healthz") for _ in range(10)] == [200] * 10
        assert [web.deliver().status_code for _ in range(10)] == [200] * 10
        assert web.text().count("the limit of connections is reached") == 1


def test_after_sigterm_requests_are_answered_until_the_time_is_up(valkey_url: str) -> None:
    with contextlib.closing(Web(valkey_url, TEST_ACCEPT="3600")) as web, httpx.Client() as pool:
        url = f"http://127.0.0.1:{web.port}/webhooks/acme"
        assert "connection" not in pool.get(url).headers
        web.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "close" in httpx.get(url).headers.get("connection", ""), "answers close the connection")
        answer = pool.get(url)  # over the open connection
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        web.process.send_signal(signal.SIGTERM)  # Heroku sends it to every process, and parents pass theirs on
        assert web.deliver().status_code == 200
        web.process.send_signal(signal.SIGINT)
        assert web.process.wait(20) in (0, 1, -signal.SIGINT), web.text()
        assert web.get("/healthz") == 0


def talk(url: str, scenario: Callable[[int], Coroutine[Any, Any, Any]], **limits: Any) -> Any:
    """Run a scenario with the port of an application that has these limits."""

    async def main() -> Any:
        async with listening(url, Limits(**limits)) as port, asyncio.timeout(20):
            return await scenario(port)

    return asyncio.run(main())


def exchange(url: str, *pieces: bytes, **limits: Any) -> bytes:
    """Send pieces, wait for the end of the connection, and return what was received."""

    async def scenario(port: int) -> bytes:
        async with dialled(port) as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                return await reader.read()
        return b""

    received: bytes = talk(url, scenario, **limits)
    return received


GET = b"GET /healthz HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "answers"),
    [
        ((), 0),
        ((b"GET /healthz HTTP/1.1\r\nhost",), 0),
        ((GET, b"GET /healthz HTTP/1.1\r\nhost"), 1),
        ((GET, b"\r\n"), 1),
        ((POST + b"content-length: 9\r\n\r\n",), 1),
        ((POST + b"content-length: 9\r\n\r\n", b"12", b"34"), 1),
        ((POST + b"content-length: 4\r\n\r\n", b"1234", b"GET /hea"), 1),
    ],
)
def test_a_sender_that_stops_is_cut_off(valkey_url: str, pieces: tuple[bytes, ...], answers: int) -> None:
    assert exchange(valkey_url, *pieces, head=0.3, discard=0.3).count(b"HTTP/1.1 ") == answers


@pytest.mark.parametrize("start", [b"GET /healthz HTTP/1.1\r\nx: ", POST + b"content-length: 5000\r\n\r\n"])
def test_a_sender_that_trickles_is_cut_off(valkey_url: str, start: bytes) -> None:
    async def scenario(port: int) -> None:
        async with dialled(port) as (reader, writer):
            writer.write(start)
            end = asyncio.ensure_future(reader.read())
            while not end.done():
                with contextlib.suppress(ConnectionError):
                    writer.write(b"x")
                await asyncio.wait([end], timeout=0.02)
            with contextlib.suppress(ConnectionError):
                await end

    talk(valkey_url, scenario, head=0.3, discard=0.3)


def test_a_sender_that_reads_no_answers_is_cut_off(valkey_url: str) -> None:
    async def scenario(port: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", port)) as deaf:
            deaf.setblocking(False)
            with contextlib.suppress(ConnectionError):
                while True:
                    await loop.sock_sendall(deaf, b"GET /webhooks/acme HTTP/1.1\r\n\r\n")

    talk(valkey_url, scenario, head=0.3)


def test_an_idle_connection_stays_open_between_requests(valkey_url: str) -> None:
    async def scenario(port: int) -> bytes:
        async with dialled(port) as (reader, writer):
            for _ in range(2):
                writer.write(SIGNED + LENGTH + REPLY)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.read(100)
                await asyncio.sleep(0.3)  # longer than a head may take
        return head

    assert talk(valkey_url, scenario, head=0.1).startswith(b"HTTP/1.1 200")
    config = configure(build(settings(valkey_url)), Limits())
    assert config.timeout_keep_alive == 95  # nginx keeps a connection for 60 s, Heroku's router for 90 s


@pytest.mark.parametrize("keep", [True, False])
def test_a_request_rejected_before_its_body_gets_its_answer(valkey_url: str, keep: bool) -> None:
    """The rest of the body is read and dropped; then the connection serves the next request, or is closed."""

    async def scenario(port: int) -> bytes:
        async with dialled(port) as (reader, writer):
            writer.write(POST + (b"" if keep else b"connection: close\r\n") + b"content-length: 8000000\r\n\r\n")
            answer = await reader.readuntil(b"}")
            writer.write(b"x" * 8_000_000 + (SIGNED + b"connection: close\r\n" + LENGTH + REPLY if keep else b""))
            return answer + await reader.read()

    answers = talk(valkey_url, scenario)
    assert answers.startswith(b"HTTP/1.1 401")
    assert answers.count(b"HTTP/1.1 200") is int(keep)


def test_a_rejected_body_is_not_read_for_ever(valkey_url: str) -> None:
    async def scenario(port: int) -> None:
        async with dialled(port) as (_, writer):
            writer.write(POST + b"content-length: %d\r\n\r\n" % (4 * DISCARD_LIMIT))
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 2 * DISCARD_LIMIT:
                    writer.write(b"x" * MB)
                    await writer.drain()
                    sent += MB
            assert sent < 2 * DISCARD_LIMIT

    talk(valkey_url, scenario)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nx: " + b"y" * (HEAD_LIMIT - 200) + b"\r\n\r\n", b"200"),
        (b"GET /healthz HTTP/1.1\r\nx: " + b"y" * HEAD_LIMIT + b"\r\n\r\n", b"431"),
        (b"GET /healthz?" + b"y" * HEAD_LIMIT + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * HEADERS_LIMIT + b"\r\n", b"200"),
        (b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * (HEADERS_LIMIT + 1) + b"\r\n", b"431"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", b"405"),
    ],
)
@pytest.mark.parametrize("size", [100_000, 1000])
def test_a_head_has_limits(valkey_url: str, request_: bytes, status: bytes, size: int) -> None:
    async def scenario(port: int) -> bytes:
        async with dialled(port) as (reader, writer):
            with contextlib.suppress(ConnectionError):
                for start in range(0, len(request_), size):
                    writer.write(request_[start : start + size])
                    await writer.drain()
                    await asyncio.sleep(0)
            return await reader.read(12)

    assert talk(valkey_url, scenario) == b"HTTP/1.1 " + status


UPGRADES = [b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n"]
UPGRADES += [b"upgrade: websocket\r\nconnection: close, upgrade\r\n"]


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("size", [1000, 20])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_wish_for_another_protocol_is_ignored(
    valkey_url: str, store: redis.Redis, upgrade: bytes, size: int, chunked: bool
) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(REPLY), REPLY) if chunked else REPLY
    head = SIGNED + upgrade + (b"transfer-encoding: chunked\r\n\r\n" if chunked else LENGTH)
    request = head + body

    async def scenario(port: int) -> bytes:
        async with dialled(port) as (reader, writer):
            for start in range(0, len(request), size):
                writer.write(request[start : start + size])
                await asyncio.sleep(0.001)
            return await reader.readuntil(b"}")

    assert b'"accepted"' in talk(valkey_url, scenario)
    assert counts(store) == {"accepted": 1}


def test_strangers_do_not_fill_the_log(valkey_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    close = b"connection: close\r\n"
    for request in (POST + UPGRADES[1] + LENGTH + REPLY, b"nonsense\r\n\r\n", POST + close + b"x" * HEAD_LIMIT):
        assert exchange(valkey_url, request, head=0.2, discard=0.2)
    assert {record.levelname for record in caplog.records} <= {"INFO"}
    assert not [record for record in caplog.records if record.name == "service.web.connections"]


def test_a_request_sent_before_the_earlier_one_is_answered_ends_the_connection(valkey_url: str) -> None:
    received = exchange(valkey_url, (SIGNED + LENGTH + REPLY) * 3)
    assert (received.count(b"HTTP/1.1 200"), received.count(b"HTTP/1.1 ")) == (1, 1)
    assert b"connection: close" in received


def test_at_the_limit_of_connections_the_silent_ones_make_room(
    valkey_url: str, store: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    @contextlib.asynccontextmanager
    async def silent(port: int, start: bytes, number: int) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(number):
                _, writer = await stack.enter_async_context(dialled(port))
                writer.write(start)
            yield

    async def scenario(port: int) -> None:
        web = f"http://127.0.0.1:{port}"
        async with (
            silent(port, b"", 30),
            silent(port, b"GET /", 30),
            silent(port, FORGED + LENGTH, 30),
            httpx.AsyncClient(headers={"connection": "close"}) as http,
        ):
            for n in range(1, 11):
                body = b'{"ticket_id":%d}' % n
                answer = await http.post(f"{web}/webhooks/acme", content=body, headers={HEADER: sign(KEY, body)})
                assert answer.status_code == 200
                assert (await http.get(f"{web}/healthz")).status_code == 200

    talk(valkey_url, scenario, connections=20)
    assert counts(store)["accepted"] == 10
    assert store.zcard(P + "schedule") == 10
    assert len([record for record in caplog.records if "limit of connections" in record.message]) == 1


def test_uvicorn_is_still_what_the_connection_was_written_for() -> None:
    """`HttpConnection` relies on these; read the new code of uvicorn before changing this test."""
    parameters = {name: list(inspect.signature(getattr(HttpToolsProtocol, name)).parameters) for name in OVERRIDDEN}
    assert parameters == OVERRIDDEN
    used = inspect.getsource(HttpToolsProtocol) + inspect.getsource(RequestResponseCycle)
    assert [line for line in RELIED_ON if line not in used] == []


OVERRIDDEN = {
    "__init__": ["self", "config", "server_state", "app_state", "_loop"],
    "connection_made": ["self", "transport"],
    "connection_lost": ["self", "exc"],
    "shutdown": ["self"],
    "data_received": ["self", "data"],
    "on_message_begin": ["self"],
    "on_headers_complete": ["self"],
    "on_body": ["self", "body"],
    "on_message_complete": ["self"],
    "on_response_complete": ["self"],
    "pause_writing": ["self"],
    "resume_writing": ["self"],
    "timeout_keep_alive_handler": ["self"],
    "_unset_keepalive_if_required": ["self"],
}
RELIED_ON = [
    # what `data_received` replaces
    "self._unset_keepalive_if_required()\n\n        try:\n            self.parser.feed_data(data)",
    # the state that it reads and sets
    "self.connections = server_state.connections",
    "self.headers = []",
    "self.cycle = RequestResponseCycle(",
    "on_response=self.on_response_complete",
    "self.timeout_keep_alive_task = self.loop.call_later(",
    "if existing_cycle is None or existing_cycle.response_complete:",
    # an answer before the end of the body closes the connection only without `keep_alive`
    "if not self.keep_alive:\n                    self.transport.close()\n                self.on_response()",
    # and the rest of the body is dropped then
    "or self.cycle.response_complete:\n            return\n        self.cycle.body += body",
    "self.response_complete = True\n                self.message_event.set()",
]
