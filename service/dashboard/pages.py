"""The pages: each reads what it shows and renders a template."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.dashboard import operations
from service.dashboard.copies import copies
from service.dashboard.parameters import (
    account_of,
    address,
    chosen_dead_letters,
    chosen_events,
    number_of,
    paging,
    read_acts,
    reader_of,
)
from service.dashboard.reading import Reader, handler_figures
from service.dashboard.render import NOTICES, Renderer
from service.reading.dead_letters import group, read_rows, read_some
from service.reading.dead_letters import page as page_of
from service.reading.events import EventFilter, read_events
from service.reading.lanes import STATES, read_lanes
from service.reading.sweeps import describe_sweep, read_completeness_status, read_sweep
from service.reading.tickets import describe_status, describe_turn, read_status, read_turns
from workers.errors import suggest
from workers.store.audit import ACTS
from workers.store.figures import CALL, add, read_lockouts
from workers.store.jobs import SELECTION_LIFE
from workers.store.recorder import read_lessons
from workers.store.troubles import accepted_before_refusals
from workers.tickets.change import CALLS, KINDS
from workers.webhook.diagnosis import cause_of
from workers.webhook.learning import MEANINGS

#: How many turns of a ticket one page shows.
TURNS = 50

#: How many events the page Now shows.
LATEST = 8

#: The lines of a ticket's story with words of customers, or for them.
WORDS = ("message", "text")

#: How many turns with missed changes are listed.
MISSED = 100

#: What a filter of sources offers.
SOURCES = ("webhook", "replay", "schedule", "handler", "sweep")


def shared(request: Request, page: str, account: str | None = None, dead: int = 0) -> dict[str, Any]:
    """Return what every page needs."""
    return {
        "person": request.state.person,
        "accounts": list(reader_of(request).accounts),
        "account": account,
        "page": page,
        "dead": dead,
        "notice": NOTICES.get(request.query_params.get("done", "")),
    }


def in_account(request: Request, page: str) -> tuple[Reader, str, dict[str, Any]]:
    """Return the reader, the account in the path, and what every page of an account needs."""
    reader, name = reader_of(request), account_of(request)
    return reader, name, shared(request, page, name, reader.records(name).dead_letter_count())


def in_deployment(request: Request, page: str) -> tuple[Reader, dict[str, Any]]:
    """Return the reader, and what every page of the whole deployment needs."""
    reader = reader_of(request)
    only = next(iter(reader.accounts)) if len(reader.accounts) == 1 else None
    return reader, shared(request, page, only, reader.records(only).dead_letter_count() if only else 0)


def respond(request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
    """Render a page."""
    renderer: Renderer = request.app.state.renderer
    return renderer.respond(template, context, status)


def overview(request: Request) -> Response:
    """Show every account in a row."""
    reader, context = in_deployment(request, "accounts")
    return respond(request, "overview.html", context | overview_context(reader))


def overview_context(reader: Reader) -> dict[str, Any]:
    """Return what the list of accounts shows."""
    views = reader.all_accounts()
    return {"views": views, "workers": views[0].workers if views else 0}


def now(request: Request) -> Response:
    """Show what happens in an account now."""
    name = account_of(request)
    context = now_context(reader_of(request), name)
    return respond(request, "now.html", shared(request, "now", name, context["view"].status.dead_letters) | context)


def now_context(reader: Reader, name: str) -> dict[str, Any]:
    """Return what the page Now shows."""
    latest = read_events(reader.records(name), EventFilter(), most=LATEST).items
    view = reader.account(name)
    return {
        "view": view,
        "latest": latest[:LATEST],
        "retries": view.hour.by("handler", "retrying"),
        "writers": by_share(view.hour.by("write")),
    }


def events(request: Request) -> Response:
    """List events and what they led to."""
    reader, name, context = in_account(request, "events")
    query, now = request.query_params, reader.now()
    chosen = chosen_events(request, now)
    with paging(cursor := query.get("cursor", "")):
        found = read_events(reader.records(name), chosen, cursor)
    context |= {
        "found": found,
        "now": now,
        "query": query,
        "kinds": (*KINDS, *CALLS),
        "sources": SOURCES,
        "older": address(request, cursor=found.next) if found.next else "",
        "newest": address(request, cursor="") if query.get("cursor") else "",
        "is_filtered": any(value for key, value in query.items() if key not in ("cursor", "done")),
    }
    return respond(request, "events.html", context)


def event(request: Request) -> Response:
    """Show one event that waits or is in quarantine; a settled one leads to its ticket."""
    reader, name, context = in_account(request, "events")
    fields = reader.event(name, request.path_params["event"])
    if not fields:
        raise HTTPException(404, "This event is not stored any more: its turn has settled, or it has expired.")
    may_see = request.state.person.may("operator")
    context |= {
        "event": request.path_params["event"],
        "fields": {key: value for key, value in fields.items() if key not in ("body", "headers", "pending", "first")},
        "headers": json.loads(fields.get("headers") or "{}"),
        "body": _readable(fields.get("body", "")) if may_see else None,
        "copies": copies(name, fields) if may_see else {},
        "now": reader.now(),
    }
    return respond(request, "event.html", context)


def _readable(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def ticket(request: Request) -> Response:
    """Show what happened to a ticket, and what happens next."""
    reader, name, context = in_account(request, "tickets")
    number = number_of(request.path_params["ticket"])
    if number is None:
        raise HTTPException(404, "There is no such ticket.")
    return respond(
        request,
        "ticket.html",
        context | ticket_context(reader, name, number, may_see=request.state.person.may("operator")),
    )


def ticket_context(reader: Reader, name: str, number: int, *, may_see: bool) -> dict[str, Any]:
    """Return what the story of a ticket shows; only those who ``may_see`` them get the messages."""
    records, now = reader.records(name), reader.now()
    turns = list(read_turns(records, number))[-TURNS:][::-1]
    status = read_status(records, reader.account_settings(name), number)
    newest = next((turn.record for turn in turns if turn.record is not None), None)
    return {
        "number": number,
        "subject": str(newest.ticket.get("subject") or "") if newest else "",
        "link": f"{reader.site(name)}/staff/ticket/{number}" if reader.site(name) else "",
        "turns": [(turn, [row for row in describe_turn(turn) if may_see or row[0] not in WORDS]) for turn in turns],
        "sentences": list(describe_status(status, now)),
        "status": status,
        "is_known": bool(turns) or status.due is not None or records.knows(number),
        "pause": records.pauses().get(("ticket", str(number))),
        "now": now,
    }


def find_ticket(request: Request) -> Response:
    """Ask for a ticket's number, or lead to its story."""
    reader, name, context = in_account(request, "tickets")
    number = number_of(request.query_params.get("number", ""))
    if number is not None:
        from starlette.responses import RedirectResponse

        return RedirectResponse(f"/dashboard/{name}/tickets/{number}", 303)
    recent = read_events(reader.records(name), EventFilter(), most=60).items
    seen = {row.ticket: row for row in reversed(recent)}
    context |= {"recent": sorted(seen.values(), key=lambda row: -row.at)[:20], "now": reader.now()}
    return respond(request, "tickets.html", context)


def lanes(request: Request) -> Response:
    """List lanes by their state."""
    reader, name, context = in_account(request, "lanes")
    state, now = request.query_params.get("state", "due"), reader.now()
    if state not in STATES:
        raise HTTPException(400, f"There is no state {state!r}; {suggest(state, STATES)}.")
    found = read_lanes(reader.records(name), now, state, request.query_params.get("cursor", ""))
    context |= {
        "found": found,
        "state": state,
        "states": STATES,
        "now": now,
        "further": address(request, cursor=found.next) if found.next else "",
    }
    return respond(request, "lanes.html", context)


def dead(request: Request) -> Response:
    """List dead letters, grouped by what failed."""
    reader, name, context = in_account(request, "dead")
    query, now = request.query_params, reader.now()
    rows = read_rows(reader.records(name), chosen_dead_letters(query, now))
    found = page_of(rows, query.get("cursor", ""))
    context |= {
        "groups": group(rows),
        "found": found,
        "total": len(rows),
        "query": query,
        "now": now,
        "further": address(request, cursor=found.next) if found.next else "",
        "is_filtered": any(value for key, value in query.items() if key not in ("cursor", "done")),
        "quarantined": reader.records(name).quarantine_count(),
    }
    return respond(request, "dead.html", context)


def selection(request: Request) -> Response:
    """Show a frozen selection of dead letters, and what acting on it would cost."""
    reader, name, context = in_account(request, "dead")
    job = reader.jobs(name).read(request.path_params["job"])
    if job is None or job.kind != "selection":
        raise HTTPException(404, "This selection has expired: choose the dead letters again.")
    rows = list(read_some(reader.records(name), job.ids))
    replayable = sum(row.can_replay for row in rows)
    tickets = len({row.ticket for row in rows})
    forecast, window = reader.forecast(name), reader.window(name)
    person = request.state.person
    context |= {
        "job": job,
        "rows": rows,
        "replayable": replayable,
        "unreplayable": len(rows) - replayable,
        "left_out": job.left_out,
        "gone": len(job.ids) - len(rows),
        "tickets": tickets,
        "cost": forecast.drained(tickets, replayable, window) if replayable else 0,
        "minutes": SELECTION_LIFE // 60_000,
        "may_act": person.may("operator" if len(job.ids) <= operations.OPERATORS_MOST else "admin"),
        "now": reader.now(),
    }
    return respond(request, "selection.html", context)


def job(request: Request) -> Response:
    """Show the progress and the result of a job."""
    _, name, context = in_account(request, "dead")
    return respond(request, "job.html", context | job_context(reader_of(request), name, request.path_params["job"]))


def job_context(reader: Reader, name: str, job: str) -> dict[str, Any]:
    """Return what the page of a job shows."""
    found = reader.jobs(name).read(job)
    if found is None or found.kind == "selection":
        raise HTTPException(404, "There is no such job, or its result has expired.")
    return {"job": found, "now": reader.now()}


def dead_letter(request: Request) -> Response:
    """Show a dead letter with its evidence."""
    reader, name, context = in_account(request, "dead")
    found = reader.dead_letter(name, request.path_params["id"])
    if found is None:
        raise HTTPException(404, "This dead letter is gone: it was replayed, discarded, or has expired.")
    may_see = request.state.person.may("operator")
    hidden = {"handler", "reason", "attempts", "id", "format"}
    evidence = {
        key: value for key, value in found.evidence.items() if key not in hidden and value not in (None, "", [], {}, ())
    }
    context |= {
        "letter": found,
        "evidence": json.dumps(evidence, indent=2, ensure_ascii=False) if may_see else None,
        "now": reader.now(),
    }
    return respond(request, "dead_letter.html", context)


def quarantine(request: Request) -> Response:
    """List the signed deliveries that could not be read."""
    reader, name, context = in_account(request, "dead")
    entries = list(reader.records(name).quarantined())
    context |= {"entries": entries[:100], "total": len(entries), "now": reader.now()}
    return respond(request, "quarantine.html", context)


def handlers(request: Request) -> Response:
    """List the routers that run, with their handlers, permissions and figures of the last day."""
    reader, name, context = in_account(request, "handlers")
    fleet, pauses, now = reader.fleet(), reader.records(name).pauses(), reader.now()
    running, day = fleet.account(name), add(reader.hours(name, now, 24))
    known = [handler.name for router in running.routers for handler in router.handlers] if running else []
    context |= {
        "running": running,
        "pauses": {router: pause for (scope, router), pause in pauses.items() if scope == "router"},
        "differences": [each for each in fleet.differences() if each.account == name],
        "figures": {each: handler_figures(day, each) for each in known},
        "now": now,
    }
    return respond(request, "handlers.html", context)


def rules(request: Request) -> Response:
    """Show the rules in effect, and offer to test changed ones on past turns."""
    reader, name, context = in_account(request, "rules")
    now, running = reader.now(), reader.running(name)
    day = add(reader.hours(name, now, 24))
    router = next((each for each in running.routers if each.name == "rules"), None) if running else None
    context |= {
        "running": running,
        "router": router,
        "figures": {each.name: handler_figures(day, each.name) for each in router.handlers} if router else {},
        "now": now,
    }
    return respond(request, "rules.html", context)


def budget(request: Request) -> Response:
    """Show how much of the call budget is used, what for, and when the backlog is done."""
    reader, name, context = in_account(request, "budget")
    now, view = reader.now(), reader.account(name)
    day = reader.hours(name, now, 24)
    context |= {
        "view": view,
        "window": reader.window(name),
        "hours": {method: [each.sum("call", method) for each in day] for method in ("get", "post")},
        "outcomes": {method: add(day).by("call", method) for method in ("get", "post")},
        "slow": {method: add(day).quantile(CALL, 0.95, method) for method in ("get", "post")},
        "saved": add(day).sum("saved"),
        "writers": by_share(add(day).by("write")),
        "lockouts": read_lockouts(reader.store, name, now),
        "classes": CLASSES,
        "now": now,
    }
    return respond(request, "budget.html", context)


#: The classes of calls, what they are for, and the share of the limits that each may use; `permits.lua` enforces them.
CLASSES = (
    ("Interactive", "what contacts and staff have just done", 1.0),
    ("Normal", "everything else that HappyFox reports", 0.9),
    ("Bulk", "replays, schedules and the sweep", 0.7),
    ("Clients, interactive", "calls of the gateway's clients that somebody waits for", 0.9),
    ("Clients, normal", "other calls of clients", 0.8),
    ("Clients, bulk", "reports and exports of clients", 0.7),
)


def by_share(counted: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """Return names with their counts and their shares of all (0 to 1), the largest first."""
    whole = sum(counted.values())
    return [(name, count, count / whole) for name, count in sorted(counted.items(), key=lambda each: -each[1]) if count]


def clients(request: Request) -> Response:
    """Show the clients of the gateway: what they may do, what they did, and what they were denied."""
    reader, name, context = in_account(request, "clients")
    context |= {"clients": reader.clients(name), "now": reader.now()}
    return respond(request, "clients.html", context)


def completeness(request: Request) -> Response:
    """Show which changes no delivery has announced, and how far sweeps are."""
    reader, name, context = in_account(request, "completeness")
    account, now = reader.account_settings(name), reader.now()
    sweep, found = read_sweep(reader.client, account), read_completeness_status(reader.client, account)
    context |= {
        "facts": list(describe_sweep(sweep, now)),
        "days": found.days,
        "missed": found.missed[:MISSED],
        "more": max(0, len(found.missed) - MISSED),
        "can_sweep": bool(account.sweep_minutes),
        "now": now,
    }
    return respond(request, "completeness.html", context)


def signatures(request: Request) -> Response:
    """Show why deliveries were refused and what to correct."""
    reader, name, context = in_account(request, "signatures")
    causes = [(cause_of(cause), noted) for cause, noted in reader.causes(name).items()]
    context |= {
        "causes": causes,
        "keys": reader.keys(name),
        "hosts": reader.records(name).hosts(),
        "lessons": [(MEANINGS[each.what].format(each.value), each) for each in read_lessons(reader.client, name)],
        "accepted": accepted_before_refusals(reader.records(name).delivery_counts()),
        "misdirected": reader.misdirected(),
        "now": reader.now(),
    }
    return respond(request, "signatures.html", context)


def settings(request: Request) -> Response:
    """Show the settings in force, as the running processes have them."""
    reader, context = in_deployment(request, "settings")
    fleet = reader.fleet()
    parts = {part: processes[-1] for part in ("web", "worker", "dashboard", "gateway") if (processes := fleet.of(part))}
    context |= {"parts": parts, "differences": fleet.differences(), "now": reader.now()}
    return respond(request, "settings.html", context)


def fleet(request: Request) -> Response:
    """Show the processes that run, and where they differ."""
    reader, context = in_deployment(request, "fleet")
    found = reader.fleet()
    context |= {"fleet": found, "differences": found.differences(), "usage": reader.usage(), "now": reader.now()}
    return respond(request, "fleet.html", context)


def alerts(request: Request, tested: Sequence[tuple[str, str]] = ()) -> Response:
    """Show the alerts that are on, what people are told of, and how a test has ended: by address, what went wrong."""
    reader, context = in_deployment(request, "alerts")
    told_of = reader.settings.alerts
    addresses = {alert: ", ".join(each.shown for each in alert.to) for alert in told_of}
    context |= {"on": reader.alerts(), "told_of": addresses, "tested": tested, "now": reader.now()}
    return respond(request, "alerts.html", context)


def audit(request: Request) -> Response:
    """Show who did what, and why."""
    (reader, context), query = in_deployment(request, "audit"), request.query_params
    with paging(query.get("cursor", "")):
        found = read_acts(request)
    context |= {
        "found": found,
        "acts": ACTS,
        "query": query,
        "now": reader.now(),
        "is_filtered": any(value for key, value in query.items() if key != "cursor"),
        "further": address(request, cursor=found.next) if found.next else "",
    }
    return respond(request, "audit.html", context)


def problem(request: Request, status: int, title: str, text: str) -> Response:
    """Show why a page cannot be shown."""
    name = request.path_params.get("account")
    account = name if name in reader_of(request).accounts else None
    return respond(request, "error.html", shared(request, "", account) | {"title": title, "text": text}, status)
