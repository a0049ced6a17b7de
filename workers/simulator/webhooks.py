"""Webhooks: contents, signatures, and the log of deliveries."""

import json
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, get_args

from workers.simulator import updates
from workers.simulator.account import Json, SimulatedAccount, stamp
from workers.simulator.faults import FaultList, HookFault
from workers.simulator.forms import Label, WebhookEvent
from workers.webhook import HEADER, SPELLINGS, sign

Shape = Literal["flat", "rest", "wrapped"]


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as entered in the admin pages, with switches for what is unknown."""

    url: str
    key: str
    _: KW_ONLY
    shape: Shape = "flat"
    """`flat` (seen in production), `rest` (the ticket as in the API) or `wrapped` (`{"event", "ticket"}`)."""
    spelling: str = "hex"
    """How the digest is encoded: one of `workers.webhook.SPELLINGS`."""
    events: tuple[Label, ...] = ("ticket-created", "ticket-updated")
    """Which events it reports."""
    event_key: str | None = "event_type"
    """The member with the event's name; None for no such member."""
    underscores: bool = False
    """Name the event `ticket_created` instead of `ticket-created`."""
    update_id: bool = False
    """Add the update's id to `update` in the flat shape (assumed not)."""
    escape: bool = False
    """Send non-ASCII characters as `\\u` escapes instead of raw."""
    tries: int = 1
    """The maximum number of attempts per delivery; a 2xx ends them."""
    backoff: float = 5.0
    """Seconds between the first two attempts; doubled after each attempt."""

    def __post_init__(self) -> None:
        if self.spelling not in SPELLINGS:
            raise ValueError(f"There is no spelling {self.spelling!r}; there are {', '.join(SPELLINGS)}.")
        for event in self.events:
            if event not in get_args(Label):
                raise ValueError(f"There is no event {event!r}; there are {', '.join(get_args(Label))}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One HTTP request to a hook's URL, and one entry of the delivery log."""

    number: int
    hook: Hook
    label: Label
    ticket: int
    update_id: int | None
    body: bytes
    headers: dict[str, str]
    due: float
    """When to send it, in epoch seconds."""
    attempt: int = 1
    status: int | None = None
    """None until `Simulator.delivered` is called."""
    error: str | None = None
    """Why no status was received; `dropped` if a fault dropped the delivery, which is then only logged."""
    finished: float | None = None


class WebhookQueue:
    """The configured hooks, the deliveries waiting to be sent, and the delivery log."""

    def __init__(self, keep: int, hooks: Iterable[Hook] = ()) -> None:
        self.keep = keep
        self.hooks = list(hooks)
        self.faults: FaultList[HookFault] = FaultList()
        self.log: dict[int, WebhookDelivery] = {}
        self.waiting: list[WebhookDelivery] = []
        self.held: list[WebhookDelivery] = []
        self.last_number = 0

    def post(self, account: SimulatedAccount, event: WebhookEvent) -> None:
        """Queue the signed deliveries of an event."""
        for hook in self.hooks:
            if event.label in hook.events:
                text = json.dumps(_body(account, hook, event), ensure_ascii=hook.escape, separators=(", ", ": "))
                self._emit(hook, event, text.encode(), account.now())

    def take(self) -> list[WebhookDelivery]:
        """Remove and return the queued deliveries, in the order in which to send them."""
        taken = sorted(self.waiting, key=lambda delivery: (delivery.due, delivery.number))
        self.waiting.clear()
        return taken

    def finished(self, delivery: WebhookDelivery, now: float, status: int | None, error: str | None) -> None:
        """Log the result of a delivery, and queue the next attempt if it failed."""
        done = replace(delivery, status=status, error=error, finished=now)
        if delivery.number in self.log:
            self.log[delivery.number] = done
        succeeded = status is not None and 200 <= status < 300
        if not succeeded and delivery.attempt < delivery.hook.tries:
            due = now + delivery.hook.backoff * 2 ** (delivery.attempt - 1)
            self._queue(replace(delivery, number=self._next(), attempt=delivery.attempt + 1, due=due))

    def fork(self) -> "WebhookQueue":
        """Return an independent copy."""
        other = WebhookQueue(self.keep, self.hooks)
        other.faults = FaultList(self.faults.faults)
        other.log, other.waiting, other.held = dict(self.log), list(self.waiting), list(self.held)
        other.last_number = self.last_number
        return other

    def _emit(self, hook: Hook, event: WebhookEvent, body: bytes, now: float) -> None:
        fault = self.faults.take(event.label)
        kind = None if fault is None else fault.kind
        headers = {"Content-Type": "application/json", "User-Agent": "HappyFox-Simulator"}
        if kind != "unsigned":
            headers[HEADER] = sign(hook.key + ("-wrong" if kind == "wrong-key" else ""), body, hook.spelling)
        delivery = WebhookDelivery(
            number=self._next(),
            hook=hook,
            label=event.label,
            ticket=event.ticket.id,
            update_id=event.ticket.updates[-1].update_id if event.has_update else None,
            body=body[: len(body) // 2] if kind == "truncate" else body,
            headers=headers,
            due=now + fault.seconds if fault is not None and kind == "delay" else now,
        )
        if kind == "drop":
            self._log(replace(delivery, error="dropped", finished=now))
        elif kind == "reorder":
            self.held.append(delivery)
            self._log(delivery)
        else:
            self._queue(delivery)
            if kind == "duplicate":
                self._queue(replace(delivery, number=self._next()))
            self._release_held(delivery.due)

    def _release_held(self, due: float) -> None:
        """Queue the deliveries that were held back. Numbers follow the order of sending, so each gets a new one."""
        for held in self.held:
            self.log.pop(held.number, None)
            number = self._next()
            self._log(replace(held, number=number))
            self.waiting.append(replace(held, number=number, due=due))
        self.held.clear()

    def _queue(self, delivery: WebhookDelivery) -> None:
        self._log(delivery)
        self.waiting.append(delivery)

    def _log(self, delivery: WebhookDelivery) -> None:
        self.log[delivery.number] = delivery
        if len(self.log) > self.keep:
            del self.log[next(iter(self.log))]

    def _next(self) -> int:
        self.last_number += 1
        return self.last_number


def _body(account: SimulatedAccount, hook: Hook, event: WebhookEvent) -> Json:
    """Return the JSON of a delivery, in the hook's shape."""
    label = event.label.replace("-", "_") if hook.underscores else event.label
    named: Json = {} if hook.event_key is None else {hook.event_key: label}
    if hook.shape == "rest":
        return named | updates.ticket_json(account, event.ticket)
    if hook.shape == "wrapped":
        return _wrapped(account, event, hook.event_key or "event")
    return named | _flat(account, event, update_id=hook.update_id)


def _flat(account: SimulatedAccount, event: WebhookEvent, *, update_id: bool) -> Json:
    """Return the members that a production receiver read in 2023; there may be more."""
    ticket = event.ticket
    contact = account.contacts[ticket.contact]
    has_update = event.label == "ticket-updated" and event.has_update
    return {
        "ticket_id": ticket.id,
        "display_id": ticket.display_id,
        "subject": ticket.subject,
        "priority_name": account.priorities[ticket.priority]["name"],
        "assignee_name": account.assignee_name(ticket),
        "client_details": {"name": contact.name, "email": contact.email},
        "agent_ticket_url": f"{account.url}/staff/ticket/{ticket.id}",
        "update": _flat_update(ticket.updates[-1].shown, update_id=update_id) if has_update else None,
    }


def _flat_update(shown: Json, *, update_id: bool) -> Json:
    """Return the `update` of a flat body. "Client Reply" is the only label seen so far."""
    by, message, assigned = shown["by"], shown["message"], shown["assignee_change"]
    update: Json = {"update_id": shown["update_id"]} if update_id else {}
    if message is not None:
        label = "Client Reply" if by["type"] == "user" else "Staff Reply"
        update["message_type"] = "Private Note" if message["message_type"] == "p" else label
    update["by"] = {"type": by["type"], "name": by["name"]}
    if assigned is not None:
        update["assignee_change"] = {"old": assigned["old_name"], "new": assigned["new_name"]}
    return update


def _wrapped(account: SimulatedAccount, event: WebhookEvent, event_key: str) -> Json:
    """Return the shape that a public handler expects; it may never have been used."""
    ticket = event.ticket
    shown = updates.ticket_json(account, ticket)
    opening = updates.update_json(account, ticket.updates[0])["message"]
    contact = account.contacts[ticket.contact]
    phone = contact.phones[0]["number"] if contact.phones else None
    return {
        event_key: event.label.replace("-", "_"),
        "ticket": {
            "id": ticket.id,
            "subject": ticket.subject,
            "text": opening["text"],
            "html_text": opening["html"],
            "status": {"id": shown["status"]["id"], "name": shown["status"]["name"]},
            "priority": shown["priority"],
            "category": shown["category"],
            "user": {"id": contact.id, "name": contact.name, "email": contact.email, "phone": phone},
            "assignee": shown["assigned_to"],
            "custom_fields": shown["custom_fields"],
            "created_at": shown["created_at"],
            "updated_at": shown["last_modified"],
            "tags": list(ticket.tags),
            "attachments": opening["attachments"],
        },
        "timestamp": stamp(account.now()),
        "webhook_id": 1,
    }
