"""If the store is down at the start or killed, nothing accepted is lost, and nothing has to be restarted."""

import json
import time
from collections.abc import Callable

import httpx
import pytest

from tests.support.fleet import SETTINGS, Fleet, P
from tests.support.plugins import FAITHFUL, NOTING
from tests.support.replicas import FailoverPair

pytestmark = pytest.mark.timeout(180)


@pytest.mark.e2e
def test_web_and_worker_wait_for_a_store_that_starts_later(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(NOTING)
    fleet.store.kill()
    web, worker = fleet.start_web(), fleet.ready_worker()
    fleet.wait(lambda: fleet.answers("/healthz") == 200, "web answers")
    answer = fleet.deliver(b'{"ticket_id": 1}')
    assert (answer.status_code, fleet.answers()) == (503, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert "The store is unreachable" in worker.output
    fleet.open_ticket(text="waiting for the store")
    fleet.store.start()
    fleet.wait(lambda: fleet.notes(1), "the worker works")
    fleet.wait(lambda: fleet.answers() == 200, "web is ready again")
    fleet.settle()
    assert fleet.notes(1) == ["noted: waiting for the store"]
    assert (web.code, worker.code) == (None, None)


def test_a_store_that_is_killed_loses_nothing_and_is_used_again(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(FAITHFUL, latency=0.02)
    web = fleet.start_web()
    workers = [fleet.ready_worker(), fleet.ready_worker()]
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    written: dict[int, list[str]] = {}
    for number in range(1, 13):
        written[number] = [f"message 0 of ticket {number}"]
        fleet.open_ticket(text=written[number][0])
    accepted = 0
    for round_ in range(1, 4):
        fleet.store.kill()
        fleet.wait(lambda: fleet.answers() == 503, "web says that it cannot store")
        for number, texts in written.items():
            texts.append(f"message {round_} of ticket {number}")
            fleet.reply(number, texts[-1])
        fleet.store.start()
        began = time.monotonic()
        fleet.wait(lambda: fleet.answers() == 200, "web stores again")
        assert time.monotonic() - began < 20
        accepted += fleet.deliver(json.dumps({"ticket_id": round_, "again": round_}).encode()).status_code == 200
    fleet.settle(90)
    assert accepted == 3
    for number, texts in written.items():
        notes = [text for text in fleet.notes(number) if text.startswith("noted")]
        assert notes == [f"noted: {text}" for text in texts], fleet.history(number)
    assert [process.code for process in (web, *workers)] == [None] * 3
    assert not any(call.overlapped for call in fleet.calls())


@pytest.mark.e2e
def test_failovers_that_keep_connections_open_need_no_restart(deploy: Callable[..., Fleet]) -> None:
    pair = FailoverPair()
    fleet = deploy(FAITHFUL, store=pair, latency=0.02)
    web = fleet.start_web()
    workers = [fleet.ready_worker(), fleet.ready_worker()]
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    written: dict[int, list[str]] = {}
    for number in range(1, 7):
        written[number] = [f"message 0 of ticket {number}"]
        fleet.open_ticket(text=written[number][0])
    for round_ in range(1, 4):
        pair.switch()
        for number, texts in written.items():
            texts.append(f"message {round_} of ticket {number}")
            fleet.reply(number, texts[-1])
        answer = fleet.deliver(json.dumps({"ticket_id": round_, "again": round_}).encode())
        assert answer.status_code == 200, "the next delivery is stored on the new primary"
    fleet.settle(90)
    for number, texts in written.items():
        notes = [text for text in fleet.notes(number) if text.startswith("noted")]
        assert notes == [f"noted: {text}" for text in texts], fleet.history(number)
    assert [process.code for process in (web, *workers)] == [None] * 3
    fleet.wait(lambda: pair.connections(pair.replica) == 0, "the old connections are closed")


def test_a_delivery_that_was_answered_200_survives_a_killed_store(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(NOTING)
    fleet.start_web()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    fleet.http.put(f"{fleet.happyfox}/simulator/hooks", json=[])  # this test delivers by itself
    accepted = []
    for number in range(1, 21):
        fleet.open_ticket(text=f"words of ticket {number}")
        body = json.dumps({"ticket_id": number, "event_type": "ticket-created"}).encode()
        if number == 10:
            fleet.store.kill()
        try:
            answer = fleet.deliver(body)
        except httpx.TransportError:
            continue
        if answer.status_code == 200:
            accepted.append(number)
        if number == 10:
            assert answer.status_code == 503
            fleet.store.start()
            fleet.wait(lambda: fleet.answers() == 200, "web stores again")
    assert len(accepted) >= 18
    fleet.store.kill()
    fleet.store.start()
    fleet.ready_worker()
    fleet.settle()
    for number in accepted:
        assert fleet.notes(number) == [f"noted: words of ticket {number}"]


@pytest.mark.e2e
def test_a_worker_with_a_replaced_store_makes_no_call_for_one_window(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(NOTING)
    fleet.start_web()
    worker = fleet.ready_worker()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    fleet.open_ticket(text="before")
    fleet.wait(lambda: fleet.notes(1), "the worker works")
    fleet.settle()
    with fleet.redis() as client:
        client.set(f"{P}store_epoch", 1)
        fleet.wait(lambda: client.hget(f"{P}gate", "state") not in (None, b"open"), "the gate is closed")
        closed = time.time()
    fleet.wait(lambda: "the store was emptied or replaced" in worker.output, "the worker says why")
    fleet.reply(1, "meanwhile")
    fleet.wait(lambda: len(fleet.notes(1)) == 2, "the worker works again")
    again = [call.arrived for call in fleet.calls() if call.counted and call.arrived > closed]
    assert min(again) - closed > float(SETTINGS["HAPPYFOX_WINDOW_SECONDS"]) / 2
    assert worker.output.count("calls pause for one window") == 1
