"""The web process: uvicorn, the routes, and the health checks.

The path of a delivery: `endpoint` checks the signature and builds an arrival, `writer` stores it with others in
one batch, and the answer is sent once the batch is durable.
"""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import socket

import redis.asyncio
import uvicorn
from redis.exceptions import RedisError, ResponseError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.supervisors import Multiprocess

from service.web.endpoint import BODY_SECONDS, BodyReader, WebhookEndpoint
from service.web.refusals import Refusals
from service.web.writer import GroupCommit, StoreWriter
from workers.logs import init_logging, init_sentry
from workers.settings import Settings, load
from workers.store.client import url_of
from workers.store.keys import WORKER_LIFE, WORKERS, Keys
from workers.webhook import Verifier, known_hosts

#: Seconds to finish open requests after SIGTERM.
GRACE = 10
#: Seconds to wait for each answer about the state of the store.
CHECK_SECONDS = 2.0

#: Why the account makes no calls, unless it is locked out.
CLOSED = {"denied": "HappyFox rejects the API key; no calls", "clock": "the store's clock or server changed; no calls"}

POLICY_FIX = "set maxmemory-policy noeviction, or a full store deletes accepted events"


def serve(settings: Settings, listener: socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT, in ``settings.web_concurrency`` processes.

    With several processes, each loads the settings from the environment, because secrets are never passed on.
    """
    prepare(settings)
    several = settings.web_concurrency > 1
    config = uvicorn.Config(
        "service.web.app:application" if several else build(settings),
        factory=several,
        workers=settings.web_concurrency,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    if several:
        Multiprocess(config, [listener]).run()
    else:
        uvicorn.Server(config).run([listener])


def application() -> Starlette:
    """Build the application in a child process, from the environment and the current folder."""
    settings = load("web", os.environ, Path.cwd())
    prepare(settings)
    return build(settings)


def prepare(settings: Settings) -> None:
    """Set up logs, error reports and garbage collection, once per process."""
    init_logging(settings)
    init_sentry(settings, "web")
    logging.getLogger("uvicorn.error").addFilter(_demote_invalid_requests)
    tune_gc()


def tune_gc() -> None:
    """Collect garbage rarely: a delivery leaves no cycles, and collecting costs a tenth of the throughput."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _demote_invalid_requests(record: logging.LogRecord) -> bool:
    """Log requests that are not HTTP at DEBUG only: a port scan could fill the log with them."""
    if record.msg == "Invalid HTTP request received.":
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return logging.getLogger().isEnabledFor(record.levelno)


def build(settings: Settings, body_seconds: float = BODY_SECONDS) -> Starlette:
    """Build the application; it connects to the store on the first request.

    The store may be down at the start and at any later time: answers are 503 until it is back.
    ``body_seconds`` limits the time in which a body must arrive.
    """
    url = url_of(settings.redis_url, settings.data)
    commit = GroupCommit(StoreWriter(url, settings.durability), int(settings.retention_hours * 3600))
    health = Health(commit, url, tuple(settings.accounts))
    keys = {
        name: [secret.reveal().encode() for secret in account.secrets] for name, account in settings.accounts.items()
    }
    refusals = Refusals(url, keys)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await commit.close()
        await refusals.close()
        await health.close()

    hosts = known_hosts({name: account.url for name, account in settings.accounts.items()})
    verifiers = {name: Verifier(secrets) for name, secrets in keys.items()}
    webhook = WebhookEndpoint(verifiers, hosts, commit, BodyReader(body_seconds), refusals)
    routes = [
        Route("/webhooks/{account}", webhook),
        Route("/webhooks/{account}/{kind:path}", webhook),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    not_found = app.router.default

    async def misdirected(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusals.misdirected(scope, "unknown-path")
        await not_found(scope, receive, send)

    app.router.default = misdirected
    return app


class Health:
    """Answer /healthz and /readyz."""

    def __init__(self, commit: GroupCommit, url: str, accounts: tuple[str, ...]) -> None:
        self._commit, self._accounts = commit, accounts
        self._client = redis.asyncio.Redis.from_url(
            url,
            max_connections=1,
            socket_timeout=CHECK_SECONDS,
            socket_connect_timeout=CHECK_SECONDS,
            client_name="foxhooks-web",
            decode_responses=True,
        )

    async def alive(self, _request: Request) -> JSONResponse:
        """Answer 200 as long as the process runs."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> JSONResponse:
        """Answer 200 if a delivery can be stored now, else 503; test it with a write that takes the same path.

        If only some accounts fail, answer 200 and list them as degraded: another process could not store them either,
        and the other accounts still need this one.
        """
        problems = await asyncio.gather(*map(self._commit.probe, self._accounts))
        if problems and all(problems):
            reasons = list(dict.fromkeys(problems))
            return JSONResponse({"status": "unavailable", "reasons": reasons}, 503, {"retry-after": "5"})
        degraded = [
            f"account {account}: deliveries cannot be stored: {problem}"
            for account, problem in zip(self._accounts, problems, strict=True)
            if problem
        ]
        try:
            degraded += [finding async for finding in self._findings()]
        except (RedisError, OSError) as error:
            degraded.append(f"the state of the store could not be read ({type(error).__name__})")
        return JSONResponse({"status": "ready", "degraded": degraded})

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _findings(self) -> AsyncIterator[str]:
        """Yield what needs attention but does not prevent storing."""
        last_signs = await self._client.hvals(WORKERS)
        seconds, _ = await self._client.time()
        if not any(int(sign) > seconds * 1000 - WORKER_LIFE for sign in last_signs):
            yield "no worker is running: deliveries are stored and wait; start `foxhooks worker`"
        for account in self._accounts:
            state, until, why = await self._client.hmget(Keys(account).gate, "state", "until", "why")
            if (state or "open") != "open":
                closed = CLOSED.get(str(why), "locked out of HappyFox")
                end = f"{datetime.fromtimestamp(int(until or 0) / 1000, UTC):%H:%M} UTC"
                yield f"account {account}: {closed} until {end}, see `foxhooks status`; deliveries are still stored"
        try:
            policy = (await self._client.config_get("maxmemory-policy")).get("maxmemory-policy", "unknown")
        except ResponseError:
            yield f"the store does not allow reading its eviction policy; {POLICY_FIX}"
        else:
            if policy != "noeviction":
                yield f"the store's eviction policy is {policy}; {POLICY_FIX}"
        if (await self._client.info("persistence")).get("aof_enabled") != 1:
            yield "the store has no append-only file: if it crashes, accepted events are lost; set appendonly yes"
