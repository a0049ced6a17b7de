"""Who may see what: the session or token of each request, the checks of each form, and the headers of each answer.

`Access` wraps the whole application, so that no route can be added without it. Pages get the person in
`request.state.person`, and actions their checked fields in `request.state.form`.
"""

import hmac
import logging
import re
import secrets
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from time import monotonic
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from anyio import fail_after, sleep, to_thread
from redis.exceptions import RedisError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.dashboard.people import ForgedError, People, Person, caller_of, named_by_proxy
from workers.errors import StoreUnavailable
from workers.settings import is_loopback
from workers.store.sessions import LIFE, Sessions

NO_STORE = (
    "The store does not answer. Deliveries get a 503 meanwhile, and HappyFox does not repeat all of them. "
    "Run `foxhooks doctor`: it says whether the store is stopped, full or stuck. Then look at the disk and the memory "
    "of its machine. Nothing in foxhooks needs a restart."
)

ROOT = "/dashboard"
LOGIN = f"{ROOT}/login"
API = f"{ROOT}/api/"
STATIC = f"{ROOT}/static/"

#: What is added to the name of somebody whom a proxy has named, in a session. No user's name has a space.
PROXIED = "(proxy)"

#: Bytes of a query string and of a form, and fields of a form.
QUERY_LIMIT, FORM_LIMIT, FIELDS_LIMIT = 2048, 64 * 1024, 5_000
#: Seconds for a complete form or other body.
BODY_SECONDS = 15.0
#: Seconds between two log lines that say the same about requests of strangers.
LOG_SECONDS = 60.0

#: Failed logins, within 15 minutes, of one name from one address, from one address, and through one router: a sender
#: in its network can make up addresses.
NAME_LIMIT, ADDRESS_LIMIT, ROUTER_LIMIT = 5, 20, 200
#: Seconds that the answer to a failed login is delayed: twice as long each time, up to the second number.
DELAY, LONGEST_DELAY = 0.05, 1.0

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-robots-tag": "noindex",
}

#: Opens the same address once more, now as a request from our own site, which has the cookie.
_AGAIN = '<!doctype html><html lang="en"><meta http-equiv="refresh" content="0"><title>foxhooks</title>'

_NEXT = re.compile(rf"{ROOT}/[A-Za-z0-9/_.%~-]*(\?[A-Za-z0-9/_.%~&=+:@,-]*)?")

#: What the cookie of the login form looks like.
_NONCE = re.compile(r"[A-Za-z0-9_-]{43}")

_log = logging.getLogger(__name__)

Handler = Callable[[Request], Response]


class Cookies(NamedTuple):
    """The names of our cookies for one request, and whether they are only sent over HTTPS."""

    session: str
    login: str
    secure: bool


def cookies_of(request: Request) -> Cookies:
    """Return the names of the cookies: only a browser on this machine may send them over plain HTTP."""
    host = _host_of(request)
    local = request.scope["scheme"] == "http" and (is_loopback(host) or host.endswith(".localhost"))
    start = "foxhooks" if local else "__Host-foxhooks"
    return Cookies(start, f"{start}-login", not local)


def _host_of(request: Request) -> str:
    """Return the host that the browser has called, empty if its header is invalid."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def login_nonce(request: Request) -> str:
    """Return the cookie of the login form, a new one if the request has none that is ours: it is sent back."""
    sent = request.cookies.get(cookies_of(request).login, "")
    return sent if _NONCE.fullmatch(sent) else secrets.token_urlsafe(32)


def token_for(cookie: str) -> str:
    """Return the token that the forms of a session contain."""
    return sha256(f"form {cookie}".encode()).hexdigest()


def allowed(role: str) -> Callable[[Handler], Handler]:
    """Return a decorator for what only people with a role may do."""

    def decorate(function: Handler) -> Handler:
        @wraps(function)
        def check(request: Request) -> Response:
            if not request.state.person.may(role):
                _log.warning("A request was refused: it needs another role.", extra={"reason": f"needs {role}"})
                raise HTTPException(403, f"This needs the role {role}; you are {request.state.person.role}.")
            return function(request)

        return check

    return decorate


class Access:
    """Let people in who are logged in, and programs with a token; refuse everything else."""

    def __init__(self, app: ASGIApp, people: People, sessions: Sessions, static: Callable[[str], Response]) -> None:
        self._app, self._people, self._sessions, self._static = app, people, sessions, static
        self._warn = RareWarnings()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with its person and its form."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        set_cookies: list[str] = []
        try:
            answer = await self._check(request, set_cookies)
        except (RedisError, StoreUnavailable):
            answer = PlainTextResponse(NO_STORE, 503, {"retry-after": "5"})

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({name: value for name, value in HEADERS.items() if name not in headers})
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
                for cookie in set_cookies:
                    headers.append("set-cookie", cookie)
            await send(message)

        await (answer or self._app)(scope, receive, send_safely)

    async def _check(self, request: Request, set_cookies: list[str]) -> Response | None:
        """Return the answer to a request that may not pass, None for one that may."""
        path = request.scope["path"]
        if len(request.scope["query_string"]) > QUERY_LIMIT:
            return PlainTextResponse("The query string is too long.", 414)
        if path.startswith(STATIC):
            return self._static(path.removeprefix(STATIC))
        if path.startswith(API):
            return self._check_program(request)
        try:
            proxied = await self._proxied(request)
        except ForgedError:
            self._warn("A request was refused: it names a user, but does not come from the proxy.")
            return PlainTextResponse("This header may only come from the proxy.", 400)
        person = await self._person(request, proxied, set_cookies)
        request.state.person = person
        if path == LOGIN:
            return await self._check_login(request)
        if person is None:
            return self._send_to_login(request)
        return await self._check_form(request, person.csrf) if request.method == "POST" else None

    def _check_program(self, request: Request) -> Response | None:
        person = self._people.program(request.headers.get("authorization", ""))
        request.state.person = person
        if person is None:
            problem = {"error": "send `Authorization: Bearer TOKEN`, with a token of FOXHOOKS_TOKENS"}
            return JSONResponse(problem, 401, {"www-authenticate": "Bearer"})
        return None

    async def _proxied(self, request: Request) -> Person | None:
        proxy = self._people.proxy
        peer = request.client.host if request.client else ""
        return named_by_proxy(proxy, request.headers, peer) if proxy else None

    async def _person(self, request: Request, proxied: Person | None, set_cookies: list[str]) -> Person | None:
        """Return who is logged in; somebody whom the proxy names gets a session, which form tokens need."""
        cookie = request.cookies.get(cookies_of(request).session, "")
        session = await to_thread.run_sync(self._sessions.read, cookie) if cookie else None
        if proxied is not None:
            user = f"{proxied.name} {PROXIED}"  # not a user of the settings who has the same name
            if session is None or session.user != user:
                cookie = await self.begin(user)
                set_cookies.append(cookie_header(cookies_of(request).session, cookie, cookies_of(request).secure))
            return proxied._replace(csrf=token_for(cookie))
        role = self._people.role_of(session.user) if session else None
        if session is None or role is None:
            return None
        fresh = hmac.compare_digest(session.proof, self._people.proof(session.user, cookie))
        return Person(session.user, role, token_for(cookie)) if fresh else None

    async def begin(self, name: str) -> str:
        """Begin a session and return its cookie."""
        cookie = secrets.token_urlsafe(32)
        await to_thread.run_sync(self._sessions.begin, cookie, name, self._people.proof(name, cookie))
        return cookie

    def _send_to_login(self, request: Request) -> Response:
        if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
            return HTMLResponse(_AGAIN)  # a link from elsewhere: the browser did not send the cookie, which is strict
        if request.method not in ("GET", "HEAD"):
            return RedirectResponse(LOGIN, 303)
        query = request.scope["query_string"].decode("ascii", "replace")
        wanted = request.scope["path"] + (f"?{query}" if query else "")
        here = wanted.rstrip("/") == ROOT or not _NEXT.fullmatch(wanted)
        return RedirectResponse(LOGIN if here else f"{LOGIN}?next={quote(wanted, safe='/')}", 303)

    async def _check_login(self, request: Request) -> Response | None:
        if request.method != "POST":
            return None
        cookie = request.cookies.get(cookies_of(request).login, "")
        return await self._check_form(request, token_for(cookie) if cookie else "", needs_origin=False)

    async def _check_form(self, request: Request, token: str, needs_origin: bool = True) -> Response | None:
        """Read a form; refuse one from another site, or without the token of the session."""
        if not _is_own(request, needs_origin):
            self._warn("A form was refused: it was sent from another site.")
            return PlainTextResponse("This form was sent from another site.", 403)
        try:
            with fail_after(BODY_SECONDS):
                form = await _read_form(request)
        except TimeoutError:
            return PlainTextResponse("The form did not arrive in time.", 408, {"connection": "close"})
        if form is None:
            return PlainTextResponse("The form is too large or cannot be read.", 413)
        if not token or not hmac.compare_digest(form.get("csrf", "").encode(), token.encode()):
            self._warn("A form was refused: its token is not that of the session.")
            return PlainTextResponse("This form has expired. Go back, reload the page, and send it again.", 403)
        request.state.form = form
        return None


class PostedForm(dict[str, str]):
    """The fields of a form; of several with one name, the last, and all in ``lists``."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self.lists: dict[str, list[str]] = {}
        for name, value in pairs:
            self.lists.setdefault(name, []).append(value)


async def _read_form(request: Request) -> PostedForm | None:
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > FORM_LIMIT:
                return None
        return PostedForm(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_LIMIT))
    except (ValueError, ClientDisconnect):
        return None


def _is_own(request: Request, needs_origin: bool) -> bool:
    """Return whether a form was sent from one of our own pages, as far as the browser says."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site not in (None, "none"):  # no page can set it, and a proxy may change the host that is compared below
        return site == "same-origin"
    if origin is None:
        return not needs_origin
    return origin.partition("://")[2] == request.headers.get("host")


def cookie_header(name: str, value: str, secure: bool, age: int = LIFE // 1000) -> str:
    """Return a Set-Cookie header; an age of 0 deletes the cookie."""
    return f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


class RareWarnings:
    """Log each message at most once a minute: strangers cause them, and must not fill the log."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def __call__(self, message: str, **fields: str) -> None:
        """Log a message unless it was logged a moment ago."""
        now = monotonic()
        if now >= self._due.get(message, 0.0):
            self._due[message] = now + LOG_SECONDS
            _log.warning(message, extra=fields)


class Throttle:
    """Slow down and refuse those who guess passwords; sessions that run are not affected."""

    def __init__(self, people: People, sessions: Sessions) -> None:
        self._people, self._sessions = people, sessions
        self._warn = RareWarnings()

    async def check(self, request: Request, name: str, password: str) -> bool | None:
        """Return whether the password is right, None if it was not even looked at."""
        peer = request.client.host if request.client else ""
        address = caller_of(peer, request.headers.get("x-forwarded-for", ""), self._people.proxy)
        who = (f"{name} {address}", address, f"router {peer}")
        of_name, of_address, of_router = await to_thread.run_sync(self._sessions.attempt, *who)
        if of_name > NAME_LIMIT or of_address > ADDRESS_LIMIT or of_router > ROUTER_LIMIT:
            self._warn("A login was refused: too many failed.", host=address)
            return None
        if await self._people.check(name, password):
            await to_thread.run_sync(self._sessions.succeed, *who)
            return True
        _log.warning("A login failed.", extra={"host": address})
        await sleep(min(LONGEST_DELAY, DELAY * 2 ** (max(of_name, of_address) - 1)))
        return False


def next_page(wanted: str) -> str:
    """Return where to go after the login: a page of the dashboard, whatever was asked for."""
    return wanted if _NEXT.fullmatch(wanted) and "//" not in wanted and ".." not in wanted else f"{ROOT}/"
