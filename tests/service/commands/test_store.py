"""store: what a restore marks; accounts that no setting names are listed, moved and dropped."""

import shlex
from pathlib import Path

import msgspec
import pytest
import redis

from service.commands.doctor_store import check_accounts
from tests.support.commands import KEYS, refused, run, shown, take_in
from workers.settings import load
from workers.store.accounts import AccountChange, find_accounts, read_log
from workers.store.keys import ACCOUNT_LOG, KINDS, SHARED, Keys
from workers.store.records import AccountRecords
from workers.tickets.snapshot import Snapshot, encode

FILE = """\
handlers = ["quiet:router"]
[accounts.acme]
url = "https://acme.example"
api_key = "test-key"
auth_code = "test-code"
webhook_secrets = ["test-secret"]
staff_id = 7
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is the current one, with settings and a router."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("LOGNAME", "ada")
    (tmp_path / "foxhooks.toml").write_text(FILE)
    (tmp_path / "quiet.py").write_text('from workers import Router\nrouter = Router("clerk")\n')


def test_a_restore_is_shown_until_the_ticket_is_read_again(store: redis.Redis) -> None:
    store.set(KEYS.snapshot(3), encode(Snapshot(floor=1)))
    store.zadd(KEYS.schedule, {"3": 9_999_999_999_999})
    assert shown("status")["accounts"][0]["memory"] is None
    assert shown("explain", "3")["now"]["memory_in_doubt"] == ""

    assert "acme: the store's memory is in doubt since" in run("store", "restored").stdout
    memory = AccountRecords(store, "acme").memory()
    assert (memory.doubts, memory.cause.partition(" on ")[0]) == (1, "ada")
    assert shown("status")["accounts"][0]["memory"]["since"] == memory.at
    assert "reported that an older copy was restored" in " ".join(run("status").stdout.split())
    assert "The store's memory of this ticket is in doubt" in run("explain", "3").stdout

    store.set(KEYS.snapshot(3), encode(Snapshot(floor=1, doubts=1)))
    assert shown("explain", "3")["now"]["memory_in_doubt"] == ""


def test_a_ticket_that_the_store_does_not_know_may_be_forgotten(store: redis.Redis) -> None:
    assert refused("explain", "9") == "foxhooks: No webhook received for ticket 9 yet."
    run("store", "restored")
    assert "The store may have forgotten turns of this ticket." in refused("explain", "9")
    store.zadd(KEYS.schedule, {"9": 9_999_999_999_999})
    assert "The store may have forgotten turns of this ticket." in run("explain", "9").stdout


@pytest.fixture
def renamed(store: redis.Redis) -> redis.Redis:
    """A store that knows the account of the settings under an old name: two tickets, a dead letter and a schedule."""
    take_in(store)
    for key in list(store.scan_iter(match="foxhooks:{acme}:*")):
        store.rename(key, key.decode().replace("{acme}", "{old}"))
    old = Keys("old")
    store.hset(old.dead_letter("d"), mapping={"v": 1, "at": 1, "ticket": 3, "turn": "t", "evidence": "{}"})
    store.zadd(old.dead_letters, {"d": 1})
    store.hset(old.periodic_tasks, "main.close", '{"phase":"done","scheduled_at":1,"period":9}')
    store.hset(old.periodic_tasks, ":names", '{"phase":"done","scheduled_at":1,"period":9}')
    return store


WAITING = "2 waiting events, 2 scheduled tickets, 1 dead letter, 1 schedule, 1 delivery in quarantine"


def test_doctor_and_the_list_show_accounts_that_no_setting_names(renamed: redis.Redis, tmp_path: Path) -> None:
    renamed.set(KEYS.store_epoch, 1)
    environ = {"REDIS_URL": "redis://localhost"}
    (tmp_path / "foxhooks.toml").write_text(FILE)
    [finding] = check_accounts(renamed, load("web", environ, tmp_path))
    assert finding.level == "warning"
    assert finding.text == (
        f"no setting names the account old, which the store knows ({WAITING}): it may have been renamed"
    )
    assert finding.fix == (
        "run `foxhooks store move old NEW` to give this to its new name, or `foxhooks store drop old` to delete it"
    )
    found = shown("store", "accounts")
    assert [(each["stored"]["account"], each["named"]) for each in found["accounts"]] == [
        ("acme", True),
        ("old", False),
    ]
    assert "not named" in run("store", "accounts").stdout


def test_an_account_is_moved_to_its_new_name(renamed: redis.Redis) -> None:
    told = run("store", "move", "old", "acme", "--yes").stdout
    assert f"old to acme: {WAITING}" in told
    assert "Moved 2 tickets and" in told
    assert list(find_accounts(renamed)) == ["acme"]
    assert [each["ticket"] for each in shown("events")] == [3, 4]
    assert "moved here what the account old had" in " ".join(run("status").stdout.split())
    assert "moved old to acme:" in run("store", "accounts").stdout
    assert [entry.by.partition(" ")[0] for entry in read_log(renamed)] == ["ada", "ada"]


def test_an_account_is_dropped_after_a_question(renamed: redis.Redis) -> None:
    keys = find_accounts(renamed)["old"]
    assert "Delete this?" in run("store", "drop", "old", code=1).stdout
    assert find_accounts(renamed) == {"old": keys}
    assert f"Deleted {keys} keys of old." in run("store", "drop", "old", "--yes").stdout
    assert find_accounts(renamed) == {}


def test_an_account_that_a_worker_works_for_is_neither_dropped_nor_moved(
    renamed: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.commands.store.TURN_PATIENCE", 0)
    renamed.hset(Keys("old").leases, mapping={"3": "1-n", "@n": "3 normal "})
    renamed.zadd(Keys("old").schedule, {"3": 9_999_999_999_999})
    told = refused("store", "drop", "old", "--yes")
    assert told.endswith("a worker works for old: stop the processes that have settings for it")
    told = refused("store", "move", "old", "acme", "--yes")
    assert "ticket 3 stays: a worker still works on it under the old name" in told
    assert told.endswith("Then run `foxhooks store move old acme` again.")
    (finding,) = check_accounts(renamed, load("web", {"REDIS_URL": "redis://localhost"}, Path.cwd()))
    assert "its move to acme was interrupted" in finding.text
    assert finding.fix == "run `foxhooks store move old acme` to give this to its new name"
    Path("foxhooks.toml").write_text(FILE + FILE.partition("\n")[2].replace("acme", "beta"))
    assert "a move of old to acme was interrupted" in refused("store", "move", "old", "beta", "--yes")


def test_an_account_is_not_moved_on_before_it_is_complete(renamed: redis.Redis) -> None:
    renamed.set(Keys("older").calls_saved, 1)
    renamed.rpush(ACCOUNT_LOG, msgspec.json.encode(AccountChange(1, "ada", "move", "older", "old")))
    told = refused("store", "move", "old", "acme", "--yes")
    assert told.endswith("a move of older to old was interrupted: finish it, then move old to acme")
    renamed.delete(Keys("older").calls_saved)
    run("store", "move", "old", "acme", "--yes")


def test_help_desks_are_not_mixed(renamed: redis.Redis) -> None:
    renamed.hset(Keys("old").hosts, "one.happyfox.com", 1)
    renamed.hset(KEYS.hosts, "two.happyfox.net", 1)
    told = refused("store", "move", "old", "acme", "--yes")
    assert "old belongs to the help desk one and acme to two" in told
    run("store", "move", "old", "acme", "--yes", "--renamed")
    assert list(find_accounts(renamed)) == ["acme"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("move", "acme", "acme"), "the settings name acme"),
        (("move", "old", "acne"), "the settings name no account 'acne'"),
        (("move", "olt", "acme"), "the store has nothing of an account 'olt'"),
        (("drop", "acme"), "the settings name acme"),
        (("drop", "olt"), "the store has nothing of an account 'olt'"),
    ],
)
def test_accounts_that_cannot_be_moved_or_dropped_are_refused(
    renamed: redis.Redis, arguments: tuple[str, ...], words: str
) -> None:
    renamed.set(KEYS.store_epoch, 1)
    assert words in refused("store", *arguments, "--yes")


ACCOUNT_KEYS = {kind: type_ for kind, type_ in KINDS.items() if "<" not in kind} | {"schedule:normal": "zset"}


@pytest.mark.parametrize("kind", ["turns", "periodic_tasks", "counts", "schedule", "dead_letters", "leases", "hosts"])
def test_an_account_with_a_corrupt_key_can_be_dropped(renamed: redis.Redis, kind: str) -> None:
    renamed.delete(Keys("old").prefix + kind)
    renamed.xadd(Keys("old").prefix + kind, {"a": "b"})
    assert "old" in run("store", "accounts").stdout
    assert "Deleted" in run("store", "drop", "old", "--yes").stdout
    assert find_accounts(renamed) == {}


@pytest.mark.parametrize("name", ["-old", "two words", "$HOME", "a;b"])
def test_the_commands_that_doctor_names_can_be_copied(store: redis.Redis, tmp_path: Path, name: str) -> None:
    store.set(Keys(name).store_epoch, 1)
    (finding,) = check_accounts(store, load("all", {"REDIS_URL": "redis://localhost"}, tmp_path))
    command = finding.fix.split("`")[3]
    assert run(*shlex.split(command)[1:3], "--yes", *shlex.split(command)[3:]).stdout.startswith(f"{name}: nothing")
    assert find_accounts(store) == {}


@pytest.mark.parametrize("key", [*(KEYS.prefix + kind for kind in ACCOUNT_KEYS), *SHARED])
def test_doctor_and_status_name_a_key_of_the_wrong_type(store: redis.Redis, key: str) -> None:
    expected = (ACCOUNT_KEYS | SHARED)[key.removeprefix(KEYS.prefix)]
    actual = "set" if expected == "stream" else "stream"
    store.sadd(key, "a") if actual == "set" else store.xadd(key, {"a": "b"})
    problem = f"the key {key} is a {actual}, not a {expected}"
    assert f"{problem}\n    → repair or delete it" in run("doctor", "--offline", code=1).stdout
    status = run("status", code=None)
    assert not status.exit_code or problem in status.stderr


def test_a_stored_name_cannot_control_the_terminal(store: redis.Redis) -> None:
    store.set(Keys("x\x1b[31m").store_epoch, 1)
    store.hset(KEYS.hosts, "help\x1b[31m.example", 1)
    assert "x [31m" in run("store", "drop", "y", code=1).stderr
    assert "help [31m.example" in run("webhooks", "--forget-host", "all").stdout
