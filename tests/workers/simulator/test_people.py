import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator


def test_actions_of_people_are_not_counted_or_logged(simulator: Simulator, clock: FakeClock) -> None:
    simulator.create_ticket()
    simulator.contact_replies(1, "x")
    assert simulator.log == []
    assert simulator.gate.used("post", clock.now) == 0


def test_a_ticket_by_mail_creates_its_contact(simulator: Simulator) -> None:
    ticket = simulator.create_ticket("ann@new.example", subject="S", text="T", category="billing")
    assert simulator.account.contacts[ticket.contact].name == "Ann"
    assert (ticket.display_id, ticket.category) == ("#BI00000001", 2)


def test_names_are_found_in_any_case_and_by_mail(simulator: Simulator) -> None:
    simulator.create_ticket()
    ticket = simulator.staff_updates(1, "LIN@support.example", status="on hold", assignee=7, due_date="2024-01-01")
    assert (ticket.status, ticket.assignee, ticket.due_date) == (3, 7, "2024-01-01")
    assert ticket.updates[-1].shown["by"]["name"] == "Lin Wu"


def test_fields_and_choices_can_be_given_by_name(simulator: Simulator) -> None:
    simulator.create_ticket(fields={"product": "Scanner", "Regions": ["East", "West"]})
    ticket = simulator.staff_updates(1, fields={"Amount": 3, "Product": None})
    assert ticket.fields == {2: 3, 3: None, 4: (3, 4)}


def test_a_rule_shows_its_name_and_can_add_notes_and_changes(api: Caller, simulator: Simulator) -> None:
    simulator.create_ticket()
    simulator.fire_rule(1, "Night shift", note="Handed over.", priority="Critical", add_tags=["night"])
    ticket = api.got("ticket/1/")
    update = ticket["updates"][-1]
    assert update["by"] == {"id": None, "name": "Night shift", "email": None, "type": "smartrule"}
    assert (update["message"]["message_type"], update["priority_change"]["new_name"]) == ("p", "Critical")
    assert (ticket["tags"], ticket["unresponded"]) == ("night", True)


def test_another_contact_may_reply(simulator: Simulator) -> None:
    simulator.create_ticket()
    ticket = simulator.contact_replies(1, html="<p>Me too</p>", email="mia@smallshop.example")
    assert ticket.updates[-1].shown["by"]["id"] == 2


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"status": "Solved"}, "there are New, In Progress, On Hold, Closed"),
        ({"staff": "Nobody"}, "there are Ada King"),
        ({"ticket": 9}, "There is no ticket 9"),
        ({"fields": {"Colour": "red"}}, "there are Refund reason"),
    ],
)
def test_an_unknown_name_is_a_lookup_error_that_lists_the_names(
    simulator: Simulator, edit: dict[str, object], says: str
) -> None:
    simulator.create_ticket()
    with pytest.raises(LookupError, match=says):
        simulator.staff_updates(**{"ticket": 1, **edit})  # type: ignore[arg-type]


def test_webhooks_report_late_tickets_and_updates_before_reads_show_them(
    api: Caller, simulator: Simulator, clock: FakeClock
) -> None:
    simulator.create_ticket(late=5)
    assert len(simulator.take_deliveries()) == 1
    assert api.get("ticket/1/").status == 404
    assert api.got("tickets/")["data"] == []
    clock.now += 5
    simulator.contact_replies(1, "later", late=5)
    assert len(simulator.take_deliveries()) == 1
    assert len(api.got("ticket/1/")["updates"]) == 1
    clock.now += 5
    assert len(api.got("ticket/1/")["updates"]) == 2


def test_a_wrong_name_creates_no_contact(simulator: Simulator) -> None:
    with pytest.raises(LookupError):
        simulator.create_ticket("new@new.example", category="Nowhere")
    assert simulator.account.contact_by_email("new@new.example") is None


def test_a_wrong_value_is_a_value_error_and_changes_nothing(simulator: Simulator) -> None:
    before = simulator.create_ticket()
    with pytest.raises(ValueError, match="not a date"):
        simulator.staff_updates(1, due_date="soon")
    with pytest.raises(ValueError, match="valid choice"):
        simulator.staff_updates(1, fields={"Product": "Toaster"})
    assert simulator.account.tickets[1] is before


def test_a_ticket_needs_a_message(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="set text or html"):
        simulator.create_ticket(text="")
