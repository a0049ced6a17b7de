"""A stored delivery as a command and as a test: both can be pasted and do the same as the delivery."""

import importlib
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from service.dashboard.copies import copies

SAMPLES = Path(__file__).parents[2] / "samples" / "deliveries"


#: A router that keeps the tickets that it sees.
ROUTER = """
from workers import Router, Ticket

seen = []
router = Router("vip")


@router.on("contact-replied", "ticket-created")
def see(ticket: Ticket) -> None:
    seen.append(ticket)
"""


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tickets that the module vip sees."""
    (tmp_path / "vip.py").write_text(ROUTER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "vip", raising=False)  # the example of this name
    return importlib.import_module("vip").seen


def event(body: str, source: str = "webhook") -> dict[str, str]:
    return {"body": body, "source": source}


def test_the_command_sends_the_same_body() -> None:
    body = json.dumps({"ticket_id": 3, "subject": 'it\'s $HOME `x` %s \\ "y"'})
    words = shlex.split(copies("acme corp", event(body))["send"])
    assert words == ["printf", "%s", body, "|", "foxhooks", "send", "--account", "acme corp", "-"]


@pytest.mark.parametrize("name", ["flat-contact-reply", "flat-creation"])
def test_the_test_runs_and_sees_the_ticket_of_the_delivery(seen: Any, name: str) -> None:
    body = (SAMPLES / f"{name}.json").read_text()
    written = copies("acme", event(body))["test"]
    found: dict[str, Any] = {}
    exec(written, found)
    found["test_ticket_3"]()
    [ticket] = seen
    assert (ticket.id, ticket.subject, ticket.priority.name) == (3, "Printer on fire", "High")


def test_what_is_no_delivery_of_a_webhook_has_no_copies() -> None:
    assert copies("acme", event("", "webhook")) == {}
    assert copies("acme", event("{}", "schedule")) == {}


def test_a_body_that_names_no_kind_of_change_has_only_a_command() -> None:
    for body in ("not JSON", '{"ticket_id": 3, "update": {"message_type": "New Thing"}}', "[]"):
        assert list(copies("acme", event(body))) == ["send"]
