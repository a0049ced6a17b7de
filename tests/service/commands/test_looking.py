"""status and dead list: what a person, a program and a probe see of the store."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import redis
from typer import BadParameter
from typer.testing import CliRunner

from service.command import app
from service.commands import dead, status
from service.commands.letters import Filter
from service.commands.times import ago, now_of
from service.failures import CommandError
from workers.events.delivery import parse
from workers.lanes.inbox import accept, receive, unreadable
from workers.lanes.keys import WORKERS
from workers.lanes.store import Store

P = "foxhooks:{acme}:"
DAY = 86_400


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is the current one, with a web process's settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", "acme")
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's settings too."""
    monkeypatch.setenv("HAPPYFOX_URL", "https://acme.example")
    monkeypatch.setenv("HAPPYFOX_API_KEY", "test-key")
    monkeypatch.setenv("HAPPYFOX_AUTH_CODE", "test-code")
    monkeypatch.setenv("HAPPYFOX_STAFF_ID", "7")
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "quiet:router")


def take_in(store: redis.Redis) -> None:
    """Two tickets' deliveries, one of them twice, one unreadable, two refused."""
    bodies = [b'{"ticket_id": 3}', b'{"ticket_id": 3}', b'{"ticket_id": 4}']
    arrivals = [*(receive(parse(body), body) for body in bodies), unreadable("not JSON", b"?")]
    Store(store).run(accept("acme", arrivals, DAY, {"bad-signature": 2}))


def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("worker")
def test_status_counts_what_came_in_with_the_time_of_the_last(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    take_in(store)
    assert status.run(worker=False, as_json=True) == 0
    (account,) = shown(capsys)["accounts"]
    counted = {name: count["count"] for name, count in account["deliveries"].items()}
    assert counted == {"accepted": 2, "duplicate": 1, "quarantined": 1, "refused:bad-signature": 2}
    assert all(abs(count["last"] - now_of(store)) < 60_000 for count in account["deliveries"].values())


@pytest.mark.usefixtures("worker")
def test_status_tells_backlog_budget_and_gate(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    take_in(store)
    store.hset(P + "gate", mapping={"state": "locked", "why": "limited", "until": now_of(store) + 90_000})
    store.set(P + "saved", 12)
    status.run(worker=False, as_json=True)
    (account,) = shown(capsys)["accounts"]
    assert (account["lanes"], account["due"], account["events"], account["saved"]) == (2, 2, 2, 12)
    assert account["oldest"] <= now_of(store)
    assert account["budget"]["gets"] == 450
    assert account["budget"]["gate"] == "locked"
    status.run(worker=False, as_json=False)
    text = capsys.readouterr().out
    assert "locked" in text
    assert "429" in text
    assert "refused, bad-signature" in text
    assert "writes saved: 12" in text


def test_status_works_where_only_a_web_process_is_set_up(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    take_in(store)
    assert status.run(worker=False, as_json=False) == 0
    assert "not known here" in capsys.readouterr().out


def test_the_probe_tells_a_living_worker_from_one_that_fell_silent(store: redis.Redis) -> None:
    store.hset(WORKERS, "old", now_of(store) - status.SILENT)
    with pytest.raises(CommandError, match="sign of life"):
        status.run(worker=True, as_json=False)
    store.hset(WORKERS, "young", now_of(store))
    assert status.run(worker=True, as_json=False) == 0


def test_a_probe_on_the_machine_of_a_silent_worker_ignores_its_neighbours(store: redis.Redis) -> None:
    store.hset(WORKERS, "neighbour", now_of(store))
    store.hset(WORKERS, f"{socket.gethostname()}-77-abc", now_of(store) - status.SILENT)
    with pytest.raises(CommandError, match="sign of life"):
        status.run(worker=True, as_json=False)


def bury(store: redis.Redis, identity: str, at: int, handler: str, reason: str, ticket: int = 3) -> None:
    evidence = {"id": identity, "handler": handler, "reason": reason, "attempts": 6}
    store.zadd(P + "dead", {identity: at})
    letter = {"v": 1, "at": at, "ticket": ticket, "turn": "t", "evidence": json.dumps(evidence)}
    store.hset(P + "letter:" + identity, mapping=letter)


ANY = Filter()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ANY, ["c", "b", "a"]),
        (Filter(handler="crm"), ["c", "a"]),
        (Filter(handler="crm.push"), ["a"]),
        (Filter(error="TIMEOUT"), ["a"]),
        (Filter(ticket=4), ["b"]),
        (Filter(since=1800), ["c", "b"]),
    ],
)
def test_dead_letters_are_listed_newest_first_and_filtered(
    store: redis.Redis, capsys: pytest.CaptureFixture[str], wanted: Filter, found: list[str]
) -> None:
    now = now_of(store)
    bury(store, "a", now - 3_600_000, "crm.push", "Timeout of the CRM")
    bury(store, "b", now - 60_000, "vip.greet", "no status 'Open'", ticket=4)
    bury(store, "c", now, "crm.pull", "[red]odd[/red] words")
    assert dead.run(wanted, quarantine=False, as_json=True) == 0
    assert [letter["id"] for letter in shown(capsys)] == found


def test_the_id_of_a_letter_can_be_copied_from_a_narrow_terminal(
    store: redis.Redis, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    identity = "b891d834434ecea3.0.after-hours.create_pick_up"
    bury(store, identity, now_of(store), "after-hours.create_pick_up", "HappyFox refuses the call (400), because of it")
    assert dead.run(ANY, quarantine=False, as_json=False) == 0
    assert identity in capsys.readouterr().out


def test_a_letter_is_shown_as_it_is(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    bury(store, "c", now_of(store), "crm.pull", "[red]odd[/red]\x1b[2J")
    dead.run(ANY, quarantine=False, as_json=False)
    dead.show("c", as_json=False)
    told = capsys.readouterr().out
    assert told.count("[red]odd[/red] [2J") == 2
    assert "\x1b[2J" not in told


def test_what_could_not_be_read_is_listed_on_request(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    take_in(store)
    dead.run(ANY, quarantine=False, as_json=False)
    assert "No dead letters." in capsys.readouterr().out
    dead.run(ANY, quarantine=True, as_json=True)
    (kept,) = shown(capsys)
    assert kept["reason"] == "not JSON"


def test_a_letter_is_put_back_into_its_lane(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    bury(store, "a", now_of(store), "crm.push", "Timeout", ticket=4)
    assert dead.act("replay", Filter(ids=("a",)), quarantine=False) == 0
    assert "runs again now" in capsys.readouterr().out
    assert store.zcard(P + "dead") == 0
    assert store.zscore(P + "sched", "4") is not None
    assert store.lrange(P + "lane:4", 0, -1) == [b"replay-a"]


def test_letters_are_put_back_in_the_order_in_which_they_died(store: redis.Redis) -> None:
    bury(store, "newer", now_of(store), "crm.push", "Timeout", ticket=4)
    bury(store, "older", now_of(store) - 60_000, "crm.push", "Timeout", ticket=4)
    assert dead.act("replay", Filter(handler="crm.push"), quarantine=False) == 0
    assert store.lrange(P + "lane:4", 0, -1) == [b"replay-older", b"replay-newer"]


def test_a_letter_without_a_handler_is_not_replayed(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    bury(store, "a", now_of(store), "", "the fuse blew")
    assert dead.act("replay", Filter(ids=("a",)), quarantine=False) == 1
    assert "names no handler" in capsys.readouterr().out
    assert store.zcard(P + "dead") == 1


def test_discarding_deletes_only_what_is_asked_for(store: redis.Redis) -> None:
    bury(store, "a", now_of(store), "crm.push", "Timeout")
    bury(store, "b", now_of(store), "vip.greet", "Timeout")
    assert dead.act("discard", Filter(handler="crm"), quarantine=False) == 0
    assert store.zrange(P + "dead", 0, -1) == [b"b"]
    assert not store.exists(P + "letter:a")


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_nothing_is_done_to_all_letters_by_accident(store: redis.Redis, verb: dead.Verb) -> None:
    bury(store, "a", now_of(store), "crm.push", "Timeout")
    with pytest.raises(BadParameter, match="say which"):
        dead.act(verb, Filter(), quarantine=False)


def test_a_delivery_that_still_cannot_be_read_stays_in_quarantine(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    take_in(store)
    (identity,) = store.lrange(P + "quarantine", 0, -1)
    assert dead.act("replay", Filter(ids=(identity.decode(),)), quarantine=True) == 1
    assert "still cannot be read" in capsys.readouterr().out
    assert dead.act("discard", Filter(ids=(identity.decode(),)), quarantine=True) == 0
    assert store.llen(P + "quarantine") == 0


def test_a_letter_is_shown_with_its_evidence(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    bury(store, "a", now_of(store), "crm.push", "Timeout", ticket=4)
    assert dead.show("a", as_json=False) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("crm.push", "Timeout", "explain 4"))
    with pytest.raises(CommandError, match="no dead letter"):
        dead.show("zz", as_json=False)


@pytest.mark.parametrize("command", [["dead", "list"], ["events"]])
def test_a_since_that_is_no_duration_is_wrong_usage(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--since", "soon"])
    assert result.exit_code == 2
    assert "90s, 10m" in result.output


@pytest.mark.parametrize(("passed", "words"), [(0, "0 s"), (61_000, "1 min"), (7_200_000, "2 h"), (172_800_000, "2 d")])
def test_ages_are_told_in_their_largest_unit(passed: int, words: str) -> None:
    assert ago(1_000, 1_000 + passed) == f"{words} ago"


def round_of(at: int, **members: object) -> bytes:
    state = {"slot": at, "period": 3_600_000, "phase": "done", "found": 23, "ended": at, **members}
    return json.dumps(state).encode()


def test_status_tells_of_schedules_and_unknown_names(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    now = now_of(store) - 600_000
    rounds = {
        "stale.close": round_of(now, cut=True),
        "stale.nudge": round_of(now, why="HappyFox refuses the search: correct find [x]"),
        "vip.look": round_of(now, phase="search", till=now, found=50),
        "gone.sweep": round_of(now - 3_600_000),
        ":names": round_of(now, told=["rules.toml, line 3: no status 'Nwe' in acme; did you mean 'New'?"]),
    }
    store.hset(P + "rounds", mapping=rounds)  # type: ignore[arg-type]
    assert status.run(worker=False, as_json=False) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "stale.close: found 23 tickets 10 min ago, and there are more than it takes at once; next in 49 min" in told
    assert "stale.nudge: HappyFox refuses the search: correct find [x]; tries again in 49 min" in told
    assert "gone.sweep: found 23 tickets 1 h ago; next was due 10 min ago: no worker runs, or none has this" in told
    assert "vip.look: searches since 10 min ago, 50 tickets so far" in told
    assert "names rules.toml, line 3: no status 'Nwe' in acme; did you mean 'New'?" in told
    status.run(worker=False, as_json=True)
    (account,) = shown(capsys)["accounts"]
    assert account["rounds"]["stale.close"]["found"] == 23
    assert account["rounds"][":names"]["told"][0].startswith("rules.toml")
