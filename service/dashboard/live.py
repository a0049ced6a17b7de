"""Live pages: server-sent events that carry a page's fragment whenever it has changed.

All who watch the same fragment share one loop that reads the store. A stream ends after a minute, so that a browser
that was logged out must ask again, and at once when the process stops: an open stream would delay that.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from anyio import to_thread
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from service.dashboard.people import Person
from workers.errors import StoreUnavailable

#: Streams of a process, of a session and of a user, so that nobody alone locks others out. A browser opens one for each
#: page that is visible; over HTTP/1.1 it has six connections to a server, and needs one of them for pages.
MOST, PER_SESSION, PER_USER = 20, 5, 15
#: Seconds between two readings, between two signs of life (proxies cut silent streams), and until a stream ends.
INTERVAL, SILENCE, LONGEST = 1.0, 15.0, 60.0

#: What all streams count for.
PROCESS = ("process", "")

HEADERS = {"x-accel-buffering": "no", "cache-control": "no-store"}

_log = logging.getLogger(__name__)


class Feed:
    """One fragment that is watched, and the loop that renders it."""

    def __init__(self, render: Callable[[], str]) -> None:
        self._render, self.text = render, ""
        self.watchers = 0
        self.changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to render."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Stop rendering."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                text = await to_thread.run_sync(self._render)
            except (RedisError, StoreUnavailable):
                text = '<p class="notice bad">The store does not answer. This page goes on when it does.</p>'
            except Exception:  # noqa: BLE001 - whoever watches must not wait for a loop that has ended
                _log.exception("A live page cannot be rendered.")
                text = '<p class="notice bad">This page cannot be shown. The log says why.</p>'
            if text != self.text:
                self.text = text
                self.changed.set()
                self.changed = asyncio.Event()
            await asyncio.sleep(INTERVAL)


class Feeds:
    """The fragments that are watched in this process."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._open: Counter[tuple[str, str]] = Counter()
        """The open streams of the process, of each session and of each user."""

    def respond(self, request: Request, render: Callable[[], str]) -> Response:
        """Answer with a stream of a fragment, which depends on the path and the role only."""
        person: Person = request.state.person
        for each in self._full(person):
            whose, status = ("here", 503) if each == PROCESS else (f"by this {each[0]}", 429)
            problem = f"Too many live pages are open {whose}. Close one, or reload the page to update it."
            return PlainTextResponse(problem, status, {"retry-after": "30"})
        key = f"{person.role} {request.scope['path']}"
        ending: asyncio.Event = request.scope["state"].get("ending") or asyncio.Event()
        stream = self._stream(key, person, render, ending)
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    def _full(self, person: Person) -> Iterator[tuple[str, str]]:
        """Yield what has as many streams as it may have: a person's session, the person, or the process."""
        limits = dict(zip(_counted(person), (PER_SESSION, PER_USER, MOST), strict=True))
        return (each for each, most in limits.items() if self._open[each] >= most)

    async def _stream(
        self, key: str, person: Person, render: Callable[[], str], ending: asyncio.Event
    ) -> AsyncIterator[str]:
        if any(self._full(person)):
            return  # others have begun since this one was let in
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(render)
            feed.start()
        feed.watchers += 1
        self._open.update(_counted(person))
        stops = asyncio.create_task(ending.wait())
        try:
            yield "retry: 2000\n\n"
            sent, until = "", asyncio.get_running_loop().time() + LONGEST
            while not ending.is_set() and (not sent or asyncio.get_running_loop().time() < until):
                if feed.text != sent:
                    sent = feed.text
                    yield "".join(f"data: {line}\n" for line in sent.splitlines()) + "\n"
                elif not await _wait(feed.changed, stops):
                    yield ": still here\n\n"
        finally:
            stops.cancel()
            self._open -= Counter(_counted(person))
            feed.watchers -= 1
            if not feed.watchers:
                feed.stop()
                self._feeds.pop(key, None)


def _counted(person: Person) -> tuple[tuple[str, str], ...]:
    return ("session", person.csrf), ("user", person.name), PROCESS


async def _wait(changed: asyncio.Event, stops: asyncio.Task[bool]) -> bool:
    """Wait for a change or the end; return False if neither came for a while."""
    waiting = asyncio.create_task(changed.wait())
    try:
        done, _ = await asyncio.wait({waiting, stops}, timeout=SILENCE, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
