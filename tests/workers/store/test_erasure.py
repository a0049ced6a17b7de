"""Erasure: what is stored about a ticket or an address goes, what is unfinished stays until it ends."""

import zlib
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.support.sample_store import SampleAccount
from tests.support.stores import Server, untyped
from workers import Context, Router, Ticket
from workers.store import erasure
from workers.store.erasure import Eraser, rewrite_log
from workers.store.inbox import accept, unreadable
from workers.store.keys import prefix
from workers.testing.desk import ACCOUNT, SimulatedDeployment

P = prefix(ACCOUNT)
SAM, MIA = "sam@bigcorp.example", "mia@smallshop.example"


def contents(client: Any) -> dict[str, bytes]:
    """Return the content of every key of the account, uncompressed."""
    read: dict[bytes, Callable[[bytes], list[bytes]]] = {
        b"string": lambda key: [client.get(key)],
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": lambda key: [part for pair in client.hgetall(key).items() for part in pair],
        b"set": lambda key: list(client.smembers(key)),
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": lambda key: [part for _, line in client.xrange(key) for part in line.values()],
    }
    found = {}
    for key in client.scan_iter(match=f"{P}*"):
        value = b"\n".join(read[client.type(key)](key))
        found[key.decode()] = zlib.decompress(value) if key.startswith(f"{P}record:".encode()) else value
    return found


def mentioning(client: redis.Redis, words: str) -> list[str]:
    """Return the keys whose content has these words."""
    return [key for key, value in contents(untyped(client)).items() if words.encode() in value]


def settled(client: redis.Redis, email: str, **draft: Any) -> tuple[SimulatedDeployment, int]:
    """Let a handler tag a contact's ticket."""
    router = Router("tags")

    @router.on("ticket-created")
    def tag(ticket: Ticket) -> None:
        ticket.add_tags("seen")

    world = SimulatedDeployment(client, router)
    number = world.simulator.create_ticket(email, **draft).id
    world.deliver()
    world.settle_down()
    return world, number


def erase(eraser: Eraser, *addresses: str, tickets: tuple[int, ...] = ()) -> None:
    """Erase everything about addresses and tickets."""
    for ticket in eraser.find(tickets, addresses).tickets:
        assert eraser.forget(ticket, unfinished=True, patience=0) == ""
    eraser.erase(eraser.find(tickets, addresses).items)


def test_nothing_that_a_customer_wrote_is_left_of_one_of_everything(store: redis.Redis) -> None:
    sample = SampleAccount(store)
    sample.run()
    sample.world.now += sample.world.lease
    body = b"payload=%7B%22email%22%3A%22Sam%40bigcorp.example%22%2C"
    sample.world.store.run(accept(ACCOUNT, [unreadable("not JSON", body)], 3600))
    assert mentioning(store, SAM)

    erase(Eraser(sample.world.store, ACCOUNT), SAM)

    for words in (SAM, "Sam%40", "Please help.", *(f"noted: {fate}" for fate in sample.tickets)):
        assert mentioning(store, words) == []
    kinds = {key.removeprefix(P).partition(":")[0] for key in contents(untyped(store)) if key != f"{P}joins:quarantine"}
    assert kinds.isdisjoint({"record", "snapshot", "history", "turn", "lane", "joins", "dead_letter", "held", "drafts"})
    assert untyped(store).zcard(f"{P}schedule") == 0


def test_other_customers_keep_everything(store: redis.Redis) -> None:
    world, sams = settled(store, SAM)
    mias = world.simulator.create_ticket(MIA, text="Not sam@bigcorp.example.org").id
    world.deliver()
    world.settle_down()
    before = mentioning(store, MIA)

    erase(Eraser(world.store, ACCOUNT), SAM)

    assert mentioning(store, MIA) == before
    assert store.exists(f"{P}snapshot:{mias}")
    assert not store.exists(f"{P}snapshot:{sams}")


def test_an_address_is_found_in_capitals_and_behind_escape_sequences(store: redis.Redis) -> None:
    world, number = settled(store, MIA, text="Write to\nSAM@BigCorp.example, please.")
    assert Eraser(world.store, ACCOUNT).find((), [SAM]).tickets == (number,)


def test_a_ticket_is_erased_by_its_number(store: redis.Redis) -> None:
    world, number = settled(store, SAM)
    erase(Eraser(world.store, ACCOUNT), tickets=(number,))
    assert mentioning(store, SAM) == []


def remembered(client: redis.Redis) -> tuple[SimulatedDeployment, list[int]]:
    """Let handlers remember the contacts of two tickets."""
    router = Router("memory")

    @router.on("ticket-created")
    def remember(ticket: Ticket, ctx: Context) -> None:
        ctx.store.increment("tickets")
        ctx.store.increment(f"tickets of {ticket.contact.email}")
        ctx.store.set(f"last of {ticket.subject}", ticket.first_message)
        ctx.store.add("subjects", ticket.subject)

    world = SimulatedDeployment(client, router)
    numbers = [
        world.simulator.create_ticket(email, name=name, subject=f"From {name}", text=f"I am {name}").id
        for email, name in ((SAM, "Sam"), (MIA, "Mia"))
    ]
    world.deliver()
    world.settle_down()
    return world, numbers


def test_what_handlers_remember_of_a_ticket_is_erased_with_it(store: redis.Redis) -> None:
    world, (sams, _) = remembered(store)
    erase(Eraser(world.store, ACCOUNT), tickets=(sams,))
    assert sorted(key.removeprefix(P) for key in contents(untyped(store)) if ":state:" in f":{key}") == [
        "state:memory:counter:tickets",
        f"state:memory:counter:tickets of {MIA}",
        f"state:memory:counter:tickets of {SAM}",
        "state:memory:set:subjects",
        "state:memory:value:last of From Mia",
    ]
    assert untyped(store).hkeys(f"{P}state:memory:set:subjects")[-1] == b"m:From Mia"
    assert mentioning(store, "I am Sam") == mentioning(store, "From Sam") == []


def test_an_address_in_the_name_of_an_entry_is_found(store: redis.Redis) -> None:
    world, (sams, _) = remembered(store)
    eraser = Eraser(world.store, ACCOUNT)
    assert eraser.find((), [SAM]).tickets == (sams,)
    erase(eraser, SAM)
    assert [key for key in contents(untyped(store)) if SAM in key or "Sam" in key] == []


def test_a_running_turn_keeps_its_ticket(store: redis.Redis) -> None:
    world, number = settled(store, SAM)
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    world.now += 10_000
    assert world.claim() is not None
    eraser = Eraser(world.store, ACCOUNT)
    assert eraser.forget(number, unfinished=True, patience=0) == "running"
    assert store.exists(f"{P}snapshot:{number}")


def test_a_turn_that_crashed_in_the_middle_keeps_its_ticket_until_it_may_be_dropped(store: redis.Redis) -> None:
    sample = SampleAccount(store)
    sample.run()
    sample.world.now += sample.world.lease
    number, eraser = sample.tickets["unfinished"], Eraser(sample.world.store, ACCOUNT)
    assert eraser.forget(number, unfinished=False, patience=0) == "unfinished"
    assert eraser.forget(number, unfinished=True, patience=0) == ""
    assert not store.exists(f"{P}turn:{number}")
    assert not untyped(store).hexists(f"{P}leases", number)


def test_deleted_words_are_not_in_the_append_only_file(server: Any) -> None:
    made: Server = server("valkey", "--aof-use-rdb-preamble", "no")
    made.start()
    with redis.Redis.from_url(made.url) as client:
        world, _ = settled(client, SAM)
        files = made.folder / "appendonlydir"

        def written() -> bytes:
            return b"".join(path.read_bytes() for path in files.iterdir() if path.suffix == ".aof")

        assert SAM.encode() in written()
        erase(Eraser(world.store, ACCOUNT), SAM)
        assert rewrite_log(client, 30) == "done"
        assert SAM.encode() not in written()
        assert b":record:" not in written()


def test_a_user_who_may_not_rewrite_the_file_is_told_so(server: Any) -> None:
    made: Server = server("valkey")
    made.start()
    with redis.Redis.from_url(made.url) as admin:
        admin.execute_command("ACL", "SETUSER", "fox", "on", ">word", "~*", "+@all", "-bgrewriteaof")
        with redis.Redis.from_url(made.url, username="fox", password="word") as client:
            assert rewrite_log(client, 1) == "forbidden"


def test_a_store_without_a_file_has_none_to_rewrite(server: Any) -> None:
    made: Server = server("valkey", "--appendonly", "no")
    made.start()
    with redis.Redis.from_url(made.url) as client:
        assert rewrite_log(client, 1) == "none"


@pytest.mark.parametrize(
    "stored",
    [
        b'{"email": "sam@bigcorp.example"}',
        b'{"html": "<a href=\\"mailto:sam\\u0040bigcorp.example\\">"}',
        b"email=sam%40bigcorp.example",
        b'payload={"text":"x\\nsam@bigcorp.example"}',
        b'{"text": "x\\nsam@bigcorp.example',
    ],
)
def test_an_address_is_found_in_every_form_of_a_body(stored: bytes) -> None:
    pattern = erasure._pattern([SAM])
    assert pattern is not None
    assert pattern.search(erasure._texts(stored))
