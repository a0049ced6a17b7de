"""Reading any answer of HappyFox returns a value or None and never fails."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.happyfox.assets import read_asset, read_asset_type
from workers.happyfox.base import read_confirmation, read_page, read_results
from workers.happyfox.contacts import read_contact, read_group
from workers.happyfox.knowledge import read_article, read_section
from workers.happyfox.reference import read_category, read_field, read_priority, read_staff, read_status
from workers.happyfox.reports import read_counts, read_person, read_report, read_report_ticket, read_sla, read_stat
from workers.tickets.model import read_ticket

READERS: list[Callable[[Any], Any]] = [
    *(read_article, read_section, read_asset, read_asset_type, read_contact, read_group),
    *(read_category, read_field, read_priority, read_staff, read_status),
    *(read_counts, read_person, read_report, read_report_ticket, read_sla, read_stat, read_confirmation),
]
NAMES = st.sampled_from(
    [
        *("id", "name", "type", "choices", "custom_fields", "value", "phones", "primary_phone"),
        *("contact_groups", "role", "categories", "permissions", "asset_type", "contacts", "settings", "articles"),
        *("rows", "avg", "due_date", "page_info", "data", "last_index", "success", "error"),
        *("created_at", "tagged_domains", "number", "ticket_count", "updates", "update_id", "by", "message"),
        *("attachments", "status_change", "new", "old", "tags", "user", "status"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just("²"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@settings(max_examples=50, deadline=None)
@given(answer=VALUES | OBJECTS)
def test_reading_never_fails(read: Callable[[Any], Any], answer: Any) -> None:
    read(answer)
    read_page(answer, read)
    read_page(answer, read, "rows")


@settings(max_examples=50, deadline=None)
@given(answer=OBJECTS)
def test_a_ticket_with_any_content_can_be_read(answer: dict[str, Any]) -> None:
    assert read_ticket({**answer, "id": 3}).id == 3


@settings(max_examples=50, deadline=None)
@given(answer=VALUES, count=st.integers(0, 5))
def test_a_bulk_call_has_a_result_for_each_item_whatever_the_answer(answer: Any, count: int) -> None:
    results = read_results(answer, range(count))
    assert [result.index for result in results] == list(range(count))
    assert {result.state for result in results} <= {"done", "refused", "in doubt"}


def test_a_signed_link_is_not_shown() -> None:
    link = "https://storage.example/a?signature=secret"
    message = {"text": "x", "attachments": [{"id": 1, "filename": "a", "url": link}]}
    ticket = read_ticket({"id": 3, "updates": [{"update_id": 5, "message": message}]})
    (update,) = ticket.history
    assert update.message
    assert update.message.attachments[0].url == link
    assert "secret" not in repr(ticket) + repr(update)


def test_days_of_reports_and_percentages_are_read() -> None:
    update = read_report_ticket({"id": 1, "assignee": "-", "due_date": "24 Apr 2019"})
    assert update
    assert (update.assignee, update.due_date) == ("", date(2019, 4, 24))
    entry = read_sla({"name": "First reply", "target": "90%", "achieved": 87.5, "ticketsChecked": "8"})
    assert entry
    assert (entry.target, entry.achieved, entry.tickets_checked, entry.tickets_breached) == (90.0, 87.5, 8, None)


@pytest.mark.parametrize(
    ("raw", "into"),
    [(None, None), ("", None), (7, 7), ("7", 7), ({"id": 7}, 7), ({"display_id": "#DE00000007"}, 7), ("?", 0)],
)
def test_the_number_of_a_merged_ticket_is_read_in_any_form(raw: Any, into: int | None) -> None:
    read = read_ticket({"id": 1, "merged_to": raw, "merged_tickets": [raw]})
    assert (read.merged_to, read.merged) == (into, (7,) if into else ())


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Sam Reed", "Sam"),
        ("  Sam   Reed ", "Sam"),
        ("Sam", "Sam"),
        ("Reed, Sam", "Sam"),
        ("Reed, Sam J.", "Sam"),
        ("Dr. Sam Reed", "Sam"),
        ("Herr Prof. Dr. Sam Reed", "Sam"),
        ("Jean-Luc Picard", "Jean-Luc"),
        ("S. Reed", ""),
        ("sam.reed@example.com", ""),
        ("Dr. Reed", ""),
        ("", ""),
    ],
)
def test_the_first_name_is_empty_if_it_is_not_known(name: str, first: str) -> None:
    ticket = read_ticket({"id": 1, "user": {"id": 5, "name": name}, "assigned_to": {"id": 1, "name": name}})
    assert ticket.contact.first_name == first
    assert ticket.assignee is not None
    assert ticket.assignee.first_name == first
