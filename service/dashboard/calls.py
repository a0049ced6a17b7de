"""What the calls of the JSON API read or do; `api.py` lists them with their addresses and describes them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.dashboard import operations, series
from service.dashboard.actions import acting, backtest_arguments
from service.dashboard.copies import copies
from service.dashboard.pages import job_context
from service.dashboard.parameters import (
    account_of,
    chosen_dead_letters,
    chosen_events,
    number_of,
    read_acts,
)
from service.dashboard.reading import AccountView, Reader
from service.reading.dead_letters import page, read_rows
from service.reading.events import read_events
from service.reading.lanes import STATES, read_lanes
from service.reading.source import read_system
from service.reading.tickets import UnknownTicket, describe_status, read_ticket
from workers.errors import suggest
from workers.store.jobs import JobKind
from workers.store.pages import Page

#: Rows of a page at most.
MOST = 500


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


def status(call: ApiRequest) -> Any:
    return read_system(call.reader.client, list(call.reader.accounts.values())).as_json()


def accounts(call: ApiRequest) -> Any:
    return {"items": [_standing(view) for view in call.reader.all_accounts()]}


def account(call: ApiRequest) -> Any:
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


def scale(call: ApiRequest) -> Scale:
    names = [call.account] if "account" in call.request.path_params else list(call.reader.accounts)
    views = [view for view in map(call.reader.account, names) if view.can_work]
    oldest = max((view.oldest_due or 0 for view in views), default=0)
    return Scale(oldest_due_seconds=oldest / 1000, due=sum(view.status.due for view in views))


def events(call: ApiRequest) -> Any:
    chosen = chosen_events(call.request, call.reader.now())
    found = read_events(call.reader.records(call.account), chosen, call.query("cursor"), call.most)
    rows = [{"account": call.account, "state": each.state, **asdict(each)} for each in found.items]
    return _page(found) | {"items": rows}


def event(call: ApiRequest) -> Any:
    fields = call.reader.event(call.account, call.request.path_params["event"])
    if not fields:
        raise HTTPException(404, "This event is not stored any more.")
    may_see = call.request.state.person.may("operator")
    hidden = () if may_see else ("body", "headers", "pending", "first")
    shown = {name: value for name, value in fields.items() if name not in hidden}
    return shown | ({"copies": copies(call.account, fields)} if may_see else {})


def ticket(call: ApiRequest) -> Any:
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


def lanes(call: ApiRequest) -> Any:
    state = call.query("state") or "due"
    if state not in STATES:
        raise HTTPException(400, f"There is no state {state!r}; {suggest(state, STATES)}.")
    return _page(
        read_lanes(call.reader.records(call.account), call.reader.now(), state, call.query("cursor"), call.most)
    )


def handlers(call: ApiRequest) -> Any:
    running = call.reader.running(call.account)
    return {"items": running.routers if running else []}


def clients(call: ApiRequest) -> Any:
    return {"items": call.reader.clients(call.account)}


def figures(call: ApiRequest) -> Any:
    chosen = series.choose(call.request.query_params, call.reader.now())
    return series.read(call.reader, call.account, chosen)


def dead(call: ApiRequest) -> Any:
    chosen = chosen_dead_letters(call.request.query_params, call.reader.now())
    return _page(page(read_rows(call.reader.records(call.account), chosen), call.query("cursor"), call.most))


def dead_letter(call: ApiRequest) -> Any:
    found = call.reader.dead_letter(call.account, call.request.path_params["id"])
    if found is None:
        raise HTTPException(404, "This dead letter is gone: it was replayed, discarded, or has expired.")
    shown = asdict(found)
    if not call.request.state.person.may("operator"):
        del shown["evidence"]
    return shown


def fleet(call: ApiRequest) -> Any:
    fleet = call.reader.fleet()
    return {"alive": fleet.alive, "silent": fleet.silent, "differences": [str(each) for each in fleet.differences()]}


def settings(call: ApiRequest) -> Any:
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


def alerts(call: ApiRequest) -> Any:
    return {"items": call.reader.alerts(), "at": call.reader.now()}


def audit(call: ApiRequest) -> Any:
    return _page(read_acts(call.request, call.most))


def _target(call: ApiRequest) -> tuple[Any, str]:
    if router := str(call.body.get("router", "")):
        return "router", router
    if ticket := call.body.get("ticket"):
        return "ticket", str(number_of(str(ticket)))
    return "account", ""


def pause(call: ApiRequest) -> Any:
    scope, name = _target(call)
    by = acting(call.request, str(call.body.get("why", "")))
    before = operations.pause(call.reader, call.account, scope, name, by, skip=call.body.get("skip") is True)
    return {"paused": True, "scope": scope, "name": name, "was_paused": before}


def resume(call: ApiRequest) -> Any:
    scope, name = _target(call)
    ended = operations.resume(
        call.reader, call.account, scope, name, acting(call.request, str(call.body.get("why", "")))
    )
    return {"paused": False, "scope": scope, "name": name, "was_paused": ended}


def preview(call: ApiRequest) -> Any:
    fields = {name: str(call.body.get(name, "")) for name in ("handler", "error", "ticket", "since")}
    ids = call.body.get("ids")
    chosen = [str(each) for each in ids] if isinstance(ids, list) else chosen_dead_letters(fields, call.reader.now())
    job = operations.select(call.reader, call.account, call.request.state.person.name, chosen)
    if job is None:
        raise HTTPException(404, "No dead letter is selected.")
    return {"job": job.id, "ids": job.ids, "left_out": job.left_out}


def act(kind: JobKind) -> Callable[[ApiRequest], Any]:
    def run(call: ApiRequest) -> Any:
        by = acting(call.request, str(call.body.get("why", "")))
        job = str(call.body.get("job", ""))
        return operations.act(call.reader, call.account, kind, job, call.request.state.person, by)

    return run


def look(call: ApiRequest) -> Any:
    operations.look(call.reader, call.account, call.ticket, acting(call.request, str(call.body.get("why", ""))))
    return {"ticket": call.ticket}


def trial(call: ApiRequest) -> Any:
    by = acting(call.request, str(call.body.get("why", "")))
    return operations.begin_trial(call.reader, call.account, call.ticket, by)


def backtest(call: ApiRequest) -> Any:
    fields = {name: str(call.body.get(name, "")) for name in ("rules", "since")}
    by = acting(call.request, str(call.body.get("why", "")))
    return operations.begin_job(call.reader, call.account, "backtest", by, backtest_arguments(fields))


def doctor(call: ApiRequest) -> Any:
    return operations.begin_job(call.reader, call.account, "doctor", acting(call.request), {})


def job(call: ApiRequest) -> Any:
    return job_context(call.reader, call.account, call.request.path_params["job"])["job"]


def cancel(call: ApiRequest) -> Any:
    call.reader.jobs(call.account).cancel(call.request.path_params["job"])
    return job(call)


def _page(found: Page[Any]) -> dict[str, Any]:
    return {"items": found.items, "next": found.next, "more": found.more}


def encode(value: object) -> str:
    """Return a value as JSON, as the commands print it."""
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False)
