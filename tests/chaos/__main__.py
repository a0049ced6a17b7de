"""Attack a deployment for several minutes: ``python -m tests.chaos --events 20000 --tickets 500 --minutes 15``."""

import argparse
import secrets
import sys
from pathlib import Path

from tests.chaos.chaos import run

#: The part of the time during which contacts write. The rest is for finishing and checking.
WRITING = 0.8


def main() -> int:
    """Run and print the report; return 1 if a checker complains or a kind of fault never occurred."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--events", type=int, default=20_000, help="messages of contacts")
    parser.add_argument("--tickets", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--quiet", type=float, default=40, help="seconds without a write after which the run ends")
    parser.add_argument("--seed", type=int, help="repeat the random choices of an earlier run")
    parser.add_argument("--logs", type=Path, default=Path(".chaos"), help="folder for the logs of a failed run")
    args = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    print(f"seed {seed}: {args.events} events on {args.tickets} tickets", flush=True)
    report = run(
        seed,
        args.events,
        args.tickets,
        feed=args.minutes * 60 * WRITING,
        quiet=args.quiet,
        patience=300,
        logs=args.logs,
    )
    print("\n".join(report.lines()))
    for name, complaints in report.complaints.items():
        for line in complaints[:20]:
            print(f"{name}: {line}")
    for name, times in report.faults.items():
        if not times:
            print(f"never occurred: {name}")
    if not report.passed:
        print(f"the logs of all processes are in {args.logs}")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
