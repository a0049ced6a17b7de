"""Run every benchmark and print one table of the figures with a bar.

python -m tests.bench [NAME ...]
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

#: The words before a bar in a benchmark's output; such a line is a row of the table.
REACH = ", to reach "


@dataclass(frozen=True)
class BenchRow:
    """One figure of one benchmark."""

    bench: str
    measured: str
    bar: str


def names() -> list[str]:
    """Return the names of the benchmarks."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__main__")


def run(name: str) -> tuple[bool, list[BenchRow]]:
    """Run one benchmark and show its output; return whether it reached its bars, and its figures."""
    print(f"-- {name}", flush=True)
    command = [sys.executable, "-m", f"tests.bench.{name}"]
    updates = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if REACH in line:
                measured, _, bar = line.strip().partition(REACH)
                updates.append(BenchRow(name, measured, bar.partition(";")[0]))
    return process.returncode == 0, updates


def main() -> None:
    chosen = sys.argv[1:] or names()
    table = Table("benchmark", "measured", "to reach", "")
    reached = True
    for name in chosen:
        passed, updates = run(name)
        reached &= passed
        for update in updates or [BenchRow(name, "see above", "")]:
            table.add_row(update.bench, update.measured, update.bar, "" if passed else "missed")
    Console().print(table)
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
