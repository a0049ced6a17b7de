"""`/metrics`: what the whole fleet does, for Prometheus.

Everything comes from the store: each web process shows the same, and a restart resets nothing. A scrape reads in a
thread and on connections of its own, so that no delivery waits for it. ``METRICS`` lists all names; docs/metrics.md
explains them.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from service.reading.accounts import AccountStatus, read_account
from service.tokens import ask_for_token, token_of
from workers.errors import StoreUnavailable
from workers.settings import Account, Settings
from workers.store.client import Store, connect, store_time
from workers.store.client_figures import RESULTS, read_client_figures
from workers.store.figures import ACK, CALL, HANDLER, LAG, Figures, Histogram, expected_deliveries, read_totals
from workers.store.fleet import Fleet, read_fleet
from workers.store.keys import Keys
from workers.store.usage import read_usage

#: Connections to the store, and how long (s) a scrape may take until the store counts as down.
CONNECTIONS, SCRAPE_SECONDS = 2, 5.0

#: Why calls cannot be made, as the gate says it; each has a sample, so that an alert can compare with 0.
CLOSED = ("limited", "throttled", "denied", "unreachable", "clock")

_log = logging.getLogger(__name__)


class MetricSpec(NamedTuple):
    """A metric: its name in queries, and what it means."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    labels: tuple[str, ...]
    help: str


#: All metrics. A histogram has the series ``_bucket``, ``_sum`` and ``_count``.
METRICS = (
    MetricSpec("foxhooks_store_up", "gauge", (), "Whether the store answers; without it, nothing else is known"),
    MetricSpec("foxhooks_scrape_duration_seconds", "gauge", (), "How long reading all of this took"),
    MetricSpec("foxhooks_store_memory_bytes", "gauge", (), "Memory that the store uses"),
    MetricSpec("foxhooks_build_info", "gauge", ("part", "version"), "How many processes of a part run a version"),
    MetricSpec("foxhooks_workers", "gauge", (), "Worker processes that are alive"),
    MetricSpec("foxhooks_threads", "gauge", ("state",), "Threads of all workers: busy with a ticket, or idle"),
    MetricSpec(
        "foxhooks_deliveries_total",
        "counter",
        ("account", "outcome", "reason"),
        "Deliveries that were accepted, joined to one that waits (duplicate), quarantined or refused, with the reason",
    ),
    MetricSpec(
        "foxhooks_last_delivery_timestamp_seconds", "gauge", ("account",), "When the last delivery came; 0 if none did"
    ),
    MetricSpec(
        "foxhooks_silence_expected_deliveries",
        "gauge",
        ("account",),
        "How many deliveries the same hours of the last four weeks brought since the last one; after the first week",
    ),
    MetricSpec("foxhooks_accept_duration_seconds", "histogram", ("account",), "From a delivery's request to its 200"),
    MetricSpec(
        "foxhooks_lanes",
        "gauge",
        ("account", "state"),
        "Tickets that are due, that a worker has (claimed), or that wait for a later time, a timer or a pause (paused)",
    ),
    MetricSpec("foxhooks_events_waiting", "gauge", ("account",), "Events that wait; an estimate beyond 10,000 tickets"),
    MetricSpec(
        "foxhooks_oldest_due_seconds", "gauge", ("account",), "How long the ticket that has been due longest has waited"
    ),
    MetricSpec("foxhooks_turns_total", "counter", ("account", "end"), "Turns, by how they ended"),
    MetricSpec(
        "foxhooks_turn_lag_seconds", "histogram", ("account",), "From the receipt of a delivery to the end of its turn"
    ),
    MetricSpec("foxhooks_changes_total", "counter", ("account", "kind"), "Changes that others made to tickets"),
    MetricSpec(
        "foxhooks_handler_runs_total",
        "counter",
        ("account", "router", "handler", "verdict"),
        "Runs of handlers that decided, will be retried (retrying), or were given up (dead)",
    ),
    MetricSpec(
        "foxhooks_handler_duration_seconds", "histogram", ("account", "router", "handler"), "How long handlers ran"
    ),
    MetricSpec("foxhooks_effects_total", "counter", ("account", "kind", "end"), "Writes of turns, by how they ended"),
    MetricSpec(
        "foxhooks_calls_total",
        "counter",
        ("account", "method", "outcome"),
        "Calls that were sent to HappyFox, including probes and calls answered 429",
    ),
    MetricSpec(
        "foxhooks_call_duration_seconds", "histogram", ("account", "method"), "How long HappyFox took to answer"
    ),
    MetricSpec(
        "foxhooks_permits", "gauge", ("account", "method", "state"), "Calls used in the window, and their limit"
    ),
    MetricSpec(
        "foxhooks_client_calls_total",
        "counter",
        ("account", "client", "result"),
        "Calls of the gateway's clients: done, refused by HappyFox, denied, limited, held, in doubt or failed",
    ),
    MetricSpec("foxhooks_gate_closed", "gauge", ("account", "why"), "Whether no call can be made, and why"),
    MetricSpec("foxhooks_gate_reopen_seconds", "gauge", ("account",), "Seconds until calls can be made again"),
    MetricSpec(
        "foxhooks_drain_forecast_seconds",
        "gauge",
        ("account",),
        "Seconds until the backlog is done at this budget; missing while nobody knows",
    ),
    MetricSpec("foxhooks_dead_letters", "gauge", ("account",), "Dead letters that wait for a person's decision"),
    MetricSpec(
        "foxhooks_dead_letters_total", "counter", ("account", "router", "handler"), "Dead letters that were added"
    ),
    MetricSpec("foxhooks_quarantined", "gauge", ("account",), "Deliveries in quarantine"),
    MetricSpec("foxhooks_loop_guard_trips_total", "counter", ("account",), "How often the loop guard tripped"),
    MetricSpec("foxhooks_calls_saved_total", "counter", ("account",), "Calls that combining actions has saved"),
    MetricSpec(
        "foxhooks_changes_learned_total",
        "counter",
        ("account", "by"),
        "Changes by how foxhooks learned of them first: by a delivery, or only by a sweep",
    ),
    MetricSpec(
        "foxhooks_completeness_ratio",
        "gauge",
        ("account",),
        "The part of today's changes (UTC) that a delivery announced first; of all changes if there are none today",
    ),
    MetricSpec("foxhooks_storm", "gauge", ("account",), "Whether far more deliveries arrive than usual"),
    MetricSpec("foxhooks_paused", "gauge", ("account", "scope"), "Pauses of the account, of routers and of tickets"),
)

_SPECS = {each.name: each for each in METRICS}

#: The counters that are families of figures with the same labels.
COUNTERS = {
    "foxhooks_deliveries_total": "in",
    "foxhooks_turns_total": "turn",
    "foxhooks_changes_total": "change",
    "foxhooks_effects_total": "effect",
    "foxhooks_calls_total": "call",
    "foxhooks_loop_guard_trips_total": "loop_guard",
    "foxhooks_calls_saved_total": "saved",
}

#: Series that exist before anything was counted: an increase from nothing is none to Prometheus.
FROM_START = {
    "foxhooks_deliveries_total": (
        *(("accepted", ""), ("duplicate", ""), ("quarantined", "")),
        *(("refused", "not-stored"), ("refused", "bad-signature")),
    ),
    "foxhooks_turns_total": (("acted",), ("no-action",), ("nothing-new",), ("parked",)),
    "foxhooks_calls_total": tuple(
        (method, outcome) for method in ("get", "post") for outcome in ("answered", "failed", "limited", "denied")
    ),
    "foxhooks_loop_guard_trips_total": ((),),
    "foxhooks_calls_saved_total": ((),),
}


@dataclass(slots=True)
class Samples:
    """The samples of one scrape, by the name of their metric."""

    values: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    histograms: dict[str, dict[tuple[str, ...], tuple[Figures, Histogram, str]]] = field(default_factory=dict)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a sample."""
        self.values.setdefault(name, {})[labels] = value

    def observe(self, name: str, figures: Figures, histogram: Histogram, label: str, *labels: str) -> None:
        """Set a histogram to the values with this label of figures."""
        self.histograms.setdefault(name, {})[labels] = figures, histogram, label

    def families(self) -> Iterator[Metric]:
        """Yield the metrics that have samples, in the order of ``METRICS``."""
        for spec in METRICS:
            if spec.kind == "histogram":
                found = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
                for labels, (figures, histogram, label) in self.histograms.get(spec.name, {}).items():
                    buckets, total = figures.buckets(histogram, label)
                    texts = [("+Inf" if limit == float("inf") else str(limit), float(n)) for limit, n in buckets]
                    found.add_metric(labels, texts, total)
                yield found
                continue
            family = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
            simple = family(spec.name, spec.help, labels=spec.labels)
            for labels, value in self.values.get(spec.name, {}).items():
                simple.add_metric(labels, value)
            if simple.samples:
                yield simple


class StoreCollector(Collector):
    """Read all metrics from the store."""

    def __init__(self, client: redis.Redis, accounts: Iterable[Account]) -> None:
        self._client, self._store, self._accounts = client, Store(client), tuple(accounts)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering reads nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, or only that the store is down."""
        began, samples = time.monotonic(), Samples()
        try:
            self._read(samples)
        except (StoreUnavailable, redis.RedisError, OSError) as error:
            _log.warning("The store could not be read for /metrics", extra={"error": type(error).__name__})
            samples = Samples()
        samples.set("foxhooks_store_up", bool(samples.values))
        samples.set("foxhooks_scrape_duration_seconds", time.monotonic() - began)
        yield from samples.families()

    def close(self) -> None:
        """Close the connections."""
        self._store.close()
        self._client.close()

    def _read(self, samples: Samples) -> None:
        now = store_time(self._client)
        fleet = read_fleet(self._client, now)
        used = read_usage(self._client).used
        if used is not None:
            samples.set("foxhooks_store_memory_bytes", used)
        _add_fleet(samples, fleet)
        busy = 0
        for account in self._accounts:
            status = read_account(self._client, account, fleet, now)
            _add_figures(samples, account.name, read_totals(self._store, account.name))
            _add_status(samples, status, now)
            busy += self._add_rest(samples, status, now)
        settings = (each for process in fleet.of("worker") for each in process.settings)
        threads = sum(int(each.value) for each in settings if each.name == "FOXHOOKS_THREADS")
        samples.set("foxhooks_threads", busy, "busy")
        samples.set("foxhooks_threads", max(0, threads - busy), "idle")

    def _add_rest(self, samples: Samples, status: AccountStatus, now: int) -> int:
        """Add what needs further reads; return how many tickets workers have now."""
        client: Any = self._client
        account, keys = status.account, Keys(status.account)
        with client.pipeline(transaction=False) as batch:
            batch.hlen(keys.leases)
            batch.llen(keys.quarantine)
            batch.get(keys.store_epoch)
            batch.zcard(keys.schedule)
            batch.hmget(keys.gate, "state", "until", "why")
            leases, quarantined, epoch, lanes, (state, until, why) = batch.execute()
        claimed = leases // 2
        waiting = status.timers.tickets + status.paused_tickets + status.due + claimed
        for name, n in (
            ("due", status.due),
            ("claimed", claimed),
            ("timer", status.timers.tickets),
            ("paused", status.paused_tickets),
            ("later", max(0, lanes - waiting)),
        ):
            samples.set("foxhooks_lanes", n, account, name)
        samples.set("foxhooks_quarantined", quarantined, account)
        closed = (why or b"").decode() if (state or b"open") != b"open" else ""
        for each in CLOSED:
            samples.set("foxhooks_gate_closed", each == closed, account, each)
        samples.set("foxhooks_gate_reopen_seconds", max(0, int(until or 0) - now) / 1000 if closed else 0, account)
        last = _last_delivery(status)
        samples.set("foxhooks_last_delivery_timestamp_seconds", last / 1000, account)
        known_from = int(epoch or now)
        expected = expected_deliveries(self._store, account, last or known_from, now, known_from)
        if expected is not None:
            samples.set("foxhooks_silence_expected_deliveries", round(expected, 1), account)
        for figures in read_client_figures(self._client, account):
            for result in RESULTS:
                samples.set("foxhooks_client_calls_total", figures.calls.get(result, 0), account, figures.name, result)
        return int(claimed)


def _last_delivery(status: AccountStatus) -> int:
    return max((each.last for name, each in status.deliveries.items() if not name.startswith("refused")), default=0)


def _add_fleet(samples: Samples, fleet: Fleet) -> None:
    versions: dict[tuple[str, str], int] = {}
    for process in fleet.alive:
        versions[process.part, process.version] = versions.get((process.part, process.version), 0) + 1
    for labels, n in versions.items():
        samples.set("foxhooks_build_info", n, *labels)
    samples.set("foxhooks_workers", len(fleet.of("worker")))


def _add_figures(samples: Samples, account: str, figures: Figures) -> None:
    """Add the counters and histograms of an account."""
    for name, family in COUNTERS.items():
        length = len(_SPECS[name].labels) - 1
        for labels in FROM_START.get(name, ()):
            samples.set(name, 0, account, *labels)
        for found, n in figures.fields(family):
            labels = (*found, *[""] * (length - len(found)))
            samples.set(name, n, account, *labels)
    for (verdict, handler), n in figures.fields("handler"):
        samples.set("foxhooks_handler_runs_total", n, account, *_parts(handler), verdict)
    for (handler,), n in figures.fields("dead_letter"):
        samples.set("foxhooks_dead_letters_total", n, account, *_parts(handler))
    samples.observe("foxhooks_accept_duration_seconds", figures, ACK, "", account)
    samples.observe("foxhooks_turn_lag_seconds", figures, LAG, "", account)
    for method in ("get", "post"):
        samples.observe("foxhooks_call_duration_seconds", figures, CALL, method, account, method)
    for handler in {labels[1] for labels, _ in figures.fields("handler_ms")}:
        samples.observe("foxhooks_handler_duration_seconds", figures, HANDLER, handler, account, *_parts(handler))


def _parts(handler: str) -> tuple[str, str]:
    """Return router and function of a handler."""
    router, _, function = handler.partition(".")
    return router, function


def _add_status(samples: Samples, status: AccountStatus, now: int) -> None:
    """Add the gauges of an account's state."""
    account = status.account
    samples.set("foxhooks_events_waiting", status.events, account)
    oldest = 0 if status.due_since is None else max(0, now - status.due_since) / 1000
    samples.set("foxhooks_oldest_due_seconds", oldest, account)
    samples.set("foxhooks_dead_letters", status.dead_letters, account)
    samples.set("foxhooks_changes_learned_total", status.completeness.total.delivery, account, "delivery")
    samples.set("foxhooks_changes_learned_total", status.completeness.total.sweep, account, "sweep")
    if status.completeness.ratio is not None:
        samples.set("foxhooks_completeness_ratio", status.completeness.ratio, account)
    samples.set("foxhooks_storm", status.storm is not None and status.storm.is_on(now), account)
    for scope in ("account", "router", "ticket"):
        samples.set("foxhooks_paused", sum(pause.scope == scope for pause in status.pauses), account, scope)
    if status.drained is not None:
        samples.set("foxhooks_drain_forecast_seconds", status.drained, account)
    if status.budget:
        budget = status.budget
        for method, used, limit in (
            ("get", budget.gets_used, budget.gets),
            ("post", budget.posts_used, budget.posts),
        ):
            samples.set("foxhooks_permits", used, account, method, "used")
            samples.set("foxhooks_permits", limit, account, method, "limit")


class Metrics:
    """Answer `/metrics`."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._tokens = settings.tokens
        self._collector = StoreCollector(connect(url, connections=CONNECTIONS), settings.accounts.values())
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._collector)
        # One thread: scrapes wait for each other, and never a delivery for a scrape.
        self._thread = ThreadPoolExecutor(1, "metrics")

    async def answer(self, request: Request) -> Response:
        """Answer a request that has a token of any role, else 401."""
        if token_of(request.headers.get("authorization", ""), self._tokens) is None:
            return ask_for_token(request)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                text = await loop.run_in_executor(self._thread, generate_latest, self._registry)
        except TimeoutError:
            text = b"foxhooks_store_up 0\n"
        return Response(text, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4, "cache-control": "no-store"})

    def close(self) -> None:
        """Close the connections."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._collector.close()
