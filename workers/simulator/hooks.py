"""Webhooks: bodies in the three shapes anybody has described, signed over exactly the bytes that are sent."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from workers.events.signature import HEADER, sign
from workers.simulator import rows
from workers.simulator.api.route import Label, News
from workers.simulator.faults import HookFault, Switchboard
from workers.simulator.world import Json, Ticket, World, stamp

Shape = Literal["flat", "rest", "wrapped"]


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as a person enters it in the admin pages, and the switches for what is unknown about it.

    - `shape`: `flat` (seen in production), `rest` (the API's ticket), `wrapped` (`{"event", "ticket"}`)
    - `spelling`: how the digest is written, one of `workers.events.signature.SPELLINGS`
    - `event_key`: the member that tells the event; None for no such member. `underscores`: `ticket_created`
    - `update_id`: whether the flat shape's `update` carries it (assumed not)
    - `escape`: non-ASCII characters as `\\u` escapes instead of raw
    - `tries`, `backoff`: deliveries attempted until a 2xx, `backoff` seconds apart and doubling
    """

    url: str
    key: str
    shape: Shape = "flat"
    spelling: str = "hex"
    events: tuple[Label, ...] = ("ticket-created", "ticket-updated")
    event_key: str | None = "event_type"
    underscores: bool = False
    update_id: bool = False
    escape: bool = False
    tries: int = 1
    backoff: float = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request to a hook's URL, and one line of the delivery log.

    `due` is when to send it, in epoch seconds. `status` and `error` stay None until `Simulator.delivered` is
    told; a dropped one is logged with the error "dropped" and never handed out.
    """

    number: int
    hook: Hook
    label: Label
    ticket: int
    update_id: int | None
    body: bytes
    headers: dict[str, str]
    due: float
    attempt: int = 1
    status: int | None = None
    error: str | None = None
    finished: float | None = None


class Postbox:
    """What the configured hooks are told, waiting to be sent, and the delivery log."""

    def __init__(self, keep: int, hooks: Iterable[Hook] = ()) -> None:
        self.keep = keep
        self.hooks = list(hooks)
        self.faults: Switchboard[HookFault] = Switchboard()
        self.log: dict[int, Delivery] = {}
        self.waiting: list[Delivery] = []
        self.held: list[Delivery] = []
        self.last_number = 0

    def post(self, world: World, news: News) -> None:
        """Write, sign and queue the deliveries that this news makes."""
        row = news.ticket.rows[-1] if news.row else None
        for hook in self.hooks:
            if news.label in hook.events:
                text = json.dumps(_body(world, hook, news), ensure_ascii=hook.escape, separators=(", ", ": "))
                self._emit(hook, news, row.update_id if row else None, text.encode(), world.now())

    def take(self) -> list[Delivery]:
        """What has to be sent, in order of time, and is not handed out again."""
        taken = sorted(self.waiting, key=lambda delivery: (delivery.due, delivery.number))
        self.waiting.clear()
        return taken

    def finished(self, delivery: Delivery, now: float, status: int | None, error: str | None) -> None:
        """Note how a delivery went; one that failed is queued again while its hook has tries left."""
        done = replace(delivery, status=status, error=error, finished=now)
        if delivery.number in self.log:
            self.log[delivery.number] = done
        succeeded = status is not None and 200 <= status < 300
        if not succeeded and delivery.attempt < delivery.hook.tries:
            due = now + delivery.hook.backoff * 2 ** (delivery.attempt - 1)
            self._queue(replace(delivery, number=self._next(), attempt=delivery.attempt + 1, due=due))

    def fork(self) -> "Postbox":
        """An independent copy."""
        other = Postbox(self.keep, self.hooks)
        other.faults = Switchboard(self.faults.faults)
        other.log, other.waiting, other.held = dict(self.log), list(self.waiting), list(self.held)
        other.last_number = self.last_number
        return other

    def _emit(self, hook: Hook, news: News, update_id: int | None, body: bytes, now: float) -> None:
        fault = self.faults.take(news.label)
        kind = None if fault is None else fault.kind
        headers = {"Content-Type": "application/json", "User-Agent": "HappyFox-Simulator"}
        if kind != "unsigned":
            headers[HEADER] = sign(hook.key + ("-wrong" if kind == "wrong-key" else ""), body, hook.spelling)
        if kind == "truncate":
            body = body[: len(body) // 2]
        due = now + fault.seconds if fault is not None and kind == "delay" else now
        delivery = Delivery(self._next(), hook, news.label, news.ticket.id, update_id, body, headers, due)
        if kind == "drop":
            self._note(replace(delivery, error="dropped", finished=now))
        elif kind == "reorder":
            self.held.append(delivery)
            self._note(delivery)
        else:
            self._queue(delivery)
            if kind == "duplicate":
                self._queue(replace(delivery, number=self._next()))
            for late in self.held:
                self.waiting.append(replace(late, number=self._renumber(late), due=due))
            self.held.clear()

    def _renumber(self, delivery: Delivery) -> int:
        """Numbers follow the order of sending, so a held delivery gets a new one."""
        self.log.pop(delivery.number, None)
        number = self._next()
        self._note(replace(delivery, number=number))
        return number

    def _queue(self, delivery: Delivery) -> None:
        self._note(delivery)
        self.waiting.append(delivery)

    def _note(self, delivery: Delivery) -> None:
        self.log[delivery.number] = delivery
        if len(self.log) > self.keep:
            del self.log[next(iter(self.log))]

    def _next(self) -> int:
        self.last_number += 1
        return self.last_number


def _body(world: World, hook: Hook, news: News) -> Json:
    label = news.label.replace("-", "_") if hook.underscores else news.label
    event: Json = {} if hook.event_key is None else {hook.event_key: label}
    if hook.shape == "rest":
        return event | rows.ticket_json(world, news.ticket)
    if hook.shape == "wrapped":
        return _wrapped(world, news, hook.event_key or "event")
    return event | _flat(world, news, update_id=hook.update_id)


def _flat(world: World, news: News, *, update_id: bool) -> Json:
    """The members a receiver in production read in 2023, all names exact; more may exist."""
    ticket = news.ticket
    contact = world.contacts[ticket.contact]
    return {
        "ticket_id": ticket.id,
        "display_id": ticket.display_id,
        "subject": ticket.subject,
        "priority_name": world.priorities[ticket.priority]["name"],
        "assignee_name": None if ticket.assignee is None else world.staff[ticket.assignee]["name"],
        "client_details": {"name": contact.name, "email": contact.email},
        "agent_ticket_url": f"{world.url}/staff/ticket/{ticket.id}",
        "update": _update(news, update_id=update_id) if news.label == "ticket-updated" and news.row else None,
    }


def _update(news: News, *, update_id: bool) -> Json:
    """The `update` of a flat body. Only the label "Client Reply" was ever seen; the other two are assumed."""
    shown = news.ticket.rows[-1].shown
    by, said, assigned = shown["by"], shown["message"], shown["assignee_change"]
    update: Json = {"update_id": shown["update_id"]} if update_id else {}
    if said is not None:
        label = "Client Reply" if by["type"] == "user" else "Staff Reply"
        update["message_type"] = "Private Note" if said["message_type"] == "p" else label
    update["by"] = {"type": by["type"], "name": by["name"]}
    if assigned is not None:
        update["assignee_change"] = {"old": assigned["old_name"], "new": assigned["new_name"]}
    return update


def _wrapped(world: World, news: News, event_key: str) -> Json:
    """The shape of a handler in a public repository that may never have met a real delivery."""
    ticket: Ticket = news.ticket
    shown = rows.ticket_json(world, ticket)
    opening = rows.row_json(world, ticket.rows[0])["message"]
    contact = world.contacts[ticket.contact]
    phone = contact.phones[0]["number"] if contact.phones else None
    status: Json = shown["status"]
    inner: dict[str, Any] = {
        "id": ticket.id,
        "subject": ticket.subject,
        "text": opening["text"],
        "html_text": opening["html"],
        "status": {"id": status["id"], "name": status["name"]},
        "priority": shown["priority"],
        "category": shown["category"],
        "user": {"id": contact.id, "name": contact.name, "email": contact.email, "phone": phone},
        "assignee": shown["assigned_to"],
        "custom_fields": shown["custom_fields"],
        "created_at": shown["created_at"],
        "updated_at": shown["last_modified"],
        "tags": list(ticket.tags),
        "attachments": opening["attachments"],
    }
    return {
        event_key: news.label.replace("-", "_"),
        "ticket": inner,
        "timestamp": stamp(world.now()),
        "webhook_id": 1,
    }
