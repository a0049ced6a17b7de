"""The health checks: whether the process answers, and whether a delivery can be stored now.

Anybody may ask, so asking is cheap, and only people who may know get the details: a caller with a token, or one on this
machine that no proxy forwarded.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from redis.exceptions import NoPermissionError, RedisError, ResponseError
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.tokens import token_of
from service.web.writer import GroupCommit
from workers.settings import Token, is_loopback
from workers.store import access
from workers.store.client import command_for
from workers.store.cluster import async_nodes_of
from workers.store.connection import connect_async
from workers.store.failures import unavailable
from workers.store.keys import WORKER_LIFE, WORKERS, Keys

#: Seconds to wait for each answer about the state of the store.
CHECK_SECONDS = 2.0
#: Seconds for which a result answers every question.
KEPT_SECONDS = 1.0

#: Why the account makes no calls, unless it is locked out.
CLOSED = {
    "denied": "HappyFox rejects the API key; no calls",
    "clock": "the store's clock or server changed; no calls",
    "unreachable": "HappyFox does not answer; no calls",
}

POLICY_FIX = "set maxmemory-policy noeviction, or a full store deletes accepted events"

#: Headers of a proxy. A request with one of them came from another machine.
_FORWARDED = ("forwarded", "via", "x-forwarded-", "x-real-ip")


T = TypeVar("T")


class SharedCheck(Generic[T]):
    """One check at a time; its result answers every question for `KEPT_SECONDS`, because anybody may ask."""

    def __init__(self, check: Callable[[], Awaitable[T]]) -> None:
        self._check = check
        self._task: asyncio.Task[T] | None = None
        self._kept_until = 0.0

    async def result(self) -> T:
        """Return the last result while it is fresh; otherwise check, once for all who ask meanwhile."""
        loop = asyncio.get_running_loop()
        if self._task is None or (self._task.done() and loop.time() >= self._kept_until):
            self._task = loop.create_task(self._run())
        return await asyncio.shield(self._task)

    async def _run(self) -> T:
        try:
            return await self._check()
        finally:
            self._kept_until = asyncio.get_running_loop().time() + KEPT_SECONDS

    def cancel(self) -> None:
        """End a check that runs."""
        if self._task is not None:
            self._task.cancel()


def may_see_details(request: Request, tokens: Collection[Token]) -> bool:
    """Return whether a caller may know what a check has found, and not only its result."""
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith("bearer "):
        return token_of(authorization, tokens) is not None
    forwarded = any(name.startswith(_FORWARDED) for name in request.headers)
    return not forwarded and request.client is not None and is_loopback(request.client.host)


class Report(NamedTuple):
    """The result of a check."""

    ready: bool
    findings: Sequence[str]
    """Why no delivery can be stored; if one can, what needs attention."""


class Health:
    """Answer /readyz."""

    def __init__(
        self, commit: GroupCommit, url: str, accounts: Collection[str], tokens: Collection[Token] = ()
    ) -> None:
        self._commit, self._accounts = commit, tuple(accounts)
        self._tokens = tuple(tokens)
        self._check = SharedCheck(self._probe)
        self._client = connect_async(
            url, connect_seconds=CHECK_SECONDS, answer_seconds=CHECK_SECONDS, decode_responses=True
        )

    async def ready(self, request: Request) -> JSONResponse:
        """Answer 200 if a delivery can be stored now, else 503; show the findings to those who may see them.

        If only some accounts fail, answer 200 and list them as degraded: another process could not store them either,
        and the other accounts still need this one.
        """
        report = await self._check.result()
        content: dict[str, Any] = {"status": "ready" if report.ready else "unavailable"}
        if may_see_details(request, self._tokens):
            content["degraded" if report.ready else "reasons"] = report.findings
        return JSONResponse(content) if report.ready else JSONResponse(content, 503, {"retry-after": "5"})

    async def close(self) -> None:
        """Close the connection."""
        self._check.cancel()
        await self._client.aclose()

    async def _probe(self) -> Report:
        """Test with a write that takes the same path as a delivery."""
        problems = await asyncio.gather(*map(self._commit.probe, self._accounts))
        missing = access.Missing()
        if not all(problems):
            missing = await self._find_missing()
            if missing.prevents_intake:
                problems = [problem or f"{missing}; {missing.fix}" for problem in problems]
        if problems and all(problems):
            report = Report(False, list(dict.fromkeys(problems)))
        else:
            findings = [
                f"account {account}: deliveries cannot be stored: {problem}"
                for account, problem in zip(self._accounts, problems, strict=True)
                if problem
            ]
            if missing != access.Missing():
                findings.append(f"{missing}: workers take no turns, or fail in them; {missing.fix}")
            try:
                findings += [finding async for finding in self._findings()]
            except (RedisError, OSError) as error:
                findings.append(f"the state of the store could not be read: {unavailable(error)}")
            # A server that only reads does not tell whether another one has taken its place.
            await self._client.aclose()
            report = Report(True, findings)
        return report

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
        async for finding in self._state():
            yield finding

    async def _state(self) -> AsyncIterator[str]:
        """Yield what is wrong with the settings of the server, as far as it may be seen."""
        try:
            states = [await node.info("memory", "persistence") for node in await async_nodes_of(self._client)]
        except ResponseError as denied:
            reason = "the store's user may not run INFO" if isinstance(denied, NoPermissionError) else "it has no INFO"
            yield f"the state of the store cannot be read ({reason}): {access.STATE_UNSEEN}; {POLICY_FIX}"
            return
        policies = {state.get("maxmemory_policy", "unknown") for state in states} - {"noeviction"}
        for policy in sorted(policies):
            yield f"the store's eviction policy is {policy}; {POLICY_FIX}"
        if any(state.get("aof_enabled") != 1 for state in states):
            yield "the store has no append-only file: if it crashes, accepted events are lost; set appendonly yes"

    async def _find_missing(self) -> access.Missing:
        """Return what the store's user may not do; nothing if the store does not answer."""
        found = access.Missing()
        for account in self._accounts:
            script = access.prove(account)
            try:
                raw = await self._client.execute_command(*command_for(script))  # type: ignore[no-untyped-call]
                found |= script.read(raw)
            except ResponseError as denied:
                found |= access.named_by(denied, account)
            except (RedisError, OSError):
                break
        return found
