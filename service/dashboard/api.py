"""The JSON API for programs: `/dashboard/api/v1`, with a bearer token, and its description in OpenAPI.

Answers contain the same values as the commands print with `--json`; lists are pages with `items` and `next`. Times are
milliseconds of the store's clock, as in the commands.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec
from anyio import fail_after, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from service.dashboard import calls, series
from service.dashboard.admission import BODY_SECONDS
from service.dashboard.parameters import (
    paging,
    reader_of,
)
from service.dashboard.reading import ClientView
from service.dashboard.render import mask
from service.reading.dead_letters import DeadLetterRow
from service.reading.events import EventRow
from service.reading.lanes import LaneRow
from workers.alerts.watchman import AlertState
from workers.store.audit import AuditLine
from workers.store.fleet import Process
from workers.store.jobs import Job
from workers.version import __version__

#: Bytes of a request's body.
BODY_LIMIT = 64 * 1024

#: Lists whose rows have a type of their own.
ROWS = (EventRow, DeadLetterRow, LaneRow, AuditLine, AlertState, ClientView, Process, Job)


class ApiRoute(NamedTuple):
    """A route of the API."""

    method: str
    path: str
    summary: str
    run: Callable[[calls.ApiRequest], Any]
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    role: str = "viewer"


_EVENTS = ("ticket", "kind", "state", "source", "handler", "text", "since", "until", "cursor", "most")
_DEAD = ("handler", "error", "ticket", "since", "cursor", "most")
_TARGET = ("router", "ticket", "why")

ENDPOINTS = (
    ApiRoute("GET", "/status", "Show the accounts, the store and the processes.", calls.status),
    ApiRoute("GET", "/accounts", "List the accounts with their state.", calls.accounts),
    ApiRoute("GET", "/accounts/{account}", "Show the state of an account.", calls.account),
    ApiRoute("GET", "/accounts/{account}/events", "List events and what they led to.", calls.events, _EVENTS),
    ApiRoute("GET", "/accounts/{account}/events/{event}", "Show an event that waits.", calls.event),
    ApiRoute("GET", "/accounts/{account}/tickets/{ticket}", "Show what happened to a ticket.", calls.ticket),
    ApiRoute(
        "GET", "/accounts/{account}/lanes", "List lanes by their state.", calls.lanes, ("state", "cursor", "most")
    ),
    ApiRoute("GET", "/accounts/{account}/handlers", "List the routers that run.", calls.handlers),
    ApiRoute("GET", "/accounts/{account}/clients", "List the gateway's clients and what they did.", calls.clients),
    ApiRoute(
        "GET",
        "/accounts/{account}/figures",
        "Return what was counted, in steps of time.",
        calls.figures,
        ("from", "to", "step"),
    ),
    ApiRoute("GET", "/accounts/{account}/dead", "List dead letters.", calls.dead, _DEAD),
    ApiRoute("GET", "/accounts/{account}/dead/{id}", "Show a dead letter.", calls.dead_letter),
    ApiRoute("GET", "/accounts/{account}/scale", "Return what an autoscaler needs for one account.", calls.scale),
    ApiRoute("GET", "/accounts/{account}/jobs/{job}", "Show the progress of a job.", calls.job),
    ApiRoute("GET", "/fleet", "List the processes that run, and where they differ.", calls.fleet),
    ApiRoute("GET", "/settings", "Show the settings in force; secrets are never shown.", calls.settings),
    ApiRoute(
        "GET",
        "/audit",
        "List who did what, and why.",
        calls.audit,
        ("account", "who", "what", "about", "since", "cursor", "most"),
    ),
    ApiRoute("GET", "/alerts", "List the alerts that are on, and when people were told.", calls.alerts),
    ApiRoute("GET", "/scale", "Return what an autoscaler needs.", calls.scale),
    ApiRoute(
        "POST",
        "/accounts/{account}/pause",
        "Pause the account, a router or a ticket.",
        calls.pause,
        body=(*_TARGET, "skip"),
        role="operator",
    ),
    ApiRoute("POST", "/accounts/{account}/resume", "End a pause.", calls.resume, body=_TARGET, role="operator"),
    ApiRoute(
        "POST",
        "/accounts/{account}/dead/preview",
        "Freeze a selection of dead letters.",
        calls.preview,
        body=("ids", "handler", "error", "ticket", "since"),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/dead/replay",
        "Replay a frozen selection.",
        calls.act("replay"),
        body=("job", "why"),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/dead/discard",
        "Discard a frozen selection.",
        calls.act("discard"),
        body=("job", "why"),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/tickets/{ticket}/look",
        "Read a ticket again now.",
        calls.look,
        body=("why",),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/tickets/{ticket}/trial",
        "Show what the handlers would do today about a ticket, in a worker, without calls.",
        calls.trial,
        body=("why",),
        role="operator",
    ),
    ApiRoute(
        "POST",
        "/accounts/{account}/backtests",
        "Test changed rules on past turns, in a worker.",
        calls.backtest,
        body=("rules", "since", "why"),
        role="operator",
    ),
    ApiRoute("POST", "/accounts/{account}/doctor", "Check everything, in a worker.", calls.doctor, role="operator"),
    ApiRoute("DELETE", "/accounts/{account}/jobs/{job}", "Cancel a job.", calls.cancel, role="operator"),
)


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
            call = calls.ApiRequest(request, reader_of(request), body)
            with paging(call.query("cursor")):
                text = await to_thread.run_sync(lambda: calls.encode(endpoint.run(call)))
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
    types = (*ROWS, calls.Scale, series.Series)
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
