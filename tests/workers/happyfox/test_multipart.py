"""Bodies with files: they are measured first, then streamed."""

import contextlib
import json
import os
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.support.happyfox import connect_to
from tests.support.peer import Peer, peer, says
from workers.errors import InDoubt, Unfit
from workers.happyfox.http import ApiConnection, CutOff, encoded
from workers.happyfox.messages import File, Request, file
from workers.happyfox.tickets import private_note, staff_update
from workers.settings import Budget
from workers.simulator import http
from workers.store.client import Store
from workers.store.permits import Governor

MB = 1_000_000


@contextlib.contextmanager
def connection(url: str, store: redis.Redis, timeout: float = 5.0) -> Iterator[ApiConnection]:
    governor = Governor("acme", Budget(50, 50, 60, 600, 1.0, 8))
    connection = connect_to(url, governor, Store(store), timeout=timeout)
    yield connection
    connection.close()


@contextlib.contextmanager
def form(members: dict[str, Any], *files: File) -> Iterator[tuple[httpx.Headers, Iterator[bytes]]]:
    """Yield the headers and the pieces of a form."""
    with encoded(Request("POST", "/tickets/", body=members, files=files), "https://acme.example", {}) as sent:
        assert isinstance(sent.stream, httpx.SyncByteStream)
        yield sent.headers, iter(sent.stream)


def parsed(members: dict[str, Any], *files: File) -> tuple[Any, tuple[http.Upload, ...]]:
    with form(members, *files) as (headers, pieces):
        content = b"".join(pieces)
        assert len(content) == int(headers["Content-Length"])
        return http.parse_body(headers["Content-Type"], content)


def test_members_and_files_arrive_unchanged(tmp_path: Path) -> None:
    (tmp_path / "Grüße ☕.txt").write_bytes(b"a\r\n--b\r\n\x00")
    members = {"staff": 7, "html": "<p>ä\r\n☕</p>", "update_customer": True, "time_spent": 5, "t-cf-4": [1, 2]}
    form, uploads = parsed(members, file(tmp_path / "Grüße ☕.txt"), File('a"b\r\n.bin', content=b""))
    assert form == {
        "staff": "7",
        "html": "<p>ä\r\n☕</p>",
        "update_customer": "true",
        "time_spent": "5",
        "t-cf-4": ["1", "2"],
    }
    assert uploads[0] == http.Upload("attachments", "Grüße ☕.txt", "text/plain", b"a\r\n--b\r\n\x00")
    assert (uploads[1].filename, uploads[1].content) == ('a"b\r\n.bin', b"")


def test_the_kind_of_a_file_is_guessed_from_its_name() -> None:
    assert file("/a/b.png").content_type == "image/png"
    assert file("/a/b.tar.gz").content_type == "application/octet-stream"
    assert file("/a/b", name="c.pdf", content_type="application/pdf") == File(
        "c.pdf", Path("/a/b"), b"", "application/pdf"
    )


@pytest.mark.parametrize("value", [None, {"a": 1}, [{"id": 1}]])
def test_a_value_that_a_form_cannot_express_is_refused(value: Any) -> None:
    with pytest.raises(Unfit, match="assignee"):
        parsed({"assignee": value}, File("a", content=b"a"))


def test_more_than_25_megabytes_together_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(20 * MB)
    with form({}, file(large), File("b", content=bytes(5 * MB))) as (headers, _):
        assert int(headers["Content-Length"]) > 25 * MB
    with pytest.raises(Unfit, match="25 MB"), form({}, file(large), File("b", content=bytes(5 * MB + 1))):
        pass


def test_a_missing_file_and_a_folder_are_refused_before_anything_is_sent(tmp_path: Path, store: redis.Redis) -> None:
    with peer(says()) as server:
        with connection(server.url, store) as client:
            for path in (tmp_path / "nothing", tmp_path):
                with pytest.raises(Unfit, match="nothing was sent"):
                    client.send(private_note(3, staff=7, text="x", files=[path]))
        assert server.requests == []


def test_a_file_deleted_while_it_is_read_is_still_sent(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(300_000))
    with form({}, file(tmp_path / "a")) as (headers, pieces):
        sent = len(next(pieces))
        (tmp_path / "a").unlink()
        assert sent + sum(map(len, pieces)) == int(headers["Content-Length"])


def test_a_file_that_grows_is_sent_at_its_first_length(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with form({}, file(tmp_path / "a")) as (headers, pieces):
        (tmp_path / "a").write_bytes(b"1234567890")
        assert http.parse_body(headers["Content-Type"], b"".join(pieces))[1][0].content == b"12345"


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with form({}, file(tmp_path / "a")) as (_, pieces):
        (tmp_path / "a").write_bytes(b"1")
        with pytest.raises(CutOff, match="shorter"):
            list(pieces)


def test_a_call_whose_file_becomes_shorter_is_in_doubt(
    tmp_path: Path, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    request = httpx.Request

    def shrink(*args: Any, **members: Any) -> httpx.Request:
        encoded = request(*args, **members)
        (tmp_path / "a").write_bytes(b"1")
        return encoded

    monkeypatch.setattr(httpx, "Request", shrink)
    with peer(says()) as server:
        with (
            connection(server.url, store) as client,
            pytest.raises(InDoubt, match=r"file a became shorter.*check before"),
        ):
            client.send(private_note(3, staff=7, text="x", files=[tmp_path / "a"]))
        assert server.requests == []


def test_25_megabytes_leave_without_ever_being_in_memory(tmp_path: Path, store: redis.Redis) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as stream:
        stream.truncate(25 * MB)
    arrived: list[int] = []

    def count(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        head, _, body = head.partition(b"\r\n\r\n")
        length = int(
            next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1]
        )
        total = len(body)
        while total < length:
            total += len(connection.recv(1 << 20))
        arrived.append(total)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + json.dumps({"id": 3}).encode()[:8].ljust(8)
        )

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                count(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        with connection(f"http://127.0.0.1:{listener.getsockname()[1]}", store, 30.0) as client:
            tracemalloc.start()
            try:
                answer = client.send(private_note(3, staff=7, text="x", files=[large]))
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            thread.join()
    assert answer.status == 200
    assert arrived[0] > 25 * MB
    assert peak < 8 * MB


def test_a_call_with_files_has_them_and_its_credentials(tmp_path: Path, store: redis.Redis) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")

    def behave(server: Peer, connection: socket.socket, request: bytes) -> None:
        says(200, b'{"id": 3}')(server, connection, request)

    with peer(behave) as server:
        with connection(server.url, store) as client:
            client.send(staff_update(3, staff=7, html="<p>x</p>", files=[tmp_path / "a.png"]))
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
    kind = next(line for line in head.decode().split("\r\n") if line.lower().startswith("content-type:"))
    form, uploads = http.parse_body(kind.partition(":")[2].strip(), body)
    assert form == {"staff": "7", "html": "<p>x</p>"}
    assert uploads == (http.Upload("attachments", "a.png", "image/png", b"picture"),)
    assert b"authorization: basic" in head.lower()
    assert b"transfer-encoding" not in head.lower()


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unfit, match="pipe"), form({}, file(tmp_path / "pipe")):
        pass


def test_half_a_character_is_refused_before_anything_is_sent() -> None:
    for members, name in (({"text": "\ud800"}, "a.txt"), ({}, "\udc80.txt")):
        with pytest.raises(Unfit, match="cannot be sent"), form(members, File(name, content=b"x")):
            pass
