"""Each problem with the connection has its own sentence and fix, without a word of the address or the server."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support import stores
from tests.support.processes import free_port
from tests.support.resp import answering
from workers.errors import StoreUnavailable
from workers.store.client import Store, connect
from workers.store.connection import connect_async
from workers.store.failures import StoreFailure, failure, known_failure, unavailable
from workers.store.scripts import Script

WORD = "s3cr3t-w0rd"
LOGIN = f"joan:{WORD}@"
SCRIPT: Script[bytes] = Script("forecast", "acme", [], lambda raw: raw)


def why(url: str) -> StoreFailure:
    """Return why a client cannot work, which is the same for both kinds of clients."""

    async def ask() -> None:
        client = connect_async(url, connect_seconds=5, answer_seconds=5)
        try:
            await client.get("name")
        finally:
            await client.aclose()

    with pytest.raises((redis.RedisError, OSError)) as theirs:
        asyncio.run(ask())
    with connect(url) as client, Store(client) as store, pytest.raises(StoreUnavailable) as ours:
        store.run(SCRIPT)
    found = failure(ours.value)
    assert found == failure(theirs.value)
    assert str(ours.value) == f"{found.problem}; {found.fix}"
    for secret in (WORD, "joan", "127.0.0.1", "nosuch"):
        assert secret not in str(found)
    return found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files certificate and key, self-signed for the host name store."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=store -keyout key -out certificate"
    subprocess.run(new.split(), cwd=folder, capture_output=True, check=True)
    return folder


@pytest.fixture(scope="module")
def tls_port(certificates: Path) -> Iterator[int]:
    port = free_port()
    tls = ["--tls-port", str(port), "--tls-auth-clients", "no", "--bind", "127.0.0.1"]
    files = ["--tls-cert-file", f"{certificates}/certificate", "--tls-key-file", f"{certificates}/key"]
    with stores.running("redis", *tls, *files):
        yield port


@contextlib.contextmanager
def plain() -> Iterator[tuple[int, str]]:
    """Run a store with a port; yield it, and the address of the socket."""
    port = free_port()
    with stores.running("valkey", "--port", str(port)) as url:
        yield port, url


@pytest.mark.redis
def test_a_self_signed_certificate(tls_port: int) -> None:
    found = why(f"rediss://{LOGIN}127.0.0.1:{tls_port}")
    assert found.problem == "the store's certificate is self-signed"
    assert "ssl_ca_certs=FILE" in found.fix


@pytest.mark.redis
def test_a_certificate_for_another_host(tls_port: int, certificates: Path) -> None:
    found = why(f"rediss://{LOGIN}127.0.0.1:{tls_port}?ssl_ca_certs={certificates}/certificate")
    assert found == ("the store's certificate is for another address", "use the name in the certificate in REDIS_URL")


@pytest.mark.redis
def test_a_file_that_is_no_certificate(tls_port: int) -> None:
    found = why(f"rediss://{LOGIN}127.0.0.1:{tls_port}?ssl_ca_certs={__file__}")
    assert found.fix == "check the files that are named in REDIS_URL"


@pytest.mark.redis
def test_plain_text_at_a_port_for_tls(tls_port: int) -> None:
    found = why(f"redis://{LOGIN}127.0.0.1:{tls_port}")
    assert found.problem == "the store does not answer: it closes new connections at once"
    assert "write rediss://" in found.fix


@pytest.mark.e2e
def test_tls_at_a_port_for_plain_text() -> None:
    with (
        plain() as (port, _),
        connect(f"rediss://{LOGIN}127.0.0.1:{port}") as client,
        pytest.raises(redis.RedisError) as caught,
    ):
        client.ping()
    assert failure(caught.value).problem == "the store does not answer in TLS"
    assert "write redis:// instead of rediss://" in failure(caught.value).fix


def test_tls_at_a_port_that_answers_in_plain_text() -> None:
    with answering(lambda *_: b"") as server:
        found = why(server.url.replace("redis://", f"rediss://{LOGIN}"))
    assert found.problem == "the store does not answer in TLS"
    assert "write redis:// instead of rediss://" in found.fix


def test_no_connection_left() -> None:
    with plain() as (port, url), redis.Redis.from_url(url) as first:
        first.config_set("maxclients", 1)
        found = why(f"redis://127.0.0.1:{port}")
    assert found.problem == "the store has no connection left"
    assert "maxclients" in found.fix


def test_a_database_that_does_not_exist() -> None:
    with plain() as (port, _):
        found = why(f"redis://127.0.0.1:{port}/99")
    assert found == ("the store does not have the database in REDIS_URL", "use a lower number, or leave it out")


def test_a_right_that_is_missing_while_a_connection_begins() -> None:
    with plain() as (port, url), redis.Redis.from_url(url) as client:
        for right in ("client|setname", "select"):
            client.execute_command("ACL", "SETUSER", "app", "reset", "on", f">{WORD}", "+@all", "~*", f"-{right}")
            socket_url = url.replace("unix://", f"unix://app:{WORD}@") + "?db=1"
            for address in (f"redis://app:{WORD}@127.0.0.1:{port}/1", socket_url):
                assert why(address).problem == f"the store's user may not run {right.upper().replace('|', ' ')}"


def test_a_password_that_is_wrong_or_missing() -> None:
    with plain() as (port, url):
        with redis.Redis.from_url(url) as client:
            client.config_set("requirepass", "another")
        wrong, missing = why(f"redis://:{WORD}@127.0.0.1:{port}"), why(f"redis://127.0.0.1:{port}")
    assert wrong.problem == "the store rejects the password, or its user"
    assert "special characters" in wrong.fix
    assert missing.problem == "the store needs a password"
    assert "redis://:PASSWORD@HOST:PORT" in missing.fix


def test_a_host_that_does_not_exist() -> None:
    assert why(f"redis://{LOGIN}nosuch.invalid").problem == ("the store does not answer: its host name cannot be found")


def test_a_port_or_a_socket_where_nothing_listens(tmp_path: Path) -> None:
    port = why(f"redis://{LOGIN}127.0.0.1:{free_port()}")
    assert port.problem == "the store does not answer: nothing accepts connections at its address"
    path = why(f"unix://{tmp_path}/socket")
    assert path.problem == "the store does not answer: its socket does not exist"
    assert "start `foxhooks up`" in path.fix


def test_protected_mode() -> None:
    text = b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n"
    with answering(lambda *_: text) as server:
        server.greeting = text
        found = why(server.url)
    assert "protected mode" in found.problem


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"<html>", b"SSH-2.0-x\r\n", b"220 mail\r\n"])
def test_something_else_than_a_store(said: bytes) -> None:
    with answering(lambda *_: said) as server:
        server.greeting = said
        found = why(server.url)
    assert found.problem == "what answers at the store's address is neither Redis nor Valkey"


def test_an_alert_of_tls() -> None:
    with answering(lambda *_: b"") as server:
        server.greeting = b"\x15\x03\x01\x00\x02\x02\x46"
        assert "rediss://" in why(server.url).fix


def test_no_answer_in_time() -> None:
    async def ask(url: str) -> None:
        client = connect_async(url, connect_seconds=0.05, answer_seconds=0.05)
        try:
            await client.ping()
        finally:
            await client.aclose()

    with socket.create_server(("127.0.0.1", 0)) as mute:
        for scheme in ("redis", "rediss"):
            with pytest.raises(redis.TimeoutError) as caught:
                asyncio.run(ask(f"{scheme}://{LOGIN}127.0.0.1:{mute.getsockname()[1]}"))
            found = failure(caught.value)
            assert found.problem == "the store did not answer in time"
            assert "firewalls" in found.fix


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("READONLY You can't write against a read only replica.", "it is a replica"),
        ("MASTERDOWN Link with MASTER is down", "it is a replica that has lost its primary"),
        ("LOADING Redis is loading the dataset in memory", "it is still loading its data"),
        ("CLUSTERDOWN The cluster is down", "its cluster is down"),
        ("MOVED 3999 10.0.0.7:6379", "another node of its cluster has the keys"),
        ("NOREPLICAS Not enough good replicas to write.", "it has fewer replicas than min-replicas-to-write demands"),
        ("MISCONF Errors writing to the AOF file: No space left", "it cannot write to its disk"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "it is full"),
        ("BUSY Redis is busy running a script.", "a script of another program keeps it busy"),
        ("ERR unknown command 'FCALL', with args beginning with: 's3cr3t-w0rd'", ""),
    ],
)
def test_a_store_that_refuses_to_work(said: str, problem: str) -> None:
    with answering(lambda *_: f"-{said}\r\n".encode()) as server:
        found = why(server.url)
    if problem:
        assert found.problem == f"the store refuses to work: {problem}"
    else:
        assert not found.problem.startswith(("the store refuses to work", "the store does not answer"))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("NOPERM User joan has no permissions to run the 'fcall' command", "run FCALL"),
        ("NOPERM User joan has no permissions to run the 'function|load' command", "run FUNCTION LOAD"),
        (
            "ERR ACL failure in script: User joan has no permissions to run the 'hset' command script: x:1",
            "run HSET",
        ),
        ("ERR ACL failure in script: No permissions to access a key script: on @x:1.", "use all keys of foxhooks"),
        ("NOPERM No permissions to access a key", "use all keys of foxhooks"),
        ("NOPERM this user has no permissions to access one of the keys used as arguments", "use all keys of foxhooks"),
    ],
)
def test_a_user_without_a_right(said: str, problem: str) -> None:
    with answering(lambda *_: f"-{said}\r\n".encode()) as server:
        assert why(server.url).problem == f"the store's user may not {problem}"


def test_a_connection_that_ends_while_it_is_used() -> None:
    for cause in (ConnectionResetError(104, "reset"), BrokenPipeError(32, "pipe")):
        error = redis.ConnectionError("Error while reading")
        error.__cause__ = cause
        assert failure(error).problem == "the store closed the connection"
    assert failure(redis.ConnectionError("Connection closed by server.")).problem == "the store closed the connection"


def test_certificates_that_are_wrong_in_other_ways() -> None:
    problems = set()
    for code in (9, 10, 18, 19, 20, 62, 64):
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_code = code
        problems.add(failure(error).problem)
    assert len(problems) == 6, "an unknown authority has two codes"


def test_other_errors_are_not_explained_away() -> None:
    script = redis.ResponseError("user_function:12: attempt to index a nil value")
    assert known_failure(script) is None
    assert failure(ValueError(WORD)) == (
        "the store does not answer (ValueError)",
        "check REDIS_URL, the store and its log",
    )
    assert failure(ValueError(), "redis_url in foxhooks.toml").fix.startswith("check redis_url in foxhooks.toml,")
    known = StoreUnavailable("too many deliveries are waiting for the store")
    assert unavailable(known) is known
