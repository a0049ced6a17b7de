"""Run every benchmark and print one table of all figures that have a target.

python -m tests.bench [NAME ...]
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

#: The word before a target in a benchmark's output. Each such line becomes a row of the table.
TARGET = ", target "


@dataclass(frozen=True)
class BenchRow:
    """One figure of a benchmark, with its target."""

    bench: str
    measured: str
    target: str


def names() -> list[str]:
    """Return the names of the benchmarks."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__main__")


def run(name: str) -> tuple[bool, list[BenchRow]]:
    """Run one benchmark and show its output; return whether it met its targets, and its figures."""
    print(f"-- {name}", flush=True)
    command = [sys.executable, "-m", f"tests.bench.{name}"]
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if TARGET in line:
                measured, _, target = line.strip().partition(TARGET)
                rows.append(BenchRow(name, measured, target.partition(";")[0]))
    return process.returncode == 0, rows


def main() -> None:
    chosen = sys.argv[1:] or names()
    table = Table("benchmark", "measured", "target", "")
    reached = True
    for name in chosen:
        passed, rows = run(name)
        reached &= passed
        for row in rows or [BenchRow(name, "see above", "")]:
            table.add_row(row.bench, row.measured, row.target, "" if passed else "missed")
    Console().print(table)
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
