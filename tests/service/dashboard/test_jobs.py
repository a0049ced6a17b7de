"""Jobs: a worker runs the same command as a person would, and its output is the result."""

import os
from pathlib import Path
from typing import Any

import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries, TimeLimit

from service.dashboard import jobs
from tests.support.dashboard import Visitor, visiting, words
from tests.support.processes import ROOT
from tests.support.settings import WHOLE
from tests.support.stores import untyped
from workers.store.broker import NAMESPACE
from workers.store.keys import Keys
from workers.tickets.snapshot import Snapshot, encode

JOBS = "/dashboard/acme/jobs"

RULES = """
[[rule]]
name = "refunds"
on = "ticket-created"
add_tags = ["refund"]
"""


@pytest.fixture
def worker(valkey_url: str, store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The broker of a worker, in a folder with a worker's settings."""
    for name, value in (WHOLE | {"REDIS_URL": valkey_url, "PYTHONPATH": str(ROOT)}).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "vip.py").write_text("from workers import Router\nrouter = Router('vip')\n")
    monkeypatch.chdir(tmp_path)
    middleware = [Retries(), TimeLimit()]
    broker: Any = RedisBroker(client=store, namespace=NAMESPACE, middleware=middleware)  # type: ignore[no-untyped-call]
    jobs.declare(broker, store)
    return broker


def work(broker: Any) -> None:
    """Run the job that was sent."""
    message = next(broker.consume(jobs.QUEUE, timeout=1000))
    broker.get_actor(jobs.ACTOR).fn(*message.args)


def begun(visitor: Visitor, **fields: Any) -> str:
    visitor.get("/dashboard/acme/rules")
    answer = visitor.post(JOBS, **fields)
    assert answer.status_code == 303
    return str(answer.headers["location"])


def test_changed_rules_are_tested_on_past_turns(valkey_url: str, store: redis.Redis, worker: Any) -> None:
    with visiting(valkey_url, "olga") as visitor:
        page = begun(visitor, kind="backtest", rules=RULES, since="3d")
        assert "Waits for a worker." in words(visitor.get(page))
        work(worker)
        text = words(visitor.get(page))
        assert "Backtest Done." in text
        assert "acme" in text.partition("Result")[2]
        assert "backtest job" in words(visitor.get("/dashboard/audit"))


def test_handlers_are_tried_again_without_calls(valkey_url: str, store: redis.Redis, worker: Any) -> None:
    store.set(Keys("acme").snapshot(3), encode(Snapshot(floor=1)))
    with visiting(valkey_url, "olga") as visitor:
        assert "Try again without calls" in words(visitor.get("/dashboard/acme/tickets/3"))
        page = visitor.post("/dashboard/acme/tickets/3/trial").headers["location"]
        work(worker)
        text = words(visitor.get(page))
        assert "Trial without calls Done." in text
        assert "no turns to test on" in text.partition("Result")[2]
        assert visitor.post("/dashboard/acme/tickets/999/trial").status_code == 404


def test_mistakes_in_rules_are_the_result(valkey_url: str, store: redis.Redis, worker: Any) -> None:
    with visiting(valkey_url, "olga") as visitor:
        page = begun(visitor, kind="backtest", rules='[[rule]]\nname = "x"\non = "nothing"\n')
        work(worker)
        assert "nothing" in words(visitor.get(page)).partition("Result")[2]
        assert visitor.post(JOBS, kind="backtest", rules=" ").status_code == 400
        assert visitor.post(JOBS, kind="backtest", rules="x", since="soon").status_code == 400
        assert visitor.post(JOBS, kind="other").status_code == 400


def test_a_cancelled_job_is_not_run(valkey_url: str, store: redis.Redis, worker: Any) -> None:
    with visiting(valkey_url, "olga") as visitor:
        page = begun(visitor, kind="doctor")
        visitor.post(f"{page}/cancel")
        work(worker)
        assert "Was cancelled." in words(visitor.get(page))


def test_a_viewer_starts_no_job(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "vera") as visitor:
        assert "Test changed rules" not in words(visitor.get("/dashboard/acme/rules"))
        assert visitor.post(JOBS, kind="doctor").status_code == 403


def test_a_user_without_the_right_is_told(valkey_url: str, store: redis.Redis) -> None:
    untyped(store).acl_setuser("limited", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-evalsha"])
    try:
        with visiting(valkey_url.replace("unix://", "unix://limited:pw@"), "olga") as visitor:
            visitor.get("/dashboard/acme/rules")
            answer = visitor.post(JOBS, kind="doctor")
            assert (answer.status_code, "+evalsha" in words(answer)) == (503, True)
    finally:
        untyped(store).acl_deluser("limited")
    assert os.environ.get("REDIS_URL") is None
