"""Decoders are built at import: msgspec crashes when two threads use a type for the first time at the same moment."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Decodes each type in many threads at once, in a process in which nothing has been decoded yet.
RACE = """
import sys, threading
sys.setswitchinterval(1e-6)
from workers.engine.plan import *
from workers.engine.plan import decode_stored

start = threading.Barrier(8)
stored = b'''{"format": 1, "turn": "x", "events": [], "ticket": {}, "dry": true, "read_at": 1, "snapshot": [1],
    "handled": [], "id": "x", "reason": "y", "state": "done", "handler": "h", "effect": {"kind": "tags"},
    "changes": []}'''

def decode():
    start.wait()
    for shape in (Plan, Record, tuple[Pending, ...], DeadLetter, Entry):
        try:
            decode_stored(stored, shape, "it")
        except Unreadable:
            pass

threads = [threading.Thread(target=decode) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_decode_for_the_first_time_do_not_crash_the_process() -> None:
    for _ in range(3):
        subprocess.run([sys.executable, "-c", RACE], cwd=ROOT, check=True)


def test_no_code_builds_a_decoder_when_it_decodes() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("workers", "service")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"\bjson\.decode\(.*type=(?!dict\))", line) and "simulator" not in path.parts
    ]
    assert found == []
