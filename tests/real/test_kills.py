"""Workers are killed at every step of a turn, and each message still gets exactly one note, in order."""

import random
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.support.fleet import Fleet
from tests.support.plugins import FAITHFUL
from tests.support.processes import Process

pytestmark = pytest.mark.timeout(240)

#: The call during which the worker is killed: its method, the end of its path, and whether it is applied only after
#: the worker's death.
HELD = {
    "the read": ("GET", "", False),
    "the tags, applied afterwards": ("POST", "/update_tags", True),
    "the tags, applied": ("POST", "/update_tags", False),
    "the note, applied afterwards": ("POST", "/staff_pvtnote", True),
    "the note, applied": ("POST", "/staff_pvtnote", False),
    "the reply, applied afterwards": ("POST", "/staff_update", True),
    "the reply, applied": ("POST", "/staff_update", False),
}
#: What contacts write while several workers are killed at random moments.
TICKETS = 12
REPLIES = 5


class Story:
    """What contacts wrote on each ticket, in order."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.written: dict[int, list[str]] = {}

    def open(self) -> int:
        """Open the next ticket as a contact. Its number is known before its webhook is sent."""
        number = len(self.written) + 1
        self.written[number] = [f"message 0 of ticket {number}"]
        assert self.fleet.open_ticket(text=self.written[number][0]) == number
        return number

    def reply(self, number: int) -> None:
        text = f"message {len(self.written[number])} of ticket {number}"
        self.written[number].append(text)
        self.fleet.reply(number, text)

    def check(self) -> None:
        """Check that each message has one note, in order, and that each turn and the last message have one answer."""
        for number, written in self.written.items():
            texts = self.fleet.notes(number)
            notes = [text for text in texts if text.startswith("noted")]
            assert notes == [f"noted: {text}" for text in written], self.fleet.history(number)
            answers = [written.index(text.removeprefix("answer to: ")) for text in texts if text.startswith("answer")]
            assert all(before < after for before, after in pairwise(answers)), self.fleet.history(number)
            assert answers[-1] == len(written) - 1, self.fleet.history(number)


def kill(fleet: Fleet, worker: Process) -> None:
    fleet.start_worker()  # starts in the meantime
    worker.kill()


def kill_while_deciding(fleet: Fleet, story: Story) -> None:
    number = len(story.written) + 1
    hold = fleet.folder / f"hold-{number}"
    hold.touch()
    story.open()
    fleet.wait((fleet.folder / f"deciding-{number}").exists, "the handler runs")
    kill(fleet, fleet.workers[-1])
    hold.unlink()


def kill_while_calling(fleet: Fleet, story: Story, method: str, ending: str, late: bool) -> None:
    number = len(story.written) + 1
    path = f"ticket/{number}{ending}"
    fleet.fault("hang", method=method, path=path, seconds=2.0 if late else 600.0, before=late)
    story.open()
    fleet.wait(lambda: fleet.calls(method, path), f"the call {method} {path} is under way")
    if not late and method == "POST":
        fleet.wait(lambda: fleet.calls(method, path)[0].applied, "the write is applied")
    kill(fleet, fleet.workers[-1])


def kill_at_random(fleet: Fleet, story: Story, chance: random.Random, most: int) -> None:
    """Let contacts write while workers are killed; connections are cut before and after a write was applied."""
    for _ in range(TICKETS):
        story.open()
    waiting = [number for number in list(story.written)[-TICKETS:] for _ in range(REPLIES)]
    chance.shuffle(waiting)
    for before in (True, False):
        fleet.fault("cut", method="POST", count=6, before=before)
    for kills in range(most):
        for number in waiting[kills * len(waiting) // most : (kills + 1) * len(waiting) // most]:
            story.reply(number)
        time.sleep(chance.uniform(0.02, 0.5))  # kill at a random moment
        alive = [worker for worker in fleet.workers if worker.code is None]
        kill(fleet, chance.choice([worker for worker in alive if worker.ready()] or alive))


@pytest.mark.e2e
@pytest.mark.parametrize(("rounds", "at_random"), [(2, 16)])
def test_a_note_exists_exactly_once_whichever_process_dies_and_whenever(
    deploy: Callable[..., Fleet], rounds: int, at_random: int
) -> None:
    fleet = deploy(FAITHFUL, latency=0.01)
    story = Story(fleet)
    fleet.start_web()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    fleet.ready_worker()
    for _ in range(rounds):
        for method, ending, late in HELD.values():
            kill_while_calling(fleet, story, method, ending, late)
        kill_while_deciding(fleet, story)
    fleet.start_worker()
    fleet.ready_worker()
    kill_at_random(fleet, story, random.Random(20), at_random)
    fleet.settle(90)
    story.check()
    killed = [worker for worker in fleet.workers if worker.code == -9]
    assert len(killed) == rounds * (len(HELD) + 1) + at_random
    assert "dead letter" not in fleet.logs()
