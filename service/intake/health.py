"""Health: does the process answer, can a delivery be stored now, and what else a person should look at."""

import asyncio

import redis.asyncio
from redis.exceptions import RedisError, ResponseError
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.intake.commit import Commit
from workers.errors import StoreUnavailable
from workers.lanes.keys import WORKER_LIFE, WORKERS, prefix

#: Seconds for a look at what does not prevent storing.
LOOK = 2.0

POLICY_CURE = "set maxmemory-policy noeviction, or the store throws accepted events away when it is full"


class Health:
    """Answers /healthz and /readyz."""

    def __init__(self, commit: Commit, url: str, accounts: tuple[str, ...]) -> None:
        self._commit, self._accounts = commit, accounts
        self._client = redis.asyncio.Redis.from_url(
            url,
            max_connections=1,
            socket_timeout=LOOK,
            socket_connect_timeout=LOOK,
            client_name="foxhooks-web",
            decode_responses=True,
        )

    async def alive(self, _request: Request) -> JSONResponse:
        """Answers 200: the process does."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> JSONResponse:
        """Answers 200 when a delivery can be stored now, shown by a write that goes its way; else 503.

        It is shown for every account, in one batch. Where only some cannot be stored for it stays 200, degraded:
        another process would do no better for these, and the others would lose this one.
        """
        probes = [self._commit.store(account, None) for account in self._accounts]
        told = await asyncio.gather(*probes, return_exceptions=True)
        refused = {account: each for account, each in zip(self._accounts, told, strict=True) if _failed(each)}
        if refused and len(refused) == len(self._accounts):
            reasons = list(dict.fromkeys(map(str, refused.values())))
            return JSONResponse({"status": "unavailable", "reasons": reasons}, 503, {"retry-after": "5"})
        spoilt = [f"account {account}: deliveries cannot be stored: {error}" for account, error in refused.items()]
        return JSONResponse({"status": "ready", "degraded": spoilt + await self._degraded()})

    async def close(self) -> None:
        """Ends the connection."""
        await self._client.aclose()

    async def _degraded(self) -> list[str]:
        try:
            return [
                *await self._workers(),
                *await self._gates(),
                *await self._policy(),
                *await self._file(),
            ]
        except (RedisError, OSError) as error:
            return [f"the store could not be asked about itself ({type(error).__name__})"]

    async def _workers(self) -> list[str]:
        signs = await self._client.hvals(WORKERS)
        seconds, _ = await self._client.time()
        if any(int(sign) > seconds * 1000 - WORKER_LIFE for sign in signs):
            return []
        return ["no worker is running: deliveries are stored and wait; start `foxhooks worker`"]

    async def _policy(self) -> list[str]:
        try:
            found = await self._client.config_get("maxmemory-policy")
        except ResponseError:
            return [f"the store's eviction policy may not be read; {POLICY_CURE}"]
        policy = found.get("maxmemory-policy", "unknown")
        return [] if policy == "noeviction" else [f"the store's eviction policy is {policy}; {POLICY_CURE}"]

    async def _file(self) -> list[str]:
        found = await self._client.info("persistence")
        if found.get("aof_enabled") == 1:
            return []
        return ["the store keeps no append-only file: a crash of it loses accepted events; set appendonly yes"]

    async def _gates(self) -> list[str]:
        degraded = []
        for account in self._accounts:
            state = str(await self._client.hget(prefix(account) + "gate", "state") or "open")
            if state != "open":
                degraded.append(f"account {account}: the gate to HappyFox is {state}; deliveries are stored meanwhile")
        return degraded


def _failed(told: object) -> bool:
    """Tells whether a probe found that nothing can be stored; what it did not expect goes through."""
    if isinstance(told, BaseException) and not isinstance(told, StoreUnavailable):
        raise told
    return isinstance(told, StoreUnavailable)
