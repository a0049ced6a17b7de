"""Handlers that raise, hang, recurse, print or exit do not affect other handlers or the worker."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.support.fleet import Fleet
from tests.support.plugins import FAULTY, NOTING

pytestmark = pytest.mark.timeout(120)

#: The word with which a contact makes a handler fail, and what the history says about it.
FAULTS = {
    "raise": "test.raises failed, will be retried: ValueError at handlers.py:",
    "hang": "test.hangs failed, will be retried: HandlerTimeout: ran longer than 1 s (FOXHOOKS_HANDLER_SECONDS)",
    "spin": "test.spins failed, will be retried: HandlerTimeout: ran longer than 1 s (FOXHOOKS_HANDLER_SECONDS)",
    "recurse": "test.recurses failed, will be retried: RecursionError at handlers.py:",
    "nonsense": "test.answers_nonsense failed for good: test.answers_nonsense returned a dict; a handler returns None",
    "exit": "test.exits failed, will be retried: SystemExit at handlers.py:",
    "interrupt": "test.interrupts failed, will be retried: KeyboardInterrupt at handlers.py:",
    "print": "test.prints decided: nothing",
}


def reported(fleet: Fleet, word: str, number: int) -> bool:
    return FAULTS[word] in fleet.history(number)


def noted_twice(fleet: Fleet, number: int) -> bool:
    return len(fleet.notes(number)) == 2


def test_a_failing_handler_is_reported_and_does_not_affect_others(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(FAULTY)
    fleet.start_web()
    worker = fleet.ready_worker(FOXHOOKS_HANDLER_SECONDS="1")
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    numbers = {word: fleet.open_ticket(text="good words") for word in FAULTS}
    for word, number in numbers.items():
        fleet.reply(number, f"please {word} now")
    for word, number in numbers.items():
        fleet.wait(partial(fleet.notes, number), f"the other handler notes on {word}")
        assert fleet.notes(number) == [f"noted: please {word} now"]
        fleet.wait(partial(reported, fleet, word, number), f"the history names {word}")
    assert worker.code is None
    assert "printed by a handler" in worker.output
    assert "on both" in worker.output
    assert "ready" in worker.output.split("printed by a handler")[0]
    # Not even the tickets with pending work have to wait.
    for word, number in numbers.items():
        fleet.reply(number, f"once more after {word.upper()}")
    for word, number in numbers.items():
        fleet.wait(partial(noted_twice, fleet, number), f"the lane of {word} continues")
    assert worker.terminate() < 25
    assert worker.code == 0


@pytest.mark.e2e
def test_a_plug_in_that_cannot_be_imported_stops_only_the_worker(
    deploy: Callable[..., Fleet],
) -> None:
    fleet = deploy("import nothing_of_that_name\n")
    fleet.start_web()
    fleet.wait(lambda: fleet.answers() == 200, "web takes deliveries")
    worker = fleet.start_worker()
    fleet.open_ticket(text="words before the fix")
    worker.join()
    assert worker.code == 1
    assert "FOXHOOKS_HANDLERS: handlers:router" in worker.output
    assert "nothing_of_that_name" in worker.output
    assert "Traceback" not in worker.output
    fleet.workers.clear()
    fleet.plugin(NOTING)
    fleet.ready_worker()
    fleet.settle()
    assert fleet.notes(1) == ["noted: words before the fix"]
