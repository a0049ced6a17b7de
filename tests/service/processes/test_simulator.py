"""The simulated HappyFox over HTTP: its API and faults, its webhooks, its own API."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from service.errors import CommandError
from service.processes.entrypoints import listen
from service.processes.simulator import build, running
from workers.simulator import Hook, Simulator
from workers.webhook import HEADER, Verifier

NOTE = {"staff": 7, "html": "<p>hello</p>"}
IMPATIENT = httpx.Timeout(20, read=0.1)


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator(time.time)
    simulator.create_ticket()
    return simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    with running(simulator) as url, httpx.Client(base_url=url, auth=("demo-key", "demo-code"), timeout=20) as client:
        yield client


class Receiver(HTTPServer):
    """Receive webhooks; answer with the given statuses, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.received: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), Receipt)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/webhooks/acme"


class Receipt(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers[HEADER], body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(503)
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.shutdown()
    thread.join()
    receiver.server_close()


def until(holds: Callable[[], Any]) -> None:
    """Wait for a condition, at most until the test's time limit."""
    while not holds():
        time.sleep(0.005)


def updates(client: httpx.Client) -> int:
    return len(client.get("/simulator/ticket/1").json()["updates"])


def test_the_api_is_served_with_the_simulators_date_and_no_redirects(client: httpx.Client) -> None:
    for path in ("/api/1.1/json/ticket/1/", "/api/1.1/json/ticket/1"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["id"]) == (200, 1)
        assert answer.headers.get_list("date") == [answer.headers["date"]]
    assert client.get("/nothing/here").status_code == 404


def test_the_page_explains_what_this_is(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "not a real help desk" in page.text


def test_a_file_arrives_with_a_multipart_form(client: httpx.Client) -> None:
    files = {"attachments": ("é.bin", b"\x00\r\n\xff", "application/octet-stream")}
    data = {"staff": "7", "html": "<p>see file</p>"}
    answer = client.post("/api/1.1/json/ticket/1/staff_update/", data=data, files=files)
    (attached,) = answer.json()["updates"][-1]["message"]["attachments"]
    assert attached["filename"] == "é.bin"
    download = httpx.get(attached["url"])
    assert (download.status_code, download.content) == (200, b"\x00\r\n\xff")
    assert httpx.get(attached["url"]).status_code == 403
    fresh = client.get("/api/1.1/json/ticket/1/").json()["updates"][-1]["message"]["attachments"][0]["url"]
    assert client.get(fresh).status_code == 400  # with credentials


def test_webhooks_are_signed_delivered_logged_and_retried(
    client: httpx.Client, receiver: Receiver, simulator: Simulator
) -> None:
    hook = {"url": receiver.url, "key": "k", "spelling": "base64", "tries": 2, "backoff": 0.01}
    client.put("/simulator/hooks", json=[hook]).raise_for_status()
    client.post("/api/1.1/json/ticket/1/staff_update/", json=NOTE).raise_for_status()
    until(lambda: len(receiver.received) == 2 and simulator.deliveries[-1].status == 200)
    assert all(Verifier([b"k"])(signature, body) for signature, body in receiver.received)
    assert [(d["attempt"], d["status"]) for d in client.get("/simulator/deliveries").json()] == [(1, 503), (2, 200)]
    assert json.loads(receiver.received[0][1])["update"]["by"]["name"] == "Foxhooks Bot"


def test_a_webhook_that_cannot_be_delivered_is_logged_with_the_reason(
    client: httpx.Client, simulator: Simulator
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client.put("/simulator/hooks", json=[{"url": f"http://127.0.0.1:{port}/", "key": "k"}])
    client.post("/simulator/ticket/1/contact", json={"text": "hello"}).raise_for_status()
    until(lambda: simulator.deliveries[-1].error)
    assert str(simulator.deliveries[-1].error).startswith("ConnectError")


@pytest.mark.parametrize(("before", "count"), [(True, 1), (False, 2)])
def test_a_cut_connection_has_no_answer_and_only_a_cut_after_applies(
    client: httpx.Client, before: bool, count: int
) -> None:
    client.post("/simulator/faults", json={"kind": "cut", "before": before}).raise_for_status()
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.post("/api/1.1/json/ticket/1/staff_update/", json=NOTE)
    assert updates(client) == count


def test_a_call_that_hangs_before_lands_after_its_client_has_left(client: httpx.Client, simulator: Simulator) -> None:
    client.post("/simulator/faults", json={"kind": "hang", "seconds": 0.5, "before": True})
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/1.1/json/ticket/1/staff_update/", json=NOTE, timeout=IMPATIENT)
    until(lambda: simulator.log and simulator.log[0].applied)
    assert updates(client) == 2


def test_a_call_that_hangs_after_has_landed_when_its_client_leaves(client: httpx.Client, simulator: Simulator) -> None:
    client.post("/simulator/faults", json={"kind": "hang", "seconds": 1000})
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/1.1/json/ticket/1/staff_update/", json=NOTE, timeout=IMPATIENT)
    until(lambda: simulator.log and simulator.log[0].applied)
    assert updates(client) == 2


def test_a_slow_answer_arrives_complete(client: httpx.Client) -> None:
    client.post("/simulator/faults", json={"kind": "trickle", "seconds": 0.00001})
    assert len(client.get("/api/1.1/json/statuses/").json()) == 4


def test_a_write_overlaps_others_for_as_long_as_its_latency() -> None:
    simulator = Simulator(time.time, latency=1000)
    simulator.create_ticket()
    path = "/api/1.1/json/ticket/1/staff_update/"
    with running(simulator) as url, httpx.Client(base_url=url, auth=("demo-key", "demo-code")) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(path, json=NOTE, timeout=IMPATIENT)
        until(lambda: len(simulator.log) == 1)
        assert client.post(path, json=NOTE, timeout=20).status_code == 409
    assert [call.overlapped for call in simulator.log] == [False, True]
    assert not simulator.log[0].applied  # the server stopped before it was due


def test_a_call_that_does_not_arrive_completely_has_no_effect(
    client: httpx.Client, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /api/1.1/json/tickets/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as caller:
        caller.sendall(head)
    assert client.get("/").status_code == 200
    assert (simulator.log, caplog.text) == ([], "")


async def _from_afar(simulator: Simulator) -> httpx.Response:
    transport = httpx.ASGITransport(build(simulator), client=("192.0.2.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator.example") as client:
        return await client.get("/simulator/tickets")


def test_the_simulators_own_api_only_answers_this_machine(simulator: Simulator) -> None:
    assert asyncio.run(_from_afar(simulator)).status_code == 403


def test_hooks_given_at_the_start_are_used(receiver: Receiver) -> None:
    simulator = Simulator(time.time, [Hook(receiver.url, "k")])
    with running(simulator) as url:
        httpx.post(f"{url}/simulator/tickets", json={"email": "a@b.example"}).raise_for_status()
        until(lambda: receiver.received)


def test_an_address_in_use_is_reported_with_the_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CommandError, match=r"in use.*change --port"):
        listen("127.0.0.1", taken.getsockname()[1], "--port")
