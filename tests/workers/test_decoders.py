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
import msgspec
from workers.engine import plan
from workers.tickets import snapshot

work = b'[{"handler": "vip.greet", "changes": [], "effect": {"kind": "tags"}}]'
letter = b'{"id": "x", "handler": "vip.greet", "reason": "why", "effect": {"kind": "tags"}, "actions": []}'
start = threading.Barrier(8)

def decode():
    for read, stored in (
        (plan.decode_plan, b"{}"), (plan.decode_record, b""), (plan.decode_pending, work), (plan.decode_replay, letter),
        (plan.decode_external, b"{}"), (plan.decode_entry, b'{"state": "done"}'), (snapshot.decode, b"[1]"),
    ):
        start.wait()
        try:
            read(stored)
        except plan.Unreadable:
            pass

threads = [threading.Thread(target=decode) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_decode_for_the_first_time_do_not_crash_the_process() -> None:
    for _ in range(8):
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
