"""events: what came in, filtered before it is paged, and followed."""

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from service.reading import events
from tests.support.commands import refused, run, shown, wrong
from tests.support.stores import untyped
from workers import Event, Router, Ticket
from workers.engine.plan import read_record
from workers.store.client import Store
from workers.store.inbox import accept, receive
from workers.store.keys import Keys
from workers.store.records import AccountRecords
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.webhook import parse

vip = Router("vip")


@vip.on("ticket-created")
def greet(ticket: Ticket, event: Event) -> None:
    ticket.add_tags("vip")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")


def test_wrong_options_are_refused_with_the_nearest_word() -> None:
    assert "no state 'setled'; did you mean 'settled'?" in wrong("events", "--state", "setled")
    assert "no kind 'contct-replied'; did you mean 'contact-replied'?" in wrong("events", "--kind", "contct-replied")


def test_a_duration_without_a_unit_is_refused_with_an_example() -> None:
    assert "'10' is not a duration; write it as 90s, 10m, 2h or 1d" in wrong("events", "--since", "10")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("options", [(), ("--ticket", "1")])
@pytest.mark.parametrize("cursor", ["rubbish", "rubbish@t1", "12@", "t12"])
def test_a_cursor_of_another_list_is_refused(options: tuple[str, ...], cursor: str) -> None:
    assert "begin again without --cursor" in refused("events", *options, "--cursor", cursor)


def record_turns(store: redis.Redis, count: int) -> None:
    """Let one ticket be settled, then copy its record to many newer turns of other tickets."""
    world = SimulatedDeployment(store, vip)
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    keys, copied = Keys(ACCOUNT), shown("events")[0]["turn"]
    record = read_record(AccountRecords(store, ACCOUNT).record(copied))
    assert record is not None
    with store.pipeline(transaction=False) as batch:
        for number in range(2, count + 2):
            turn = msgspec.structs.replace(record, number=number, turn=f"t{number}", at=record.at + number)
            batch.set(keys.record(f"t{number}"), zlib.compress(msgspec.json.encode(turn)))
            batch.zadd(keys.turns, {f"t{number}": record.at + number})
        batch.execute()


def test_events_are_filtered_before_they_are_paged(store: redis.Redis) -> None:
    record_turns(store, 1_100)
    (mine,) = shown("events", "--ticket", "1")
    assert mine["ticket"] == 1
    assert len(shown("events", "--kind", "ticket-created")) == 1_101
    assert len(shown("events", "--handler", "vip", "--most", "60")) == 60
    assert shown("events", "--handler", "nobody") == []


def test_pages_of_events_lose_and_repeat_none_and_say_that_there_are_more(store: redis.Redis) -> None:
    record_turns(store, 120)
    found, cursor = [], ""
    for _ in range(3):
        result = run("events", "--json", "--most", "50", "--cursor", cursor)
        found += [each["turn"] for each in json.loads(result.stdout)]
        more = re.search(r"There are more: continue with --cursor (\S+)$", result.stderr)
        cursor = more[1] if more else ""
    assert not cursor
    assert len(found) == len(set(found)) == 121
    assert "There are more: continue with --cursor" in run("events").stdout


def test_followed_events_are_printed_when_they_come_and_when_they_are_settled(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = SimulatedDeployment(store, vip)
    world.simulator.create_ticket()

    def steps() -> Iterator[None]:
        world.deliver()
        yield
        world.settle_down()
        yield
        raise KeyboardInterrupt

    following = steps()
    monkeypatch.setattr("service.commands.events.time.sleep", lambda _: next(following))
    lines = run("events", "--follow", code=130).stdout.splitlines()
    assert [line.split("  ")[-1] for line in lines if "ticket 1" in line] == ["waiting", "settled: ticket-created"]


@pytest.fixture
def crowd(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, str]]:
    """Twenty tickets with two waiting events each, some of them due at the same moment; few are read at once."""
    monkeypatch.setattr(events, "WAITING", 3)
    bodies = [b'{"ticket_id": %d, "n": %d}' % (ticket, n) for ticket in range(1, 21) for n in (1, 2)]
    Store(store).run(accept(ACCOUNT, [receive(parse(body), body) for body in bodies], 86_400))
    keys = Keys(ACCOUNT)
    for ticket in range(1, 21):
        store.zadd(keys.schedule, {str(ticket): 1_700_000_000_000.0 + ticket // 8})
    return {
        (ticket, event.decode()) for ticket in range(1, 21) for event in untyped(store).lrange(keys.lane(ticket), 0, -1)
    }


def test_all_that_waits_is_listed_page_by_page(store: redis.Redis, crowd: set[tuple[int, str]]) -> None:
    records, found, cursor = AccountRecords(store, ACCOUNT), list[tuple[int, str]](), ""
    while True:
        page = events.read_events(records, events.EventFilter(state="waiting"), cursor, 4)
        found += [(row.ticket, row.id) for row in page.items]
        cursor = page.next
        if not cursor:
            break
    assert len(found) == len(set(found)) == 40
    assert set(found) == crowd
    assert len(shown("events", "--state", "waiting")) == 40
    output = run("events", "--state", "waiting", "--most", "30").stdout
    assert "There are more: continue with --cursor waiting@" in output
    for wrong_one in ("waiting@x@0", "waiting@1:x@0", "x", "waiting@1:1@x"):
        assert "is not in the list any more" in refused("events", "--state", "waiting", "--cursor", wrong_one)


def test_lanes_with_many_events_are_looked_at_a_few_at_a_time(
    store: redis.Redis, crowd: set[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "WAITING", 100)
    monkeypatch.setattr(events, "OF_LANES", 3)
    page = events.read_events(AccountRecords(store, ACCOUNT), events.EventFilter(state="waiting"), "", 50)
    assert (len(page.items), page.next.startswith("waiting@")) == (4, True)
    assert len(shown("events", "--state", "waiting")) == 40
