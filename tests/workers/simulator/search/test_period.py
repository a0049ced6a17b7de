import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator

DAY = 86_400


@pytest.fixture
def api(clock: FakeClock) -> Caller:
    """Made: ticket 1 last month, 2 six days ago, 3 seven days ago (closed yesterday), 4 today."""
    api = Caller(Simulator(clock))
    now = clock.now
    simulator = api.simulator
    for ago in (20, 6, 7, 0):
        clock.now = now - ago * DAY
        simulator.create_ticket(category="Billing" if ago == 7 else 1)
    clock.now = now - DAY
    simulator.staff_updates(3, status="Closed", assignee="Lin Wu")
    clock.now = now
    simulator.staff_updates(2, text="x")
    simulator.staff_updates(1, text="x", private=True)
    simulator.contact_replies(3, "x")
    return api


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4]),
        ("period_date_range_type=tod", [4]),
        ("period_date_range_type=l7d", [2, 4]),
        ("period_date_range_type=mtd", [2, 3, 4]),
        ("period_date_range_type=ytd", [1, 2, 3, 4]),
        ("period_date_range_type=pm", [1]),
        ("period_date_range_type=sr&period_start=2023-11-07&period_end=2023-11-08", [2, 3]),
        ("period_date_range_type=sr&period_start=2023-11-07", [1, 2, 3, 4]),
        ("period_date_range_type=l7d&period_type=as", [3]),
        ("period_date_range_type=tod&period_type=str", [2]),
        ("period_date_range_type=tod&period_type=cur", [3, 4]),
        ("period_date_range_type=tod&period_type=prs", [1]),
        ("period_date_range_type=tod&period_type=srp", [1, 2]),
        ("period_date_range_type=l7d&period_type=cl", [3]),
    ],
)
def test_a_period_chooses_tickets_by_what_happened_in_it(api: Caller, query: str, numbers: list[int]) -> None:
    rows = api.got("report/1/tabulardata/", f"sort_key=ticket&{query}")["rows"]
    assert [row["id"] for row in rows] == numbers


def test_a_report_has_conditions_of_its_own(api: Caller) -> None:
    assert [row["id"] for row in api.got("report/2/tabulardata/")["rows"]] == [3]
