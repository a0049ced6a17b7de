"""Clusters and Sentinels under real processes: a primary is killed while events flow, and every command works."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.web.writer import StoreWriter
from tests.support.clusters import Cluster, SentinelStore
from tests.support.fleet import ACCOUNT, Fleet
from tests.support.plugins import FAITHFUL
from tests.support.processes import ROOT
from tests.support.stores import untyped
from tests.support.story import Story
from workers.errors import StoreUnavailable
from workers.settings import Budget
from workers.store.broker import Readiness
from workers.store.client import Store, connect
from workers.store.clock import Watch, monotonic
from workers.store.inbox import accept, receive
from workers.store.keys import WAKE, Keys
from workers.store.lanes import ClaimConfig, ClaimedLane, claim
from workers.store.leases import Leases
from workers.store.permits import Governor
from workers.webhook import parse

pytestmark = [pytest.mark.e2e, pytest.mark.redis, pytest.mark.timeout(900)]

BUDGET = Budget(10, 10, 60, 600, 1.0, 8)
#: A key of the account, and one of all accounts: they are on different nodes of the clusters below.
OURS, SHARED = Keys(ACCOUNT).schedule, WAKE


def start(fleet: Fleet, level: str) -> None:
    fleet.start_web(FOXHOOKS_DURABILITY=level)
    for _ in range(2):
        fleet.ready_worker(FOXHOOKS_DURABILITY=level)
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")


@pytest.mark.parametrize(
    ("kind", "killed"), [("redis", OURS), ("redis", SHARED), ("valkey", OURS), ("valkey", SHARED), ("TLS", OURS)]
)
def test_a_primary_of_a_cluster_is_killed_while_events_flow(
    deploy: Callable[..., Fleet], tmp_path: Path, kind: str, killed: str
) -> None:
    cluster = Cluster.with_tls(tmp_path) if kind == "TLS" else Cluster(3, kind)
    fleet = deploy(FAITHFUL, store=cluster, latency=0.02)
    assert cluster.port_of(OURS) != cluster.port_of(SHARED)
    start(fleet, "replica")
    story = Story(fleet)
    story.reply_to_all()
    with story.flowing():
        server = cluster.fail_over(killed)
        server.start()  # it becomes the replica of the new primary
        fleet.wait(lambda: fleet.answers() == 200, "web stores again")
    story.reply_to_all()
    fleet.settle(180)
    assert story.missing() == 0
    assert not any(call.overlapped for call in fleet.calls())


def test_without_replica_the_last_moments_may_be_lost_but_nothing_is_done_twice(
    deploy: Callable[..., Fleet], record_property: Callable[[str, object], None]
) -> None:
    cluster = Cluster()
    fleet = deploy(FAITHFUL, store=cluster, latency=0.02)
    start(fleet, "everysec")
    story = Story(fleet)
    with story.flowing():
        cluster.fail_over(OURS)
        fleet.wait(lambda: fleet.answers() == 200, "web stores again")
    fleet.settle(180)
    lost, written = story.missing(), sum(map(len, story.written.values()))
    record_property("lost", lost)
    print(f"everysec: {lost} of {written} messages lost")


def test_the_primary_of_sentinels_is_killed_while_events_flow(deploy: Callable[..., Fleet]) -> None:
    store = SentinelStore()
    fleet = deploy(FAITHFUL, store=store, latency=0.02)
    start(fleet, "replica")
    story = Story(fleet)
    story.reply_to_all()
    with story.flowing():
        server = store.fail_over()
        store.follow(server)
        fleet.wait(lambda: fleet.answers() == 200, "web stores again")
    story.reply_to_all()
    fleet.settle(180)
    shown = fleet.run("doctor", FOXHOOKS_DURABILITY="replica")
    assert "a 200 means that one of them has the event" in shown.stdout, shown.stdout
    assert story.missing() == 0
    assert not any(call.overlapped for call in fleet.calls())


def test_a_slot_that_moves_pauses_its_account_and_loses_nothing(deploy: Callable[..., Fleet]) -> None:
    cluster = Cluster(3, replicas=False)
    fleet = deploy(FAITHFUL, store=cluster, latency=0.02)
    start(fleet, "fsync")
    story = Story(fleet)
    with story.flowing():
        before = cluster.port_of(OURS)
        with cluster.moving_slot(OURS):
            fleet.wait(lambda: fleet.answers() == 503, "the account waits while its keys move")
        assert cluster.port_of(OURS) != before
        fleet.wait(lambda: fleet.answers() == 200, "web stores again")
    story.reply_to_all()
    fleet.settle(180)
    assert story.missing() == 0


def claims(account: str) -> ClaimConfig:
    return ClaimConfig(account, lease=15_000, read=True, budget=Governor(account, BUDGET).budget, life=20_000)


@pytest.mark.parametrize("lost", [Keys("acme").schedule, WAKE], ids=["an account's", "the shared keys'"])
def test_a_lost_node_stops_only_the_accounts_on_it(lost: str) -> None:
    """acme, beta and the shared keys are on three nodes, none of which has a replica."""
    cluster = Cluster(3, replicas=False)
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.remove)
        cluster.start()
        assert len({cluster.port_of(key) for key in (Keys("acme").schedule, Keys("beta").schedule, WAKE)}) == 3
        client, idle = (stack.enter_context(connect(cluster.url, connections=1)) for _ in range(2))
        store = stack.enter_context(Store(client))
        watch = Watch(store, [Governor(account, BUDGET) for account in ("acme", "beta")], durable=True)
        readiness = Readiness(store, idle, [claims("acme"), claims("beta")], threads=4)
        leases = Leases(store, 15.0, monotonic, "worker-1", watch.check)
        assert watch.check() == ""
        cluster.primary(lost).kill()

        async def deliver() -> list[Any]:
            writer = StoreWriter(cluster.url, "memory")
            body = b'{"ticket_id": 3}'
            scripts = [accept(account, [receive(parse(body), body)], 60) for account in ("acme", "beta")]
            try:
                return [*await writer.run(scripts, wake=True)]
            finally:
                await writer.close()

        acme, beta = asyncio.run(deliver())
        assert beta[0].status == "accepted"
        assert isinstance(acme, StoreUnavailable) == (lost != WAKE)
        assert watch.check() == ""
        assert readiness.wait() == (2 if lost == WAKE else 1)
        for account in ("acme", "beta"):
            with contextlib.suppress(StoreUnavailable):
                lane = store.run(claim(claims(account), "n"))
                assert isinstance(lane, ClaimedLane)
                leases.add(lane, monotonic())
        before = untyped(client).zscore(Keys("beta").schedule, "3")
        with contextlib.suppress(StoreUnavailable):  # the heartbeat is a shared key
            leases.renew()
        assert untyped(client).zscore(Keys("beta").schedule, "3") > before


FAULTY = """
from workers import GiveUp, Router

router = Router("test")


@router.on("ticket-created", "contact-replied")
def handle(ticket, event):
    if any("give up" in change.text for change in event.matched):
        raise GiveUp("as asked")
    ticket.note(f"noted: {event.matched[-1].text}")
"""

USER = re.findall(r"^ACL SETUSER .*$", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE)[0]


def test_every_command_works_on_a_cluster_as_the_documented_user(deploy: Callable[..., Fleet]) -> None:
    cluster = Cluster(3, "valkey")
    fleet = deploy(FAULTY, store=cluster)
    for server in cluster.servers.values():
        with server.client() as client:
            client.execute_command(*USER.split(), "+cluster|slots", "+dump", "+restore")
    fleet.store_url = cluster.url.replace("://", "://foxhooks:PASSWORD@")
    start(fleet, "replica")
    fleet.open_ticket(text="hello")
    fleet.open_ticket(text="please give up")
    fleet.settle()
    fleet.wait(lambda: fleet.notes(1), "the first ticket is noted")

    def run(*arguments: str, code: int = 0) -> str:
        done = fleet.run(*arguments, FOXHOOKS_DURABILITY="replica")
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    [account] = json.loads(run("status", "--json"))["accounts"]
    assert account["account"] == ACCOUNT
    run("status", "--worker")
    assert "private note: done" in run("explain", "1")
    run("events", "--json")
    [dead] = json.loads(run("dead", "list", "--json"))
    assert "as asked" in run("dead", "show", dead["id"])
    run("pause")
    run("resume")
    run("dead", "replay", dead["id"])
    fleet.settle()
    [again] = json.loads(run("dead", "list", "--json"))
    run("dead", "discard", again["id"])
    assert json.loads(run("dead", "list", "--json")) == []
    shown = run("doctor")
    assert "it is a cluster of 3 primaries" in shown
    assert ACCOUNT in run("store", "accounts")
    run("webhooks")
    run("backtest", "handlers:router", code=1)  # one of them gives up again
    run("forget", "--ticket", "1", "--yes")
    run("store", "restored")
    for process in (*fleet.workers, fleet.web):
        assert process
        process.terminate()
    moved = fleet.run("store", "move", ACCOUNT, "renamed", "--yes", HAPPYFOX_ACCOUNT="renamed")
    assert f"from {ACCOUNT} to renamed" in moved.stdout, moved.stderr
    shown = fleet.run("explain", "2", HAPPYFOX_ACCOUNT="renamed").stdout
    assert f"moved from the account {ACCOUNT} to renamed" in " ".join(shown.split())
    assert [each["stored"]["account"] for each in json.loads(run("store", "accounts", "--json"))["accounts"]] == [
        "renamed"
    ]
    asked_separately = {"bgrewriteaof", "evalsha"}  # of `forget`, and of plug-ins' jobs
    for server in cluster.servers.values():
        with server.client() as client:
            assert {entry["object"] for entry in client.acl_log()} <= asked_separately


def test_a_cluster_behind_a_plain_address_is_named_everywhere(deploy: Callable[..., Fleet]) -> None:
    cluster = Cluster(3, replicas=False)
    fleet = deploy(FAITHFUL, store=cluster)
    fleet.store_url = f"redis://127.0.0.1:{cluster.ports[0]}"
    web, worker = fleet.start_web(), fleet.ready_worker()
    fleet.wait(lambda: fleet.answers() == 503, "web says that it cannot store")
    named = "the store is a cluster, and its address does not say so"
    assert named in fleet.http.get(f"{fleet.url}/readyz").text
    fleet.wait(lambda: named in worker.output and named in web.output, "both logs name it")
    assert named in fleet.run("doctor").stdout
