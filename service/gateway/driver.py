"""Drive the calls of clients: perform their steps with the store and HappyFox, many at once.

The gateway and MCP call `GatewayAccounts.perform`; everything that a client may or may not do is decided below it.
"""

import asyncio
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import redis

from workers.engine.context import AccountConfig, configure
from workers.engine.steps import Call, CallOutcome
from workers.errors import Gone, InDoubt, StoreUnavailable, Unfit, Unsent
from workers.gateway.answers import ClientAnswer
from workers.gateway.call import ClientCall, perform
from workers.gateway.steps import ClientStep, Wait
from workers.happyfox.buffer import IN_MEMORY, Buffer
from workers.happyfox.http import WITH_FILES, ApiConnection
from workers.happyfox.messages import Answer, Request
from workers.settings import GatewayClient, Settings
from workers.store.client import Store, connect, url_of, wake
from workers.store.client_figures import note_call
from workers.store.clock import monotonic
from workers.store.lanes import ClaimConfig, Refusal
from workers.store.permits import Governor, Grant
from workers.store.records import AccountRecords
from workers.store.scripts import Script
from workers.tickets.model import Attachment

#: Threads for the scripts of all calls; each takes less than a millisecond.
SCRIPT_THREADS = 4

#: The scripts that may grant a permit, and those after which a lane may have events to work on.
GRANTING, RELEASING = ("permit", "client_begin"), ("client_finish", "client_release")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Account:
    """One account: its configuration, its connection, and the threads of its calls."""

    config: AccountConfig
    connection: ApiConnection
    threads: ThreadPoolExecutor
    slots: asyncio.Semaphore
    """Clients may have half of the account's calls in flight, so that the engine always finds room."""


class GatewayAccounts:
    """Perform clients' calls on the accounts of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(url_of(settings.redis_url, settings.data))
        self._store = Store(self._client, replicated=settings.durability == "replica")
        self._scripts = ThreadPoolExecutor(SCRIPT_THREADS, "store")
        self._accounts = {name: self._account(settings, name) for name in settings.accounts}

    def _account(self, settings: Settings, name: str) -> _Account:
        account = settings.accounts[name]
        governor = Governor(name, account.budget)
        lease = int(settings.lease * 1000)
        claim = ClaimConfig(name, lease, read=True, budget=governor.budget, life=0)
        config = configure(settings, account, governor, claim, lambda: int(monotonic() * 1000))
        most = max(1, account.budget.in_flight // 2)
        return _Account(
            config=config,
            connection=ApiConnection(account, governor, self._store),
            threads=ThreadPoolExecutor(most, f"calls-{name}"),
            slots=asyncio.Semaphore(most),
        )

    def __contains__(self, account: str) -> bool:
        return account in self._accounts

    async def perform(
        self, account: str, client: GatewayClient, request: Request, *, key: str = "", digest: str = ""
    ) -> ClientAnswer:
        """Perform one call of a client; see ``workers.gateway.call``. The caller closes a large answer."""
        found = self._accounts[account]
        call = ClientCall(client=client, request=request, nonce=secrets.token_hex(8), key=key, digest=digest)
        try:
            reply = await self._drive(found, call)
        except StoreUnavailable as error:
            log.warning("A client's call failed", extra={"client": client.name, "error": str(error)})
            body = msgspec.json.encode({"error": "the store of foxhooks does not answer; see its log"})
            reply = ClientAnswer(status=503, body=body, retry=5, result="failed", why="the store does not answer")
        await self._note(account, client, reply)
        if len(reply.body) > IN_MEMORY:
            large = Buffer()
            large.add(reply.body)
            reply = replace(reply, body=b"", large=large)
        return reply

    async def _note(self, account: str, client: GatewayClient, reply: ClientAnswer) -> None:
        """Write the call to the audit log, count it, and log it if it was not done."""
        what = f"{reply.what} {reply.about}".strip()
        denial = f"{what} ({reply.why})" if reply.result == "denied" else ""
        if reply.result != "done":
            fields = {"account": account, "client": client.name, "call": what, "status": reply.status}
            log.info("A client's call was not done", extra={**fields, "effect": reply.result, "reason": reply.why})
        note = note_call(account, client.name, reply.result, reply.sentence, reply.about, reply.why, denial)
        try:
            await self._run(note)
        except (StoreUnavailable, RuntimeError) as error:
            log.warning("A client's call is missing in the audit log", extra={"account": account, "error": str(error)})

    def config(self, account: str) -> AccountConfig:
        """Return the configuration of an account."""
        return self._accounts[account].config

    def records(self, account: str) -> AccountRecords:
        """Return what the store knows about an account."""
        return AccountRecords(self._client, account)

    async def attachment(self, account: str, file: Attachment, most: int) -> bytes:
        """Download a file of a ticket that the client has just read; it needs no permit (KB 1039).

        Raise ``Unsent``, ``InDoubt`` if it is larger than ``most`` bytes, or ``Gone`` if its link does not work.
        """
        found, pieces = self._accounts[account], list[bytes]()
        loop = asyncio.get_running_loop()
        download = found.connection.download
        status = await loop.run_in_executor(found.threads, download, file.url, pieces.append, most)
        if not 200 <= status < 300:
            raise Gone(f"the file {file.id} cannot be downloaded any more", status)
        return b"".join(pieces)

    async def ready(self) -> list[str]:
        """Return why no call can be made, for each account for which that is so."""
        problems = []
        for name, account in self._accounts.items():
            try:
                await self._run(account.config.governor.forecast())
            except (StoreUnavailable, RuntimeError) as error:
                problems.append(f"account {name}: {error}")
        return problems

    async def close(self) -> None:
        """Close the connections; running calls have ended."""
        for account in self._accounts.values():
            account.threads.shutdown(wait=False)
            account.connection.close()
        self._scripts.shutdown(wait=False)
        self._store.close()
        self._client.close()

    async def _run(self, script: Script[Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._scripts, self._store.run, script)

    async def _drive(self, account: _Account, call: ClientCall) -> ClientAnswer:
        """Perform the steps of a call. From the grant of a permit to the end of its call it has a slot."""
        steps = perform(call, account.config)
        slot, large = False, list[Buffer]()
        kept: Buffer | None = None
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, Script) and step.name in GRANTING and not slot:
                        await account.slots.acquire()
                        slot = True
                    result = await self._perform(account, step)
                    if isinstance(result, Answer) and result.large:
                        large.append(result.large)
                    if slot and (isinstance(step, Call) or _is_refused(step, result)):
                        account.slots.release()
                        slot = False
                except (StoreUnavailable, RuntimeError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as stop:
            reply: ClientAnswer = stop.value
            kept = reply.large
            return reply
        finally:
            for each in large:
                if each is not kept:
                    each.close()
            if slot:
                account.slots.release()

    async def _perform(self, account: _Account, step: ClientStep) -> Any:
        if isinstance(step, Wait):
            return await asyncio.sleep(step.ms / 1000)
        if isinstance(step, Call):
            send_by = monotonic() + step.send_by / 1000
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(account.threads, _send, account, step, send_by)
        assert isinstance(step, Script)
        result = await self._run(step)
        if result and step.name in RELEASING:
            with suppress(redis.RedisError):
                await asyncio.get_running_loop().run_in_executor(self._scripts, wake, self._client)
        return result


def _is_refused(step: ClientStep, result: object) -> bool:
    """Return whether a script has granted no permit."""
    if isinstance(result, Grant):
        return result.wait > 0
    return isinstance(step, Script) and step.name in GRANTING and isinstance(result, Refusal)


def _send(account: _Account, step: Call, send_by: float) -> CallOutcome:
    timeout = (account.config.call_ms - step.send_by) / 1000 * (WITH_FILES if step.request.files else 1)
    try:
        return account.connection.send(step.request, permit=step.permit, send_by=send_by, timeout=timeout, spool=True)
    except (Unsent, InDoubt) as error:
        return error
    except Unfit as error:
        return Unsent(str(error))
