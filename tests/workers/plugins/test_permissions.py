import pytest

from workers.plugins.actions import (
    AnyAction,
    Delete,
    Forward,
    Move,
    Note,
    OnOtherTicket,
    Reply,
    Set,
    Subscribe,
    Tags,
    denials,
    denied,
    wants,
)

NONE: frozenset[tuple[str, str]] = frozenset()
GRANTED: list[tuple[AnyAction, str]] = [
    (Reply("Hello"), "reply"),
    (Move("Billing"), "move"),
    (Forward(("a@example.com",), "s", "m"), "forward"),
    (Subscribe((7,)), "subscribe"),
    (Delete(), "delete"),
]


@pytest.mark.parametrize("action", [Tags(add=("vip",)), Note("Hello"), Set({"status": "Closed"}, {"Plan": "Gold"})])
def test_tags_notes_and_properties_need_no_grant(action: AnyAction) -> None:
    assert denied(action, "vip", NONE) == ""


@pytest.mark.parametrize(("action", "permission"), GRANTED)
def test_the_rest_needs_a_grant_for_this_router(action: AnyAction, permission: str) -> None:
    line = f"FOXHOOKS_ALLOW=vip:{permission}"
    assert denied(action, "vip", NONE) == line
    assert denied(action, "vip", frozenset({("crm", permission), ("vip", "contacts")})) == line
    assert denied(action, "vip", frozenset({("vip", permission)})) == ""


def test_what_is_wanted_is_said_with_the_line_that_allows_it() -> None:
    actions: list[AnyAction] = [Tags(add=("vip",)), Reply("Hello"), Reply("Again"), OnOtherTicket(12, Move("Billing"))]

    assert wants(actions, "vip") == (
        "tags, reply (allowed by FOXHOOKS_ALLOW=vip:reply), move on ticket 12 (allowed by FOXHOOKS_ALLOW=vip:move)"
    )
    assert wants([], "vip") == "nothing"


def test_what_is_denied_is_said_with_the_line_that_is_missing() -> None:
    assert denials(("FOXHOOKS_ALLOW=vip:delete",)) == "; delete denied, add FOXHOOKS_ALLOW=vip:delete"
    assert denials(()) == ""
