"""What a webhook says: the three shapes that anybody has described, and the switches of a hook."""

from dataclasses import dataclass
from typing import Any, Literal

from workers.simulator import rows
from workers.simulator.api.route import Label, News
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


def body(world: World, hook: Hook, news: News) -> Json:
    """The JSON of a delivery, in the hook's shape."""
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
