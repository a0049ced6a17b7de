import pytest

from workers.handlers.private_note import router
from workers.plugins.actions import Note
from workers.testing import run, ticket

MATCH = [
    {"on": "ticket-created", "contact_domain": "bigcorp.example", "note": "VIP: answer within <1 hour>."},
    {"text": "outage", "note": "Look at the status page.", "alert": "s"},
]


def test_every_entry_that_holds_writes_its_note() -> None:
    sam = ticket(email="sam@bigcorp.example", text="An outage?")
    result = run(router, sam, "ticket-created", settings={"match": MATCH})
    assert result.actions == (Note("VIP: answer within &lt;1 hour&gt;."), Note("Look at the status page.", alert="s"))


def test_an_entry_is_only_for_its_kinds() -> None:
    sam = ticket(email="sam@bigcorp.example")
    result = run(router, sam, "contact-replied", text="Hello?", settings={"match": MATCH})
    assert result.notes == ()
    assert result.skipped["private-note.note"].startswith(
        "match 1: no change is ticket-created; match 2: text does not"
    )


def test_without_a_table_nothing_happens() -> None:
    assert run(router, ticket(), "ticket-created").actions == ()


def test_an_empty_note_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="private-note, match 1: note is empty"):
        run(router, ticket(), "ticket-created", settings={"match": [{"note": " "}]})
