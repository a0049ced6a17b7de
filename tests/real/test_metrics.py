"""The metrics of a whole fleet equal what the simulated HappyFox has seen, also after restarts."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.fleet import Fleet
from tests.support.plugins import NOTING
from tests.support.processes import free_port

pytestmark = [pytest.mark.timeout(240), pytest.mark.e2e]

TOKEN = "a-token-of-a-test"
TOKENS = f"prometheus:viewer:{sha256(TOKEN.encode()).hexdigest()}"
TICKETS = 8


def counted(fleet: Fleet, port: int, name: str, label: str) -> dict[str, float]:
    """Scrape a web process; return the sums of a counter by one label."""
    answer = fleet.http.get(f"http://127.0.0.1:{port}/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.raise_for_status().text):
        for sample in family.samples:
            if sample.name == name:
                sums[sample.labels[label]] = sums.get(sample.labels[label], 0) + sample.value
    return sums


def made(fleet: Fleet) -> dict[str, float]:
    gets = len(fleet.calls("GET"))
    return {"get": gets, "post": len(fleet.calls()) - gets}


def received(fleet: Fleet) -> int:
    """Count the deliveries that were answered with 200."""
    return sum(delivery.status == 200 for delivery in fleet.simulator.deliveries)


def test_two_webs_and_three_workers_count_what_happyfox_saw(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(NOTING)
    fleet.start_web(FOXHOOKS_TOKENS=TOKENS)
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    ports = (fleet.port, free_port())
    fleet.workers.append(fleet.start("web", "--child", FOXHOOKS_TOKENS=TOKENS, PORT=str(ports[1])))
    for _ in range(3):
        fleet.start_worker()
    fleet.wait(lambda: all(worker.ready() for worker in fleet.workers[1:]), "the workers are ready")
    fleet.fault("status", status=500, count=1, method="POST")
    for number in range(TICKETS):
        fleet.open_ticket(text=f"question {number}")
    fleet.settle()

    def equal() -> bool:
        return all(counted(fleet, port, "foxhooks_calls_total", "method") == made(fleet) for port in ports)

    fleet.wait(equal, "the calls are those of HappyFox")
    deliveries = counted(fleet, ports[0], "foxhooks_deliveries_total", "outcome")
    assert deliveries["accepted"] + deliveries["duplicate"] == received(fleet)
    assert counted(fleet, ports[1], "foxhooks_accept_duration_seconds_count", "account")["demo"] <= received(fleet)
    for process in [*fleet.workers, fleet.web]:
        assert process is not None
        process.terminate()
    before = made(fleet)
    fleet.start_web(FOXHOOKS_TOKENS=TOKENS)
    fleet.wait(lambda: fleet.answers() == 200, "web is back")
    assert counted(fleet, ports[0], "foxhooks_calls_total", "method") == before
    assert counted(fleet, ports[0], "foxhooks_accept_duration_seconds_count", "account")["demo"] == received(fleet)
