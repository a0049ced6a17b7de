"""The process tree of `up` and `demo`: start store and children, restart what ends, stop everything in order."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Literal, TextIO

from service.embedded import Embedded
from service.errors import CommandError

#: The option of a command that runs as a child: its standard input closes when the parent ends.
CHILD_OPTION = "--child"
#: The name under which the supervisor writes its own lines.
OWN_NAME = "foxhooks"

#: Seconds to wait before each restart in a row; the last value repeats.
PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
#: After this many ends in a row, waiting will not help.
HOPELESS = 3
#: A child that ran this many seconds was healthy: its next end counts as the first.
HEALTHY = 30.0
#: Seconds in which each child must end, in the order in which they are stopped; platforms kill after 30 s.
GRACE = {"web": 9.0, "gateway": 9.0, "worker": 14.0, "simulator": 1.0, "store": 4.0}
#: The children that answer requests; they stop at the same time.
RECEIVERS = ("web", "gateway")

COLOURS = {"web": "36", "gateway": "33", "worker": "32", "simulator": "35", OWN_NAME: "1"}
WIDTH = max(map(len, COLOURS))


class Output:
    """Write the lines of several processes to one stream, each with the name of its process.

    With ``as_json``, for programs, lines stay as they are and the supervisor's own are JSON.
    """

    def __init__(self, stream: TextIO, as_json: bool = False) -> None:
        self._stream, self._as_json = stream, as_json
        self._colour = stream.isatty()
        self._lock = threading.Lock()

    def show(self, name: str, line: str) -> None:
        """Write one line of a process."""
        prefix = "" if self._as_json else f"{name:>{WIDTH}} | "
        if prefix and self._colour:
            prefix = f"\x1b[{COLOURS.get(name, '0')}m{prefix}\x1b[0m"
        with self._lock:
            self._stream.write(f"{prefix}{line}\n")
            self._stream.flush()

    def say(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Write one line of the supervisor."""
        if self._as_json:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            message = json.dumps({"at": at, "level": level, "logger": __name__, "message": message})
        self.show(OWN_NAME, message)


class Child:
    """Run one command (web, worker, simulator) as a process in its own process group."""

    def __init__(self, name: str, arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.ends = 0
        """How often it ended in a row."""
        self.restart_at: float | None = None
        self._arguments = [*arguments, CHILD_OPTION]
        # With the folder of this package, for a checkout that is not installed.
        paths = [str(Path(__file__).parents[2]), environ.get("PYTHONPATH", "")]
        self._environ = {**environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
        self._folder = folder
        self._started = 0.0
        self._process: subprocess.Popen[str] | None = None
        self._replaced = threading.Event()
        self._reader: threading.Thread | None = None

    def start(self, output: Output, ended: "SimpleQueue[tuple[Child, int] | None]") -> None:
        """Start the process; its lines go to ``output``, its exit code to ``ended``."""
        process = subprocess.Popen(
            # -P: a folder `service` or `workers` in the current folder must not be imported.
            [sys.executable, "-P", "-m", "service", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environ,
            cwd=self._folder,
            # Ctrl-C in the terminal is for the parent, which stops its children in order.
            start_new_session=True,
        )
        self._process, self._started, self.restart_at = process, time.monotonic(), None
        self._replaced = replaced = threading.Event()

        def read() -> None:
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    output.show(self.name, line.rstrip("\n"))

        def wait() -> None:
            code = process.wait()
            _kill_group(process.pid)  # processes that it started and left behind
            if not replaced.is_set():
                ended.put((self, code))

        self._reader = threading.Thread(target=read, name=f"{self.name}-output", daemon=True)
        self._reader.start()
        threading.Thread(target=wait, name=f"{self.name}-end", daemon=True).start()

    def plan_restart(self) -> float:
        """Count an end and set the time of the restart; return the seconds until then."""
        now = time.monotonic()
        self.ends = 1 if now - self._started > HEALTHY else self.ends + 1
        pause = PAUSES[min(self.ends, len(PAUSES)) - 1]
        self.restart_at = now + pause
        return pause

    def kill(self) -> None:
        """Kill the process and everything it started."""
        if self._process is not None:
            _kill_group(self._process.pid)

    def expect_end(self) -> None:
        """Do not report the end of the process that runs now."""
        self._replaced.set()
        self.ends, self.restart_at = 0, None

    def send(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, seconds: float, number: int = signal.SIGTERM) -> bool:
        """End the process by a signal, read its last lines; return False if it had to be killed after ``seconds``."""
        self.send(number)
        return self.wait(seconds)

    def wait(self, seconds: float) -> bool:
        """Wait for the end and read its last lines; return False if it had to be killed after ``seconds``."""
        if self._process is None or self._reader is None or self._process.stdin is None:
            return True
        try:
            self._process.wait(seconds)
            in_time = True
        except subprocess.TimeoutExpired:
            self.kill()
            in_time = False
        with suppress(OSError):
            self._process.stdin.close()
        self._reader.join(1.0)
        return in_time


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_with_parent() -> None:
    """Stop this process in order when its parent ends, which closes the pipe at its standard input.

    By SIGINT, at which web does not accept more requests first: the next `up` needs its port.
    """

    def watch() -> None:
        # The main thread must receive the signals; it may have blocked them while it starts processes.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class Supervisor:
    """Keep the children, and a store if there is one, running; start and stop the children in the given order."""

    def __init__(self, children: Sequence[Child], store: Embedded | None, output: Output) -> None:
        self._children, self._store, self._output = children, store, output
        self._ended: SimpleQueue[tuple[Child, int] | None] = SimpleQueue()
        self._store_restart_at = 0.0
        self._terminated = False
        self.stopping = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start everything and stop it after the block; a signal sets ``stopping``, a second one kills."""
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            signals.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in signals}
        try:
            self._start()
            yield
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def poll(self, seconds: float) -> None:
        """Wait up to ``seconds`` and restart what is due; return early when a child ends or a signal arrives."""
        try:
            ended = self._ended.get(timeout=seconds)
        except Empty:
            ended = None
        if self.stopping:
            return
        if ended is not None:
            child, code = ended
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            self._output.say(f"{child.name} {how}; restarting it in {child.plan_restart():g} s", "warning")
        self._restart()

    def replace(self, name: str) -> None:
        """Stop a child in order, and start it again at once, even if it would wait for its restart."""
        for child in self._children:
            if child.name == name and not self.stopping:
                child.expect_end()
                child.stop(GRACE[name])
                child.start(self._output, self._ended)

    def hopeless(self) -> str | None:
        """Return the name of a child that keeps ending."""
        return next((child.name for child in self._children if child.ends >= HOPELESS), None)

    def _start(self) -> None:
        if self._store is not None:
            started = self._store.start()
            self._output.say(f"store {'started' if started else 'already running, taken over'}: {self._store.folder}")
        for child in self._children:
            if not self.stopping:
                child.start(self._output, self._ended)

    def _restart(self) -> None:
        if self._store is not None and not self._store.alive() and time.monotonic() >= self._store_restart_at:
            self._output.say("the store ended; restarting it", "warning")
            try:
                self._store.start()
            except CommandError as failure:
                self._output.say(str(failure), "error")
                self._store_restart_at = time.monotonic() + PAUSES[-2]
        for child in self._children:
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                child.start(self._output, self._ended)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping:
            for child in self._children:
                child.kill()
        self.stopping, self._terminated = True, number == signal.SIGTERM
        self._ended.put(None)

    def _stop(self) -> None:
        """Stop one after another: web and gateway accept nothing more, the worker finishes, the store is last.

        Only a platform sends SIGTERM. After Ctrl-C no router has to learn that web accepts nothing more.
        """
        self.stopping = True
        receivers = [child for child in self._children if child.name in RECEIVERS]
        for child in receivers:
            child.send(signal.SIGTERM if self._terminated else signal.SIGINT)
        for child in self._children:
            if not (child.wait if child in receivers else child.stop)(GRACE[child.name]):
                self._output.say(f"{child.name} did not end in time and was killed", "warning")
        if self._store is not None:
            self._store.stop(GRACE["store"])
