"""The forms: each does something and ends on the page that shows its effect."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.dashboard import operations
from service.dashboard.admission import ROOT, allowed
from service.dashboard.pages import alerts
from service.dashboard.parameters import account_of, chosen_dead_letters, number_of, reader_of, time_of
from workers.store.audit import By
from workers.store.jobs import JobKind
from workers.store.pauses import Scope

#: The longest reason that a person can give.
LONGEST_WHY = 300


def acting(request: Request, why: str = "") -> By:
    """Return who does something, for the audit log."""
    person, address = request.state.person, request.client.host if request.client else ""
    return By(person.name, person.role, f"dashboard {address}".strip(), why.strip()[:LONGEST_WHY])


def back(path: str, done: str = "") -> Response:
    """Return to a page that says what was done."""
    return RedirectResponse(f"{ROOT}{path}{f'?done={done}' if done else ''}", 303)


def _target(request: Request) -> tuple[Scope, str, str]:
    """Return what a form pauses or resumes, and the page that shows it."""
    if "router" in request.path_params:
        return "router", request.path_params["router"], "/handlers"
    if "ticket" in request.path_params:
        number = number_of(request.path_params["ticket"])
        return "ticket", str(number), f"/tickets/{number}"
    return "account", "", ""


@allowed("operator")
def pause(request: Request) -> Response:
    """Pause an account, a router or a ticket."""
    name, (scope, target, page) = account_of(request), _target(request)
    form = request.state.form
    by = acting(request, form.get("why", ""))
    operations.pause(reader_of(request), name, scope, target, by, skip=form.get("skip") == "1")
    return back(f"/{name}{page}", "paused")


@allowed("operator")
def resume(request: Request) -> Response:
    """End a pause."""
    name, (scope, target, page) = account_of(request), _target(request)
    by = acting(request, request.state.form.get("why", ""))
    ended = operations.resume(reader_of(request), name, scope, target, by)
    return back(f"/{name}{page}", "resumed" if ended else "not-paused")


@allowed("operator")
def look(request: Request) -> Response:
    """Read a ticket again now."""
    name, number = account_of(request), number_of(request.path_params["ticket"]) or 0
    operations.look(reader_of(request), name, number, acting(request))
    return back(f"/{name}/tickets/{number}", "looks")


@allowed("operator")
def trial(request: Request) -> Response:
    """Let a worker show what it would do about a ticket."""
    name, number = account_of(request), number_of(request.path_params["ticket"]) or 0
    job = operations.begin_trial(reader_of(request), name, number, acting(request))
    return back(f"/{name}/jobs/{job.id}")


@allowed("operator")
def sweep(request: Request) -> Response:
    """Look now for changes that no delivery announced."""
    name = account_of(request)
    operations.sweep(reader_of(request), name, acting(request))
    return back(f"/{name}/completeness", "sweeps")


@allowed("admin")
def test_alerts(request: Request) -> Response:
    """Send a test message to every address of alerts, and show which of them got it."""
    return alerts(request, operations.test_alerts(reader_of(request), acting(request)))


@allowed("operator")
def preview(request: Request) -> Response:
    """Freeze a selection of dead letters, and show what acting on it would do."""
    name, reader, form = account_of(request), reader_of(request), request.state.form
    ticked = form.get("which") == "ticked"
    chosen = form.lists.get("id", []) if ticked else chosen_dead_letters(form, reader.now())
    job = operations.select(reader, name, request.state.person.name, chosen)
    return back(f"/{name}/dead/selection/{job.id}") if job else back(f"/{name}/dead", "nothing-ticked")


@allowed("operator")
def replay(request: Request) -> Response:
    """Replay the dead letters of a selection."""
    return _act(request, "replay")


@allowed("operator")
def discard(request: Request) -> Response:
    """Discard the dead letters of a selection."""
    return _act(request, "discard")


@allowed("operator")
def begin_job(request: Request) -> Response:
    """Let a worker test rules on past turns, or check everything."""
    name, form = account_of(request), request.state.form
    kind = form.get("kind", "")
    if kind == "backtest":
        job = operations.begin_job(reader_of(request), name, "backtest", acting(request), backtest_arguments(form))
    elif kind == "doctor":
        job = operations.begin_job(reader_of(request), name, "doctor", acting(request), {})
    else:
        raise HTTPException(400, "There is no such job.")
    return back(f"/{name}/jobs/{job.id}")


def backtest_arguments(form: Mapping[str, str]) -> dict[str, str]:
    """Return what a backtest needs, checked."""
    rules, since = form.get("rules", "").strip(), form.get("since", "").strip() or "7d"
    if not rules:
        raise HTTPException(400, "Paste the rules that are to be tested.")
    time_of(since, 0)
    return {"rules": rules, "since": since}


@allowed("operator")
def cancel(request: Request) -> Response:
    """Stop a job."""
    name, job = account_of(request), request.path_params["job"]
    reader_of(request).jobs(name).cancel(job)
    return back(f"/{name}/jobs/{job}")


def _act(request: Request, kind: JobKind) -> Response:
    name, form = account_of(request), request.state.form
    by = acting(request, form.get("why", ""))
    job = operations.act(reader_of(request), name, kind, form.get("job", ""), request.state.person, by)
    return back(f"/{name}/jobs/{job.id}")
