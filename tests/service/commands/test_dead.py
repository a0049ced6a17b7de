"""dead: letters listed, shown, replayed and discarded."""

import json

import pytest
import redis
from typer import BadParameter
from typer.testing import CliRunner

from service.command import app
from service.commands import dead
from service.commands.letters import Filter
from service.commands.times import now_of
from service.failures import CommandError
from tests.support.intake import P, shown, take_in

pytestmark = pytest.mark.usefixtures("web_settings")
ANY = Filter()


def bury(store: redis.Redis, identity: str, at: int, handler: str, reason: str, ticket: int = 3) -> None:
    evidence = {"id": identity, "handler": handler, "reason": reason, "attempts": 6}
    store.zadd(P + "dead", {identity: at})
    letter = {"v": 1, "at": at, "ticket": ticket, "turn": "t", "evidence": json.dumps(evidence)}
    store.hset(P + "letter:" + identity, mapping=letter)


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
