import pytest

from workers.plugins.actions import (
    PERMISSIONS,
    AnyAction,
    ContactReply,
    Create,
    Delete,
    Forward,
    Move,
    Note,
    OnOtherTicket,
    Reply,
    Set,
    SetContact,
    Subscribe,
    Tags,
    Unsubscribe,
    denied,
    describe_actions,
    describe_denials,
)
from workers.settings import Grants, Origin, parse

NONE: frozenset[tuple[str, str]] = frozenset()
GRANTED: list[tuple[AnyAction, str]] = [
    (Reply("Hello"), "reply"),
    (Move("Billing"), "move"),
    (Forward(("a@example.com",), "s", "m"), "forward"),
    (Subscribe((7,)), "subscribe"),
    (Unsubscribe((7,)), "subscribe"),
    (Delete(), "delete"),
    (ContactReply("Hello"), "reply-as-contact"),
    (SetContact({"name": "Sam"}), "contacts"),
    (Create({"subject": "x"}), "create"),
]


def test_the_permissions_are_those_that_actions_need() -> None:
    assert set(PERMISSIONS) == {permission for _, permission in GRANTED} == set(parse.PERMISSIONS)


@pytest.mark.parametrize("action", [Tags(add=("vip",)), Note("Hello"), Set({"status": "Closed"}, {"Plan": "Gold"})])
def test_tags_notes_and_properties_need_no_grant(action: AnyAction) -> None:
    assert denied(action, "vip", NONE) == ""


@pytest.mark.parametrize(("action", "permission"), GRANTED)
def test_other_actions_need_a_grant_for_their_router(action: AnyAction, permission: str) -> None:
    assert denied(action, "vip", NONE) == permission
    assert denied(action, "vip", frozenset({("crm", permission), ("vip", "other")})) == permission
    assert denied(action, "vip", frozenset({("vip", permission)})) == ""


def test_actions_are_described_with_the_setting_that_allows_them() -> None:
    actions: list[AnyAction] = [Tags(add=("vip",)), Reply("Hello"), Reply("Again"), OnOtherTicket(12, Move("Billing"))]
    file = Grants(NONE, Origin("permissions", "foxhooks.toml", has_members=True))

    assert describe_actions(actions, "vip", Grants()) == (
        "tags, reply (allowed by FOXHOOKS_ALLOW=vip:reply), move on ticket 12 (allowed by FOXHOOKS_ALLOW=vip:move)"
    )
    assert describe_actions(actions[:2], "vip", file) == "tags, reply (allowed by [permissions] vip in foxhooks.toml)"
    assert describe_actions([], "vip", Grants()) == "nothing"


def test_denials_are_described_with_the_setting_to_change() -> None:
    line = "FOXHOOKS_ALLOW=vip:delete,vip:move"
    assert describe_denials(("delete", "move"), line) == f"; delete and move denied, set {line}"
    assert describe_denials((), "") == ""
