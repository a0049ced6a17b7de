"""The simulator's own JSON API under `/simulator/`. HappyFox has nothing like it.

| Call | Effect |
|---|---|
| `GET /simulator/` | describe this simulator: account, tickets, budgets, hooks, faults, and this table |
| `GET /simulator/tickets`, `GET /simulator/ticket/<n>` | show tickets like the API, without the rate limit |
| `POST /simulator/tickets` | open a ticket as a contact: `email` and members of `people.create_ticket` |
| `POST /simulator/ticket/<n>/contact` | reply as the contact: `text` or `html`, `email` for another contact |
| `POST /simulator/ticket/<n>/staff` | reply, note or set properties: `staff` and members of `people.staff_updates` |
| `POST /simulator/ticket/<n>/rule` | fire a smart rule: `name` and members of `people.fire_rule` |
| `POST /simulator/ticket/<n>/survey` | answer a satisfaction survey as the contact: `rating` and `comment` |
| `POST /simulator/ticket/<n>/merge` | merge the ticket `into` another one |
| `POST /simulator/ticket/<n>/breach` | add `count` breaches of service-level agreements |
| `GET /simulator/contacts`, `/assets`, `/files` | show the rest of the state, also what the API does not show |
| `GET`, `POST`, `PUT`, `DELETE /simulator/json/<path>` | call the API without credentials, rate limit, log or faults |
| `GET`, `PUT /simulator/tables/<name>` | show a table such as `statuses`, or add and change its entries |
| `GET`, `POST`, `DELETE /simulator/faults` | list the faults for API calls, add an `ApiFault`, clear |
| `GET`, `POST`, `DELETE /simulator/hook-faults` | list the faults for deliveries, add a `HookFault`, clear |
| `GET`, `PUT /simulator/hooks` | show or replace the configured webhooks, a list of `Hook` |
| `GET /simulator/calls?after=<number>&limit=<n>` | show the call log |
| `GET /simulator/deliveries?after=<number>&limit=<n>` | show the delivery log, with bodies as text |
| `GET /simulator/budgets` | show the calls in the current window, the limits, and the rest of a lockout |
| `POST /simulator/lock` | start a lockout, for `seconds` or as configured |
| `POST /simulator/reset` | restore the seeded account; hooks stay |

Responses are 200 with JSON; 400 with `{"error": "..."}` for an invalid body, 404 for an unknown path or ticket.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from workers.simulator.account import Json, SimulatedAccount, StoredTicket, Table
from workers.simulator.asset_endpoints import asset_json
from workers.simulator.faults import ApiFault, HookFault
from workers.simulator.http import ApiRequest, ApiResponse
from workers.simulator.people import ticket_of
from workers.simulator.simulator import Simulator
from workers.simulator.updates import contact_json, ticket_json
from workers.simulator.webhooks import Hook, WebhookDelivery

T = TypeVar("T")

BASE: Final = "/simulator"
TABLES: Final = (
    *("categories", "priorities", "statuses", "staff", "groups", "ticket_fields", "contact_fields"),
    *("asset_types", "asset_fields", "reports", "agreements", "sections", "articles"),
)


def handle(simulator: Simulator, request: ApiRequest) -> ApiResponse:
    """Answer a call to the simulator's own API."""
    path = request.path.removeprefix(BASE).strip("/")
    if path.startswith("json/"):
        return simulator.perform(replace(request, path=f"/api/1.1/{path}"))
    try:
        body = msgspec.json.decode(request.body) if request.body else {}
        payload = _answer(simulator, request.method, path, dict(parse_qsl(request.query)), body)
        status = 200
    except LookupError as error:
        status, payload = 404, {"error": str(error.args[0] if error.args else error)}
    except (ValueError, TypeError) as error:
        status, payload = 400, {"error": str(error)}
    return ApiResponse(status, msgspec.json.encode(payload), {"Content-Type": "application/json"})


def overview(simulator: Simulator) -> Json:
    """Describe this simulator and its state."""
    return {
        "what": "A simulated HappyFox account, not a real help desk. Its API is at /api/1.1/json/.",
        "account": simulator.options.account,
        "tickets": len(simulator.account.tickets),
        "calls": simulator.log.next_number - 1,
        "deliveries": simulator.webhooks.last_number,
        "budgets": budgets(simulator),
        "hooks": [hook.url for hook in simulator.hooks],
        "faults": simulator.faults.faults,
        "hook_faults": simulator.hook_faults.faults,
        "paths": [line for line in (__doc__ or "").splitlines() if line.startswith("| `")],
    }


def budgets(simulator: Simulator) -> Json:
    """Return the calls in the current window, the limits and the rest of a lockout."""
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
    account = simulator.account
    if head == "ticket" and number.isdecimal():
        return _ticket(simulator, method, int(number), action, body)
    if head == "tables" and method in ("GET", "PUT"):
        return list(_table(account, rest).values()) if method == "GET" else change_table(account, rest, body)
    answers: dict[str, Callable[[], Any]] = {
        "GET ": lambda: overview(simulator),
        "GET tickets": lambda: [_shown(simulator, ticket) for ticket in account.tickets.values()],
        "POST tickets": lambda: _shown(simulator, simulator.create_ticket(**_members(body))),
        "GET contacts": lambda: contacts(account),
        "GET assets": lambda: [asset_json(account, asset) for asset in account.assets.values()],
        "GET files": lambda: _files(account),
        "GET faults": lambda: simulator.faults.faults,
        "POST faults": lambda: simulator.faults.add(msgspec.convert(body, ApiFault)),
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
        raise LookupError(f"There is no {method} {BASE}/{path}; GET {BASE}/ lists all calls.")
    payload = answer()
    return {"done": True} if payload is None else payload


def _ticket(simulator: Simulator, method: str, number: int, action: str, body: Any) -> Json:
    if method == "GET" and not action:
        return _shown(simulator, ticket_of(simulator.account, number))
    changes: dict[str, Callable[..., StoredTicket]] = {
        "contact": simulator.contact_replies,
        "staff": simulator.staff_updates,
        "rule": simulator.fire_rule,
        "survey": simulator.answer_survey,
        "merge": simulator.merge,
        "breach": simulator.breach,
    }
    if method != "POST" or action not in changes:
        raise LookupError(f"There is no {method} {BASE}/ticket/<n>/{action}; GET {BASE}/ lists all calls.")
    return _shown(simulator, changes[action](number, **_members(body)))


def _shown(simulator: Simulator, ticket: StoredTicket) -> Json:
    return ticket_json(simulator.account, ticket, field_changes=True)


def _members(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise TypeError("The body must be a JSON object.")
    return body


def _part(entries: list[T], query: dict[str, str], shown: Callable[[T], Any]) -> list[Any]:
    after, limit = int(query.get("after", 0)), int(query.get("limit", 1000))
    found = [entry for entry in entries if getattr(entry, "number", 0) > after]
    return [shown(entry) for entry in found[:limit]]


def _delivery(delivery: WebhookDelivery) -> Json:
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


def contacts(account: SimulatedAccount) -> list[Json]:
    """Return every contact as the API shows it, and whether they may log in."""
    return [
        contact_json(account, contact) | {"is_login_enabled": contact.login} for contact in account.contacts.values()
    ]


def _files(account: SimulatedAccount) -> list[Json]:
    """Return every uploaded file, with a link instead of its bytes."""
    return [
        {
            "id": file.id,
            "filename": file.filename,
            "content_type": file.content_type,
            "size": len(file.content),
            "url": account.link(file.id, file.filename),
        }
        for file in account.files.values()
    ]


def _table(account: SimulatedAccount, name: str) -> Table:
    if name not in TABLES:
        raise LookupError(f"There is no table {name!r}; there are {', '.join(TABLES)}.")
    found: Table = getattr(account, name)
    return found


def change_table(account: SimulatedAccount, name: str, given: Any) -> list[Json]:
    """Add entries to a table and change those with a known `id`.

    Members that are not given stay as they are; a new entry takes them from the first one. Entries cannot be removed,
    because others may refer to them. Raise TypeError if `given` is not a list of entries.
    """
    before = _table(account, name)
    template = next(iter(before.values()))
    after = dict(before)
    for entry in given if isinstance(given, list) else [None]:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int):
            raise TypeError("The body must be a list of entries, each an object with an `id`.")
        unknown = sorted(entry.keys() - template.keys())
        if unknown:
            raise TypeError(f"Entries of {name} have no {', '.join(unknown)}; they have {', '.join(template)}.")
        after[entry["id"]] = {**after.get(entry["id"], template), **entry}
    setattr(account, name, after)
    if name == "categories":
        account.prefixes = {number: account.prefixes.get(number, "CA") for number in after}
    if name == "groups":
        account.last_group = max(account.last_group, *after)
    return list(after.values())
