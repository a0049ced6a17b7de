"""The simulator's own JSON API under `/simulator/`, for people, tests and the demo; HappyFox has no such.

| Call | Does |
|---|---|
| `GET /simulator/` | what this is: account, tickets, budgets, hooks, faults, and this table |
| `GET /simulator/tickets`, `GET /simulator/ticket/<n>` | tickets as the API shows them, without budget |
| `POST /simulator/tickets` | a contact opens a ticket: `email` and members of `people.create_ticket` |
| `POST /simulator/ticket/<n>/contact` | a contact replies: `text` or `html`, `email` for another contact |
| `POST /simulator/ticket/<n>/staff` | `staff`, members of `people.staff_updates`: reply, note, properties |
| `POST /simulator/ticket/<n>/rule` | a smart rule fires: `name` and members of `people.fire_rule` |
| `POST /simulator/ticket/<n>/merge` | the ticket is merged `into` another one |
| `POST /simulator/ticket/<n>/breach` | the ticket breaks `count` more agreements on service |
| `GET /simulator/contacts`, `/assets`, `/files` | the rest of the state, with what the API does not show |
| any method `/simulator/json/<path>` | the API call of this path, without credentials, budget, log or faults |
| `GET`, `PUT /simulator/tables/<name>` | a table, as `statuses` or `reports`: a list of rows; PUT adds and changes |
| `GET`, `POST`, `DELETE /simulator/faults` | faults for API calls: list, add a `Fault`, clear |
| `GET`, `POST`, `DELETE /simulator/hook-faults` | faults for deliveries: list, add a `HookFault`, clear |
| `GET`, `PUT /simulator/hooks` | the configured webhooks: a list of `Hook` |
| `GET /simulator/calls?after=<number>&limit=<n>` | the call log |
| `GET /simulator/deliveries?after=<number>&limit=<n>` | the delivery log, bodies as text |
| `GET /simulator/budgets` | calls counted in the current window, limits, seconds left of a lockout |
| `POST /simulator/lock` | start a lockout, of `seconds` or as configured |
| `POST /simulator/reset` | back to the seeded account; hooks stay |

Answers are 200 with JSON; 400 with `{"error": "..."}` for a wrong body, 404 for an unknown path or ticket.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from workers.simulator import state
from workers.simulator.exchange import Request, Response
from workers.simulator.faults import Fault, HookFault
from workers.simulator.hooks import Delivery, Hook
from workers.simulator.people import ticket_of
from workers.simulator.rows import ticket_json
from workers.simulator.simulator import Simulator
from workers.simulator.world import Json, Ticket

T = TypeVar("T")

BASE: Final = "/simulator"


def handle(simulator: Simulator, request: Request) -> Response:
    """Answer a call to the simulator's own API."""
    path = request.path.removeprefix(BASE).strip("/")
    if path.startswith("json/"):
        return simulator.perform(replace(request, path=f"/api/1.1/{path}"))
    try:
        body = msgspec.json.decode(request.body) if request.body else {}
        payload = _answer(simulator, request.method, path, dict(parse_qsl(request.query)), body)
        status = 200
    except LookupError as missing:
        status, payload = 404, {"error": str(missing.args[0] if missing.args else missing)}
    except (ValueError, TypeError) as wrong:
        status, payload = 400, {"error": str(wrong)}
    return Response(status, msgspec.json.encode(payload), {"Content-Type": "application/json"})


def overview(simulator: Simulator) -> Json:
    """What this simulator is and how it stands."""
    return {
        "what": "A simulated HappyFox account, no real help desk. Its API is below /api/1.1/json/.",
        "account": simulator.options.account,
        "tickets": len(simulator.world.tickets),
        "calls": simulator.log.next_number - 1,
        "deliveries": simulator.postbox.last_number,
        "budgets": budgets(simulator),
        "hooks": [hook.url for hook in simulator.hooks],
        "faults": simulator.faults.faults,
        "hook_faults": simulator.hook_faults.faults,
        "paths": [line for line in (__doc__ or "").splitlines() if line.startswith("| `")],
    }


def budgets(simulator: Simulator) -> Json:
    """Calls in the current window per class, the limits, and what is left of a lockout."""
    now, gate, options = simulator.clock(), simulator.gate, simulator.options
    return {
        "window": options.window,
        "get": {"used": gate.used("get", now), "limit": options.gets},
        "post": {"used": gate.used("post", now), "limit": options.posts},
        "locked_for": max(0.0, max(gate.locked_until.values()) - now),
        "lockouts": gate.lockouts,
    }


def _answer(simulator: Simulator, method: str, path: str, query: dict[str, str], body: Any) -> Any:
    head, _, rest = path.partition("/")
    number, _, action = rest.partition("/")
    if head == "ticket" and number.isdecimal():
        return _ticket(simulator, method, int(number), action, body)
    if head == "tables" and method in ("GET", "PUT"):
        return state.table(simulator.world, rest) if method == "GET" else state.merge(simulator.world, rest, body)
    answers: dict[str, Callable[[], Any]] = {
        "GET ": lambda: overview(simulator),
        "GET tickets": lambda: [_shown(simulator, ticket) for ticket in simulator.world.tickets.values()],
        "POST tickets": lambda: _shown(simulator, simulator.create_ticket(**_members(body))),
        "GET contacts": lambda: state.contacts(simulator.world),
        "GET assets": lambda: state.assets(simulator.world),
        "GET files": lambda: state.files(simulator.world),
        "GET faults": lambda: simulator.faults.faults,
        "POST faults": lambda: simulator.faults.add(msgspec.convert(body, Fault)),
        "DELETE faults": simulator.faults.clear,
        "GET hook-faults": lambda: simulator.hook_faults.faults,
        "POST hook-faults": lambda: simulator.hook_faults.add(msgspec.convert(body, HookFault)),
        "DELETE hook-faults": simulator.hook_faults.clear,
        "GET hooks": lambda: simulator.hooks,
        "PUT hooks": lambda: simulator.set_hooks(msgspec.convert(body, list[Hook])),
        "GET calls": lambda: _part(simulator.log, query, lambda call: call),
        "GET deliveries": lambda: _part(simulator.deliveries, query, _delivery),
        "GET budgets": lambda: budgets(simulator),
        "POST lock": lambda: simulator.gate.lock(simulator.clock(), seconds=_members(body).get("seconds")),
        "POST reset": simulator.reset,
    }
    answer = answers.get(f"{method} {path}")
    if answer is None:
        raise LookupError(f"There is no {method} {BASE}/{path}; GET {BASE}/ lists what there is.")
    payload = answer()
    return {"done": True} if payload is None else payload


def _ticket(simulator: Simulator, method: str, number: int, action: str, body: Any) -> Any:
    if method == "GET" and not action:
        return _shown(simulator, ticket_of(simulator.world, number))
    if method == "POST" and action == "contact":
        return _shown(simulator, simulator.contact_replies(number, **_members(body)))
    if method == "POST" and action == "staff":
        return _shown(simulator, simulator.staff_updates(number, **_members(body)))
    if method == "POST" and action == "breach":
        return _shown(simulator, simulator.breach(number, **_members(body)))
    if method == "POST" and action == "merge":
        return _shown(simulator, simulator.merge(number, **_members(body)))
    if method == "POST" and action == "rule":
        return _shown(simulator, simulator.fire_rule(number, **_members(body)))
    raise LookupError(f"There is no {method} {BASE}/ticket/<n>/{action}; GET {BASE}/ lists what there is.")


def _shown(simulator: Simulator, ticket: Ticket) -> Json:
    return ticket_json(simulator.world, ticket, field_changes=True)


def _members(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise TypeError("The body must be a JSON object.")
    return body


def _part(rows: list[T], query: dict[str, str], shown: Callable[[T], Any]) -> list[Any]:
    after, limit = int(query.get("after", 0)), int(query.get("limit", 1000))
    found = [row for row in rows if getattr(row, "number", 0) > after]
    return [shown(row) for row in found[:limit]]


def _delivery(delivery: Delivery) -> Json:
    return {
        "number": delivery.number,
        "url": delivery.hook.url,
        "label": delivery.label,
        "ticket": delivery.ticket,
        "update_id": delivery.update_id,
        "body": delivery.body.decode("utf-8", "replace"),
        "headers": delivery.headers,
        "due": delivery.due,
        "attempt": delivery.attempt,
        "status": delivery.status,
        "error": delivery.error,
        "finished": delivery.finished,
    }
