"""What people do on the dashboard. Each action is audited, and ends on the page that shows its effect."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.dashboard.admission import ROOT, allowed
from service.dashboard.pages import account_of, reader_of
from workers.store import lanes
from workers.store.client import wake
from workers.store.lanes import Pause, Scope


def back(path: str, done: str) -> Response:
    """Return to a page that says what was done."""
    return RedirectResponse(f"{ROOT}{path}?done={done}", 303)


@allowed("operator")
def pause_account(request: Request) -> Response:
    """Pause an account."""
    name = account_of(request)
    return _pause(request, name, "account", "", f"/{name}")


@allowed("operator")
def resume_account(request: Request) -> Response:
    """End the pause of an account."""
    name = account_of(request)
    return _resume(request, name, "account", "", f"/{name}")


def _pause(request: Request, account: str, scope: Scope, target: str, page: str) -> Response:
    reader = reader_of(request)
    entry = Pause(reader.now(), request.state.person.name, skip=request.state.form.get("skip") == "1")
    reader.store.run(lanes.pause(account, scope, target, entry))
    return back(page, "paused")


def _resume(request: Request, account: str, scope: Scope, target: str, page: str) -> Response:
    reader = reader_of(request)
    ended = reader.store.run(lanes.resume(account, scope, target))
    wake(reader.client)
    return back(page, "resumed" if ended else "not-paused")
