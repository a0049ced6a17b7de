"""status: what a person, a program and a probe see of the store."""

import json
import socket

import pytest
import redis

from service.commands import status
from service.commands.times import ago, now_of
from service.failures import CommandError
from tests.support.intake import P, shown, take_in
from workers.lanes.keys import WORKERS

pytestmark = pytest.mark.usefixtures("web_settings")


@pytest.mark.usefixtures("worker_settings")
def test_status_counts_what_came_in_with_the_time_of_the_last(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    take_in(store)
    assert status.run(worker=False, as_json=True) == 0
    (account,) = shown(capsys)["accounts"]
    counted = {name: count["count"] for name, count in account["deliveries"].items()}
    assert counted == {"accepted": 2, "duplicate": 1, "quarantined": 1, "refused:bad-signature": 2}
    assert all(abs(count["last"] - now_of(store)) < 60_000 for count in account["deliveries"].values())


@pytest.mark.usefixtures("worker_settings")
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
