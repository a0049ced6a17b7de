"""A stored delivery in forms that a person can paste: a command that sends it again, and a test of handlers."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from workers.tickets.change import KINDS
from workers.tickets.model import mapping
from workers.webhook import UnreadableBody, parse

#: What a test begins with; the person who pastes it names the router and says what is expected.
TEST = """\
from vip import router  # your router

from workers.testing import run, ticket


def test_ticket_{number}() -> None:
    read = ticket({facts})
    result = run(router, read, {kind!r}{by})
    assert not result.failed
    assert not result.actions  # say what you expect
"""

#: The kind of change that a message of a delivery means, by its label; see docs/webhooks.md.
KIND_OF_LABEL = {"contact-reply": "contact-replied", "staff-reply": "staff-replied", "private-note": "note-added"}


def copies(account: str, event: Mapping[str, str]) -> dict[str, str]:
    """Return the forms of an event by their names, send and test; none for an event without a body of a webhook."""
    body = event.get("body", "")
    if not body or event.get("source") != "webhook":
        return {}
    found = {"send": f"printf %s {shlex.quote(body)} | foxhooks send --account {shlex.quote(account)} -"}
    try:
        delivery, content = parse(body.encode()), json.loads(body)
    except (UnreadableBody, ValueError):
        return found
    kind = "ticket-created" if delivery.kind == "created" else KIND_OF_LABEL.get(delivery.label, "")
    if kind in KINDS:
        facts = {"id": delivery.ticket, **_facts(content)}
        written = ", ".join(f"{name}={value!r}" for name, value in facts.items())
        by = f", by={'staff'!r}" if delivery.label in ("staff-reply", "private-note") else ""
        found["test"] = TEST.format(number=delivery.ticket, facts=written, kind=kind, by=by)
    return found


def _facts(content: Any) -> dict[str, str]:
    """Return what a body in a known form says about its ticket."""
    outer = mapping(content)
    inner = mapping(outer.get("ticket")) or outer
    contact = mapping(inner.get("client_details")) or mapping(inner.get("user"))
    found = {
        "subject": inner.get("subject"),
        "email": contact.get("email"),
        "name": contact.get("name"),
        "priority": inner.get("priority_name"),
        "status": inner.get("status_name"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str) and value}
