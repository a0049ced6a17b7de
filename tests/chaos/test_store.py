"""If the store comes back empty, is full or hangs, accepted work is done without a restart."""

import os
import shutil
import signal
from collections.abc import Callable

import pytest

from tests.support.fleet import Fleet
from tests.support.plugins import NOTING

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def fleet(deploy: Callable[..., Fleet]) -> Fleet:
    """Return a deployment with web and one worker, which has handled a ticket."""
    fleet = deploy(NOTING)
    fleet.start_web()
    fleet.ready_worker()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    fleet.open_ticket(text="words before the trouble")
    fleet.wait(lambda: fleet.notes(1) == ["noted: words before the trouble"], "the worker works")
    return fleet


def test_a_store_that_comes_back_empty_is_used_again_without_repeating_notes(fleet: Fleet) -> None:
    fleet.settle()
    fleet.store.kill()
    for name in os.listdir(fleet.store.folder):
        path = fleet.store.folder / name
        if path.is_dir():
            shutil.rmtree(path)
    fleet.store.start()
    fleet.reply(1, "words after the loss")
    fleet.open_ticket(text="words of a new ticket")
    fleet.wait(lambda: "noted: words after the loss" in fleet.notes(1) and fleet.notes(2), "the worker works again")
    fleet.settle(200)
    assert fleet.notes(1) == ["noted: words before the trouble", "noted: words after the loss"]
    assert fleet.notes(2) == ["noted: words of a new ticket"]


def test_a_full_store_refuses_deliveries_until_there_is_room(fleet: Fleet) -> None:
    with fleet.redis() as client:
        client.config_set("maxmemory", "1")
        fleet.reply(1, "words for a full store")
        fleet.wait(lambda: fleet.answers() == 503, "web says that it cannot store")
        fleet.wait(lambda: any(each.status == 503 for each in fleet.simulator.deliveries), "the delivery is refused")
        client.config_set("maxmemory", "0")
    fleet.wait(lambda: len(fleet.notes(1)) == 2, "the worker works again")
    assert fleet.notes(1) == ["noted: words before the trouble", "noted: words for a full store"]
    fleet.wait(lambda: fleet.answers() == 200, "web is ready again")


def test_foxhooks_waits_for_a_store_that_hangs(fleet: Fleet) -> None:
    with fleet.redis() as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        fleet.reply(1, "words while it hangs")
        fleet.wait(lambda: fleet.answers() == 503, "web is not ready")
    finally:
        os.kill(pid, signal.SIGCONT)
    fleet.wait(lambda: len(fleet.notes(1)) == 2, "the worker works again")
    assert fleet.notes(1) == ["noted: words before the trouble", "noted: words while it hangs"]
