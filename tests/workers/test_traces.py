"""Traces: one story from a delivery to each call, also when a worker dies in between, and without anybody's words."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import httpx
import pytest
import redis
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.processes.simulator import running
from tests.support.happyfox import connect_to
from tests.support.intake import KEY
from tests.support.web import listening
from workers import Event, Router, Ticket
from workers.runner import AccountRuntime, LaneRunner
from workers.simulator import Simulator
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.inbox import accept, receive
from workers.store.keys import Keys
from workers.store.leases import Leases
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.timeouts import HandlerTimeouts
from workers.traces import Traces, path_template, traces
from workers.webhook import HEADER, parse, sign

SECRET_WORDS = "my card number is secret"
router = Router("clerk")


@router.on("ticket-created", "contact-replied")
def note(ticket: Ticket, event: Event) -> None:
    logging.getLogger("handlers.clerk").info("seen")
    ticket.note("Seen.")


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    traces.start("test", "1", exporter=exporter)
    yield exporter
    traces.stop()


class Deployment:
    """A worker in this process, with a real store, real time and a simulated HappyFox on a socket."""

    def __init__(self, store: redis.Redis, simulator: Simulator, url: str) -> None:
        world = SimulatedDeployment(store, router)
        self.store, self.simulator = Store(store), simulator
        store.set(Keys(ACCOUNT).store_epoch, int(time.time() * 1000) - 60_000)
        config = replace(world.config, clock=lambda: int(monotonic() * 1000))
        self.connection = connect_to(url, world.governor, self.store, key="demo-key", code="demo-code")
        self.leases = Leases(self.store, 60.0, monotonic, "w", lambda: None)
        runtime = AccountRuntime(config, self.connection)
        self.runner = LaneRunner(runtime, self.store, self.leases, HandlerTimeouts(5.0, lambda: False))

    def deliver(self, ticket: int, update: int) -> str:
        body = b'{"ticket_id": %d, "update_id": %d}' % (ticket, update)
        [accepted] = self.store.run(accept(ACCOUNT, [receive(parse(body), body)], keep=3600))
        traces.accepted(ACCOUNT, accepted.event, accepted.status, 0.001)
        return accepted.event


@pytest.fixture
def deployment(store: redis.Redis) -> Iterator[Deployment]:
    simulator = Simulator(time.time)
    with running(simulator) as url:
        found = Deployment(store, simulator, url)
        with closing(found.connection):
            yield found


def tree(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_turn_that_took_one_delivery_is_part_of_its_trace(
    deployment: Deployment, exporter: InMemorySpanExporter
) -> None:
    ticket = deployment.simulator.create_ticket("sam@example.com", text=SECRET_WORDS).id
    event = deployment.deliver(ticket, 1)
    deployment.runner.work(0)
    spans = tree(exporter)
    assert {"accept", "turn", "GET ticket/{n}", "handler clerk.note", "POST ticket/{n}/staff_pvtnote"} <= spans.keys()
    assert len({span.context.trace_id for span in spans.values()}) == 1
    turn = spans["turn"]
    assert turn.parent is not None
    assert turn.parent.span_id == spans["accept"].context.span_id
    children = [span.parent.span_id for span in spans.values() if span.parent and span.name not in ("accept", "turn")]
    assert set(children) == {turn.context.span_id}
    assert turn.attributes is not None
    assert (turn.attributes["foxhooks.ticket"], turn.attributes["foxhooks.end"]) == (ticket, "settled")
    assert spans["accept"].attributes == {
        "foxhooks.account": ACCOUNT,
        "foxhooks.event": event,
        "foxhooks.outcome": "accepted",
    }


def test_a_turn_that_took_several_deliveries_links_to_each(
    deployment: Deployment, exporter: InMemorySpanExporter
) -> None:
    ticket = deployment.simulator.create_ticket("sam@example.com").id
    deployment.deliver(ticket, 1)
    deployment.deliver(ticket, 2)
    deployment.runner.work(0)
    accepts = [span for span in exporter.get_finished_spans() if span.name == "accept"]
    turn = tree(exporter)["turn"]
    assert turn.parent is None
    assert {link.context.span_id for link in turn.links} == {span.context.span_id for span in accepts}
    assert {link.context.trace_id for link in turn.links} == {span.context.trace_id for span in accepts}


@pytest.mark.parametrize("events", [["one"], ["one", "two"], []])
def test_the_worker_that_continues_a_turn_adds_to_its_trace(exporter: InMemorySpanExporter, events: list[str]) -> None:
    for _ in range(2):
        with traces.turn("acme", 1, "turn-1", events):
            pass
    first, second = exporter.get_finished_spans()
    assert first.context.trace_id == second.context.trace_id
    assert first.context.span_id != second.context.span_id


def test_no_word_of_a_person_is_in_a_trace(deployment: Deployment, exporter: InMemorySpanExporter) -> None:
    ticket = deployment.simulator.create_ticket("sam@example.com", subject=SECRET_WORDS, text=SECRET_WORDS).id
    deployment.deliver(ticket, 1)
    deployment.runner.work(0)
    shown = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "secret" not in shown
    assert "sam@" not in shown


def test_a_log_line_names_its_trace(exporter: InMemorySpanExporter) -> None:
    assert traces.current() == ""
    with traces.turn("acme", 1, "turn-1", ["one"]):
        inside = traces.current()
    [span] = exporter.get_finished_spans()
    assert inside == f"{span.context.trace_id:032x}"


def test_the_web_process_adds_a_span_for_each_delivery(valkey_url: str, exporter: InMemorySpanExporter) -> None:
    async def deliver() -> list[dict[str, str]]:
        body = b'{"ticket_id": 3}'
        async with listening(valkey_url) as port, httpx.AsyncClient(trust_env=False) as http:
            url = f"http://127.0.0.1:{port}/webhooks/acme"
            return [(await http.post(url, content=body, headers={HEADER: sign(KEY, body)})).json() for _ in range(2)]

    first, second = asyncio.run(deliver())
    assert (first["event"], second["status"]) == (second["event"], "duplicate")
    one, two = [span for span in exporter.get_finished_spans() if span.name == "accept"]
    assert one.context.trace_id == two.context.trace_id
    assert two.parent is not None
    assert two.parent.span_id == one.context.span_id


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/ticket/12/", "ticket/{n}"),
        ("/ticket/12/staff_update/", "ticket/{n}/staff_update"),
        ("/user/sam@example.com/", "user/{who}"),
        ("/tickets/", "tickets"),
        ("/report/7/slaentries/", "report/{n}/slaentries"),
    ],
)
def test_paths_have_neither_numbers_nor_addresses(path: str, template: str) -> None:
    assert path_template(path) == template


def test_without_the_settings_there_are_no_traces() -> None:
    idle = Traces()
    idle.start("web", "1", environ={})
    assert not idle.enabled
    with idle.turn("acme", 1, "t", []), idle.call("GET", "/ticket/1/"), idle.step("handler x"):
        idle.note(end="settled")
    idle.accepted("acme", "e", "accepted", 0.0)
    assert idle.current() == ""
