"""The actors of plug-ins: they run on the workers' threads, with Dramatiq's middleware, and never instead of turns."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import dramatiq
import dramatiq.broker
import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from tests.support.processes import wait_until
from workers import worker
from workers.plugins.jobs import ensure_broker, run_waiting
from workers.plugins.loading import LoadError, import_router
from workers.settings import load
from workers.store.broker import LaneBroker

PLUGIN = """
    import threading
    import dramatiq
    from dramatiq.middleware import CurrentMessage
    from workers import Router
    from workers.errors import Unfit

    router = Router("jobs")
    done, fails = [], []
    hold = threading.Event()


    @router.on("ticket-created")
    def start(ticket):
        pass


    @dramatiq.actor(queue_name="slow", max_retries=1, min_backoff=1, max_age=60_000)
    def fail_once(name):
        fails.append(CurrentMessage.get_current_message().message_id)
        if len(fails) == 1:
            raise ValueError("words of a customer")
        done.append(name)


    @dramatiq.actor(queue_name="slow")
    def wait(name):
        hold.wait(30)
        done.append(name)
"""


@pytest.fixture
def build(
    store: redis.Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[LaneBroker, Any]]]:
    """Put a worker together, and return its broker and the plug-in's module."""
    before = dramatiq.broker.global_broker

    def build(source: str = PLUGIN, **environ: str) -> tuple[LaneBroker, Any]:
        (tmp_path / "offloading.py").write_text(dedent(source))
        monkeypatch.chdir(tmp_path)
        settings = {
            "REDIS_URL": valkey_url,
            "HAPPYFOX_ACCOUNT": "acme",
            "HAPPYFOX_URL": "http://127.0.0.1:9",
            "HAPPYFOX_API_KEY": "demo-key",
            "HAPPYFOX_AUTH_CODE": "demo-code",
            "HAPPYFOX_STAFF_ID": "7",
            "FOXHOOKS_HANDLERS": "offloading:router",
        }
        broker = worker.build(load("worker", {**settings, **environ}, tmp_path))
        return broker, sys.modules["offloading"]

    yield build
    dramatiq.set_broker(before)  # type: ignore[arg-type]  # None: no broker


@pytest.fixture
def running() -> Iterator[Callable[[LaneBroker, int], None]]:
    started: list[dramatiq.Worker] = []

    def start(broker: LaneBroker, threads: int) -> None:
        started.append(dramatiq.Worker(broker, worker_threads=threads, worker_timeout=50))
        started[-1].start()

    yield start
    for each in started:
        each.stop()


def test_an_actor_of_a_plug_in_runs_and_is_retried(build: Any, running: Any) -> None:
    broker, plugin = build()
    assert plugin.fail_once.broker is broker
    running(broker, 2)
    plugin.fail_once.send("first")
    wait_until(lambda: plugin.done == ["first"], "the actor has succeeded")
    assert len(plugin.fails) == 2
    assert len(set(plugin.fails)) == 1


def test_slow_jobs_leave_threads_to_turns(build: Any, running: Any) -> None:
    broker, plugin = build(FOXHOOKS_THREADS="4")
    running(broker, 4)
    for name in ("a", "b", "c", "d", "e"):
        plugin.wait.send(name)
    wait_until(lambda: broker._readiness._free == 2, "two jobs are running")
    try:
        wait_until(lambda: broker._slots._free == 0, "no other job is fetched")
        assert broker._readiness._free == 2
    finally:
        plugin.hold.set()
    wait_until(lambda: sorted(plugin.done) == ["a", "b", "c", "d", "e"], "all jobs are done")
    wait_until(lambda: (broker._readiness._free, broker._slots._free) == (4, 2), "all threads are free again")


def test_a_log_line_of_dramatiq_has_no_argument_of_a_job(
    build: Any, running: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    broker, plugin = build()
    running(broker, 2)
    plugin.fail_once.send("private words")
    wait_until(lambda: plugin.done, "the actor has succeeded")
    err = capsys.readouterr().err
    assert "Failed to process message fail_once" in err
    assert "private words" not in err
    assert "words of a customer" not in err


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import dramatiq\n@dramatiq.actor(queue_name='lanes')\ndef mine(): pass\n", "foxhooks' own"),
        ("import dramatiq\n@dramatiq.actor\ndef turns(): pass\n", "foxhooks' own"),
        (
            "import dramatiq\nfrom dramatiq.brokers.stub import StubBroker\ndramatiq.set_broker(StubBroker())\n",
            "remove dramatiq.set_broker from it",
        ),
    ],
)
def test_a_plug_in_that_disturbs_the_worker_is_refused(build: Any, source: str, problem: str) -> None:
    with pytest.raises(LoadError, match=problem):
        build(source + "from workers import Router\nrouter = Router('mine')\n")


def test_elsewhere_actors_belong_to_a_stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dramatiq.broker, "global_broker", None)
    (tmp_path / "elsewhere.py").write_text(dedent(PLUGIN))
    monkeypatch.syspath_prepend(tmp_path)
    assert import_router("elsewhere:router", tmp_path).name == "jobs"
    plugin: Any = sys.modules.pop("elsewhere")
    assert isinstance(plugin.wait.broker, StubBroker)
    plugin.hold.set()
    plugin.wait.send_with_options(args=("later",), delay=5_000)
    plugin.wait.send("now")
    assert plugin.done == []
    assert run_waiting() == 2
    assert sorted(plugin.done) == ["later", "now"]
    with pytest.raises(ValueError, match="customer"):
        plugin.fail_once.send("first") and run_waiting()


def test_a_broker_that_a_project_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    own = StubBroker()
    monkeypatch.setattr(dramatiq.broker, "global_broker", own)
    ensure_broker()
    assert dramatiq.get_broker() is own
