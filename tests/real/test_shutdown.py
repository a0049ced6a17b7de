"""If a worker stops, dies or freezes, the next one continues in order, and the old one makes no more changes."""

import os
import re
import signal
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.support.fleet import LEASE, TIMEOUT, Fleet, P
from tests.support.plugins import FAITHFUL

pytestmark = pytest.mark.timeout(180)

#: The seconds that platforms allow a process after SIGTERM, with a margin.
GRACE = 25.0
NOTE = "ticket/1/staff_pvtnote"
READ = "ticket/1"


@pytest.fixture
def fleet(deploy: Callable[..., Fleet]) -> Fleet:
    """Return a deployment with web and one worker."""
    fleet = deploy(FAITHFUL)
    fleet.start_web()
    fleet.ready_worker()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    return fleet


def noted(fleet: Fleet, number: int) -> list[str]:
    return [text.removeprefix("noted: ") for text in fleet.notes(number) if text.startswith("noted")]


def test_the_call_in_progress_is_finished_and_the_next_worker_continues_at_once(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(FAITHFUL)
    fleet.start_web()
    first = fleet.ready_worker(FOXHOOKS_LEASE_SECONDS="60")
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    fleet.fault("hang", method="POST", path=NOTE, seconds=1.7)
    fleet.open_ticket(text="first words of all")
    fleet.lane("POST", NOTE)
    fleet.reply(1, "second words of all")
    successor = fleet.start_worker()
    assert first.terminate() < GRACE
    assert first.code == 0
    fleet.settle(20)  # the first worker's lease would have kept the lane for a minute
    assert noted(fleet, 1) == ["first words of all", "second words of all"]
    assert len(fleet.calls("POST", NOTE)) == 2
    assert "Turn parked" in first.output
    assert successor.output.count("Turn settled") >= 2


@pytest.mark.e2e
def test_a_worker_stops_in_time_while_a_handler_hangs(fleet: Fleet) -> None:
    hold = fleet.folder / "hold-1"
    hold.touch()
    fleet.open_ticket(text="nobody decides this")
    fleet.wait((fleet.folder / "deciding-1").exists, "the handler hangs")
    assert fleet.workers[0].terminate() < GRACE
    hold.unlink()
    fleet.ready_worker()
    fleet.settle()
    assert noted(fleet, 1) == ["nobody decides this"]


@pytest.mark.e2e
def test_the_backlog_of_a_busy_worker_is_continued_in_order(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(FAITHFUL, latency=0.02)
    fleet.start_web()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    expected = {fleet.open_ticket(text=f"words 0 of ticket {number}"): 1 for number in range(1, 31)}
    first = fleet.ready_worker(FOXHOOKS_LEASE_SECONDS="60")
    fleet.wait(lambda: len(fleet.calls("POST")) > 20, "the worker is busy")
    for number in expected:
        fleet.reply(number, f"words 1 of ticket {number}")
    fleet.start_worker(FOXHOOKS_LEASE_SECONDS="60")
    first.terminate()
    assert first.code == 0
    fleet.settle()  # well before the leases of the first worker would have run out
    for number in expected:
        assert noted(fleet, number) == [f"words {which} of ticket {number}" for which in (0, 1)]
    assert not any(call.overlapped for call in fleet.calls())


@pytest.mark.e2e
@pytest.mark.parametrize("victim", ["the process group", "the worker process alone", "its master alone"])
def test_orphans_of_a_killed_worker_run_within_a_few_leases(fleet: Fleet, victim: str) -> None:
    worker = fleet.workers[0]
    match = re.search(r'"Worker is ready".*"pid": (\d+)', worker.output)
    assert match is not None
    pid = {"the worker process alone": int(match[1]), "its master alone": worker.pid}.get(victim)
    fleet.fault("hang", method="GET", path=READ, seconds=600)
    fleet.open_ticket(text="orphaned words of one")
    fleet.lane("GET", READ)
    fleet.ready_worker()
    worker.doomed, died = True, time.time()
    if pid is None:
        worker.kill()
    else:
        os.kill(pid, signal.SIGKILL)
    fleet.wait(lambda: len(fleet.calls("GET", READ)) > 1, "another worker reads the ticket")
    # Without its master, a worker shuts down: its read fails at the time limit and is repeated after 5 s.
    limit = 3 * LEASE + (TIMEOUT + 5 if victim == "its master alone" else 0)
    assert fleet.calls("GET", READ)[1].arrived - died < limit
    fleet.settle()
    fleet.wait(lambda: worker.code is not None, "all processes of the killed worker have ended")
    assert noted(fleet, 1) == ["orphaned words of one"]


@pytest.mark.e2e
@pytest.mark.parametrize("moment", ["deciding", "calling"])
def test_a_worker_frozen_past_its_lease_makes_no_more_changes(fleet: Fleet, moment: str) -> None:
    frozen, hold = fleet.workers[0], fleet.folder / "hold-1"
    if moment == "deciding":
        hold.touch()
    else:
        fleet.fault("hang", method="GET", path=READ, seconds=0.5)
    fleet.open_ticket(text="words for a frozen one")
    if moment == "deciding":
        fleet.wait((fleet.folder / "deciding-1").exists, "the handler runs")
    else:
        fleet.lane("GET", READ)
    frozen.signal(signal.SIGSTOP)
    hold.unlink(missing_ok=True)
    fleet.ready_worker()
    fleet.settle()
    calls, history = len(fleet.calls()), fleet.history(1)
    with fleet.redis() as client:
        turns = client.zcard(f"{P}turns")
    frozen.signal(signal.SIGCONT)
    fleet.wait(lambda: "Turn lost" in frozen.output, "the frozen worker notices")
    fleet.settle()
    assert len(fleet.calls()) == calls
    assert fleet.history(1) == history
    with fleet.redis() as client:
        assert client.zcard(f"{P}turns") == turns
    assert noted(fleet, 1) == ["words for a frozen one"]
    # It runs again, and continues to work.
    fleet.workers[1].kill()
    fleet.reply(1, "more words for it")
    fleet.wait(lambda: len(noted(fleet, 1)) == 2, "the resumed worker works")


@pytest.mark.e2e
def test_workers_that_freeze_and_resume_keep_the_order(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(FAITHFUL, latency=0.02)
    fleet.start_web()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    workers = [fleet.start_worker() for _ in range(3)]
    for worker in workers:
        fleet.wait(worker.ready, "a worker is ready")
    numbers = [fleet.open_ticket(text=f"words 0 of ticket {number}") for number in range(1, 11)]
    for round_ in range(1, 4):
        sleeper = workers[round_ % 3]
        sleeper.signal(signal.SIGSTOP)
        for number in numbers:
            fleet.reply(number, f"words {round_} of ticket {number}")
        time.sleep(LEASE * 1.2)  # until its lease is over
        sleeper.signal(signal.SIGCONT)
    fleet.settle(90)
    for number in numbers:
        assert noted(fleet, number) == [f"words {which} of ticket {number}" for which in range(4)]
        updates = [update.update_id for update in fleet.ticket(number).updates]
        assert all(before < after for before, after in pairwise(updates))
