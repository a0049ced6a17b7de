"""The pages: each reads what it shows and renders a template."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.dashboard.reading import Reader
from service.dashboard.render import NOTICES, Renderer
from workers.errors import suggest


def reader_of(request: Request) -> Reader:
    """Return the reader of the application."""
    found: Reader = request.app.state.reader
    return found


def account_of(request: Request) -> str:
    """Return the account in the path, which must be one of the settings."""
    name: str = request.path_params["account"]
    known = reader_of(request).accounts
    if name not in known:
        raise HTTPException(404, f"There is no account {name!r}; {suggest(name, known)}.")
    return name


def shared(request: Request, page: str, account: str | None = None, dead: int = 0) -> dict[str, Any]:
    """Return what every page needs."""
    return {
        "person": request.state.person,
        "accounts": list(reader_of(request).accounts),
        "account": account,
        "page": page,
        "dead": dead,
        "notice": NOTICES.get(request.query_params.get("done", "")),
    }


def respond(request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
    """Render a page."""
    renderer: Renderer = request.app.state.renderer
    return renderer.respond(template, context, status)


def overview(request: Request) -> Response:
    """Show every account in a row."""
    return respond(request, "overview.html", shared(request, "accounts") | overview_context(reader_of(request)))


def overview_context(reader: Reader) -> dict[str, Any]:
    """Return what the list of accounts shows."""
    views = [reader.account(name) for name in reader.accounts]
    return {"views": views, "workers": views[0].workers if views else 0, "has_figures": False}


def now(request: Request) -> Response:
    """Show what happens in an account now."""
    name = account_of(request)
    context = now_context(reader_of(request), name)
    return respond(request, "now.html", shared(request, "now", name, context["view"].dead) | context)


def now_context(reader: Reader, name: str) -> dict[str, Any]:
    """Return what the page Now shows."""
    return {"view": reader.account(name)}


def problem(request: Request, status: int, title: str, text: str) -> Response:
    """Show why a page cannot be shown."""
    name = request.path_params.get("account")
    account = name if name in reader_of(request).accounts else None
    return respond(request, "error.html", shared(request, "", account) | {"title": title, "text": text}, status)
