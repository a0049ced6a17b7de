"""Contacts who write on a few tickets, and whether each of their messages was noted once and in order."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from tests.support.fleet import Fleet

TICKETS = 8


class Story:
    """What contacts wrote on each ticket, in order."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.written: dict[int, list[str]] = {}
        for number in range(1, TICKETS + 1):
            self.written[number] = [f"message 0 of ticket {number}"]
            assert fleet.open_ticket(text=self.written[number][0]) == number

    def reply(self, number: int) -> None:
        """Reply once as the contact of a ticket."""
        text = f"message {len(self.written[number])} of ticket {number}"
        self.written[number].append(text)
        self.fleet.reply(number, text)

    def reply_to_all(self, times: int = 1) -> None:
        """Reply on each ticket."""
        for _ in range(times):
            for number in self.written:
                self.reply(number)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Let contacts write during the block, one after another, and at least one full round."""
        stop = threading.Event()

        def write() -> None:
            for turn in count():
                if stop.is_set() and turn >= TICKETS:
                    return
                self.reply(turn % TICKETS + 1)
                stop.wait(0.1)  # people write at their own pace

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def missing(self) -> int:
        """Return how many messages have no note; fail if one has two, or they are out of order."""
        lost = 0
        for number, written in self.written.items():
            notes = [text.removeprefix("noted: ") for text in self.fleet.notes(number) if text.startswith("noted")]
            assert notes == [text for text in written if text in notes], self.fleet.history(number)
            lost += len(written) - len(notes)
        return lost
