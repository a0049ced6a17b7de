"""A running system as the API of its dashboard shows it: what `foxhooks --at URL` asks."""

import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

import msgspec

from service.errors import CommandError
from service.reading.dead_letters import DeadLetterQuery, DeadLetterRow
from service.reading.events import EventFilter, EventRow
from service.reading.source import AuditFilter, PauseTarget, SystemStatus
from service.reading.tickets import TicketReport, UnknownTicket
from workers.alerts.watchman import AlertState
from workers.errors import suggest
from workers.http_library import httpx
from workers.settings import COMMAND_TOKEN, is_loopback
from workers.store.audit import AuditLine
from workers.store.jobs import Job
from workers.store.pages import Page
from workers.store.pauses import Pause, Scope
from workers.store.records import DeadLetterEntry
from workers.tickets.snapshot import Timer
from workers.version import __version__

#: Seconds for an answer, and between two looks at a job.
PATIENCE, LOOK = 30.0, 0.2

#: Seconds after which a job that no worker has begun is given up.
IDLE = 60.0

#: Rows that one request asks for, and dead letters of one selection.
MOST = 500

#: Where the API is, and what it answers if it does not know a path.
API, UNKNOWN_PATH = "/dashboard/api/v1", "there is no such address"


class _Pause(msgspec.Struct):
    scope: Scope
    name: str
    since: int
    by: str
    skip: bool


class _Account(msgspec.Struct):
    account: str
    pauses: tuple[_Pause, ...] = ()


class _Accounts(msgspec.Struct):
    items: tuple[_Account, ...]


class _Clock(msgspec.Struct):
    at: int


class _Paused(msgspec.Struct):
    was_paused: bool = False


class _Selection(msgspec.Struct):
    job: str


class _Rows(msgspec.Struct):
    items: tuple[msgspec.Raw, ...]
    next: str = ""
    more: int | None = None


_ANSWERS: Mapping[Any, msgspec.json.Decoder[Any]] = {
    shape: msgspec.json.Decoder(shape)
    for shape in (
        *(_Account, _Accounts, _Clock, _Paused, _Rows, _Selection, SystemStatus, Job, DeadLetterEntry),
        *(EventRow, AuditLine, DeadLetterRow, AlertState, dict[str, Any]),
    )
}


class RemoteSource:
    """Ask the dashboard at an address, as the person or program that a token names."""

    def __init__(self, address: str, token: str) -> None:
        self.url = _checked(address)
        if not token:
            raise CommandError(f"{self.url} wants a token: set {COMMAND_TOKEN} to one that is in FOXHOOKS_TOKENS there")
        # A redirect would send the token to another address.
        headers = {"authorization": f"Bearer {token}", "user-agent": f"foxhooks/{__version__}"}
        try:
            self._http = httpx.Client(base_url=f"{self.url}{API}", headers=headers, timeout=PATIENCE)
        except (ValueError, OSError) as error:  # a token that is no header, an unreadable SSL_CERT_FILE
            raise CommandError(f"{COMMAND_TOKEN} or SSL_CERT_FILE cannot be used: {type(error).__name__}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def names(self, account: str = "") -> list[str]:
        """Return the accounts, or only the named one."""
        found = [each.account for each in self._read(_Accounts, "/accounts").items]
        if account and account not in found:
            raise CommandError(f"there is no account {account!r}; {suggest(account, found)}")
        return [account] if account else found

    def now(self) -> int:
        """Return the store's time (ms)."""
        return int(self._read(_Clock, "/alerts").at)

    def status(self) -> SystemStatus:
        """Return the state of everything."""
        found: SystemStatus = self._read(SystemStatus, "/status")
        return found

    def events(self, account: str, chosen: EventFilter, cursor: str = "", most: int = 50) -> Page[EventRow]:
        """Return a page of events."""
        query = asdict(chosen) | {"cursor": cursor}
        return self._page(EventRow, f"/accounts/{quote(account)}/events", query, most)

    def ticket(self, account: str, number: int) -> TicketReport:
        """Return what happened to a ticket."""
        answer = self._ask("GET", f"/accounts/{quote(account)}/tickets/{number}")
        said = _error_of(answer)
        if answer.status_code == httpx.codes.NOT_FOUND and said and not said.startswith(UNKNOWN_PATH):
            raise UnknownTicket(said)
        found = self._decode(dict[str, Any], self._checked(answer))
        try:
            timers = [[each[name] for name in Timer.__struct_fields__] for each in found["now"]["timers"]]
            return msgspec.convert(found | {"now": found["now"] | {"timers": timers}}, TicketReport)
        except (msgspec.ValidationError, KeyError, TypeError) as error:
            raise self._unknown_form(error) from None

    def audit(self, names: Sequence[str], chosen: AuditFilter, cursor: str = "", most: int = 50) -> Page[AuditLine]:
        """Return a page of the audit log of one account or of all."""
        query = chosen._asdict() | {"cursor": cursor, "account": names[0] if len(names) == 1 else ""}
        return self._pages(AuditLine, "/audit", query, most)

    def alerts(self) -> list[AlertState]:
        """Return the alerts that are on."""
        return list(self._page(AlertState, "/alerts", {}, MOST).items)

    def pauses(self, account: str) -> dict[tuple[Scope, str], Pause]:
        """Return the pauses of an account, by scope and name."""
        found = self._read(_Account, f"/accounts/{quote(account)}").pauses
        return {(each.scope, each.name): Pause(each.since, each.by, each.skip) for each in found}

    def pause(self, target: PauseTarget, why: str, *, skip: bool) -> bool:
        """Pause something; return whether it was paused before."""
        path = f"/accounts/{quote(target.account)}/pause"
        return bool(self._change(_Paused, path, _of(target) | {"why": why, "skip": skip}).was_paused)

    def resume(self, target: PauseTarget, why: str) -> bool:
        """End a pause; return whether there was one."""
        path = f"/accounts/{quote(target.account)}/resume"
        return bool(self._change(_Paused, path, _of(target) | {"why": why}).was_paused)

    def dead_letters(self, account: str, chosen: DeadLetterQuery) -> Sequence[DeadLetterRow]:
        """Return the dead letters that a query selects, newest first."""
        return self._pages(DeadLetterRow, f"/accounts/{quote(account)}/dead", asdict(chosen), 10**9).items

    def dead_letter(self, account: str, dead_letter: str) -> DeadLetterEntry | None:
        """Return a dead letter with its evidence; a viewer gets none."""
        answer = self._ask("GET", f"/accounts/{quote(account)}/dead/{quote(dead_letter, safe='')}")
        said = _error_of(answer)
        if answer.status_code == httpx.codes.NOT_FOUND and said and not said.startswith(UNKNOWN_PATH):
            return None
        found = self._decode(dict[str, Any], self._checked(answer))
        try:
            return msgspec.convert({"evidence": {}} | found, DeadLetterEntry)
        except msgspec.ValidationError as error:
            raise self._unknown_form(error) from None

    def act(
        self, verb: Literal["replay", "discard"], account: str, ids: Sequence[str], why: str
    ) -> Iterator[tuple[str, str]]:
        """Replay or discard dead letters; yield each id, oldest first, with what prevented it."""
        path = f"/accounts/{quote(account)}/dead"
        for first in range(0, len(ids), MOST):
            frozen = self._change(_Selection, f"{path}/preview", {"ids": ids[first : first + MOST]})
            begun = self._change(Job, f"{path}/{verb}", {"job": frozen.job, "why": why})
            job = self._wait(account, begun)
            if job.state != "done":
                raise CommandError(f"stopped after {job.done} of {job.total}: {job.sentence}")
            yield from ((each, job.problems.get(each, "")) for each in job.ids)

    def doctor(self, account: str) -> Job:
        """Let a worker check everything, and return the job when it is over."""
        return self._wait(account, self._change(Job, f"/accounts/{quote(account)}/doctor", {}))

    def _wait(self, account: str, job: Job) -> Job:
        """Wait until a job is over."""
        until = time.monotonic() + IDLE
        while not job.is_over:
            if job.state == "ready" and time.monotonic() > until:
                raise CommandError("no worker has begun the job: see `foxhooks status` for the processes that run")
            time.sleep(LOOK)
            job = self._read(Job, f"/accounts/{quote(account)}/jobs/{job.id}")
        return job

    def _pages(self, row: Any, path: str, query: Mapping[str, Any], most: int) -> Page[Any]:
        """Return as many rows as are wanted, page by page."""
        rows: list[Any] = []
        while True:
            page = self._page(row, path, query, most - len(rows))
            rows += page.items
            if not page.next or len(rows) >= most:
                return Page(tuple(rows), page.next, page.more)
            query = {**query, "cursor": page.next}

    def _page(self, row: Any, path: str, query: Mapping[str, Any], most: int) -> Page[Any]:
        chosen = {name: value for name, value in query.items() if value} | {"most": min(most, MOST)}
        for name in ("since", "until"):
            if name in chosen:  # the API takes ages, which need no common clock
                chosen[name] = f"{max(0, self.now() - chosen[name]) // 1000}s"
        found = self._read(_Rows, path, chosen)
        rows = tuple(islice((self._decode(row, each) for each in found.items), most))
        return Page(rows, found.next, found.more)

    def _read(self, shape: Any, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._decode(shape, self._checked(self._ask("GET", path, query)))

    def _change(self, shape: Any, path: str, body: Mapping[str, Any]) -> Any:
        return self._decode(shape, self._checked(self._ask("POST", path, body=body)))

    def _ask(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        try:
            return self._http.request(method, path, params=query, json=body)
        except httpx.TransportError as error:
            raise CommandError(self._describe(error)) from None

    def _describe(self, error: httpx.TransportError) -> str:
        """Say why there is no answer."""
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            fix = "correct the address, or name the file with its authority's certificate in SSL_CERT_FILE"
            return f"the certificate of {self.url} is not valid ({cause.verify_message}): {fix}"
        if isinstance(error, httpx.TimeoutException):
            return f"{self.url} has not answered for {PATIENCE:.0f} s: see whether its web process is overloaded"
        return f"{self.url} does not answer ({error}): see whether the address is right and its web process runs"

    def _checked(self, answer: httpx.Response) -> bytes:
        """Return the content of an answer; raise ``CommandError`` with what an error means."""
        said = _error_of(answer)
        if answer.is_success and answer.headers.get("content-type", "").startswith("application/json"):
            return answer.content
        if answer.is_redirect:
            there = answer.headers.get("location", "")
            raise CommandError(f"{self.url} redirects to {urlsplit(there)._replace(query='').geturl()!r}: use that")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            fix = f"{COMMAND_TOKEN} must be a token whose SHA-256 digest is in FOXHOOKS_TOKENS there"
            raise CommandError(f"{self.url} does not accept the token: {fix}")
        if said.startswith(UNKNOWN_PATH):
            raise CommandError(f"the dashboard at {self.url} does not offer this: {self._versions()}")
        if said:
            raise CommandError(f"{self.url} refuses this ({answer.status_code}): {said}")
        if answer.is_success or answer.is_client_error:
            fix = "correct the address, or set FOXHOOKS_DASHBOARD_USERS there, without which nothing is served"
            raise CommandError(f"there is no dashboard of foxhooks at {self.url} ({answer.status_code}): {fix}")
        raise CommandError(f"{self.url} answers {answer.status_code}: see the logs of its web process")

    def _versions(self) -> str:
        described = _members_of(self._ask("GET", "/openapi.json")).get("info")
        there = described.get("version", "") if isinstance(described, dict) else ""
        return f"it runs version {there or 'unknown'}, and this is {__version__}; update the older one"

    def _decode(self, shape: Any, content: bytes | msgspec.Raw) -> Any:
        try:
            return _ANSWERS[shape].decode(content)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise self._unknown_form(error) from None

    def _unknown_form(self, error: Exception) -> CommandError:
        return CommandError(f"{self.url} answers in a form that is not known here ({error}): {self._versions()}")


def _checked(address: str) -> str:
    """Return the address of a deployment; the token must not be readable on the way."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or parts.username:
        raise CommandError("--at takes the address of a dashboard, such as https://foxhooks.example.com")
    if parts.scheme == "http" and not is_loopback(host):
        raise CommandError(f"--at http://{host}: the token would be readable on the way; use https")
    return f"{parts.scheme}://{parts.netloc}{parts.path.partition('/dashboard')[0].rstrip('/')}"


def _of(target: PauseTarget) -> dict[str, str]:
    return {} if target.scope == "account" else {target.scope: target.name}


def _members_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the members of an answer, none if it is not a JSON object."""
    try:
        found = json.loads(answer.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _error_of(answer: httpx.Response) -> str:
    said = _members_of(answer).get("error", "") if answer.is_error else ""
    return said if isinstance(said, str) else ""
