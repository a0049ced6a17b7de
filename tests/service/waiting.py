"""Waiting on conditions, never on time."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Gives the first true answer of ``condition``; fails with ``what`` after ``seconds``."""
    give_up = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > give_up:
            pytest.fail(f"never happened: {what}")
        time.sleep(0.02)
