"""The store's memory: another server is noticed once; a replica confirms what a failover must not forget."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.support import stores
from tests.support.stores import Server, untyped
from workers import Context, Router, Ticket
from workers.store.audit import By
from workers.store.client import Store, connect
from workers.store.keys import Keys
from workers.store.memory import Memory, decode_memory, doubt, notice
from workers.testing.desk import ACCOUNT, SimulatedDeployment

Make = Callable[..., Server]

KEY = Keys(ACCOUNT).memory


def memory(client: redis.Redis) -> Memory:
    return decode_memory(untyped(client).hgetall(KEY))


@pytest.mark.parametrize("kind", ["valkey", pytest.param("redis", marks=pytest.mark.redis)])
def test_a_copy_on_another_server_is_noticed_once(server: Make, tmp_path: Path, kind: str) -> None:
    store = server(kind)
    store.start()
    with connect(store.url) as client, Store(client) as ours:
        first = ours.run(notice(ACCOUNT))
        assert [ours.run(notice(ACCOUNT)) for _ in range(3)] == [first] * 3
        shutil.copytree(store.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("socket"))
        client.set("later", 1)
        store.kill()
        shutil.rmtree(store.folder / "appendonlydir")
        shutil.copytree(tmp_path / "copy" / "appendonlydir", store.folder / "appendonlydir")
        store.start()
        assert client.get("later") is None
        found = [ours.run(notice(ACCOUNT)) for _ in range(3)]
    assert first.doubts == 0
    assert [(each.name != first.name, each.doubts, each.why) for each in found] == [(True, 1, "server")] * 3


def test_a_server_whose_info_is_forbidden_names_itself(server: Make) -> None:
    store = server()
    store.start()
    with redis.Redis.from_url(store.url) as admin:
        untyped(admin).acl_setuser("app", enabled=True, nopass=True, commands=["+@all", "-info"], keys=["*"])
        names = []
        for _ in range(2):
            with redis.Redis.from_url(store.url, username="app", password="") as client, Store(client) as ours:
                names += [ours.run(notice(ACCOUNT)) for _ in range(2)]
            store.kill()
            store.start()
            untyped(admin).acl_setuser("app", enabled=True, nopass=True, commands=["+@all", "-info"], keys=["*"])
    assert [each.doubts for each in names] == [0, 0, 1, 1]
    assert len({each.name for each in names}) == 2


def test_a_copy_that_another_version_named_is_in_doubt_where_info_is_forbidden(store: redis.Redis) -> None:
    untyped(store).acl_setuser("app", enabled=True, nopass=True, commands=["+@all", "-info"], keys=["*"])
    url = f"unix://app:@{store.connection_pool.connection_kwargs['path']}"
    store.function_flush()  # a library that has read INFO once remembers the name of the server
    store.hset(KEY, "server:0123456789", "1700000000.17")
    with redis.Redis.from_url(url) as client, Store(client) as ours:
        assert [ours.run(notice(ACCOUNT)).doubts for _ in range(2)] == [1, 1]
    store.function_flush()
    store.acl_deluser("app")


def test_a_later_doubt_keeps_the_earlier_end_of_the_memory(store: redis.Redis) -> None:
    times = iter([1_000_000, 2_000_000, 3_000_000, 100_000_000_000])
    with Store(store, lambda: next(times)) as ours:
        store.set(Keys(ACCOUNT).store_epoch, 500_000)
        marks = [ours.run(doubt(ACCOUNT, By("ada"))) for _ in range(4)]
    assert [mark[:3] for mark in marks[:3]] == [(n, n * 1_000_000, 500_000) for n in (1, 2, 3)]
    assert memory(store) == Memory(4, 100_000_000_000, 500_000, 0, "ada")


def test_nothing_is_called_before_a_replica_has_the_mark(server: Make) -> None:
    primary, replica = stores.pair(server)
    primary.start()
    router = Router("clerk")
    made: list[str] = []

    @router.on("ticket-created")
    def greet(ticket: Ticket, ctx: Context) -> None:
        ctx.effect("crm", lambda: made.append("crm"))
        ticket.note("Welcome.")

    with redis.Redis.from_url(primary.url) as client:
        world = SimulatedDeployment(client, router)
        world.store = Store(client, lambda: world.now, replicated=True)
        world.simulator.create_ticket()
        world.deliver()
        world.work()
        world.now += 20_000
        world.work()
        assert (made, len(world.ticket(1)["updates"])) == ([], 1)
        replica.start()
        stores.await_replica(primary.url)
        world.settle_down()
        assert (made, len(world.ticket(1)["updates"])) == (["crm"], 2)
        world.store.close()
