"""Bodies with files: measured before, streamed, and cut off by nobody unnoticed."""

import contextlib
import json
import os
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.peer import Peer, peer, says
from workers.errors import InDoubt, Unfit
from workers.happyfox import messages
from workers.happyfox.http import ApiConnection
from workers.happyfox.messages import CutOff, File, Multipart, file
from workers.happyfox.tickets import private_note, staff_update
from workers.settings import Budget
from workers.simulator import http
from workers.store.client import Store
from workers.store.permits import Governor

MB = 1_000_000


@contextlib.contextmanager
def connection(url: str, store: redis.Redis, timeout: float = 5.0) -> Iterator[ApiConnection]:
    governor = Governor("acme", Budget(50, 50, 60, 600, 1.0, 8))
    connection = ApiConnection(
        url, api_key="key", auth_code="code", timeout=timeout, governor=governor, store=Store(store)
    )
    yield connection
    connection.close()


def parsed(members: dict[str, Any], *files: File) -> tuple[Any, tuple[http.Upload, ...]]:
    with Multipart(members, files) as body:
        content = b"".join(body)
        assert len(content) == body.length
        return http.parse_body(body.content_type, content)


def test_members_and_files_arrive_as_they_are(tmp_path: Path) -> None:
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
def test_what_a_form_cannot_express_is_refused(value: Any) -> None:
    with pytest.raises(Unfit, match="assignee"):
        parsed({"assignee": value}, File("a", content=b"a"))


def test_more_than_25_megabytes_together_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(20 * MB)
    with Multipart({}, [file(large), File("b", content=bytes(5 * MB))]) as body:
        assert body.length > 25 * MB
    with pytest.raises(Unfit, match="25 MB"):
        Multipart({}, [file(large), File("b", content=bytes(5 * MB + 1))])


def test_a_missing_file_and_a_folder_are_refused_before_anything_is_sent(tmp_path: Path, store: redis.Redis) -> None:
    with peer(says()) as server:
        with connection(server.url, store) as client:
            for path in (tmp_path / "nothing", tmp_path):
                with pytest.raises(Unfit, match="nothing was sent"):
                    client.send(private_note(3, staff=7, text="x", files=[path]))
        assert server.requests == []


def test_a_file_deleted_while_it_is_read_is_sent_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(300_000))
    with Multipart({}, [file(tmp_path / "a")]) as body:
        pieces = iter(body)
        next(pieces)
        (tmp_path / "a").unlink()
        assert sum(map(len, pieces)) == body.length


def test_a_file_that_grows_is_sent_as_long_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with Multipart({}, [file(tmp_path / "a")]) as body:
        (tmp_path / "a").write_bytes(b"1234567890")
        assert http.parse_body(body.content_type, b"".join(body))[1][0].content == b"12345"


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with Multipart({}, [file(tmp_path / "a")]) as body:
        (tmp_path / "a").write_bytes(b"1")
        with pytest.raises(CutOff, match="shorter"):
            list(body)


def test_a_call_whose_file_becomes_shorter_is_in_doubt_and_says_so(
    tmp_path: Path, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    length = messages._length

    def shrink(stream: Any) -> int:
        found = length(stream)
        (tmp_path / "a").write_bytes(b"1")
        return found

    monkeypatch.setattr(messages, "_length", shrink)
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


def test_a_call_with_files_carries_them_and_its_credentials(tmp_path: Path, store: redis.Redis) -> None:
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


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unfit, match="pipe"):
        Multipart({}, [file(tmp_path / "pipe")])


def test_half_a_character_is_refused_before_anything_is_sent() -> None:
    for members, name in (({"text": "\ud800"}, "a.txt"), ({}, "\udc80.txt")):
        with pytest.raises(Unfit, match="cannot be sent"):
            Multipart(members, [File(name, content=b"x")])
