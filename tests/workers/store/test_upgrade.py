"""Upgrades: this version goes on from what the workers of earlier ones left in the store."""

import json
import re
from pathlib import Path

import pytest
import redis

from tests.support.commands import run, shown
from tests.support.sample_store import FOLDER, SampleAccount, restore
from workers.engine.plan import decode_record
from workers.store import keys
from workers.store.keys import prefix
from workers.store.pauses import resume
from workers.store.records import AccountRecords
from workers.testing.desk import ACCOUNT, BOT

FILES = sorted(FOLDER.glob("*.json"))
DAY = 86_400_000


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def sample(
    request: pytest.FixtureRequest, store: redis.Redis, valkey_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> SampleAccount:
    """An account whose store was written by the version under test; commands find it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")
    monkeypatch.setenv("COLUMNS", "200")
    account = SampleAccount(store)
    account.run()  # for HappyFox's side, which the file does not hold
    store.flushdb()
    stored = json.loads(request.param.read_text())
    restore(store, stored["keys"])
    account.world.now = stored["now"]
    return account


def notes(sample: SampleAccount, fate: str) -> list[str]:
    """Return the notes that foxhooks wrote on a ticket."""
    updates = sample.world.ticket(sample.tickets[fate])["updates"]
    return [
        update["message"]["text"].strip() for update in updates if update["message"] and update["by"].get("id") == BOT
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_file_is_small_and_holds_every_kind_of_key(path: Path) -> None:
    held = [entry["key"].removeprefix(prefix(ACCOUNT)) for entry in json.loads(path.read_text())["keys"]]
    documented = set(re.findall(r"^    P (\S+)", keys.__doc__ or "", re.MULTILINE))
    patterns = {name: re.sub("<.+?>", r"[\\w.:-]+", name) for name in documented}
    assert [name for name, pattern in patterns.items() if not any(re.fullmatch(pattern, key) for key in held)] == []
    assert path.stat().st_size < 150_000


def test_commands_show_what_an_earlier_version_stored(sample: SampleAccount) -> None:
    told = run("status").stdout
    for words in ("bad-signature  2", "main.close: searching", "router quiet", "dead letters            2"):
        assert re.sub(" +", " ", words) in re.sub(" +", " ", told)

    held, dead = sorted(letter["reason"] for letter in shown("dead", "list"))
    assert (dead, held.partition(" in a row")[0]) == ("the contact is unknown", "1 email held back: 1 email")
    for fate, words in {
        "settled": "private note, priority = High: done",
        "pending": "the CRM is down",
        "dead": "the contact is unknown",
        "creating": "create ticket in Billing: done",
        "paused": "queued until the pause ends",
        "quiet": "1 change for every handler of quiet",
        "unfinished": "A worker is processing it.",
        "waiting": "2 waiting events",
    }.items():
        assert words in run("explain", str(sample.tickets[fate])).stdout


def test_records_of_an_earlier_version_can_be_read(sample: SampleAccount) -> None:
    records = [decode_record(stored) for stored in AccountRecords(sample.client, ACCOUNT).records()]
    assert {effect.summary for record in records for effect in record.effects} >= {"tag +seen"}


def test_a_worker_finishes_what_an_earlier_version_began(sample: SampleAccount) -> None:
    sample.work_on()

    for fate in ("settled", "creating", "quiet", "unfinished", "external", "locked", "waiting"):
        assert notes(sample, fate) == [f"noted: {fate}"]
    for fate in ("pending", "dead", "paused", "in doubt"):
        assert notes(sample, fate) == []
    tickets = sample.world.simulator.account.tickets.values()
    assert [ticket.subject for ticket in tickets].count("pick-up") == 2
    assert sample.world.ticket(1)["status"]["name"] == "Closed"
    history = "\n".join(
        line.text for line in AccountRecords(sample.client, ACCOUNT).history(sample.tickets["external"])
    )
    assert "lead" in history


def test_pauses_and_timers_of_an_earlier_version_end(sample: SampleAccount) -> None:
    world, paused = sample.world, str(sample.tickets["paused"])
    assert world.store.run(resume(ACCOUNT, "ticket", paused))
    assert world.store.run(resume(ACCOUNT, "router", "quiet"))
    sample.work_on()
    assert notes(sample, "paused") == ["noted: paused"]
    assert notes(sample, "quiet") == ["noted: quiet", "resumed"]

    world.now += 2 * DAY
    world.settle_down(60_000)
    assert notes(sample, "settled") == ["noted: settled", "reminded"]
