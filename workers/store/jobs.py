"""Jobs of the dashboard: frozen selections of dead letters, and work that takes longer than a request.

A selection is a job that has not begun: it contains the ids that a person has previewed, and nothing else is acted on.
Whoever runs a job writes its progress, so that a page can show it, and notices when it is cancelled.
"""

import secrets
from typing import Any, Literal

import msgspec
import redis

from workers.store.client import store_time
from workers.store.failures import reading
from workers.store.keys import Keys

JobKind = Literal["selection", "replay", "discard", "backtest", "doctor", "trial"]
JobState = Literal["ready", "running", "done", "failed", "cancelled"]

#: How long (ms) a selection and the result of a job are kept.
SELECTION_LIFE, LIFE = 600_000, 86_400_000

#: When (ms) a running job that has written nothing counts as stopped.
SILENT = 15_000


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job, as it is stored, with its progress."""

    id: str
    kind: JobKind
    by: str
    """Who began it."""
    at: int
    """When (ms)."""
    why: str = ""
    state: JobState = "ready"
    ids: tuple[str, ...] = ()
    """The dead letters that it acts on, oldest first."""
    left_out: int = 0
    """How many of those that a filter selects a person must tick one by one."""
    arguments: dict[str, Any] = {}
    seen: int = 0
    """When its progress was last written (ms)."""
    total: int = 0
    done: int = 0
    gone: int = 0
    """How many somebody else had replayed or discarded."""
    refused: int = 0
    """How many could not be acted on."""
    problems: dict[str, str] = {}
    """Why those that were gone or refused were not acted on, by id."""
    exit_code: int = 0
    """That of the command that it ran."""
    lines: tuple[str, ...] = ()
    """Its result, for people."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def title(self) -> str:
        """What it does."""
        names = {"doctor": "Doctor", "backtest": "Backtest", "trial": "Trial without calls"}
        number = f"{len(self.ids)} dead letter{'' if len(self.ids) == 1 else 's'}"
        return names.get(self.kind) or f"{self.kind.capitalize()} of {number}"

    @property
    def sentence(self) -> str:
        """How far it is."""
        past = {"replay": "requeued", "discard": "discarded"}.get(self.kind)
        if self.state == "done" and past:
            gone = f" {self.gone:,} {'was' if self.gone == 1 else 'were'} gone meanwhile." if self.gone else ""
            return f"{self.done - self.gone - self.refused:,} {past}.{gone}"
        return {"ready": "Waits for a worker.", "running": "Is running.", "done": "Done."}.get(
            self.state, f"Has {self.state}." if self.state == "failed" else "Was cancelled."
        )


_DECODER = msgspec.json.Decoder(Job)


def new_job_id() -> str:
    """Return the id of a new job."""
    return secrets.token_hex(8)


class Jobs:
    """Read and write the jobs of one account."""

    def __init__(self, client: redis.Redis, account: str) -> None:
        # Any, because redis-py types each result as if the client might be asynchronous.
        self._client: Any = client
        self._keys = Keys(account)

    def now(self) -> int:
        """Return the store's time (ms)."""
        return store_time(self._client)

    def write(self, job: Job) -> None:
        """Store a job; one that was cancelled meanwhile stays so."""
        kept = msgspec.structs.replace(job, seen=self.now())
        if job.state == "running" and self.is_cancelled(job.id):
            kept = msgspec.structs.replace(kept, state="cancelled")
        life = SELECTION_LIFE if job.kind == "selection" else LIFE
        self._client.set(self._keys.job(job.id), msgspec.json.encode(kept), px=life)

    def read(self, job: str) -> Job | None:
        """Return a job, None if there is none or it has expired."""
        with reading(self._keys.job(job)):
            stored = self._client.get(self._keys.job(job))
            return _DECODER.decode(stored) if stored else None

    def cancel(self, job: str) -> None:
        """Mark a job as cancelled; whoever runs it stops at its next step."""
        self._client.set(self._keys.job_cancelled(job), 1, px=LIFE)
        found = self.read(job)
        if found is not None and not found.is_over:
            self.write(msgspec.structs.replace(found, state="cancelled"))

    def is_cancelled(self, job: str) -> bool:
        """Return whether a person has cancelled a job."""
        return bool(self._client.exists(self._keys.job_cancelled(job)))
