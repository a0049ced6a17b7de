"""Every method of the client against the simulator: its call and its answer."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.support.happyfox import STAFF, ClientDesk
from workers.errors import CheckCredentials, Gone, Refused
from workers.happyfox.endpoints import ENDPOINTS, Client, Endpoint
from workers.happyfox.messages import File

DOCS = Path(__file__).parents[3] / "docs" / "api.md"
SAM = 1

Try = Callable[[Client, int], Any]

#: For each method: how it is called on ticket n, and what holds of what it gives.
TRIES: dict[str, tuple[Try, Callable[[Any], object]]] = {
    "tickets": (
        lambda hf, n: hf.tickets(status="_pending", updates=True),
        lambda page: page.total == 2 and page.items[0].history,
    ),
    "ticket": (
        lambda hf, n: hf.ticket(n),
        lambda ticket: ticket.subject == "Help" and ticket.contact.name == "Sam Reed",
    ),
    "create_ticket": (
        lambda hf, n: hf.create_ticket(
            {"client": SAM, "subject": "New", "text": "x", "category": 1, "tags": ["a", "b"]}
        ),
        lambda ticket: ticket.tags == {"a", "b"} and ticket.source == "TKT_CREATION_API",
    ),
    "create_tickets": (
        lambda hf, n: hf.create_tickets(
            [{"client": SAM, "subject": "1", "text": "x", "category": 1}, {"subject": "2", "category": 1}]
        ),
        lambda results: [each.state for each in results] == ["done", "refused"] and results[1].problems,
    ),
    "inline_attachment": (
        lambda hf, n: hf.inline_attachment(File("a.png", content=b"png", content_type="image/png")),
        lambda url: url.startswith("https://demo.happyfox.example/get_hdp"),
    ),
    "staff_update": (
        lambda hf, n: hf.staff_update(
            n, html="<p>Hi</p>", status=4, assignee=2, due_date=date(2026, 3, 1), time_spent=5
        ),
        lambda ticket: (
            ticket.status.closed and ticket.assignee.name == "Lin Wu" and ticket.due_date == date(2026, 3, 1)
        ),
    ),
    "private_note": (
        lambda hf, n: hf.private_note(n, text="psst", alert="s", priority=3),
        lambda ticket: ticket.history[-1].message.private and ticket.priority.name == "High",
    ),
    "contact_reply": (
        lambda hf, n: hf.contact_reply(n, contact=SAM, text="Still broken", cc=["a@x.example"]),
        lambda ticket: ticket.history[-1].author == "contact" and ticket.unresponded,
    ),
    "update_custom_fields": (
        lambda hf, n: hf.update_custom_fields(n, {"t-cf-1": "late", "t-cf-4": [1, 2]}),
        lambda ticket: ticket.fields["Refund reason"] == "late" and ticket.fields["Regions"] == "North, South",
    ),
    "update_tags": (
        lambda hf, n: hf.update_tags(n, add=["vip", "x"], remove=["x"]),
        lambda ticket: "vip" in ticket.tags,
    ),
    "subscribe": (lambda hf, n: hf.subscribe(n, 2, 3), lambda said: "Lin Wu" in said.text),
    "unsubscribe": (lambda hf, n: hf.unsubscribe(n, 2), lambda said: said.text == "Lin Wu unsubscribed"),
    "forward_ticket": (
        lambda hf, n: hf.forward_ticket(n, to=["a@x.example"], subject="s", message="m", include_pvt_notes=False),
        lambda said: said.text.startswith("Successfully forwarded"),
    ),
    "move_ticket": (
        lambda hf, n: hf.move_ticket(n, 2, note="why", assign_to=2),
        lambda said: said.text == "moved ticket to Billing",
    ),
    "delete_ticket": (lambda hf, n: hf.delete_ticket(n), lambda said: said.text == "#DC00000001"),
    "ticket_custom_fields": (
        lambda hf, n: hf.ticket_custom_fields(),
        lambda fields: fields[2].choices[0].name == "Printer" and fields[6].needed_to_close and fields[5].required,
    ),
    "update_choices": (
        lambda hf, n: hf.update_choices(3, [{"id": 1, "text": "Printer"}, {"id": None, "text": "Plotter"}]),
        lambda field: [choice.name for choice in field.choices] == ["Printer", "Plotter"],
    ),
    "contacts": (
        lambda hf, n: hf.contacts(q="name:sam"),
        lambda page: [contact.name for contact in page] == ["Sam Reed"],
    ),
    "contact": (
        lambda hf, n: hf.contact("sam@bigcorp.example"),
        lambda sam: (
            sam.groups[0].name == "Big Corp" and sam.primary_phone.number == "555 0100" and sam.fields["Plan"] == "Gold"
        ),
    ),
    "create_or_edit_contact": (
        lambda hf, n: hf.create_or_edit_contact(
            name="Kim", email="kim@x.example", phones=[{"number": "1"}], reset=True
        ),
        lambda kim: kim.name == "Kim" and kim.phones[0].kind == "o",
    ),
    "edit_contact": (
        lambda hf, n: hf.edit_contact(SAM, name="Samuel Reed", email="sam@bigcorp.example"),
        lambda sam: sam.name == "Samuel Reed" and sam.fields["Plan"] == "Gold",
    ),
    "create_or_edit_contacts": (
        lambda hf, n: hf.create_or_edit_contacts(
            [{"name": "K", "email": "k@x.example"}, {"email": "rubbish"}], reset=True
        ),
        lambda results: [each.ok for each in results] == [True, False] and results[0].name == "k@x.example",
    ),
    "set_login": (lambda hf, n: hf.set_login("sam@bigcorp.example", False), lambda sam: sam.id == SAM),
    "contact_custom_fields": (
        lambda hf, n: hf.contact_custom_fields(),
        lambda fields: fields[2].choices[2].name == "Gold",
    ),
    "contact_groups": (lambda hf, n: hf.contact_groups(), lambda groups: groups[0].domains == ("bigcorp.example",)),
    "contact_group": (lambda hf, n: hf.contact_group(1), lambda group: group.contacts == (SAM,)),
    "create_contact_group": (
        lambda hf, n: hf.create_contact_group("VIP", description="d", tagged_domains=["a.example", "b.example"]),
        lambda group: group.name == "VIP" and group.domains == ("a.example", "b.example"),
    ),
    "edit_contact_group": (
        lambda hf, n: hf.edit_contact_group(1, description="big"),
        lambda group: group.description == "big",
    ),
    "add_contacts_to_group": (
        lambda hf, n: hf.add_contacts_to_group(1, [2, {"contact": 99}], access_tickets=True),
        lambda results: [each.state for each in results] == ["done", "refused"] and results[0].id == 2,
    ),
    "remove_contacts_from_group": (
        lambda hf, n: hf.remove_contacts_from_group(1, [SAM, 2, 99]),
        lambda results: (
            [each.ok for each in results] == [True, False, False] and "not part" in results[1].problems[0][1]
        ),
    ),
    "categories": (
        lambda hf, n: hf.categories(),
        lambda categories: categories[1].name == "Billing" and categories[1].public,
    ),
    "staff": (lambda hf, n: hf.staff(), lambda staff: staff[0].admin and "move_tickets" in staff[0].permissions),
    "statuses": (lambda hf, n: hf.statuses(), lambda statuses: statuses[3].closed and statuses[0].default),
    "priorities": (lambda hf, n: hf.priorities(), lambda priorities: priorities[2].name == "High"),
    "assets": (lambda hf, n: hf.assets(asset_type=1), lambda page: page.items[0].fields["Serial number"] == "C034"),
    "asset": (
        lambda hf, n: hf.asset(1),
        lambda asset: asset.kind.name == "General" and asset.contacts[0].name == "Sam Reed",
    ),
    "create_asset": (
        lambda hf, n: hf.create_asset(1, name="Dock", display_id="D-1", contact_ids=[SAM], custom_fields={4: 2}),
        lambda asset: asset.created_by == STAFF and asset.created_at is not None and asset.fields["Units"] == "2",
    ),
    "update_asset": (lambda hf, n: hf.update_asset(1, name="Old laptop"), lambda asset: asset.name == "Old laptop"),
    "delete_asset": (lambda hf, n: hf.delete_asset(1), lambda said: said.text == ""),
    "asset_custom_fields": (
        lambda hf, n: hf.asset_custom_fields(asset_type=1),
        lambda page: page.items[0].choices[0].name == "Laptop",
    ),
    "asset_custom_field": (lambda hf, n: hf.asset_custom_field(2), lambda field: field.kind == "textarea"),
    "asset_types": (lambda hf, n: hf.asset_types(), lambda page: [kind.name for kind in page] == ["General", "Device"]),
    "asset_type": (lambda hf, n: hf.asset_type(1), lambda kind: kind.settings["enable_ticket_association"]),
    "articles": (
        lambda hf, n: hf.articles(),
        lambda articles: [article.name for article in articles] == ["Welcome", "Paper jams"],
    ),
    "internal_articles": (
        lambda hf, n: hf.internal_articles(),
        lambda articles: articles[0].name == "Who repairs printers",
    ),
    "sections": (lambda hf, n: hf.sections(), lambda sections: sections[1].articles[0].name == "Paper jams"),
    "article": (lambda hf, n: hf.article(1), lambda article: article.contents == "<p>Hello, and welcome.</p>"),
    "section": (lambda hf, n: hf.section(1), lambda section: section.name == "Getting started"),
    "reports": (lambda hf, n: hf.reports(), lambda page: page.total == 3 and page.items[0].name == "All tickets"),
    "report": (lambda hf, n: hf.report(1), lambda counts: (counts.tickets, counts.pending) == (2, 2)),
    "tabular_data": (
        lambda hf, n: hf.tabular_data(1, sort_key="ticket", sort_dir="d", period_type="cr", period="ytd"),
        lambda page: (
            [row.id for row in page] == [2, 1]
            and page.items[0].due_date == date(2026, 4, 24)
            and page.items[1].assignee == ""
        ),
    ),
    "response_stats": (
        lambda hf, n: hf.response_stats(1),
        lambda stats: len(stats) == 4 and len(stats[0].sentences) == 3,
    ),
    "staff_performance": (
        lambda hf, n: hf.staff_performance(1),
        lambda page: "average_response_time" in page.items[0].numbers,
    ),
    "staff_activity": (lambda hf, n: hf.staff_activity(1), lambda page: page.items[0].numbers["assigned"] == 0),
    "contact_activity": (
        lambda hf, n: hf.contact_activity(1),
        lambda page: page.items[-1].email == "sam@bigcorp.example" and page.items[-1].numbers["no_of_tickets"] == 1,
    ),
    "sla_entries": (
        lambda hf, n: hf.sla_entries(1),
        lambda entries: entries[0].tickets_checked == 2 and entries[0].target == 90,
    ),
}


def desk() -> tuple[ClientDesk, int]:
    desk = ClientDesk()
    number = desk.ticket(tags=["x"])
    desk.ticket(email="mia@smallshop.example", due_date="2026-04-24")
    return desk, number


def shape(path: str) -> str:
    """A path with whatever stands for an id."""
    return re.sub(r"<[^>]*>|(?<=/)\d+(?=/|$)|(?<=/)[^/]+@[^/]+", "*", path)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_an_endpoint_is_called_and_its_answer_read(endpoint: Endpoint) -> None:
    account, number = desk()
    call, holds = TRIES[endpoint.name]
    given = call(account.client, number)
    request = account.asked[-1]
    assert (request.method, shape(request.path)) == (endpoint.method, shape(endpoint.path))
    assert holds(given), given


def test_every_documented_endpoint_has_a_method() -> None:
    assert len(ENDPOINTS) == 56
    assert {endpoint.name for endpoint in ENDPOINTS} == TRIES.keys()


def test_the_page_of_the_documentation_lists_them_all() -> None:
    rows = re.findall(r"^\| (KB [^|]*) \| `(\w+) ([^`]*)` \| `(\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert rows == [(each.source, each.method, each.path, each.name) for each in ENDPOINTS]
    assert len(rows) == 56


@pytest.mark.parametrize(
    "call",
    [
        lambda hf: hf.ticket(99),
        lambda hf: hf.staff_update(99, text="x"),
        lambda hf: hf.delete_ticket(99),
        lambda hf: hf.contact(99),
        lambda hf: hf.contact("nobody@x.example"),
        lambda hf: hf.edit_contact(99, name="x"),
        lambda hf: hf.contact_group(99),
        lambda hf: hf.add_contacts_to_group(99, [1]),
        lambda hf: hf.asset(99),
        lambda hf: hf.asset_custom_field(99),
        lambda hf: hf.assets(asset_type=99),
        lambda hf: hf.article(99),
        lambda hf: hf.report(99),
        lambda hf: hf.tabular_data(99),
        lambda hf: hf.update_choices(99, [{"id": None, "text": "x"}]),
        lambda hf: hf.tickets(page=99),
        lambda hf: hf.contacts(page=99),
    ],
)
@pytest.mark.parametrize("past", ["empty", "missing"])
def test_a_missing_object_is_gone(call: Callable[[Client], Any], past: str) -> None:
    with pytest.raises(Gone, match=r"no such object|no page 99"):
        call(ClientDesk({"past_the_end": past}).client)


def test_deleting_an_unknown_ticket_is_gone_by_either_status() -> None:
    for status in (404, 400):
        account = ClientDesk({"gone_status": status})
        number = account.ticket()
        with pytest.raises(Gone):
            account.client.delete_ticket(99)
        with pytest.raises(Refused, match="staff_id"):
            account.client.delete_ticket(number, staff=99)


def test_a_refusal_names_the_fields() -> None:
    account, number = desk()
    with pytest.raises(Refused) as refused:
        account.client.create_ticket({"subject": "s", "category": 3, "text": "t", "client": SAM})
    assert refused.value.problems == (("t-cf-6", "This field is required"),)
    with pytest.raises(Refused, match="status"):
        account.client.staff_update(number, status=99)
    with pytest.raises(CheckCredentials):
        account.client.move_ticket(number, 2, staff=4)


def test_an_update_that_changes_nothing_succeeds() -> None:
    account = ClientDesk({"nothing_to_update": True})
    number = account.ticket()
    assert account.client.staff_update(number, status=1).id == number


@pytest.mark.parametrize("path", ["singular", "plural"])
def test_an_asset_field_is_found_under_either_spelling_of_its_path(path: str) -> None:
    account = ClientDesk({"asset_field_path": path})
    assert account.client.asset_custom_field(2).name == "Description"
    assert len(account.asked) == (1 if path == "singular" else 2)


@pytest.mark.parametrize(
    "options", [{"articles_paged": True}, {"members_of_groups": "ids"}, {"list_updates": "always"}]
)
def test_undocumented_shapes_are_read_either_way(options: dict[str, Any]) -> None:
    account = ClientDesk(options)
    number = account.ticket()
    assert [article.id for article in account.client.articles()] == [1, 2]
    assert account.client.contact_group(1).contacts == (SAM,)
    assert [ticket.id for ticket in account.client.tickets()] == [number]


def test_a_list_that_comes_in_pages_after_all_is_read_to_its_end() -> None:
    account = ClientDesk({"articles_paged": True})
    first = account.simulator.account.articles[1]
    account.simulator.account.articles = {number: {**first, "id": number} for number in range(1, 36)}
    assert [article.id for article in account.client.articles()] == list(range(1, 36))


def test_a_misspelt_argument_is_refused_before_sending() -> None:
    account = ClientDesk()
    hf: Any = account.client
    calls: tuple[Callable[[], object], ...] = (
        lambda: hf.staff_update(1, txt="x"),
        lambda: hf.private_note(1, textt="x"),
        lambda: hf.tickets(statuss="x"),
        lambda: hf.forward_ticket(1, to="a", subject="s", message="m", ccc="x"),
        lambda: hf.edit_contact(1, emial="x"),
        lambda: hf.update_asset(1, nmae="x"),
        lambda: hf.sla_entries(1, perid="l7d"),
    )
    for call in calls:
        with pytest.raises(TypeError, match="did you mean"):
            call()
    assert account.asked == []


def test_the_contact_call_that_resets_fields_warns_and_the_other_does_not() -> None:
    account = ClientDesk()
    with pytest.warns(UserWarning, match="edit_contact"):
        reset = account.client.create_or_edit_contact(name="Sam Reed", email="sam@bigcorp.example")
    assert reset.fields["Plan"] == ""
    kept = account.client.edit_contact(SAM, fields={"c-cf-3": 2})
    assert account.client.edit_contact(SAM, name="Sam").fields == kept.fields


def test_a_phone_is_changed_without_a_warning() -> None:
    account = ClientDesk()
    sam = account.client.contact(SAM)
    changed = account.client.change_phone(sam, {"id": 1, "type": "w", "number": "555 0199"})
    assert (changed.primary_phone and changed.primary_phone.number, changed.fields["Plan"]) == ("555 0199", "Gold")
