from datetime import date

from workers.testing import NOON, ticket


def test_a_ticket_has_the_given_properties() -> None:
    made = ticket(
        id=12,
        email="kim@example.org",
        name="Kim Roe",
        subject="Printer",
        text="It broke.",
        status="On Hold",
        priority="High",
        category="Orders",
        assignee="Ada King",
        tags=["a", "B"],
        fields={"Plan": "Gold", "Count": 3},
        groups=["EU"],
        due_date=date(2026, 2, 3),
        unresponded=False,
    )
    assert (made.id, made.contact.email, made.contact.domain, made.contact.name) == (
        *(12, "kim@example.org", "example.org", "Kim Roe"),
    )
    assert (made.subject, made.first_message, made.message) == ("Printer", "It broke.", "It broke.")
    assert (made.status.name, made.status.closed) == ("On Hold", False)
    assert (made.priority.name, made.category.name) == ("High", "Orders")
    assert made.assignee is not None
    assert made.assignee.name == "Ada King"
    assert made.tags == {"a", "B"}
    assert made.fields == {"Plan": "Gold", "Count": "3"}
    assert made.contact.groups == ("EU",)
    assert (made.due_date, made.created_at, made.unresponded) == (date(2026, 2, 3), NOON, False)


def test_raw_members_take_precedence() -> None:
    made = ticket(status="New", raw={"status": {"id": 4, "name": "Closed", "behavior": "completed"}, "user": None})
    assert (made.status.id, made.status.closed, made.contact.email) == (4, True, "")


def test_a_single_tag_or_group_can_be_a_string() -> None:
    made = ticket(tags="vip", groups="EU")
    assert (made.tags, made.contact.groups) == ({"vip"}, ("EU",))
