"""The web process on real sockets: slow and broken senders, start without a store, shutdown."""

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import redis

from service.web.connections import Limits
from tests.support.intake import KEY, REPLY, P, counts
from tests.support.processes import wait_until
from tests.support.stores import Server
from tests.support.web import Web, dialled, listening
from workers.webhook import HEADER, sign

HEAD = f"POST /webhooks/acme HTTP/1.1\r\nhost: foxhooks\r\n{HEADER}: {sign(KEY, REPLY)}\r\n".encode()
LENGTH = b"content-length: %d\r\n\r\n" % len(REPLY)


def talk(url: str, *pieces: bytes, seconds: float = 15, end: bool = False) -> bytes:
    """Send pieces over one connection and return the whole answer; with `end`, close it at once."""

    async def main() -> bytes:
        async with listening(url, Limits(body=seconds)) as port, dialled(port) as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return b"" if end else await asyncio.wait_for(reader.read(), 20)

    return asyncio.run(main())


@pytest.mark.parametrize("pieces", [(HEAD + LENGTH,), (HEAD + LENGTH, REPLY[:10])])
def test_a_body_that_does_not_arrive_is_rejected(
    valkey_url: str, store: redis.Redis, pieces: tuple[bytes, ...]
) -> None:
    answer = talk(valkey_url, *pieces, seconds=0.2)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert counts(store) == {"refused:slow": 1}


def test_a_body_that_trickles_is_rejected(valkey_url: str) -> None:
    async def main() -> bytes:
        async with listening(valkey_url, Limits(body=0.3)) as port, dialled(port) as (reader, writer):
            writer.write(HEAD + LENGTH)
            answer = asyncio.ensure_future(reader.readline())
            for letter in REPLY:
                if answer.done():
                    break
                with contextlib.suppress(OSError):
                    writer.write(bytes([letter]))
                await asyncio.wait([answer], timeout=0.05)
            return await asyncio.wait_for(answer, 20)

    assert asyncio.run(main()).startswith(b"HTTP/1.1 408 ")


def test_others_are_served_while_one_sender_is_slow(valkey_url: str, store: redis.Redis) -> None:
    async def main() -> bytes:
        async with listening(valkey_url, Limits(body=1.0)) as port, dialled(port) as (reader, writer):
            writer.write(HEAD + LENGTH)
            async with httpx.AsyncClient() as http:
                for number in range(20):
                    body = b'{"ticket_id":%d}' % (number + 1)
                    address = f"http://127.0.0.1:{port}/webhooks/acme/"
                    answer = await http.post(address, content=body, headers={HEADER: sign(KEY, body)})
                    assert answer.json()["status"] == "accepted"
            return await asyncio.wait_for(reader.read(), 20)

    assert asyncio.run(main()).startswith(b"HTTP/1.1 408 ")
    assert counts(store) == {"accepted": 20, "refused:slow": 1}


def test_a_truncated_body_stores_nothing(valkey_url: str, store: redis.Redis) -> None:
    talk(valkey_url, HEAD + LENGTH, REPLY[:-5], end=True)
    assert counts(store) == {"refused:truncated": 1}
    assert not list(store.scan_iter(P + "event:*"))


def test_a_body_in_pieces_is_accepted(valkey_url: str, store: redis.Redis) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % letter for letter in REPLY) + b"0\r\n\r\n"
    answer = talk(valkey_url, HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n", chunks)
    assert b'"accepted"' in answer
    assert store.llen(P + "lane:3") == 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_gets_its_answer(valkey_url: str, announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1024 * 1024

    async def main() -> int:
        async with listening(valkey_url) as port, httpx.AsyncClient() as http:
            body = b"x" * 20 * 1024 * 1024 if announced else chunks()
            address = f"http://127.0.0.1:{port}/webhooks/acme"
            return (await http.post(address, content=body, headers={HEADER: "0" * 40})).status_code

    assert asyncio.run(main()) == 413


@pytest.mark.parametrize(("path", "status"), [(b"/webhooks/acme", b"413"), (b"/webhooks/unknown", b"404")])
def test_a_sender_that_closes_the_connection_can_read_why_its_body_is_rejected(
    valkey_url: str, path: bytes, status: bytes
) -> None:
    length = 20 * 1024 * 1024
    head = HEAD.replace(b"/webhooks/acme", path) + b"connection: close\r\ncontent-length: %d\r\n\r\n" % length
    assert talk(valkey_url, head, b"x" * length).startswith(b"HTTP/1.1 " + status)


def test_a_large_body_is_rejected_by_its_announced_length(valkey_url: str) -> None:
    head = HEAD + b"connection: close\r\ncontent-length: 6000000\r\n\r\n"
    assert talk(valkey_url, head).startswith(b"HTTP/1.1 413 ")


def test_two_signature_headers_on_the_wire_are_rejected(valkey_url: str) -> None:
    extra = f"{HEADER.lower()}: {sign(KEY, REPLY)}\r\nconnection: close\r\n".encode()
    assert talk(valkey_url, HEAD + extra + LENGTH + REPLY).startswith(b"HTTP/1.1 401 ")


@pytest.fixture
def web() -> Iterator[Callable[..., Web]]:
    with contextlib.ExitStack() as stack:

        def make(url: str, **more: str) -> Web:
            made = Web(url, **more)
            stack.callback(made.close)
            return made

        yield make


def test_it_starts_without_a_store_and_recovers_by_itself(
    web: Callable[..., Web], server: Callable[..., Server]
) -> None:
    store = server()
    process = web(store.url)
    for _ in range(2):
        assert process.deliver().status_code == 503
        assert process.get("/readyz") == 503
        store.start()
        assert process.deliver().status_code == 200
        process.wait("/readyz")
        store.kill()
        wait_until(lambda: process.get("/readyz") == 503, "unready")


def test_an_open_request_is_finished_after_sigterm(
    web: Callable[..., Web], valkey_url: str, store: redis.Redis
) -> None:
    process = web(valkey_url)
    with socket.create_connection(("127.0.0.1", process.port), timeout=20) as late:
        late.sendall(HEAD + LENGTH + REPLY[:10])
        assert process.deliver(b'{"ticket_id":4}').status_code == 200  # the late one has arrived before
        process.process.send_signal(signal.SIGTERM)
        while process.get("/healthz"):
            time.sleep(0.01)
        late.sendall(REPLY[10:])
        with late.makefile("rb") as answer:
            assert b'"accepted"' in answer.read()
    assert process.process.wait(10) in (0, -signal.SIGTERM), process.text()
    assert store.llen(P + "lane:3") == 1


@pytest.mark.e2e
def test_several_processes_share_a_port(web: Callable[..., Web], valkey_url: str, store: redis.Redis) -> None:
    process = web(valkey_url, WEB_CONCURRENCY="2")
    for number in range(20):
        assert process.deliver(b'{"ticket_id":%d}' % (number + 1)).status_code == 200
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(20) in (0, -signal.SIGTERM), process.text()
    assert store.zcard(P + "schedule") == 20


@pytest.mark.parametrize(("level", "levels"), [("INFO", []), ("DEBUG", ["debug"])])
def test_requests_that_are_not_http_do_not_fill_the_log(
    web: Callable[..., Web], valkey_url: str, level: str, levels: list[str]
) -> None:
    process = web(valkey_url, LOG_LEVEL=level)
    with socket.create_connection(("127.0.0.1", process.port), timeout=20) as scanner:
        scanner.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in scanner.recv(100)
    lines = [json.loads(line) for line in process.text().splitlines() if "Invalid HTTP" in line]
    assert [line["level"] for line in lines] == levels


def test_logs_never_contain_the_content_of_a_delivery(web: Callable[..., Web], valkey_url: str) -> None:
    process = web(valkey_url, LOG_LEVEL="DEBUG")
    process.deliver(b'{"ticket_id":5,"subject":"the-customers-words"}')
    process.deliver(b'{"subject":"the-customers-words"}')
    httpx.post(f"http://127.0.0.1:{process.port}/webhooks/acme?q=the-customers-words", content=b"the-customers-words")
    process.process.send_signal(signal.SIGTERM)
    process.process.wait(20)
    assert '"level"' in process.text()
    assert "the-customers-words" not in process.text()
    assert KEY not in process.text()
