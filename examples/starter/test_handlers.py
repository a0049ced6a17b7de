"""What the handlers and rules of this project do; pytest also runs the `[[test]]` tables of rules.toml."""

from handlers import router

from workers.testing import run, ticket


def test_a_vip_is_greeted() -> None:
    result = run(router, ticket(email="sam@bigcorp.example"), "ticket-created")
    assert result.tags_added == {"vip"}
    assert result.properties == {"priority": "High"}
    assert "within the hour" in result.notes[0]


def test_everyone_else_waits_in_line() -> None:
    assert run(router, ticket(email="sam@other.example"), "ticket-created").actions == ()


def test_a_closed_ticket_is_reopened_when_its_contact_replies() -> None:
    result = run(router, ticket(status="Closed"), "contact-replied", allow=["reply"])
    assert "we are on it again" in result.replies[0]
    assert result.properties == {"status": "In Progress"}
