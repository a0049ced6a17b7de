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
    denied,
    describe_actions,
    describe_denials,
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
def test_other_actions_need_a_grant_for_their_router(action: AnyAction, permission: str) -> None:
    line = f"FOXHOOKS_ALLOW=vip:{permission}"
    assert denied(action, "vip", NONE) == line
    assert denied(action, "vip", frozenset({("crm", permission), ("vip", "contacts")})) == line
    assert denied(action, "vip", frozenset({("vip", permission)})) == ""


def test_actions_are_described_with_the_setting_that_allows_them() -> None:
    actions: list[AnyAction] = [Tags(add=("vip",)), Reply("Hello"), Reply("Again"), OnOtherTicket(12, Move("Billing"))]

    assert describe_actions(actions, "vip") == (
        "tags, reply (allowed by FOXHOOKS_ALLOW=vip:reply), move on ticket 12 (allowed by FOXHOOKS_ALLOW=vip:move)"
    )
    assert describe_actions([], "vip") == "nothing"


def test_denials_are_described_with_the_missing_setting() -> None:
    assert describe_denials(("FOXHOOKS_ALLOW=vip:delete",)) == "; delete denied, add FOXHOOKS_ALLOW=vip:delete"
    assert describe_denials(()) == ""
