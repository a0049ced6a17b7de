"""The web application: its routes and what they share, put together in this one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from service.intake.body import PATIENCE, Bodies
from service.intake.commit import Commit
from service.intake.health import Health
from service.intake.link import Link
from service.intake.webhook import Webhook
from workers.events.signature import Verifier
from workers.lanes.store import url_of
from workers.settings import Settings


def build(settings: Settings, patience: float = PATIENCE) -> Starlette:
    """Builds the application; nothing is opened before the first delivery or question.

    The store may be away when the application starts and at any time later: answers are 503 until it is back.
    ``patience`` is the time in seconds a body may take to arrive.
    """
    url = url_of(settings.redis_url, settings.data)
    commit = Commit(Link(url, settings.durability), int(settings.retention_hours * 3600))
    health = Health(commit, url, tuple(settings.accounts))
    verifiers = {
        name: Verifier([secret.reveal().encode() for secret in account.secrets])
        for name, account in settings.accounts.items()
    }

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await commit.close()
        await health.close()

    webhook = Webhook(verifiers, commit, Bodies(patience))
    routes = [
        Route("/webhooks/{account}", webhook),
        Route("/webhooks/{account}/{kind:path}", webhook),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app
