"""Schedules and the check of names run once for all worker processes, without a webhook."""

from collections.abc import Callable

import pytest

from tests.support.fleet import Fleet, P

pytestmark = pytest.mark.timeout(120)

PLUGIN = """
from workers import Router

router = Router("test")


@router.every("1h", find="tag:late")
def nudge(ticket, event):
    ticket.note(f"noted: {event.kind}")
"""

RULES = """
[[rule]]
name = "typo"
on = "contact-replied"
when.status = "Nwe"
add_tags = ["x"]
"""


@pytest.mark.e2e
def test_a_schedule_runs_once_for_all_workers_and_names_are_reported_once(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(PLUGIN)
    numbers = [fleet.open_ticket(tags=["late"]) for _ in range(60)]
    other = fleet.open_ticket()
    (fleet.folder / "rules.toml").write_text(RULES)
    workers = [fleet.ready_worker(FOXHOOKS_RULES="rules.toml") for _ in range(2)]

    fleet.wait(lambda: all(fleet.notes(number) for number in numbers), "every ticket found has its note")
    with fleet.redis() as store:
        fleet.wait(lambda: not store.zcard(f"{P}schedule"), "all lanes are done")
    assert [fleet.notes(number) for number in numbers] == [["noted: scheduled"]] * 60
    assert fleet.notes(other) == []
    assert "scheduled: found by test.nudge" in fleet.history(numbers[0])
    fleet.wait(
        lambda: any("HappyFox does not know" in worker.output for worker in workers), "the unknown name is reported"
    )
    output = "".join(worker.output for worker in workers)
    assert output.count("HappyFox does not know a name in use") == 1
    assert "no status 'Nwe' in" in output
    searches = [call for call in fleet.calls("GET") if call.path.endswith("/tickets/")]
    assert len(searches) == 2
    for worker in workers:
        assert worker.terminate() < 25
        assert worker.code == 0
