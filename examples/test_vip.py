"""Tests of `vip.py`."""

from vip import router

from workers.testing import run, ticket


def test_vip() -> None:
    result = run(router, ticket(email="sam@bigcorp.example", subject="Help"), "ticket-created")
    assert result.tags_added == {"vip"}
    assert result.properties == {"priority": "High"}
    assert "within the hour" in result.notes[0]
    assert result.skipped == {}


def test_tickets_of_other_contacts_are_not_changed() -> None:
    assert run(router, ticket(email="kim@example.org"), "ticket-created").actions == ()


def test_a_closed_ticket_is_reopened_when_its_contact_replies() -> None:
    result = run(router, ticket(status="Closed"), "contact-replied", text="It broke again.", allow=["reply"])
    assert result.replies == ("Thank you, we are on it again.",)
    assert result.properties == {"status": "In Progress"}


def test_an_open_ticket_is_not_changed() -> None:
    result = run(router, ticket(status="New"), "contact-replied", text="Any news?", allow=["reply"])
    assert set(result.skipped) == {"vip.reopen"}


def test_without_the_grant_no_reply_is_sent() -> None:
    result = run(router, ticket(status="Closed"), "contact-replied")
    assert result.replies == ()
    assert result.denied == {"vip.reopen": ["FOXHOOKS_ALLOW=vip:reply"]}
