"""The JSON API for programs: `/dashboard/api/v1`, with a bearer token, and its description in OpenAPI.

Answers contain the same values as the commands print with `--json`; lists are pages with `items` and `next`. Times are
milliseconds of the store's clock, as in the commands.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple

import msgspec
from anyio import fail_after, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from service.dashboard import operations, series
from service.dashboard.actions import acting, backtest_arguments
from service.dashboard.admission import BODY_SECONDS
from service.dashboard.copies import copies
from service.dashboard.pages import (
    account_of,
    chosen_dead_letters,
    chosen_events,
    job_context,
    number_of,
    paging,
    reader_of,
    time_of,
)
from service.dashboard.reading import AccountView, ClientView, Reader
from service.dashboard.render import mask
from service.reading.dead_letters import DeadLetterRow, page, read_rows
from service.reading.events import EventRow, read_events
from service.reading.lanes import STATES, LaneRow, read_lanes
from service.reading.source import read_system
from service.reading.tickets import UnknownTicket, describe_status, read_ticket
from workers.alerts.watchman import AlertState
from workers.errors import suggest
from workers.store.audit import AuditLine, read_audit
from workers.store.fleet import Process
from workers.store.jobs import Job, JobKind
from workers.store.pages import Page
from workers.version import __version__

#: Bytes of a request's body, and rows of a page.
BODY_LIMIT, MOST = 64 * 1024, 500

#: Lists whose rows have a type of their own.
ROWS = (EventRow, DeadLetterRow, LaneRow, AuditLine, AlertState, ClientView, Process, Job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What an autoscaler needs to know. Both are 0 while calls are stopped or everything is paused."""

    oldest_due_seconds: float
    """How long the lane waits that is due for longest."""
    due: int
    """Lanes that a worker could claim now."""


class ApiRequest(NamedTuple):
    """A request of a program."""

    request: Request
    reader: Reader
    body: Mapping[str, Any]

    @property
    def account(self) -> str:
        """Return the account in the path."""
        return account_of(self.request)

    def query(self, name: str) -> str:
        """Return a parameter of the query, empty if it is not given."""
        return self.request.query_params.get(name, "").strip()

    @property
    def most(self) -> int:
        """Return how many rows to return."""
        return min(MOST, number_of(self.query("most"), "page") or 50)

    @property
    def ticket(self) -> int:
        """Return the ticket in the path."""
        return number_of(self.request.path_params["ticket"]) or 0


class ApiRoute(NamedTuple):
    """A route of the API."""

    method: str
    path: str
    summary: str
    run: Callable[[ApiRequest], Any]
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    role: str = "viewer"


def _status(call: ApiRequest) -> Any:
    return read_system(call.reader.client, list(call.reader.accounts.values())).as_json()


def _accounts(call: ApiRequest) -> Any:
    return {"items": [_standing(view) for view in call.reader.all_accounts()]}


def _account(call: ApiRequest) -> Any:
    return _standing(call.reader.account(call.account))


def _standing(view: AccountView) -> dict[str, Any]:
    """Return the members of an account in `foxhooks status --json`, and its last hour."""
    return {
        **msgspec.to_builtins(view.status, enc_hook=str),
        "at": view.now,
        "level": view.level,
        "sentence": view.sentence,
        "oldest_due_seconds": (view.oldest_due or 0) / 1000,
        "workers": view.workers,
        "per_minute": {"deliveries": view.deliveries, "turns": view.turns, "calls": view.calls},
    }


def _scale(call: ApiRequest) -> Scale:
    names = [call.account] if "account" in call.request.path_params else list(call.reader.accounts)
    views = [view for view in map(call.reader.account, names) if view.can_work]
    oldest = max((view.oldest_due or 0 for view in views), default=0)
    return Scale(oldest_due_seconds=oldest / 1000, due=sum(view.status.due for view in views))


def _events(call: ApiRequest) -> Any:
    chosen = chosen_events(call.request, call.reader.now())
    found = read_events(call.reader.records(call.account), chosen, call.query("cursor"), call.most)
    rows = [{"account": call.account, "state": each.state, **asdict(each)} for each in found.items]
    return _page(found) | {"items": rows}


def _event(call: ApiRequest) -> Any:
    fields = call.reader.event(call.account, call.request.path_params["event"])
    if not fields:
        raise HTTPException(404, "This event is not stored any more.")
    may_see = call.request.state.person.may("operator")
    hidden = () if may_see else ("body", "headers", "pending", "first")
    shown = {name: value for name, value in fields.items() if name not in hidden}
    return shown | ({"copies": copies(call.account, fields)} if may_see else {})


def _ticket(call: ApiRequest) -> Any:
    reader, name, number = call.reader, call.account, call.ticket
    try:
        report = read_ticket(reader.client, reader.account_settings(name), number)
    except UnknownTicket as unknown:
        raise HTTPException(404, str(unknown)) from None
    shown = [turn if call.request.state.person.may("operator") else _without_ticket(turn) for turn in report.turns]
    return report.as_json() | {"turns": shown, "sentences": list(describe_status(report.now, report.at))}


def _without_ticket(turn: Any) -> Any:
    """Return a turn without what customers wrote: the ticket and the texts of changes and effects."""
    record = turn.record
    if record is None:
        return turn
    lines = [{"at": line.at, "turn": line.turn, "text": line.text} for line in turn.history]
    return {"turn": turn.turn, "at": turn.at, "record": None, "history": lines}


def _lanes(call: ApiRequest) -> Any:
    state = call.query("state") or "due"
    if state not in STATES:
        raise HTTPException(400, f"There is no state {state!r}; {suggest(state, STATES)}.")
    return _page(
        read_lanes(call.reader.records(call.account), call.reader.now(), state, call.query("cursor"), call.most)
    )


def _handlers(call: ApiRequest) -> Any:
    running = call.reader.running(call.account)
    return {"items": running.routers if running else []}


def _clients(call: ApiRequest) -> Any:
    return {"items": call.reader.clients(call.account)}


def _figures(call: ApiRequest) -> Any:
    chosen = series.choose(call.request.query_params, call.reader.now())
    return series.read(call.reader, call.account, chosen)


def _dead(call: ApiRequest) -> Any:
    chosen = chosen_dead_letters(call.request.query_params, call.reader.now())
    return _page(page(read_rows(call.reader.records(call.account), chosen), call.query("cursor"), call.most))


def _dead_letter(call: ApiRequest) -> Any:
    found = call.reader.dead_letter(call.account, call.request.path_params["id"])
    if found is None:
        raise HTTPException(404, "This dead letter is gone: it was replayed, discarded, or has expired.")
    shown = asdict(found)
    if not call.request.state.person.may("operator"):
        del shown["evidence"]
    return shown


def _fleet(call: ApiRequest) -> Any:
    fleet = call.reader.fleet()
    return {"alive": fleet.alive, "silent": fleet.silent, "differences": [str(each) for each in fleet.differences()]}


def _settings(call: ApiRequest) -> Any:
    fleet = call.reader.fleet()
    return {
        each.part: {
            "settings": [setting._asdict() for setting in each.settings],
            "accounts": {
                name: [setting._asdict() for setting in account.settings] for name, account in each.accounts.items()
            },
        }
        for each in fleet.alive
    }


def _alerts(call: ApiRequest) -> Any:
    return {"items": call.reader.alerts(), "at": call.reader.now()}


def _audit(call: ApiRequest) -> Any:
    names = [name] if (name := call.query("account")) in call.reader.accounts else list(call.reader.accounts)
    return _page(
        read_audit(
            call.reader.client,
            names,
            since=time_of(call.query("since"), call.reader.now()),
            who=call.query("who"),
            what=call.query("what"),
            about=call.query("about"),
            cursor=call.query("cursor"),
            most=call.most,
        )
    )


def _target(call: ApiRequest) -> tuple[Any, str]:
    if router := str(call.body.get("router", "")):
        return "router", router
    if ticket := call.body.get("ticket"):
        return "ticket", str(number_of(str(ticket)))
    return "account", ""


def _pause(call: ApiRequest) -> Any:
    scope, name = _target(call)
    by = acting(call.request, str(call.body.get("why", "")))
    before = operations.pause(call.reader, call.account, scope, name, by, skip=call.body.get("skip") is True)
    return {"paused": True, "scope": scope, "name": name, "was_paused": before}


def _resume(call: ApiRequest) -> Any:
    scope, name = _target(call)
    ended = operations.resume(
        call.reader, call.account, scope, name, acting(call.request, str(call.body.get("why", "")))
    )
    return {"paused": False, "scope": scope, "name": name, "was_paused": ended}


def _preview(call: ApiRequest) -> Any:
    fields = {name: str(call.body.get(name, "")) for name in ("handler", "error", "ticket", "since")}
    ids = call.body.get("ids")
    chosen = [str(each) for each in ids] if isinstance(ids, list) else chosen_dead_letters(fields, call.reader.now())
    job = operations.select(call.reader, call.account, call.request.state.person.name, chosen)
    if job is None:
        raise HTTPException(404, "No dead letter is selected.")
    return {"job": job.id, "ids": job.ids, "left_out": job.left_out}


def _act(kind: JobKind) -> Callable[[ApiRequest], Any]:
    def run(call: ApiRequest) -> Any:
        by = acting(call.request, str(call.body.get("why", "")))
        job = str(call.body.get("job", ""))
        return operations.act(call.reader, call.account, kind, job, call.request.state.person, by)

    return run


def _look(call: ApiRequest) -> Any:
    operations.look(call.reader, call.account, call.ticket, acting(call.request, str(call.body.get("why", ""))))
    return {"ticket": call.ticket}


def _trial(call: ApiRequest) -> Any:
    by = acting(call.request, str(call.body.get("why", "")))
    return operations.begin_trial(call.reader, call.account, call.ticket, by)


def _backtest(call: ApiRequest) -> Any:
    fields = {name: str(call.body.get(name, "")) for name in ("rules", "since")}
    by = acting(call.request, str(call.body.get("why", "")))
    return operations.begin_job(call.reader, call.account, "backtest", by, backtest_arguments(fields))


def _doctor(call: ApiRequest) -> Any:
    return operations.begin_job(call.reader, call.account, "doctor", acting(call.request), {})


def _job(call: ApiRequest) -> Any:
    return job_context(call.reader, call.account, call.request.path_params["job"])["job"]


def _cancel(call: ApiRequest) -> Any:
    call.reader.jobs(call.account).cancel(call.request.path_params["job"])
    return _job(call)


_EVENTS = ("ticket", "kind", "state", "source", "handler", "text", "since", "until", "cursor", "most")
_DEAD = ("handler", "error", "ticket", "since", "cursor", "most")
_TARGET = ("router", "ticket", "why")

ENDPOINTS = (
    ApiRoute("GET", "/status", "Show the accounts, the store and the processes.", _status),
    ApiRoute("GET", "/accounts", "List the accounts with their state.", _accounts),
    ApiRoute("GET", "/accounts/{account}", "Show the state of an account.", _account),
    ApiRoute("GET", "/accounts/{account}/events", "List events and what they led to.", _events, _EVENTS),
    ApiRoute("GET", "/accounts/{account}/events/{event}", "Show an event that waits.", _event),
    ApiRoute("GET", "/accounts/{account}/tickets/{ticket}", "Show what happened to a ticket.", _ticket),
    ApiRoute("GET", "/accounts/{account}/lanes", "List lanes by their state.", _lanes, ("state", "cursor", "most")),
    ApiRoute("GET", "/accounts/{account}/handlers", "List the routers that run.", _handlers),
    ApiRoute("GET", "/accounts/{account}/clients", "List the gateway's clients and what they did.", _clients),
    ApiRoute(
        "GET",
        "/accounts/{account}/figures",
        "Return what was counted, in steps of time.",
        _figures,
        ("from", "to", "step"),
    ),
    ApiRoute("GET", "/accounts/{account}/dead", "List dead letters.", _dead, _DEAD),
    ApiRoute("GET", "/accounts/{account}/dead/{id}", "Show a dead letter.", _dead_letter),
    ApiRoute("GET", "/accounts/{account}/scale", "Return what an autoscaler needs for one account.", _scale),
    ApiRoute("GET", "/accounts/{account}/jobs/{job}", "Show the progress of a job.", _job),
    ApiRoute("GET", "/fleet", "List the processes that run, and where they differ.", _fleet),
    ApiRoute("GET", "/settings", "Show the settings in force; secrets are never shown.", _settings),
    ApiRoute(
        "GET",
        "/audit",
        "List who did what, and why.",
        _audit,
        ("account", "who", "what", "about", "since", "cursor", "most"),
    ),
    ApiRoute("GET", "/alerts", "List the alerts that are on, and when people were told.", _alerts),
    ApiRoute("GET", "/scale", "Return what an autoscaler needs.", _scale),
    ApiRoute(
        "POST",
        "/accounts/{account}/pause",
        "Pause the account, a router or a ticket.",
        _pause,
        body=(*_TARGET, "skip"),
        role="operator",
    ),
    ApiRoute("POST", "/accounts/{account}/resume", "End a pause.", _resume, body=_TARGET, role="operator"),
    ApiRoute(
        "POST",
        "/accounts/{account}/dead/preview",
        "Freeze a selection of dead letters.",
        _preview,
        body=("ids", "handler", "error", "ticket", "since"),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/dead/replay",
        "Replay a frozen selection.",
        _act("replay"),
        body=("job", "why"),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/dead/discard",
        "Discard a frozen selection.",
        _act("discard"),
        body=("job", "why"),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/tickets/{ticket}/look",
        "Read a ticket again now.",
        _look,
        body=("why",),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/tickets/{ticket}/trial",
        "Show what the handlers would do today about a ticket, in a worker, without calls.",
        _trial,
        body=("why",),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/backtests",
        "Test changed rules on past turns, in a worker.",
        _backtest,
        body=("rules", "since", "why"),
        role="operator",
    ),
    ApiRoute("POST", "/accounts/{account}/doctor", "Check everything, in a worker.", _doctor, role="operator"),
    ApiRoute("DELETE", "/accounts/{account}/jobs/{job}", "Cancel a job.", _cancel, role="operator"),
)


def _page(found: Page[Any]) -> dict[str, Any]:
    return {"items": found.items, "next": found.next, "more": found.more}


def encode(value: object) -> str:
    """Return a value as JSON, as the commands print it."""
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False)


def routes() -> list[Route]:
    """Return the routes of the API."""
    found = [
        Route(f"/api/v1{each.path}", _serve(each), methods=[each.method], name=f"{each.method} {each.path}")
        for each in ENDPOINTS
    ]
    return [*found, Route("/api/v1/openapi.json", _openapi), Route("/api/{rest:path}", _unknown)]


def _serve(endpoint: ApiRoute) -> Callable[[Request], Any]:
    async def serve(request: Request) -> Response:
        person = request.state.person
        if not person.may(endpoint.role):
            return answer({"error": f"this needs a token of the role {endpoint.role}"}, 403)
        try:
            body = await _read_body(request) if endpoint.method == "POST" else {}
            call = ApiRequest(request, reader_of(request), body)
            with paging(call.query("cursor")):
                text = await to_thread.run_sync(lambda: encode(endpoint.run(call)))
        except HTTPException as refused:
            return answer({"error": refused.detail}, refused.status_code)
        return Response(text if person.may("operator") else mask(text), media_type="application/json")

    return serve


async def _read_body(request: Request) -> Mapping[str, Any]:
    raw = bytearray()
    try:
        with fail_after(BODY_SECONDS):
            async for piece in request.stream():
                raw += piece
                if len(raw) > BODY_LIMIT:
                    raise HTTPException(413, "the body is too large")
        found = msgspec.json.decode(raw or b"{}")
    except TimeoutError:
        raise HTTPException(408, "the body did not arrive in time") from None
    except ClientDisconnect:
        raise HTTPException(400, "the body is not complete") from None
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return found


def answer(content: Mapping[str, Any], status: int = 200) -> Response:
    """Return JSON."""
    return Response(json.dumps(content), status, media_type="application/json")


def _unknown(_request: Request) -> Response:
    return answer({"error": "there is no such address; see /dashboard/api/v1/openapi.json"}, 404)


def _openapi(_request: Request) -> Response:
    return Response(json.dumps(description()), media_type="application/json")


@cache
def description() -> dict[str, Any]:
    """Return the description of the API in OpenAPI 3.1."""
    types = (*ROWS, Scale, series.Series)
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    names = dict(zip((each.__name__ for each in types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in ENDPOINTS:
        paths.setdefault(each.path, {})[each.method.lower()] = _describe(each, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "foxhooks", "version": __version__, "description": "The dashboard's API."},
        "servers": [{"url": "/dashboard/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**components, "Error": {"type": "object", "properties": {"error": {"type": "string"}}}},
        },
    }


#: The type of the rows, or of the whole answer, by the end of the path.
_ANSWERS = {
    "/events": ("EventRow", True),
    "/dead": ("DeadLetterRow", True),
    "/lanes": ("LaneRow", True),
    "/audit": ("AuditLine", True),
    "/alerts": ("AlertState", True),
    "/scale": ("Scale", False),
    "/clients": ("ClientView", True),
    "/figures": ("Series", False),
    "/{job}": ("Job", False),
    "/replay": ("Job", False),
    "/backtests": ("Job", False),
    "/doctor": ("Job", False),
    "/trial": ("Job", False),
    "/discard": ("Job", False),
}


def _describe(endpoint: ApiRoute, schemas: Mapping[str, Any]) -> dict[str, Any]:
    text = {"type": "string"}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": text} for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    parameters += [{"name": name, "in": "query", "required": False, "schema": text} for name in endpoint.query]
    name, is_list = _ANSWERS.get(endpoint.path[endpoint.path.rindex("/") :], ("", False))
    schema: Any = schemas.get(name, {"type": "object"})
    if is_list:
        items = {"type": "array", "items": schema}
        schema = {"type": "object", "properties": {"items": items, "next": text, "more": {"type": ["integer", "null"]}}}
    found: dict[str, Any] = {
        "summary": endpoint.summary,
        "description": f"Needs the role {endpoint.role}.",
        "operationId": re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_"),
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": schema}}},
            "default": {
                "description": "An error, in words.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if endpoint.body:
        properties = {name: {} if name in ("ids", "skip", "ticket") else text for name in endpoint.body}
        content = {"application/json": {"schema": {"type": "object", "properties": properties}}}
        found["requestBody"] = {"content": content}
    return found
