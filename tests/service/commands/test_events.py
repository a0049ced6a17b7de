"""events: what came in, filtered before it is paged, and followed."""

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from tests.support.commands import refused, run, shown, wrong
from workers import Event, Router, Ticket
from workers.engine.plan import read_record
from workers.store.keys import Keys
from workers.store.records import AccountRecords
from workers.testing.desk import ACCOUNT, SimulatedDeployment

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
