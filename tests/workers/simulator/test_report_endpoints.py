import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator

HOUR = 3600


@pytest.fixture
def api(clock: FakeClock) -> Caller:
    """Ticket 1: Lin replies after an hour and closes it; 2: Ada replies after 30 hours; 3: no reply."""
    api = Caller(Simulator(clock))
    simulator = api.simulator
    simulator.create_ticket(assignee="Lin Wu", due_date="2023-12-24", subject="A")
    simulator.create_ticket(assignee="Ada King", subject="B")
    simulator.create_ticket("mia@smallshop.example", due_date="2023-11-20", subject="C")
    clock.now += HOUR
    body = {"staff": 2, "html": "x", "time_spent": 12}
    api.posted("ticket/1/staff_update/", body)
    simulator.contact_replies(1, "thanks")
    simulator.staff_updates(1, "Lin Wu", text="psst", private=True, status="Closed")
    clock.now += 29 * HOUR
    simulator.staff_updates(2, "Ada King", text="x")
    simulator.breach(2)
    return api


def test_a_summary_counts(api: Caller) -> None:
    assert api.got("report/1/") == {
        "ticket_count": 3,
        "completed_count": 1,
        "assigned_count": 2,
        "pending_count": 2,
        "unassigned_count": 1,
    }


def test_the_table_is_sorted_by_due_date_by_default(api: Caller) -> None:
    shown = api.got("report/1/tabulardata/", "size=2")
    assert shown == {
        "rows": [
            {
                "id": 3,
                "display_id": "#DC00000003",
                "subject": "C",
                "status_id": 1,
                "status_name": "New",
                "assignee": "-",
                "due_date": "20 Nov 2023",
            },
            {
                "id": 1,
                "display_id": "#DC00000001",
                "subject": "A",
                "status_id": 4,
                "status_name": "Closed",
                "assignee": "Lin Wu",
                "due_date": "24 Dec 2023",
            },
        ],
        "sort_key": "duedate",
        "sort_order": "a",
        "page_count": 2,
        "start_index": 1,
        "end_index": 2,
        "last_index": 3,
    }


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("sort_key=ticket&sort_dir=d", [3, 2, 1]),
        ("sort_key=status", [2, 3, 1]),
        ("sort_key=created", [1, 2, 3]),
        ("sort_key=assigned", [3, 2, 1]),
        ("sort_key=nonsense", [3, 1, 2]),
    ],
)
def test_the_table_is_sorted_by_its_keys(api: Caller, query: str, numbers: list[int]) -> None:
    assert [row["id"] for row in api.got("report/1/tabulardata/", query)["rows"]] == numbers


def test_responses_are_averaged_with_their_distribution(api: Caller) -> None:
    first, every, replies, closing = api.got("report/1/responsestats/")
    assert first == {
        "avg": 55800,
        "unit": "Responses",
        "average_first_response_time": [
            "50.0% responded after 24 hours",
            "0.0% responded within 24 hours",
            "50.0% responded within first 2 hours",
        ],
    }
    assert (every["avg"], replies["avg"], closing["avg"]) == (55800, 1, 1)
    assert "average_no_of_response_to_completed_state" in closing


def test_staff_are_shown_by_name_with_what_they_did(api: Caller) -> None:
    shown = api.got("report/1/staffactivity/", "sort_dir=d")
    assert [entry["name"] for entry in shown["staff_activity"]][:2] == ["Omar Haddad", "Lin Wu"]
    assert shown["staff_activity"][1] == {
        "staff_id": 2,
        "name": "Lin Wu",
        "assigned": 1,
        "private_notes": 1,
        "no_of_replies": 1,
        "completed": 1,
        "time_spent": 12,
        "participated": 1,
        "pending": 0,
    }
    performance = api.got("report/1/staffperformance/")["staff_performance"]
    (lin,) = (entry for entry in performance if entry["staff_id"] == 2)
    assert (lin["average_first_response_time"], lin["average_time_to_ticket_complete"]) == (HOUR, HOUR)
    assert (lin["average_time_spent"], lin["average_no_of_responses"]) == (12, 1)


def test_contacts_with_tickets_are_shown_by_name(api: Caller) -> None:
    mia, sam = api.got("report/1/customeractivity/")["customer_activity"]
    assert (mia["contact_id"], mia["no_of_tickets"]) == (2, 1)
    assert sam == {
        "contact_id": 1,
        "name": "Sam Reed",
        "email": "sam@bigcorp.example",
        "no_of_tickets": 2,
        "pending_tickets": 1,
        "completed_tickets": 1,
        "no_of_replies": 1,
        "time_spent": 12,
    }


def test_agreements_count_the_tickets_that_breached_them(api: Caller) -> None:
    assert api.got("report/1/slaentries/") == [
        {"name": "First reply", "target": 90, "achieved": 66.67, "ticketsChecked": 3, "ticketsBreached": 1}
    ]


@pytest.mark.parametrize(
    "path", ["responsestats", "staffperformance", "staffactivity", "customeractivity", "slaentries"]
)
def test_a_report_without_tickets_works(api: Caller, path: str) -> None:
    api.got(f"report/3/{path}/")
