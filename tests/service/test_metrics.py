"""`/metrics` as Prometheus reads it: who may, and whether its values are what really happened."""

import asyncio
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from service import metrics
from service.metrics import METRICS
from service.web.app import build
from tests.support.intake import client, deliver, settings
from tests.support.stores import Server
from workers import GiveUp, Router, Ticket
from workers.store.client import Store
from workers.store.client_figures import note_call
from workers.store.figures import HOUR, WEEK, expected_deliveries, pack
from workers.store.inbox import accept
from workers.store.keys import Keys
from workers.store.pauses import Pause, pause
from workers.store.storms import note_storm
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.webhook import HEADER

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-a-test"
TOKENS = f"prometheus:viewer:{sha256(TOKEN.encode()).hexdigest()}"
BEARER = {"authorization": f"Bearer {TOKEN}"}

Values = dict[tuple[str, ...], float]
LABELS = {each.name: each.labels for each in METRICS}


async def scrape(http: httpx.AsyncClient) -> httpx.Response:
    return await http.get("/metrics", headers=BEARER)


def read(url: str, name: str = ACCOUNT) -> dict[str, Values]:
    """Scrape once; return each series' values by its labels."""

    async def main() -> httpx.Response:
        app = build(settings(url, HAPPYFOX_ACCOUNT=name, FOXHOOKS_TOKENS=TOKENS))
        async with app.router.lifespan_context(app), client(app) as http:
            return await scrape(http)

    response = asyncio.run(main())
    assert response.status_code == 200
    return values_of(response.text)


def values_of(text: str) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = (*LABELS[re.sub("_(bucket|sum|count)$", "", sample.name)], *sample.labels.keys() & {"le"})
            found.setdefault(sample.name, {})[tuple(sample.labels[label] for label in labels)] = sample.value
    return found


@pytest.fixture
def world(store: redis.Redis) -> SimulatedDeployment:
    """A world in which a note was added, a handler gave up, and the account was locked out."""
    router = Router("main")

    @router.on("ticket-created")
    def note(ticket: Ticket) -> None:
        ticket.note("seen")

    @router.on("ticket-created", when=lambda ticket: ticket.subject == "fail")
    def fail(ticket: Ticket) -> None:
        raise GiveUp("no")

    found = SimulatedDeployment(store, router)
    for subject in ("first", "fail"):
        found.simulator.create_ticket(subject=subject)
        found.deliver()
        found.settle_down(20_000)
    found.store.run(pause(ACCOUNT, "router", "main", Pause(found.now, "ada")))
    found.simulator.gate.lock(found.clock.seconds())
    found.simulator.create_ticket()
    found.deliver()
    found.work()
    return found


def test_only_a_token_opens_the_metrics(store: redis.Redis, valkey_url: str) -> None:
    async def main(**more: str) -> list[httpx.Response]:
        app = build(settings(valkey_url, **more))
        sent = [{}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, BEARER]
        async with app.router.lifespan_context(app), client(app) as http:
            return [await http.get("/metrics", headers=each) for each in sent]

    answers = asyncio.run(main(FOXHOOKS_TOKENS=TOKENS))
    assert [each.status_code for each in answers] == [401, 401, 401, 200]
    assert answers[0].headers["www-authenticate"].startswith("Bearer")
    assert answers[3].headers["content-type"].startswith("text/plain; version=0.0.4")
    assert [each.status_code for each in asyncio.run(main())] == [401] * 4


def test_calls_and_deliveries_are_those_of_the_simulator(world: SimulatedDeployment, valkey_url: str) -> None:
    found = read(valkey_url)
    calls = found["foxhooks_calls_total"]
    made = [call.method for call in world.simulator.log]

    assert sum(n for (_, method, _), n in calls.items() if method == "get") == made.count("GET")
    assert sum(n for (_, method, _), n in calls.items() if method == "post") == len(made) - made.count("GET")
    assert calls[ACCOUNT, "get", "limited"] == 1
    assert found["foxhooks_call_duration_seconds_count"][ACCOUNT, "get"] == made.count("GET")
    accepted = found["foxhooks_deliveries_total"][ACCOUNT, "accepted", ""]
    assert accepted == int(world.client.hget(f"foxhooks:{{{ACCOUNT}}}:counts", "accepted") or 0)
    assert found["foxhooks_deliveries_total"][ACCOUNT, "refused", "not-stored"] == 0


def test_turns_handlers_and_the_gate_are_shown(world: SimulatedDeployment, valkey_url: str) -> None:
    found = read(valkey_url)

    assert found["foxhooks_store_up"] == {(): 1}
    assert found["foxhooks_handler_runs_total"][ACCOUNT, "main", "note", "decided"] == 2
    assert found["foxhooks_handler_runs_total"][ACCOUNT, "main", "fail", "dead"] == 1
    assert found["foxhooks_dead_letters_total"] == {(ACCOUNT, "main", "fail"): 1}
    assert found["foxhooks_dead_letters"] == {(ACCOUNT,): 1}
    assert found["foxhooks_effects_total"] == {(ACCOUNT, "note", "done"): 2}
    assert found["foxhooks_turns_total"][ACCOUNT, "acted"] == 2
    assert found["foxhooks_paused"][ACCOUNT, "router"] == 1
    assert found["foxhooks_gate_closed"][ACCOUNT, "limited"] == 1
    assert found["foxhooks_gate_closed"][ACCOUNT, "denied"] == 0
    assert sum(found["foxhooks_lanes"].values()) == world.client.zcard(f"foxhooks:{{{ACCOUNT}}}:schedule")


def test_acks_are_counted_with_their_durations(store: redis.Redis, valkey_url: str) -> None:
    async def main() -> str:
        app = build(settings(valkey_url, FOXHOOKS_TOKENS=TOKENS))
        async with app.router.lifespan_context(app), client(app) as http:
            for number in range(5):
                assert (await deliver(http, b'{"ticket_id": %d}' % number)).status_code == 200
            await http.post("/webhooks/acme", content=b"{}", headers={HEADER: "0" * 40})
        app = build(settings(valkey_url, FOXHOOKS_TOKENS=TOKENS))  # a restarted process
        async with app.router.lifespan_context(app), client(app) as http:
            return (await scrape(http)).text

    found = values_of(asyncio.run(main()))

    assert found["foxhooks_accept_duration_seconds_count"] == {("acme",): 5}
    assert found["foxhooks_deliveries_total"]["acme", "accepted", ""] == 4
    assert found["foxhooks_deliveries_total"]["acme", "quarantined", ""] == 1
    assert found["foxhooks_deliveries_total"]["acme", "refused", "bad-signature"] == 1


def test_a_store_that_is_down_is_the_only_thing_known() -> None:
    server = Server()
    try:
        found = read(server.url)
    finally:
        server.remove()
    assert set(found) == {"foxhooks_store_up", "foxhooks_scrape_duration_seconds"}
    assert found["foxhooks_store_up"] == {(): 0}


def test_a_store_that_hangs_counts_as_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SCRAPE_SECONDS", 0.3)
    server = Server()
    server.start()

    async def main() -> str:
        app = build(settings(server.url, FOXHOOKS_TOKENS=TOKENS))
        async with client(app) as http:
            server.freeze()
            answer = (await scrape(http)).text
            server.thaw()
            return answer

    try:
        assert asyncio.run(main()) == "foxhooks_store_up 0\n"
    finally:
        server.remove()


def test_silence_is_compared_with_the_same_hours_of_weeks(world: SimulatedDeployment) -> None:
    now = world.now
    for week, n in ((1, 10), (2, 20), (3, 0), (4, 30)):
        world.now = now - week * WEEK - HOUR
        world.store.run(accept(ACCOUNT, [], 3600, None, pack({"in accepted": n})))
    world.now = now
    hour = now - now % HOUR
    store: Store = world.store

    def expected(since: int, until: int, known_from: int = 0) -> float | None:
        return expected_deliveries(store, ACCOUNT, since, until, known_from)

    assert expected(hour - HOUR, hour) == pytest.approx(15)
    assert expected(hour - HOUR // 2, hour) == pytest.approx(7.5)
    assert expected(hour - HOUR, hour, known_from=now - 2 * WEEK - HOUR) == pytest.approx(15)
    assert expected(hour - HOUR, hour, known_from=now - WEEK + HOUR) is None


def test_no_metric_names_a_ticket_or_a_person(world: SimulatedDeployment, valkey_url: str) -> None:
    allowed = {
        "account",
        "outcome",
        "reason",
        "state",
        "part",
        "version",
        "end",
        "kind",
        "router",
        "handler",
        "verdict",
    }
    assert {label for each in METRICS for label in each.labels} <= allowed | {
        "method",
        "why",
        "scope",
        "by",
        "client",
        "result",
    }


# The documents and files that use the names.


def exported() -> set[str]:
    """Return the names of all series."""
    found = set()
    for each in METRICS:
        ends = ("_bucket", "_sum", "_count") if each.kind == "histogram" else ("",)
        found |= {each.name + end for end in ends}
    return found


def test_every_scraped_series_is_listed(world: SimulatedDeployment, valkey_url: str) -> None:
    names = {name for name in read(valkey_url) if not name.endswith("_created")}
    assert names <= exported()


def test_the_page_lists_every_metric() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(foxhooks_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    assert [(name, kind, text) for name, kind, _, text in rows] == [
        (each.name, each.kind, each.help) for each in METRICS
    ]
    assert [re.findall(r"`(\w+)`", labels) for _, _, labels, _ in rows] == [[*each.labels] for each in METRICS]


def queries() -> Iterator[tuple[str, str]]:
    """Yield the queries of the Grafana dashboard and of the alert rules, each with where it is."""
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "foxhooks.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text()
    for expression in re.findall(r"expr: (.*)", rules):
        yield "alerts", expression


def test_every_query_names_an_exported_metric() -> None:
    found = [(where, name) for where, text in queries() for name in re.findall(r"foxhooks_\w+", text)]
    assert len(found) > 20
    assert [each for each in found if each[1] not in exported()] == []


def test_completeness_and_storms_are_exported(store: redis.Redis, valkey_url: str) -> None:
    assert "foxhooks_completeness_ratio" not in read(valkey_url)
    store.hset(Keys(ACCOUNT).learned, mapping={"delivery": 30, "sweep@20500": 10})
    Store(store).run(note_storm(ACCOUNT, 2_000, 3))
    found = read(valkey_url)
    assert found["foxhooks_changes_learned_total"] == {(ACCOUNT, "delivery"): 30, (ACCOUNT, "sweep"): 10}
    assert found["foxhooks_completeness_ratio"] == {(ACCOUNT,): 0.75}
    assert found["foxhooks_storm"] == {(ACCOUNT,): 1}


def test_the_calls_of_clients_are_counted_by_how_they_ended(store: redis.Redis, valkey_url: str) -> None:
    with Store(store) as opened:
        for result in ("done", "denied", "denied"):
            opened.run(note_call(ACCOUNT, "triage", result, "read", "ticket 1"))
    found = read(valkey_url)["foxhooks_client_calls_total"]
    assert {labels[2]: n for labels, n in found.items() if n} == {"done": 1, "denied": 2}
    assert found[ACCOUNT, "triage", "limited"] == 0
