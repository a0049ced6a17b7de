"""The connection against a real server that misbehaves, with real permits."""

import contextlib
import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from tests.support.happyfox import connect_to
from tests.support.peer import Behaviour, Peer, hangs, peer, resets, says, sends, trickles, trickles_headers
from workers.errors import InDoubt, NotNow, StoreUnavailable, Unfit, Unsent
from workers.happyfox import http
from workers.happyfox.messages import Request, read
from workers.happyfox.tickets import staff_update, ticket, tickets
from workers.settings import Budget
from workers.store.client import Store, connect
from workers.store.clock import monotonic
from workers.store.permits import Forecast, Governor

KEY, CODE = "key-of-the-test", "code-of-the-test"
READ = ticket(3)
WRITE = staff_update(3, staff=7, text="Grüße ☕", status=2)


class Account:
    """A connection to a peer, and the governor beside it."""

    def __init__(self, client: redis.Redis, peer: Peer, timeout: float = 5.0, **changed: float) -> None:
        budget = {"gets": 50, "posts": 50, "window": 60.0, "lockout": 600.0, "share": 1.0, "in_flight": 8}
        self.peer, self.store = peer, Store(client)
        self.governor = Governor("acme", Budget(**{**budget, **changed}))  # type: ignore[arg-type]
        self.connection = connect_to(peer.url, self.governor, self.store, timeout=timeout, key=KEY, code=CODE)

    @property
    def forecast(self) -> Forecast:
        return self.store.run(self.governor.forecast())


@pytest.fixture
def account(request: pytest.FixtureRequest, store: redis.Redis) -> Iterator[Account]:
    """Parametrized indirectly by the peer's behaviour, and by the timeout if it matters."""
    behaviour, *more = request.param if isinstance(request.param, tuple) else (request.param,)
    with peer(behaviour) as server:
        account = Account(store, server, *more)
        yield account
        account.connection.close()


def behaving(*behaviours: Behaviour | tuple[Behaviour, float]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("account", behaviours, indirect=True)


@behaving(says(200, b'{"id": 3}', "X-Thing: One\r\nX-Thing: Two\r\n"))
def test_a_call_has_credentials_and_body_and_returns_the_answer(account: Account) -> None:
    before = monotonic()
    answer = account.connection.send(WRITE)
    assert (answer.status, read(answer)) == (200, {"id": 3})
    assert answer.headers["x-thing"] == "One, Two"
    assert before <= answer.at <= monotonic()
    head, _, body = account.peer.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /api/1.1/json/ticket/3/staff_update/ HTTP/1.1"
    assert "Authorization: Basic a2V5LW9mLXRoZS10ZXN0OmNvZGUtb2YtdGhlLXRlc3Q=" in lines
    assert "Content-Type: application/json" in lines
    assert any(line.startswith("User-Agent: foxhooks/") for line in lines)
    assert json.loads(body) == {"staff": 7, "plaintext": "Grüße ☕", "status": 2}


@behaving(says())
def test_a_query_is_encoded(account: Account) -> None:
    account.connection.send(tickets(q='contact:"a&b@x.example" tag:"ä"', category=2))
    line = account.peer.requests[0].split(b" HTTP")[0].decode()
    query = dict(httpx.QueryParams(line.partition("?")[2]))
    assert query["q"] == 'contact:"a&b@x.example" tag:"ä"'
    assert (query["category"], query["status"]) == ("2", "_all")


@behaving(says())
@pytest.mark.parametrize("path", ["/../../../staff/", "/ticket/%2e%2e/staff/", "/ticket/./3/"])
def test_a_path_with_dot_segments_is_not_sent(account: Account, path: str) -> None:
    with pytest.raises(Unfit, match="dot segment"):
        account.connection.send(Request("GET", path))
    assert account.peer.requests == []


@behaving(says())
def test_a_call_without_permit_takes_one_and_settles_it(account: Account) -> None:
    for _ in range(3):
        account.connection.send(READ)
    account.connection.send(WRITE)
    forecast = account.forecast
    assert (forecast.gets_used, forecast.posts_used, forecast.in_flight) == (3, 1, 0)


@behaving(says())
def test_a_permit_passed_in_is_settled_by_the_caller(account: Account) -> None:
    assert account.store.run(account.governor.permit("POST", "mine", "normal", 5_000)).wait == 0
    account.connection.send(WRITE, permit="mine")
    assert (account.forecast.posts_used, account.forecast.in_flight) == (1, 1)


def test_without_a_permit_nothing_is_sent(store: redis.Redis) -> None:
    with peer(says()) as server:
        account = Account(store, server, gets=1)
        account.connection.send(READ)
        with pytest.raises(NotNow) as refused:
            account.connection.send(READ)
        assert refused.value.reason == "budget"
        assert 50_000 < refused.value.wait <= 60_600
        assert len(server.requests) == 1
        account.connection.close()


def test_without_a_store_nothing_is_sent(tmp_path: Any) -> None:
    with peer(says()) as server, connect(f"unix://{tmp_path}/nobody") as client:
        account = Account(client, server)
        with pytest.raises(StoreUnavailable):
            account.connection.send(READ)
        assert server.requests == []
        account.connection.close()


@behaving(says(429, b"", "Retry-After: 900\r\n"))
def test_a_429_closes_the_gate_for_every_call(account: Account) -> None:
    assert account.connection.send(READ).status == 429
    assert (account.forecast.gate, round(account.forecast.reopens, -1)) == ("locked", 900)
    with pytest.raises(NotNow) as refused:
        account.connection.send(WRITE)
    assert refused.value.reason == "gate"
    assert len(account.peer.requests) == 1


def test_after_a_429_no_call_is_sent_even_with_an_older_permit(store: redis.Redis) -> None:
    with peer(says(429)) as server:
        account = Account(store, server, lockout=0.2)
        account.connection.send(READ)
        with pytest.raises(Unsent, match="locked out"):
            account.connection.send(WRITE, permit="older")
        while len(server.requests) == 1:
            with contextlib.suppress(Unsent):
                account.connection.send(WRITE, permit="older")
        account.connection.close()


@behaving(says(401))
def test_a_401_closes_the_gate_as_denied(account: Account) -> None:
    account.connection.send(READ)
    assert account.forecast.gate == "denied"


@behaving(says(302, b"", "Location: https://elsewhere.example/\r\n"))
def test_a_redirect_is_an_answer_and_is_not_followed(account: Account) -> None:
    assert account.connection.send(READ).status == 302
    assert len(account.peer.requests) == 1


@behaving(says(500), says(404), says(200, b"<html>Welcome</html>"))
def test_every_status_is_an_answer(account: Account) -> None:
    account.connection.send(READ)
    assert (account.forecast.gate, account.forecast.in_flight) == ("open", 0)


@behaving((trickles, 0.3), (trickles_headers, 0.3), (hangs, 0.3))
def test_a_call_ends_at_its_deadline_and_is_in_doubt(account: Account) -> None:
    begun = time.monotonic()
    with pytest.raises(InDoubt):
        account.connection.send(WRITE)
    assert time.monotonic() - begun < 10 * 0.3
    assert len(account.peer.requests) == 1
    assert (account.forecast.posts_used, account.forecast.in_flight) == (1, 0)


@behaving(
    resets,
    sends(b""),
    sends(b"HTTP/1.1 200 OK\r\nContent-Le"),
    sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
    sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
    sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
    sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nrubb"),
    sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\nrubb"),
    says(200, gzip.compress(b"x" * 1000)[:-9], "Content-Encoding: gzip\r\n"),
)
def test_a_broken_answer_leaves_the_call_in_doubt_and_is_not_repeated(account: Account) -> None:
    with pytest.raises(InDoubt):
        account.connection.send(WRITE)
    assert len(account.peer.requests) == 1
    assert (account.forecast.posts_used, account.forecast.in_flight) == (1, 0)


@behaving(sends(b"HTTP/1.1 429 Too Many\r\nContent-Length: 100\r\n\r\nshort"))
def test_an_error_counts_by_its_status_even_when_its_body_is_cut_off(account: Account) -> None:
    answer = account.connection.send(WRITE)
    assert (answer.status, answer.body) == (429, b"")
    assert account.forecast.gate == "locked"


@behaving(says(200, gzip.compress(b'{"id": 3}'), "Content-Encoding: gzip\r\n"))
def test_a_compressed_answer_is_decompressed(account: Account) -> None:
    answer = account.connection.send(READ)
    assert read(answer) == {"id": 3}
    assert "content-encoding" not in answer.headers


@behaving(
    says(200, b"x" * 5_000),
    says(200, gzip.compress(b"x" * 5_000_000), "Content-Encoding: gzip\r\n"),
)
def test_an_answer_that_is_too_large_is_not_read(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 4_000)
    with pytest.raises(InDoubt, match="4000 bytes"):
        account.connection.send(READ)


def test_an_unreachable_host_is_unsent_and_frees_the_slot(store: redis.Redis) -> None:
    with peer(says()) as server:
        account = Account(store, server)
    with pytest.raises(Unsent, match="ConnectionRefusedError"):
        account.connection.send(WRITE)
    assert account.forecast.posts_used == 0
    account.connection.close()


def test_an_unknown_host_is_unsent(store: redis.Redis) -> None:
    governor = Governor("acme", Budget(5, 5, 60, 600, 1.0, 8))
    connection = connect_to("https://acme.invalid", governor, Store(store))
    with pytest.raises(Unsent, match="gaierror"):
        connection.send(READ)
    connection.close()


def test_a_server_that_speaks_no_tls_is_unsent(store: redis.Redis) -> None:
    with peer(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        governor = Governor("acme", Budget(5, 5, 60, 600, 1.0, 8))
        connection = connect_to(server.url.replace("http:", "https:"), governor, Store(store), timeout=0.3)
        with pytest.raises(Unsent):
            connection.send(WRITE)
        connection.close()
        assert server.requests == []


def test_a_connection_nobody_accepts_is_unsent(store: redis.Redis) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]  # they fill the queue of the listener
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        governor = Governor("acme", Budget(5, 5, 60, 600, 1.0, 8))
        connection = connect_to(f"http://127.0.0.1:{address[1]}", governor, Store(store), timeout=0.3)
        with pytest.raises(Unsent):
            connection.send(WRITE)
        connection.close()
        for each in waiting:
            each.close()


@behaving(says())
def test_a_call_is_not_sent_after_its_send_by(account: Account) -> None:
    with pytest.raises(Unsent, match="late"):
        account.connection.send(WRITE, permit="mine", send_by=monotonic() - 0.001)
    account.connection.send(WRITE, permit="mine", send_by=monotonic() + 60)
    assert len(account.peer.requests) == 1


@behaving(says())
def test_a_call_is_not_sent_without_the_lease_and_frees_the_slot(account: Account) -> None:
    with pytest.raises(Unsent, match="lease"):
        account.connection.send(WRITE, still_held=lambda: False)
    assert account.forecast.posts_used == 0
    assert account.connection.send(WRITE, still_held=lambda: True).status == 200
    assert len(account.peer.requests) == 1


@behaving(says())
def test_the_checks_also_run_on_a_reused_connection(account: Account) -> None:
    account.connection.send(READ)
    with pytest.raises(Unsent):
        account.connection.send(WRITE, still_held=lambda: False)
    assert account.connection.send(READ).status == 200
    assert len(account.peer.requests) == 2


def test_calls_of_many_threads_keep_their_own_deadlines(store: redis.Redis) -> None:
    def behave(peer: Peer, connection: socket.socket, request: bytes) -> None:
        (hangs if b"/ticket/1/" in request else says())(peer, connection, request)

    with peer(behave) as server:
        account = Account(store, server, 5.0, gets=500)
        results: dict[int, Any] = {}

        def call(n: int) -> None:
            try:
                results[n] = account.connection.send(ticket(n), timeout=0.3 if n == 1 else 5.0).status
            except InDoubt as error:
                results[n] = error

        threads = [threading.Thread(target=call, args=(n,)) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        account.connection.close()
    assert isinstance(results.pop(1), InDoubt)
    assert set(results.values()) == {200}


def test_plain_http_is_refused_unless_the_host_is_this_machine(store: redis.Redis) -> None:
    governor = Governor("acme", Budget(5, 5, 60, 600, 1.0, 8))
    for url in ("http://acme.happyfox.com", "ftp://acme.happyfox.com", "http://127.0.0.1.example", "acme"):
        with pytest.raises(ValueError, match="HAPPYFOX_URL"):
            connect_to(url, governor, Store(store))
    for url in ("http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1", "https://acme.happyfox.com"):
        connect_to(url, governor, Store(store)).close()


@behaving(says(401, b"secret words", "Set-Cookie: session=secret\r\n"), resets)
def test_no_secret_and_no_query_reaches_logs_or_errors(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    said = []
    try:
        answer = account.connection.send(tickets(q="contact:someone@x.example"))
        said += [repr(answer), str(answer)]
        read(answer)
    except Exception as error:
        while error:
            said += [repr(error), str(error)]
            error = error.__cause__  # type: ignore[assignment]
    said += [repr(account.connection), *caplog.messages]
    for secret in (KEY, CODE, "a2V5LW9m", "someone", "secret"):
        assert not [line for line in said if secret in line]
