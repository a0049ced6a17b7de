import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.happyfox import FakeClock
from workers.simulator import Hook, HookFault, Simulator, WebhookDelivery

SIGNATURE = "X-Happyfox-Webhook-Signature"
HOOK = Hook("http://hooks.example/acme", "hook-key")


def taken(simulator: Simulator) -> list[WebhookDelivery]:
    return simulator.take_deliveries()


def body(delivery: WebhookDelivery) -> Any:
    return json.loads(delivery.body)


def test_a_flat_creation_has_exactly_the_members_seen_in_production(simulator: Simulator) -> None:
    simulator.create_ticket(subject="Printer", priority="High")
    (delivery,) = taken(simulator)
    assert body(delivery) == {
        "event_type": "ticket-created",
        "ticket_id": 1,
        "display_id": "#DC00000001",
        "subject": "Printer",
        "priority_name": "High",
        "assignee_name": None,
        "client_details": {"name": "Sam Reed", "email": "sam@bigcorp.example"},
        "agent_ticket_url": "https://demo.happyfox.example/staff/ticket/1",
        "update": None,
    }


def test_a_flat_update_has_the_names_of_people_and_values(simulator: Simulator) -> None:
    simulator.create_ticket()
    simulator.contact_replies(1, "More")
    simulator.staff_updates(1, "Lin Wu", text="Sure", assignee="Lin Wu")
    simulator.staff_updates(1, "Lin Wu", text="psst", private=True)
    simulator.fire_rule(1, "Unresponded for 60 min", assignee="Ada King")
    updates = [body(delivery)["update"] for delivery in taken(simulator)[1:]]
    lin = {"type": "staff", "name": "Lin Wu"}
    assert updates == [
        {"message_type": "Client Reply", "by": {"type": "user", "name": "Sam Reed"}},
        {"message_type": "Staff Reply", "by": lin, "assignee_change": {"old": None, "new": "Lin Wu"}},
        {"message_type": "Private Note", "by": lin},
        {
            "by": {"type": "smartrule", "name": "Unresponded for 60 min"},
            "assignee_change": {"old": "Lin Wu", "new": "Ada King"},
        },
    ]


def test_the_rest_shape_is_the_ticket_as_the_api_shows_it(simulator: Simulator) -> None:
    simulator.set_hooks([replace(HOOK, shape="rest", underscores=True)])
    simulator.create_ticket()
    shown = body(taken(simulator)[0])
    assert (shown["event_type"], shown["id"], shown["updates"][0]["update_id"]) == ("ticket_created", 1, 1)
    assert shown["user"]["email"] == "sam@bigcorp.example"


def test_the_wrapped_shape_contains_the_ticket(simulator: Simulator) -> None:
    simulator.set_hooks([replace(HOOK, shape="wrapped", event_key="event")])
    simulator.create_ticket(tags=["a", "b"])
    shown = body(taken(simulator)[0])
    assert (shown["event"], shown["ticket"]["id"], shown["ticket"]["tags"]) == ("ticket_created", 1, ["a", "b"])
    assert {"timestamp", "webhook_id"} <= shown.keys()


def test_the_event_member_may_be_missing_or_renamed(simulator: Simulator) -> None:
    simulator.set_hooks([replace(HOOK, event_key=None), replace(HOOK, event_key="type")])
    simulator.create_ticket()
    without, renamed = taken(simulator)
    assert "event_type" not in body(without)
    assert body(renamed)["type"] == "ticket-created"


def test_a_flat_update_may_have_its_id(simulator: Simulator) -> None:
    simulator.set_hooks([replace(HOOK, update_id=True)])
    simulator.create_ticket()
    simulator.contact_replies(1, "x")
    assert body(taken(simulator)[1])["update"]["update_id"] == 2


@pytest.mark.parametrize("spelling", ["hex", "HEX", "sha1=hex", "base64", "base64-of-hex"])
def test_exactly_the_bytes_sent_are_signed(simulator: Simulator, spelling: str) -> None:
    simulator.set_hooks([replace(HOOK, spelling=spelling)])
    simulator.create_ticket("jose@cafe.example", subject="Café ☕")
    (delivery,) = taken(simulator)
    digest = hmac.digest(b"hook-key", delivery.body, hashlib.sha1)
    expected = {
        "hex": digest.hex(),
        "HEX": digest.hex().upper(),
        "sha1=hex": f"sha1={digest.hex()}",
        "base64": base64.b64encode(digest).decode(),
        "base64-of-hex": base64.b64encode(digest.hex().encode()).decode(),
    }
    assert delivery.headers[SIGNATURE] == expected[spelling]
    assert "Café ☕".encode() in delivery.body


def test_non_ascii_characters_may_be_escaped(simulator: Simulator) -> None:
    simulator.set_hooks([replace(HOOK, escape=True)])
    simulator.create_ticket(subject="Café")
    assert b"Caf\\u00e9" in taken(simulator)[0].body


def test_an_unknown_spelling_is_refused_with_the_list_of_spellings(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="there are hex, HEX"):
        simulator.set_hooks([replace(HOOK, spelling="rot13")])


def test_each_hook_receives_its_own_copy_of_the_events_it_wants(simulator: Simulator) -> None:
    simulator.set_hooks([replace(HOOK, events=("ticket-updated",)), replace(HOOK, url="http://b.example/")])
    simulator.create_ticket()
    simulator.contact_replies(1, "x")
    assert [(d.hook.url, d.label) for d in taken(simulator)] == [
        ("http://b.example/", "ticket-created"),
        ("http://hooks.example/acme", "ticket-updated"),
        ("http://b.example/", "ticket-updated"),
    ]


def test_each_delivery_is_taken_only_once(simulator: Simulator) -> None:
    simulator.create_ticket()
    assert len(taken(simulator)) == 1
    assert taken(simulator) == []


def test_a_dropped_delivery_is_only_logged(simulator: Simulator) -> None:
    simulator.hook_faults.add(HookFault("drop"))
    simulator.create_ticket()
    assert taken(simulator) == []
    assert [delivery.error for delivery in simulator.deliveries] == ["dropped"]


def test_a_duplicate_has_the_same_bytes(simulator: Simulator) -> None:
    simulator.hook_faults.add(HookFault("duplicate"))
    simulator.create_ticket()
    first, second = taken(simulator)
    assert (first.body, first.headers) == (second.body, second.headers)
    assert first.number != second.number


def test_a_delayed_delivery_is_due_later_and_taken_after_the_others(simulator: Simulator, clock: FakeClock) -> None:
    simulator.hook_faults.add(HookFault("delay", seconds=30, event="ticket-updated"))
    simulator.create_ticket()
    simulator.contact_replies(1, "late")
    simulator.contact_replies(1, "in time")
    assert [delivery.due - clock.now for delivery in taken(simulator)] == [0, 0, 30]


def test_a_reordered_delivery_waits_for_the_next_one(simulator: Simulator) -> None:
    simulator.hook_faults.add(HookFault("reorder"))
    simulator.create_ticket()
    assert taken(simulator) == []
    simulator.contact_replies(1, "x")
    assert [delivery.label for delivery in taken(simulator)] == ["ticket-updated", "ticket-created"]
    assert [delivery.label for delivery in simulator.deliveries] == ["ticket-updated", "ticket-created"]


def test_a_fault_can_corrupt_body_or_signature(simulator: Simulator) -> None:
    for kind in ("truncate", "wrong-key", "unsigned"):
        simulator.hook_faults.add(HookFault(kind))
    for _ in range(3):
        simulator.create_ticket()
    cut, forged, unsigned = taken(simulator)
    for delivery in (cut, forged):
        assert delivery.headers[SIGNATURE] != hmac.digest(b"hook-key", delivery.body, hashlib.sha1).hex()
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut.body)
    assert SIGNATURE not in unsigned.headers


def test_a_failed_delivery_is_not_tried_again_by_default(simulator: Simulator) -> None:
    simulator.create_ticket()
    simulator.delivered(taken(simulator)[0], 503)
    assert taken(simulator) == []
    assert simulator.deliveries[0].status == 503


def test_attempts_have_a_doubling_backoff_and_end_with_success(simulator: Simulator, clock: FakeClock) -> None:
    simulator.set_hooks([replace(HOOK, tries=4, backoff=5)])
    simulator.create_ticket()
    waits = []
    for answer in (None, 500, 204):
        (delivery,) = taken(simulator)
        waits.append(delivery.due - clock.now)
        clock.now = delivery.due
        simulator.delivered(delivery, answer, None if answer else "ConnectError: refused")
    assert waits == [0, 5, 10]
    assert taken(simulator) == []
    assert [(d.attempt, d.status) for d in simulator.deliveries] == [(1, None), (2, 500), (3, 204)]
    assert len({delivery.body for delivery in simulator.deliveries}) == 1


def test_webhooks_are_sent_after_the_write_is_visible(simulator: Simulator) -> None:
    simulator.set_hooks([replace(HOOK, shape="rest")])
    simulator.create_ticket()
    simulator.contact_replies(1, "x")
    assert len(body(taken(simulator)[1])["updates"]) == 2


def test_the_delivery_log_keeps_the_latest(clock: FakeClock) -> None:
    simulator = Simulator(clock, [HOOK], keep=2)
    for _ in range(5):
        simulator.create_ticket()
    assert [delivery.number for delivery in simulator.deliveries] == [4, 5]
