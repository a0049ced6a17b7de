"""The web process: uvicorn and the routes.

The path of a delivery: `connections` limits what a sender may cost, `endpoint` checks the signature and builds an
arrival, `writer` stores it with others in one batch, and the answer is sent once the batch is durable.
"""

import asyncio
import gc
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from socket import socket
from typing import Any

import uvicorn
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.supervisors import Multiprocess

from service.tokens import ask_for_token
from service.web.connections import BACKLOG, ENDING, STATE, Connections, HttpConnection, Limits
from service.web.endpoint import KINDS, BodyReader, WebhookEndpoint
from service.web.health import Health, SharedCheck
from service.web.hooks import HookEndpoint
from service.web.recorder import ShapeRecorder
from service.web.refusals import Refusals
from service.web.writer import GroupCommit, StoreWriter
from workers.alerts.watchman import Watchman
from workers.logs import init_logging, init_sentry
from workers.settings import Settings, load
from workers.store.client import connect, url_of
from workers.store.failures import unavailable
from workers.store.fleet import Presence, describe_process
from workers.traces import traces
from workers.version import __version__
from workers.webhook import Verifier, known_hosts
from workers.webhook.hooks import HookVerifier

#: Seconds to finish open requests after SIGTERM.
GRACE = 10

_log = logging.getLogger(__name__)


def serve(settings: Settings, listener: socket, limits: Limits = Limits()) -> None:  # noqa: B008 - a constant
    """Serve on a listening socket until SIGTERM or SIGINT, in ``settings.web_concurrency`` processes.

    With several processes, each loads the settings from the environment, because secrets are never passed on.
    """
    prepare(settings)
    threading.Thread(target=_check_store, args=[settings], name="check of the store", daemon=True).start()
    several = settings.web_concurrency > 1
    app = "service.web.app:application" if several else build(settings, limits)
    config = configure(app, limits, factory=several, workers=settings.web_concurrency)
    if several:
        Multiprocess(config, [listener]).run()
    else:
        uvicorn.Server(config).run([listener])


def configure(app: Starlette | str, limits: Limits, **options: Any) -> uvicorn.Config:
    """Return how uvicorn serves an application of `build`."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=HttpConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=limits.idle,
        timeout_graceful_shutdown=GRACE,
        **options,
    )


def serve_pages(settings: Settings, listener: socket) -> None:
    """Serve the dashboard alone on a listening socket until SIGTERM or SIGINT."""
    init_logging(settings)
    init_sentry(settings, "web")
    traces.start("web", __version__)
    limits = Limits()
    uvicorn.Server(configure(build_pages(settings, limits), limits)).run([listener])


def application() -> Starlette:
    """Build the application in a child process, from the environment and the current folder."""
    settings = load("web", os.environ, Path.cwd())
    prepare(settings)
    return build(settings)


def _check_store(settings: Settings) -> None:
    """Log at once why no delivery could be stored, not only when one has been refused."""
    try:
        with connect(url_of(settings.redis_url, settings.data)) as client:
            client.ping()
    except (RedisError, OSError) as error:
        fields = {"error": str(unavailable(error))}
        _log.error("The store is unreachable; deliveries get a 503", extra=fields)


def prepare(settings: Settings) -> None:
    """Set up logs, error reports and garbage collection, once per process."""
    init_logging(settings)
    init_sentry(settings, "web")
    tune_gc()


def tune_gc() -> None:
    """Collect garbage rarely: a delivery leaves no cycles, and collecting costs a tenth of the throughput."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class Shortcut:
    """Pass requests for a webhook's URL straight to the endpoint: routing them costs more than checking a signature."""

    def __init__(self, app: ASGIApp, webhook: WebhookEndpoint, accounts: Iterable[str]) -> None:
        self._app, self._webhook = app, webhook
        self._params = {
            f"/webhooks/{account}{kind and '/'}{kind}{slash}": {"account": account, "kind": kind}
            for account in accounts
            for kind in KINDS
            for slash in ("", "/")
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params = self._params.get(scope["path"]) if scope["type"] == "http" else None
        if params is None:
            await self._app(scope, receive, send)
        else:
            scope["path_params"] = params
            await self._webhook(scope, receive, send)


def mount_dashboard(settings: Settings, url: str) -> tuple[list[BaseRoute], Callable[[], None]]:
    """Return the routes of the dashboard, none if nobody can log in, and how to close its connections."""
    if not settings.has_people:
        return [], lambda: None
    from service.dashboard.admission import ROOT
    from service.dashboard.app import Dashboard, redirect  # a web process without it needs neither its code nor memory

    dashboard = Dashboard(settings, url)
    return [Route("/", redirect), Route(ROOT, redirect), Mount(ROOT, dashboard.app)], dashboard.close


def mount_metrics(settings: Settings, url: str) -> tuple[BaseRoute, Callable[[], None]]:
    """Return the route of /metrics, and how to close its connections."""
    if not settings.tokens:
        return Route("/metrics", ask_for_token), lambda: None
    from service.metrics import Metrics  # a web process without tokens needs neither its code nor memory

    metrics = Metrics(settings, url)
    return Route("/metrics", metrics.answer), metrics.close


def build(settings: Settings, limits: Limits = Limits()) -> Starlette:  # noqa: B008 - a constant
    """Build the application; it connects to the store on the first request.

    The store may be down at the start and at any later time: answers are 503 until it is back.
    """
    url = url_of(settings.redis_url, settings.data)
    commit = GroupCommit(StoreWriter(url, settings.durability), int(settings.retention_hours * 3600))
    health = Health(commit, url, settings.accounts, settings.tokens)
    connections = Connections(limits)
    keys = {
        name: [secret.reveal().encode() for secret in account.secrets] for name, account in settings.accounts.items()
    }
    refusals, recorder = Refusals(url, keys), ShapeRecorder(url)
    pages, close_dashboard = mount_dashboard(settings, url) if settings.dashboard else ([], lambda: None)
    figures, close_metrics = mount_metrics(settings, url)
    published, client = describe_process("web", settings), connect(url, connections=1)
    presence, watchman = Presence(client, published), Watchman(client, settings, published.name, stores=True)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        presence.start()
        watchman.start()
        with connections.outliving_sigterm():
            await recorder.start(settings.accounts)
            yield {STATE: connections, ENDING: connections.ending}
        close_dashboard()
        close_metrics()
        watchman.stop()
        await asyncio.to_thread(presence.stop)
        await health.close()
        await commit.close()
        await refusals.close()
        await recorder.close()
        await asyncio.to_thread(traces.stop)

    hosts = known_hosts({name: account.url for name, account in settings.accounts.items()})
    verifiers = {name: Verifier(secrets) for name, secrets in keys.items()}
    bodies = BodyReader(limits.body)
    webhook = WebhookEndpoint(verifiers, hosts, commit, bodies, refusals, recorder)
    systems = {
        name: HookVerifier([secret.reveal() for secret in hook.secrets], hook.header)
        for name, hook in settings.hooks.items()
    }
    hook = HookEndpoint(systems, settings.accounts, commit, bodies)
    routes = [
        *pages,
        Route("/webhooks/{account}", webhook),
        Route("/webhooks/{account}/{kind:path}", webhook),
        Route("/hooks/{account}/{router}/{name:path}", hook),
        Route("/healthz", alive),
        Route("/readyz", health.ready),
        figures,
    ]
    shortcut = Middleware(Shortcut, webhook=webhook, accounts=settings.accounts)
    app = Starlette(routes=routes, middleware=[shortcut], lifespan=lifespan)
    app.router.redirect_slashes = False
    not_found = app.router.default

    async def misdirected(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusals.misdirected(scope, "unknown-path")
        await not_found(scope, receive, send)

    app.router.default = misdirected
    return app


def build_pages(settings: Settings, limits: Limits) -> Starlette:
    """Build an application that serves the dashboard and a health check, and receives no webhooks."""
    url = url_of(settings.redis_url, settings.data)
    pages, close = mount_dashboard(settings, url)
    figures, close_metrics = mount_metrics(settings, url)
    client = connect(url, connections=1)
    connections = Connections(limits._replace(accept=0.0))
    presence = Presence(connect(url, connections=1), describe_process("dashboard", settings))

    async def answers() -> bool:
        try:
            return bool(await asyncio.to_thread(client.ping))
        except RedisError:
            return False

    check = SharedCheck(answers)

    async def ready(_request: Request) -> JSONResponse:
        """Answer 200 if pages can be shown: if the store answers."""
        if await check.result():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "unavailable"}, 503, {"retry-after": "5"})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        presence.start()
        with connections.outliving_sigterm():
            yield {STATE: connections, ENDING: connections.ending}
        close()
        close_metrics()
        client.close()
        await asyncio.to_thread(presence.stop)

    routes = [*pages, Route("/healthz", alive), Route("/readyz", ready), figures]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


async def alive(_request: Request) -> JSONResponse:
    """Answer 200 as long as the process runs."""
    return JSONResponse({"status": "ok"})
