"""Jobs that a worker runs for the dashboard, as a Dramatiq actor on a queue of its own.

A job runs the same command as a person would, in the worker's folder and with its settings, because only a worker has
handlers and credentials. Its output becomes the result. It calls HappyFox as little as the command does.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dramatiq
import redis
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message
from msgspec.structs import replace

from workers.store.broker import NAMESPACE
from workers.store.jobs import Job, Jobs

QUEUE = ACTOR = "dashboard"

#: Seconds that a job may take, and between two looks at whether it is cancelled.
LIMIT, STEP = 120.0, 0.5

#: Lines of a result that are kept, and characters of a line.
LINES, WIDTH = 1_000, 500


def enqueue(client: redis.Redis, account: str, job: Job) -> None:
    """Store a job and send it to the workers; raise ``RedisError`` if the store may not run Dramatiq's scripts."""
    Jobs(client, account).write(job)
    broker = RedisBroker(client=client, namespace=NAMESPACE, middleware=[])  # type: ignore[no-untyped-call]
    broker.enqueue(Message(queue_name=QUEUE, actor_name=ACTOR, args=(account, job.id), kwargs={}, options={}))


def declare(broker: Broker, client: redis.Redis) -> None:
    """Let a worker run jobs."""

    def dashboard(account: str, job: str) -> None:
        """Run a job of the dashboard."""
        perform(client, account, job)

    limit = int((LIMIT + 60) * 1000)
    dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=broker, max_retries=0, time_limit=limit)(dashboard)


def perform(client: redis.Redis, account: str, job: str) -> None:
    """Run a job and store its result."""
    jobs = Jobs(client, account)
    found = jobs.read(job)
    if found is None or found.is_over:
        return
    jobs.write(replace(found, state="running"))
    with tempfile.TemporaryDirectory(prefix="foxhooks-job-") as folder:
        command = [sys.executable, "-P", "-m", "service", *_arguments(found, account, Path(folder))]
        output, code = _run(command, jobs, found)
    lines = tuple(line[:WIDTH] for line in output.splitlines()[:LINES])
    state: Any = {None: "cancelled", 0: "done", 1: "done"}.get(code, "failed")
    jobs.write(replace(found, state=state, lines=lines, exit_code=code or 0))


def _arguments(job: Job, account: str, folder: Path) -> list[str]:
    """Return the command of a job."""
    if job.kind == "backtest":
        rules = folder / "rules.toml"
        rules.write_text(job.arguments["rules"], encoding="utf-8")
        return ["backtest", str(rules), "--since", job.arguments["since"], "--account", account]
    if job.kind == "trial":
        return ["backtest", "--ticket", job.arguments["ticket"], "--since", "", "--account", account]
    return ["doctor"]


def _run(command: list[str], jobs: Jobs, job: Job) -> tuple[str, int | None]:
    """Run a command; return its output and its exit code, which is None if the job was cancelled."""
    root = str(Path(__file__).parents[2])  # for a checkout that is not installed
    environ = {**os.environ, "NO_COLOR": "1", "COLUMNS": "110", "LOG_LEVEL": "ERROR"}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    until = time.monotonic() + LIMIT
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environ
    ) as process:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                output, _ = process.communicate(timeout=STEP)
                return output, process.returncode
            is_late = time.monotonic() > until
            if is_late or jobs.is_cancelled(job.id):
                process.kill()
                output, _ = process.communicate()
                return f"{output}\nStopped after {LIMIT:.0f} s." if is_late else output, -1 if is_late else None
