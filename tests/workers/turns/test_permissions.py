import pytest

from workers.turns.intents import AnyIntent, Delete, Forward, Move, Note, Reply, Set, Subscribe, Tags
from workers.turns.permissions import denied

NONE: frozenset[tuple[str, str]] = frozenset()
GRANTED: list[tuple[AnyIntent, str]] = [
    (Reply("Hello"), "reply"),
    (Move("Billing"), "move"),
    (Forward(("a@example.com",), "s", "m"), "forward"),
    (Subscribe((7,)), "subscribe"),
    (Delete(), "delete"),
]


@pytest.mark.parametrize("intent", [Tags(add=("vip",)), Note("Hello"), Set({"status": "Closed"}, {"Plan": "Gold"})])
def test_tags_notes_and_properties_need_no_grant(intent: AnyIntent) -> None:
    assert denied(intent, "vip", NONE) == ""


@pytest.mark.parametrize(("intent", "permission"), GRANTED)
def test_the_rest_needs_a_grant_for_this_router(intent: AnyIntent, permission: str) -> None:
    line = f"FOXHOOKS_ALLOW=vip:{permission}"
    assert denied(intent, "vip", NONE) == line
    assert denied(intent, "vip", frozenset({("crm", permission), ("vip", "contacts")})) == line
    assert denied(intent, "vip", frozenset({("vip", permission)})) == ""
