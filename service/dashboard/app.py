"""The dashboard as an application that the web process mounts, or that runs on its own."""

from collections.abc import Callable
from functools import partial
from typing import Any

from anyio import to_thread
from redis.exceptions import RedisError, ResponseError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.context import describe_corrupt
from service.dashboard import actions, api, pages
from service.dashboard.admission import (
    API,
    LOGIN,
    NO_STORE,
    ROOT,
    Access,
    Throttle,
    cookie_header,
    cookies_of,
    login_nonce,
    next_page,
    token_for,
)
from service.dashboard.live import Feeds
from service.dashboard.parameters import account_of, number_of
from service.dashboard.people import People
from service.dashboard.reading import Reader
from service.dashboard.render import Renderer
from workers.errors import StoreUnavailable
from workers.settings import Settings
from workers.store.client import connect
from workers.store.failures import NOT_UNDERSTOOD, known_failure
from workers.store.sessions import Sessions

#: Connections to the store. Pages wait for each other, and never a delivery for a page.
CONNECTIONS = 2

#: Seconds after which a page says that the store does not answer.
GIVE_UP = 2.5

TITLES = {403: "Not allowed", 404: "Not found", 405: "Not possible"}


ACTIONS = [
    Route(f"/{{account}}{path}", action, methods=["POST"])
    for path, action in {
        "/pause": actions.pause,
        "/resume": actions.resume,
        "/handlers/{router}/pause": actions.pause,
        "/handlers/{router}/resume": actions.resume,
        "/tickets/{ticket}/pause": actions.pause,
        "/tickets/{ticket}/resume": actions.resume,
        "/tickets/{ticket}/look": actions.look,
        "/tickets/{ticket}/trial": actions.trial,
        "/sweep": actions.sweep,
        "/dead/preview": actions.preview,
        "/dead/replay": actions.replay,
        "/dead/discard": actions.discard,
        "/jobs": actions.begin_job,
        "/jobs/{job}/cancel": actions.cancel,
    }.items()
]


class Dashboard:
    """The application with everything it holds open."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._client = connect(url, connections=CONNECTIONS, give_up=GIVE_UP)
        self._people, self._sessions = People(settings), Sessions(self._client)
        self._throttle = Throttle(self._people, self._sessions)
        self._renderer, self._feeds, self._reader = Renderer(), Feeds(), Reader(self._client, settings)
        app = Starlette(
            routes=[
                Route("/login", self.login, methods=["GET", "POST"]),
                Route("/logout", self.logout, methods=["POST"]),
                *api.routes(),
                Route("/live", self.live_overview),
                Route("/", pages.overview),
                Route("/fleet", pages.fleet),
                Route("/settings", pages.settings),
                Route("/audit", pages.audit),
                Route("/alerts", pages.alerts, methods=["GET"]),
                Route("/alerts", actions.test_alerts, methods=["POST"]),
                Route("/{account}", pages.now),
                Route("/{account}/live", self.live_now),
                Route("/{account}/events", pages.events),
                Route("/{account}/events/{event}", pages.event),
                Route("/{account}/tickets", pages.find_ticket),
                Route("/{account}/tickets/{ticket}", pages.ticket),
                Route("/{account}/tickets/{ticket}/live", self.live_ticket),
                Route("/{account}/lanes", pages.lanes),
                Route("/{account}/dead", pages.dead),
                Route("/{account}/dead/selection/{job}", pages.selection),
                Route("/{account}/dead/{id}", pages.dead_letter),
                Route("/{account}/quarantine", pages.quarantine),
                Route("/{account}/handlers", pages.handlers),
                Route("/{account}/budget", pages.budget),
                Route("/{account}/rules", pages.rules),
                Route("/{account}/clients", pages.clients),
                Route("/{account}/signatures", pages.signatures),
                Route("/{account}/completeness", pages.completeness),
                Route("/{account}/jobs/{job}", pages.job),
                Route("/{account}/jobs/{job}/live", self.live_job),
                *ACTIONS,
            ],
            exception_handlers={
                HTTPException: _refused,
                StoreUnavailable: _without_store,
                RedisError: _without_store,
                **dict.fromkeys((*NOT_UNDERSTOOD, RuntimeError, ResponseError), self.explain),
            },
        )
        app.router.redirect_slashes = False
        app.state.reader, app.state.renderer = self._reader, self._renderer
        self.app = Access(app, self._people, self._sessions, self._renderer.assets.respond)

    def close(self) -> None:
        """Close the connections to the store."""
        self._reader.store.close()
        self._client.close()

    async def login(self, request: Request) -> Response:
        """Show the form, or log somebody in."""
        wanted = request.query_params.get("next", "")
        if request.state.person is not None:
            return RedirectResponse(next_page(wanted), 303)
        if request.method == "GET":
            return self._login_form(request, next_page(wanted))
        form = request.state.form
        user, wanted = form.get("user", "").strip()[:100], next_page(form.get("next", ""))
        try:
            return await self._log_in(request, wanted, user, form.get("password", "")[:1000])
        except (RedisError, StoreUnavailable):
            return self._login_form(request, wanted, user, NO_STORE, 503)

    async def _log_in(self, request: Request, wanted: str, user: str, password: str) -> Response:
        right = await self._throttle.check(request, user, password)
        if right is None:
            problem = "Too many logins failed. Try again in 15 minutes."
            return self._login_form(request, wanted, user, problem, 429)
        if not right:
            return self._login_form(request, wanted, user, "The user or the password is wrong.", 401)
        cookie, names = await self.app.begin(user), cookies_of(request)
        answer = RedirectResponse(wanted, 303)
        answer.headers.append("set-cookie", cookie_header(names.session, cookie, names.secure))
        return answer

    def _login_form(
        self, request: Request, wanted: str, user: str = "", problem: str = "", status: int = 200
    ) -> Response:
        names = cookies_of(request)
        nonce = login_nonce(request)
        context = {
            "csrf": token_for(nonce),
            "next": wanted,
            "user": user,
            "problem": problem,
            "has_passwords": self._people.has_passwords,
        }
        answer = self._renderer.respond("login.html", context, status)
        answer.headers.append("set-cookie", cookie_header(names.login, nonce, names.secure, age=3600))
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session."""
        names = cookies_of(request)
        await to_thread.run_sync(self._sessions.end, request.cookies.get(names.session, ""))
        answer = RedirectResponse(LOGIN, 303)
        answer.headers.append("set-cookie", cookie_header(names.session, "", names.secure, age=0))
        return answer

    async def explain(self, request: Request, error: Exception) -> Response:
        """Name the keys because of which a page cannot be shown; raise an error that is ours."""
        accounts = list(self._reader.accounts)
        if known_failure(error) is not None:
            return await _without_store(request, error)
        corrupt = await to_thread.run_sync(describe_corrupt, self._client, accounts, error)
        if not corrupt and isinstance(error, RedisError):
            return await _without_store(request, error)
        if not corrupt:
            raise error
        if request.url.path.startswith(API):
            return api.answer({"error": "; ".join(corrupt)}, 500)
        text = ". ".join(f"{each[:1].upper()}{each[1:]}" for each in corrupt)
        return await to_thread.run_sync(pages.problem, request, 500, "Not readable", f"{text}.")

    async def live_overview(self, request: Request) -> Response:
        """Stream the list of accounts."""
        return self._stream(request, "_overview.html", partial(pages.overview_context, self._reader))

    async def live_now(self, request: Request) -> Response:
        """Stream the page Now."""
        name = account_of(request)
        return self._stream(request, "_now.html", partial(pages.now_context, self._reader, name))

    async def live_ticket(self, request: Request) -> Response:
        """Stream the story of a ticket."""
        name, number = account_of(request), number_of(request.path_params["ticket"])
        if number is None:
            raise HTTPException(404)
        may_see = request.state.person.may("operator")
        read = partial(pages.ticket_context, self._reader, name, number, may_see=may_see)
        return self._stream(request, "_ticket.html", read)

    async def live_job(self, request: Request) -> Response:
        """Stream the progress of a job."""
        name, job = account_of(request), request.path_params["job"]
        return self._stream(request, "_job.html", partial(pages.job_context, self._reader, name, job))

    def _stream(self, request: Request, template: str, read: Callable[[], dict[str, Any]]) -> Response:
        person = request.state.person
        return self._feeds.respond(request, lambda: self._renderer.text(template, read(), person))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail if error.detail not in ("Not Found", "Method Not Allowed") else "There is no such page."
    title = TITLES.get(error.status_code, "Not possible")
    return await to_thread.run_sync(pages.problem, request, error.status_code, title, detail)


async def _without_store(request: Request, _error: Exception) -> Response:
    return await to_thread.run_sync(pages.problem, request, 503, "No answer from the store", NO_STORE)


def redirect(_request: Request) -> Response:
    """Lead from the address without a page to the first one."""
    return RedirectResponse(f"{ROOT}/", 303)
