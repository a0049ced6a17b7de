"""What people and programs can do through the dashboard: forms and the API share these functions.

Each of them is written to the audit log, by the store function that does it or beside it.
"""

import time
from collections.abc import Callable, Sequence
from threading import Thread

from msgspec.structs import replace
from redis.exceptions import NoPermissionError
from starlette.exceptions import HTTPException

from service.dashboard.people import Person
from service.dashboard.reading import Reader
from service.reading.dead_letters import GONE, NO_HANDLER, DeadLetterQuery, DeadLetterRow, read_rows, read_some
from workers.alerts.sending import send_test
from workers.errors import suggest
from workers.store import audit, pauses
from workers.store.audit import By
from workers.store.client import wake
from workers.store.inbox import accept, receive
from workers.store.jobs import Job, JobKind, new_job_id
from workers.store.pauses import Pause, Scope
from workers.store.periodic import SWEEP, hurry_task
from workers.store.records import discard, replay
from workers.webhook import Delivery

#: How many dead letters an operator may act on at once; more need the role admin.
OPERATORS_MOST = 100

#: Seconds between two dead letters of a job: 50 a second, so that workers keep up.
PACE = 0.02


def pause(reader: Reader, account: str, scope: Scope, name: str, by: By, *, skip: bool = False) -> bool:
    """Pause an account, a router or a ticket; return whether it was paused before."""
    _check(reader, account, scope, name)
    return reader.store.run(pauses.pause(account, scope, name, Pause(reader.now(), by.who, skip=skip), by))


def resume(reader: Reader, account: str, scope: Scope, name: str, by: By) -> bool:
    """End a pause; return False if there was none."""
    ended = reader.store.run(pauses.resume(account, scope, name, by))
    wake(reader.client)
    return ended


def look(reader: Reader, account: str, ticket: int, by: By) -> None:
    """Read a ticket again now, as if HappyFox had reported it."""
    _check(reader, account, "ticket", str(ticket))
    delivery = Delivery(ticket, "unknown", False, None, "flat", "unknown", "", "")
    arrival = receive(delivery, b'{"ticket_id":%d}' % ticket, source="sweep")
    reader.store.run(accept(account, [arrival], reader.retention))
    reader.store.run(audit.note(account, by, "look", f"ticket {ticket}"))
    wake(reader.client)


def sweep(reader: Reader, account: str, by: By) -> None:
    """Look now for changes that no delivery announced."""
    if not reader.account_settings(account).sweep_minutes:
        raise HTTPException(400, "Sweeps are off: set FOXHOOKS_SWEEP_MINUTES above 0.")
    reader.store.run(hurry_task(account, SWEEP))
    reader.store.run(audit.note(account, by, "sweep", "account"))
    wake(reader.client)


def test_alerts(reader: Reader, by: By) -> list[tuple[str, str]]:
    """Send a test message to every address of alerts; return each with what went wrong, empty if nothing did."""
    if not reader.settings.alerts:
        raise HTTPException(400, "No alert is set here: add [[alert]] to foxhooks.toml.")
    for account in reader.accounts:
        reader.store.run(audit.note(account, by, "test alerts", "every address"))
    return list(send_test(reader.settings))


def _check(reader: Reader, account: str, scope: Scope, name: str) -> None:
    """Refuse an unknown router or ticket: a typo must not look like a pause."""
    if scope == "router" and name not in (known := reader.routers(account)):
        raise HTTPException(404, f"No worker runs the router {name!r}; {suggest(name, known)}.")
    if scope == "ticket" and not reader.records(account).knows(int(name)):
        raise HTTPException(404, "No webhook was received for this ticket yet.")


def select(reader: Reader, account: str, who: str, chosen: DeadLetterQuery | Sequence[str]) -> Job | None:
    """Freeze a selection of dead letters: those with these ids, or all that a query selects without those in doubt.

    Return None if nothing is selected.
    """
    records, left_out = reader.records(account), 0
    if isinstance(chosen, DeadLetterQuery):
        found = read_rows(records, chosen)
        rows: list[DeadLetterRow] = [row for row in found if not row.in_doubt]
        left_out = len(found) - len(rows)
    else:
        rows = list(read_some(records, chosen))
    if not rows and not left_out:
        return None
    ids = tuple(row.id for row in sorted(rows, key=lambda row: row.at))
    job = Job(id=new_job_id(), kind="selection", by=who, at=reader.now(), ids=ids, left_out=left_out)
    reader.jobs(account).write(job)
    return job


def act(reader: Reader, account: str, kind: JobKind, selection: str, person: Person, by: By) -> Job:
    """Replay or discard a frozen selection, in the background of this process."""
    chosen = reader.jobs(account).read(selection)
    if chosen is None or chosen.kind != "selection":
        raise HTTPException(404, "This selection has expired: choose the dead letters again.")
    needed = "admin" if len(chosen.ids) > OPERATORS_MOST else "operator"
    if not person.may(needed):
        raise HTTPException(403, f"This needs the role {needed}; you are {person.role}.")
    if not by.why:
        raise HTTPException(400, "Give a reason: it is written to the audit log.")
    job = Job(
        id=new_job_id(),
        kind=kind,
        by=by.who,
        at=reader.now(),
        why=by.why,
        state="running",
        ids=chosen.ids,
        total=len(chosen.ids),
    )
    reader.jobs(account).write(job)
    Thread(target=run_bulk, args=(reader, account, job, by), name=f"job {job.id}", daemon=True).start()
    return job


def begin_job(reader: Reader, account: str, kind: JobKind, by: By, arguments: dict[str, str]) -> Job:
    """Let a worker run a job."""
    from service.dashboard.jobs import enqueue  # Dramatiq; most web processes never need it

    job = Job(
        id=new_job_id(), kind=kind, by=by.who, at=reader.now(), why=by.why, state="ready", arguments=dict(arguments)
    )
    try:
        enqueue(reader.client, account, job)
    except NoPermissionError:
        rights = "the store's user may not run jobs: add +evalsha and +script|load to its rights"
        raise HTTPException(503, f"{rights}; see docs/security.md.") from None
    reader.store.run(audit.note(account, by, kind, f"job {job.id}"))
    return job


def begin_trial(reader: Reader, account: str, ticket: int, by: By) -> Job:
    """Let a worker show what its handlers would do today in the past turns of a ticket, without calls."""
    _check(reader, account, "ticket", str(ticket))
    return begin_job(reader, account, "trial", by, {"ticket": str(ticket)})


def run_bulk(reader: Reader, account: str, job: Job, by: By, sleep: Callable[[float], None] = time.sleep) -> None:
    """Replay or discard the dead letters of a job, oldest first; stop when it is cancelled."""
    jobs, records = reader.jobs(account), reader.records(account)
    for number, each in enumerate(job.ids, 1):
        row = next(read_some(records, [each]), None)
        if row is not None and job.kind == "replay" and not row.can_replay:
            job = replace(job, refused=job.refused + 1, problems={**job.problems, each: NO_HANDLER})
        elif row is None or not _act(reader, account, job, each, by):
            job = replace(job, gone=job.gone + 1, problems={**job.problems, each: GONE})
        job = replace(job, done=number)
        if number % 10 == 0 or number == job.total:
            wake(reader.client)
            if jobs.is_cancelled(job.id):
                jobs.write(replace(job, state="cancelled"))
                return
            jobs.write(job)
        sleep(PACE)
    jobs.write(replace(job, state="done"))


def _act(reader: Reader, account: str, job: Job, dead_letter: str, by: By) -> bool:
    """Replay or discard one dead letter; return False if it is gone."""
    if job.kind == "replay":
        return bool(reader.store.run(replay(account, dead_letter, by)))
    return reader.store.run(discard(account, dead_letter, by))
