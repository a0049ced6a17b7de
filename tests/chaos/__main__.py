"""Attack a deployment for several minutes: ``python -m tests.chaos --events 20000 --tickets 500 --minutes 15``."""

import argparse
import secrets
import sys
from pathlib import Path

from tests.chaos import chaos, customers

#: The part of the time during which contacts write. The rest is for finishing and checking.
WRITING = 0.8


def main() -> int:
    """Run both parts and print their reports; return 1 if a checker complains or a kind of fault never occurred."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--events", type=int, default=20_000, help="messages of contacts")
    parser.add_argument("--tickets", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=15, help="for the first part; 0 leaves it out")
    parser.add_argument("--customers", type=float, default=90, help="seconds for the second part; 0 leaves it out")
    parser.add_argument("--quiet", type=float, default=40, help="seconds without a write after which a part ends")
    parser.add_argument("--seed", type=int, help="repeat the random choices of an earlier run")
    parser.add_argument("--logs", type=Path, default=Path(".chaos"), help="folder for the logs of a failed run")
    args = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    # What waits in the end is not lost: a busy machine needs more time for it.
    passed, end = True, {"quiet": args.quiet, "patience": max(300, args.minutes * 60)}
    if args.minutes:
        print(f"seed {seed}: {args.events} events on {args.tickets} tickets", flush=True)
        feed = args.minutes * 60 * WRITING
        passed = show(chaos.run(seed, args.events, args.tickets, feed=feed, logs=args.logs, **end), args.logs)
    if args.customers:
        print(f"seed {seed}: customers whose programs answer", flush=True)
        logs = args.logs / "customers"
        passed = show(customers.run(seed, feed=args.customers * WRITING, logs=logs, **end), logs) and passed
    return 0 if passed else 1


def show(report: chaos.Report, logs: Path) -> bool:
    """Print a report; return whether it passed."""
    print("\n".join(report.lines()))
    for name, complaints in report.complaints.items():
        for line in complaints[:20]:
            print(f"{name}: {line}")
    for name, times in report.faults.items():
        if not times:
            print(f"never occurred: {name}")
    if not report.passed:
        print(f"the logs of all processes are in {logs}")
    return report.passed


if __name__ == "__main__":
    sys.exit(main())
