"""Searches are built as documented, and HappyFox understands them."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.happyfox import ClientDesk
from workers.errors import Unfit
from workers.happyfox.search import SearchTerms, search, search_contacts
from workers.simulator.search import Term, parse_search


@pytest.mark.parametrize(
    ("built", "documented"),
    [
        (search(priority=["CRITICAL", "MEDIUM"]), 'priority:"CRITICAL","MEDIUM"'),
        (search(status=["New", "Closed"]), 'status:"New","Closed"'),
        (
            search(tag="routine_checks", status=["In Progress", "New"]),
            'tag:"routine_checks" status:"In Progress","New"',
        ),
        (search(created_on=date(2019, 1, 25)), 'created-on:"2019/01/25"'),
        (search(last_modified_on_or_before=date(2019, 1, 25)), 'last-modified-on-or-before:"2019/01/25"'),
        (search(id=["#DC00000001", 2]), "id:DC00000001,2"),
        (search(id=7), "id:7"),
        (search(has_attachments=True), "has_attachments:true"),
        (search(fields={"Team Name": "arsenal"}), '"Team Name":"arsenal"'),
        (search(fields={"Country": ["finland", "germany"]}), '"Country":"finland","germany"'),
        (search(fields={"Date Field": date(2019, 8, 23)}), '"Date Field":"08/23/2019"'),
        (
            search(contact="james@happyfox.com", fields={"Product Name": "Helpdesk"}),
            'contact:"james@happyfox.com" "Product Name":"Helpdesk"',
        ),
        (search("refund", "late", unresponded=False), "unresponded:false refund late"),
        (search_contacts(name="adam", email="adam@example.com"), "name:adam email:adam@example.com"),
        (search_contacts(phone="+1 123 1231234"), "phone:11231231234"),
        (search_contacts(phone="(030) 123-45.67"), "phone:0301234567"),
        (search_contacts("sam", name="Sam Reed"), 'name:"Sam Reed" sam'),
        (search_contacts(created_since=date(2026, 3, 1)), "created_since:2026/03/01"),
    ],
)
def test_a_search_is_written_as_documented(built: str, documented: str) -> None:
    assert built == documented


def test_a_date_given_as_text_is_refused() -> None:
    with pytest.raises(Unfit, match="created_on needs a date"):
        search(created_on="2026/03/01")  # type: ignore[arg-type]


def test_a_quotation_mark_and_an_empty_term_are_refused() -> None:
    wrong: list[SearchTerms] = [{"tag": 'a"b'}, {"status": []}, {"contact": ["ok", '"']}]
    for terms in wrong:
        with pytest.raises(Unfit):
            search(**terms)
    with pytest.raises(Unfit):
        search(fields={'a"': "b"})
    with pytest.raises(Unfit, match="digits"):
        search_contacts(phone="none")


WORDS = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["status", "priority", "tag", "assignee", "group", "contact"]), st.lists(WORDS, min_size=1)
    )
)
def test_the_simulator_understands_every_search_term(terms: dict[str, list[str]]) -> None:
    assert parse_search(search(**terms)) == [Term(name, tuple(values)) for name, values in terms.items()]  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.dictionaries(WORDS, WORDS, max_size=4))
def test_fields_of_any_name_are_understood(fields: dict[str, str]) -> None:
    assert parse_search(search(fields=fields)) == [Term(name, (value,)) for name, value in fields.items()]


def test_every_term_is_known_to_happyfox() -> None:
    desk = ClientDesk()
    number = desk.ticket(subject="Printer", tags=["vip"], due_date="2023-11-14")
    day = date(2023, 11, 14)
    dates: Any = {
        name: day
        for name in SearchTerms.__annotations__
        if "_on" in name and "staff" not in name and "closed" not in name
    }
    found = search(
        "printer", status="New", priority="Medium", tag="vip", assignee="none", group="Big Corp",
        contact="sam@bigcorp.example", id=number, duedate="today", unresponded=True, breached=False, **dates,
    )  # fmt: skip
    assert [ticket.id for ticket in desk.client.tickets(q=found)] == [number]
    assert list(desk.client.tickets(q=search(created_before=day))) == []
