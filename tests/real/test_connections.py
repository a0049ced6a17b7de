"""No process uses more connections to the store than `doctor` counts for its kind."""

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from service.commands.doctor_store import CONNECTIONS, worker_connections
from tests.support.fleet import ACCOUNT, Fleet
from tests.support.plugins import FAITHFUL
from tests.support.processes import Process
from workers.settings import load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TICKETS = 12
TOKEN = "secret-of-the-metrics"


def at_once(*actions: Callable[[], object]) -> None:
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def get(fleet: Fleet, *urls: str, **headers: str) -> None:
    """Get all of them at once."""
    at_once(*[partial(fleet.http.get, url, headers=headers) for url in urls])


def test_no_process_uses_more_connections_than_doctor_counts(
    deploy: Callable[..., Fleet], record_property: Callable[[str, object], None]
) -> None:
    fleet = deploy(FAITHFUL, latency=0.05)
    used = {part: PARTS[part](fleet) for part in ("web", "worker", "dashboard", "gateway")}
    record_property("connections", used)
    print(used)
    counted = {**CONNECTIONS, "worker": worker_connections(load("store", {"REDIS_URL": fleet.store.url}, fleet.folder))}
    assert {kind: count for kind, count in used.items() if count > counted[kind]} == {}


def web(fleet: Fleet) -> int:
    """Let a web process store deliveries, note what it refuses, and answer health checks."""
    process = fleet.start_web()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    at_once(*[partial(fleet.open_ticket, text="words")] * TICKETS, *[partial(fleet.deliver, b"no JSON")] * 10)
    fleet.http.post(f"{fleet.url}/webhooks/{ACCOUNT}/", content=b"unsigned")
    get(fleet, *[f"{fleet.url}/readyz"] * 8)
    return ended(fleet, process)


def worker(fleet: Fleet) -> int:
    """Let a worker handle what was delivered."""
    process = fleet.ready_worker()
    fleet.wait(lambda: all(fleet.notes(number) for number in range(1, TICKETS + 1)), "all tickets are noted")
    return ended(fleet, process)


def dashboard(fleet: Fleet) -> int:
    """Open pages and read the metrics, several at once."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    fleet.web = fleet.start("dashboard", FOXHOOKS_ADMIN_PASSWORD="a secret", FOXHOOKS_TOKENS=f"t:viewer:{digest}")
    fleet.wait(lambda: fleet.answers("/healthz") == 200, "the dashboard answers")
    url = f"{fleet.url}/dashboard"
    [token] = re.findall(r'name="csrf" value="(.+?)"', fleet.http.get(f"{url}/login").text)
    fleet.http.post(f"{url}/login", data={"user": "admin", "password": "a secret", "csrf": token})
    pages = [f"{url}{page}" for page in ("", "/fleet", f"/{ACCOUNT}", f"/{ACCOUNT}/tickets/1")]
    others = [f"{fleet.url}/readyz", f"{fleet.url}/metrics"]
    get(fleet, *[*pages, *others] * 4, authorization=f"Bearer {TOKEN}")
    assert fleet.http.get(pages[-1]).status_code == httpx.codes.OK
    return ended(fleet, fleet.web)


def gateway(fleet: Fleet) -> int:
    """Read tickets through the gateway."""
    (fleet.folder / "foxhooks.toml").write_text('[clients.echo]\ntoken = "echo-token"\nallow = ["tickets:read"]\n')
    process = fleet.start_gateway()
    fleet.wait(lambda: fleet.gateway_answers() == 200, "the gateway is ready")
    base = f"{fleet.gateway_url}/gateway/{ACCOUNT}/api/1.1/json"
    login = "Basic " + base64.b64encode(b"echo:echo-token").decode()
    get(fleet, *(f"{base}/ticket/{number}/" for number in range(1, TICKETS + 1)), authorization=login)
    return ended(fleet, process)


PARTS = {each.__name__: each for each in (web, worker, dashboard, gateway)}


def ended(fleet: Fleet, process: Process) -> int:
    """End a process; return how many connections it had to the store."""
    with fleet.redis() as client:
        used = int(client.info("clients")["connected_clients"]) - 1
        process.terminate()
        assert int(client.info("clients")["connected_clients"]) == 1
    return used
