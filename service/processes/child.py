"""The processes of one tree: how a part is started, and how it notices that its parent is gone."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

#: The option that tells a command it is a child: its standard input closes then when the parent ends.
OPTION = "--child"


class Child:
    """One part (web, worker, simulator) as a process with a process group of its own."""

    def __init__(self, name: str, arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._arguments = [*arguments, OPTION]
        self._environ = _with_ourselves(environ)
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self, show: Callable[[str, str], None], ended: Callable[["Child", int], None]) -> None:
        """Starts the part; each line it prints goes to ``show(name, line)``, its exit code to ``ended``."""
        process = subprocess.Popen(
            # -P: a folder `service` or `workers` in the current folder is not ours.
            [sys.executable, "-P", "-m", "service", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environ,
            cwd=self._folder,
            # Ctrl-C in the terminal is for the parent, which ends its children in order.
            start_new_session=True,
        )
        self._process = process

        def watch() -> None:
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    show(self.name, line.rstrip("\n"))

        def wait() -> None:
            code = process.wait()
            self.kill()  # what the part started itself and left behind
            ended(self, code)

        self._reader = threading.Thread(target=watch, name=f"{self.name}-output", daemon=True)
        self._reader.start()
        threading.Thread(target=wait, name=f"{self.name}-end", daemon=True).start()

    def terminate(self) -> None:
        """Asks the part to end."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """Ends the part and everything it started."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> bool:
        """Waits for its end; False when it takes longer."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Lets go of the pipes once the last line is shown; a part that still ran would end itself now."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        if self._reader is not None:
            self._reader.join(1.0)


def end_with_parent() -> None:
    """Ends this process in order once its parent is gone: the pipe that is its standard input closes then."""

    def watch() -> None:
        # Left to the main thread, which may have blocked them while it makes processes of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _with_ourselves(environ: Mapping[str, str]) -> dict[str, str]:
    """Adds the place of this package to the path of modules, for a checkout that is not installed."""
    paths = [str(Path(__file__).parents[1]), environ.get("PYTHONPATH", "")]
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
