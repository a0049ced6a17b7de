"""Lifetimes: every key expires, except those listed here, each with the reason."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from tests.support.sample_store import SampleAccount
from tests.support.stores import untyped
from workers import GiveUp, Router, Ticket
from workers.store import erasure, keys
from workers.store.keys import WAKE, WORKERS, prefix
from workers.store.records import MAX_LIST_AGE, AccountRecords, store_list
from workers.testing.desk import ACCOUNT, SimulatedDeployment

P = prefix(ACCOUNT)
HOUR = 3_600_000
DAY = 24 * HOUR

UNFINISHED = "unfinished work: nothing accepted may be lost; its end deletes it"
INDEX = "numbers of tickets with unfinished work"
COUNTER = "a number"

#: The keys that never expire, by their name in the table of keys.py. None of them holds what a customer wrote, except
#: unfinished work.
PERMANENT = {
    "lane:<ticket>": UNFINISHED,
    "turn:<ticket>": UNFINISHED,
    "leases": UNFINISHED,
    "waiting_for_resume": INDEX,
    "schedule": INDEX,
    "schedule:<class>": INDEX,
    "schedule:timers": INDEX,
    "lease_number": COUNTER,
    "calls_saved": COUNTER,
    "counts": COUNTER,
    "stats:new": COUNTER,
    "stats:totals": COUNTER,
    "client_counts": COUNTER,
    "batches": COUNTER,
    "open": "numbers of open tickets; one that is closed or gone is deleted with the next sweep that finds this out",
    "shapes": "at most 100 forms of deliveries and answers and names in them, without anything that people wrote",
    "learned": "numbers of changes, in all and for each of the last 35 days",
    "store_epoch": COUNTER,
    "permits:get": "ids of the calls in the current window; older ones are deleted with the next call",
    "permits:post": "the same",
    "in_flight": "ids of the calls that are being made",
    "hosts": "at most 20 names of hosts, by which deliveries of another help desk are recognized",
    "memory": "which server wrote last, and since when its memory is in doubt",
    "gate": "whether calls may be made",
    "paused": "pauses, until a person ends them",
    "periodic_tasks": "states of schedules; those of unused ones are deleted after 30 days",
    "{foxhooks}:workers": "names of worker processes, for 10 minutes after their last heartbeat",
    "{foxhooks}:wake": "at most one element, without content",
}

#: The longest lifetime (ms) that the table promises, with the default settings.
LIFETIMES = {
    "40 seconds": 40_000,
    "1 minute": 2 * 60_000,
    "11 minutes": 11 * 60_000,
    "1 hour": HOUR,
    "1 day": DAY,
    "15 minutes": 15 * 60_000,
    "12 hours": 12 * HOUR,
    "7 days": 7 * DAY,
    "8 days": 8 * DAY,
    "26 hours": 27 * HOUR,
    "35 days": 35 * DAY + HOUR,
    "30 days": 30 * DAY,
    "90 days": 90 * DAY,
    "400 days": 400 * DAY,
    "366 days": 366 * DAY,
    "retention": 168 * HOUR,
    "dead days": 90 * DAY,
}

PAGE = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text()

#: How the page writes the lifetimes of the table, where it uses other words.
ON_THE_PAGE = {
    "retention": {"`FOXHOOKS_RETENTION_HOURS` (7 days)"},
    "dead days": {"`FOXHOOKS_DEAD_LETTER_DAYS` (90 days)"},
    "90 days": {"90 days, or until its last timer"},
    "366 days": {"90 days after its last change, or as long as the handler says, at most 366 days"},
    "while used": {"until the work is done"},
    "while held": {"until the work is done"},
    "1 element": {"always"},
    "1 day": {"until the process ends, 1 day at most after the last one", "1 day"},
    "forever": {"always", "until the pause ends", "10 minutes after the last sign of life"},
}


class Row(NamedTuple):
    """A row of the table in keys.py."""

    name: str
    lifetime: str

    def names(self, key: str) -> bool:
        """Return whether a key, without the account's prefix, is of this row."""
        return re.fullmatch(re.sub("<.+?>", r"[^ ]+", self.name), key) is not None


def table() -> list[Row]:
    """Return the rows of the table in keys.py."""
    pattern = r"^    (?:P )?(\S+) +[A-Z]+ +(\S+(?: \S+)?) +\S"
    joined = re.sub(r"^(    \S+)\n +", r"\1 ", keys.__doc__ or "", flags=re.MULTILINE)  # long names have their own line
    return [Row(*found) for found in re.findall(pattern, joined, re.MULTILINE) if found[0] != "Key"]


def row_of(key: str) -> Row:
    """Return the row of a key: the one with the fewest placeholders."""
    [found, *_] = sorted(
        (row for row in table() if row.names(key.removeprefix(P))), key=lambda row: row.name.count("<")
    )
    return found


@pytest.fixture
def sample(store: redis.Redis) -> SampleAccount:
    """A store with one of everything."""
    account = SampleAccount(store)
    account.run()
    account.world.store.run(store_list(ACCOUNT, "staff", b"[]"))
    return account


def lifetimes(client: redis.Redis) -> Iterator[tuple[str, int]]:
    """Yield every key with the ms that it has left, -1 if it never expires."""
    for key in sorted(untyped(client).scan_iter()):
        yield key.decode(), untyped(client).pttl(key)


def is_unfinished(client: Any, key: str) -> bool:
    """Return whether a key is an event that carries work and waits in its lane."""
    fields = client.hgetall(key) if key.startswith(f"{P}event:") else {}
    waiting = client.lrange(f"{P}lane:{fields.get(b'ticket', b'').decode()}", 0, -1)
    return b"pending" in fields and key.removeprefix(f"{P}event:").encode() in waiting


def test_every_key_expires_unless_there_is_a_reason(sample: SampleAccount) -> None:
    enduring = [key for key, left in lifetimes(sample.client) if left < 0]
    assert [
        key for key in enduring if row_of(key).name not in PERMANENT and not is_unfinished(untyped(sample.client), key)
    ] == []


def test_no_key_is_kept_longer_than_the_table_says(sample: SampleAccount) -> None:
    promised = {key: LIFETIMES.get(row_of(key).lifetime) for key, left in lifetimes(sample.client) if left >= 0}
    assert {key for key, most in promised.items() if most is None} == set()
    assert [key for key, left in lifetimes(sample.client) if left > (promised.get(key) or left)] == []


def test_the_keys_that_the_table_calls_permanent_are_those_with_a_reason() -> None:
    assert {row.name for row in table() if row.lifetime not in LIFETIMES} == set(PERMANENT)
    assert {WORKERS, WAKE} <= set(PERMANENT)


def documented() -> dict[str, str]:
    """Return how long each key is kept, according to docs/privacy.md."""
    cells = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    return {name: kept[-1].strip() for first, *kept in cells for name in re.findall("`(.+?)`", first)}


def test_the_page_on_privacy_has_every_key_with_its_lifetime() -> None:
    assert documented().keys() == {row.name for row in table()}
    kept = documented()
    wrong = [row for row in table() if kept[row.name] not in ON_THE_PAGE.get(row.lifetime, {row.lifetime})]
    assert wrong == []


def test_all_that_customers_wrote_can_be_erased() -> None:
    first = PAGE.partition("what customers wrote, with")[2].partition("Unfinished work")[0]
    kinds = {name.partition(":")[0] for name in re.findall(r"^\| `(.+?)`", first, re.MULTILINE)}
    assert len(kinds) == 12
    assert kinds <= erasure.READERS.keys()


@pytest.fixture
def failing(store: redis.Redis) -> SimulatedDeployment:
    """An account whose dead letters are kept for two days."""
    router = Router("failing")

    @router.on("ticket-created")
    def fail(ticket: Ticket) -> None:
        raise GiveUp("the contact is unknown")

    return SimulatedDeployment(store, router, dead_letter_ttl=2 * DAY)


def fail_once(world: SimulatedDeployment) -> str:
    """Make a dead letter and return its id."""
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    newest, *_ = AccountRecords(world.client, ACCOUNT).dead_letters()
    return newest.id


def test_a_dead_letter_is_kept_for_the_days_of_the_setting(failing: SimulatedDeployment) -> None:
    dead_letter = fail_once(failing)
    assert 0 < untyped(failing.client).pttl(f"{P}dead_letter:{dead_letter}") <= 2 * DAY
    assert 0 < untyped(failing.client).pttl(f"{P}dead_letters") <= 2 * DAY


def test_an_older_dead_letter_is_deleted_with_the_next_one(failing: SimulatedDeployment) -> None:
    records = AccountRecords(failing.client, ACCOUNT)
    first = fail_once(failing)
    failing.now += 2 * DAY
    second = fail_once(failing)
    assert [each.id for each in records.dead_letters()] == [second]
    assert not failing.client.exists(f"{P}dead_letter:{first}")


def test_an_expired_dead_letter_is_not_counted(failing: SimulatedDeployment) -> None:
    records = AccountRecords(failing.client, ACCOUNT)
    dead_letter = fail_once(failing)
    fail_once(failing)
    failing.client.delete(f"{P}dead_letter:{dead_letter}")  # as its lifetime does
    assert records.dead_letter_count() == 1


def test_a_history_is_kept_as_long_as_records(store: redis.Redis) -> None:
    router = Router("quiet")

    @router.on("ticket-created")
    def tag(ticket: Ticket) -> None:
        ticket.add_tags("seen")

    world = SimulatedDeployment(store, router, record_ttl=HOUR)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    assert 0 < untyped(store).pttl(f"{P}history:{number}") <= HOUR
    assert 0 < untyped(store).pttl(f"{P}turns") <= HOUR


def test_lists_of_names_expire_when_they_may_no_longer_be_used(store: redis.Redis) -> None:
    world = SimulatedDeployment(store)
    world.store.run(store_list(ACCOUNT, "staff", b"[]"))
    assert 0 < untyped(store).pttl(f"{P}directory") <= MAX_LIST_AGE
