import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator


@pytest.fixture
def simulator(simulator: Simulator, clock: FakeClock) -> Simulator:
    """Create four tickets a day apart; the third is closed on the fifth day."""
    simulator.create_ticket(subject="Printer on fire", priority="High", tags=["vip", "Big deal"])
    clock.now += 86400
    simulator.create_ticket("mia@smallshop.example", subject="Where is my order?", fields={"Product": "Printer"})
    clock.now += 86400
    simulator.create_ticket(category="Billing", assignee="Lin Wu", fields={"Delivery date": "2023-12-24"})
    clock.now += 86400
    simulator.create_ticket("jose@cafe.example", text="Mi impresora está rota")
    clock.now += 86400
    simulator.staff_updates(3, "Ada King", text="Done.", status="Closed")
    return simulator


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [3, 4, 2, 1]),
        ("status=_all&sort=ticketa", [1, 2, 3, 4]),
        ("status=_pending", [4, 2, 1]),
        ("status=_completed", [3]),
        ("status=4", [3]),
        ("category=2", [3]),
        ("sort=last_modifiedd", [3, 4, 2, 1]),
        ("sort=createa", [1, 2, 3, 4]),
        ("sort=created", [4, 3, 2, 1]),
        ("sort=priorityd", [1, 4, 3, 2]),
        ("sort=clientd", [4, 2, 3, 1]),
        ("size=2&page=2", [2, 1]),
        ("size=2&page=9", []),
        ('q=tag:"Big+deal"', [1]),
        ("q=tag:vip", [1]),
        ("q=tag:VIP", []),
        ('q=status:"New","Closed"+priority:"High"', [1]),
        ("q=id:DC00000001,4", [4, 1]),
        ("q=assignee:none", [4, 2, 1]),
        ('q=assignee:"Wu"', [3]),
        ('q=contact:"sam@bigcorp.example"', [3, 1]),
        ('q=contact:"mia","555 0100"', [3, 2, 1]),
        ('q=created-on:"2023/11/15"', [2]),
        ('q=created-after:"2023/11/15"', [3, 4]),
        ('q=last-modified-on-or-before:"2023/11/15"', [2, 1]),
        ('q=last-closed-on-or-after:"2023/11/18"', [3]),
        ("q=unresponded:true", [4, 2, 1]),
        ('q=Product:"printer"', [2]),
        ('q="delivery date":"12/24/2023"', [3]),
        ("q=fire+PRINTER", [1]),
        ("q=impresora", [4]),
        ("q=nothing-like-it:x", []),
    ],
)
def test_the_list_filters_and_sorts_tickets(api: Caller, query: str, numbers: list[int]) -> None:
    listed = api.got("tickets/", query)
    assert [ticket["id"] for ticket in listed["data"]] == numbers


def test_the_envelope_reports_the_page(api: Caller) -> None:
    listed = api.got("tickets/", "size=3&page=2&status=_all")
    assert listed["page_info"] == {
        "count": 1,
        "last_index": 4,
        "page_count": 2,
        "start_index": 4,
        "end_index": 4,
    }
    assert listed["filters"] == {"status": "_all", "category": "_all", "q": "", "sort": "updated"}


def test_a_page_has_ten_tickets_by_default_and_fifty_at_most(api: Caller, simulator: Simulator) -> None:
    for _ in range(60):
        simulator.create_ticket()
    assert len(api.got("tickets/")["data"]) == 10
    assert len(api.got("tickets/", "size=100")["data"]) == 50


def test_lists_have_updates_with_their_links(api: Caller) -> None:
    assert len(api.got("tickets/")["data"][0]["updates"]) == 2
    assert "updates" not in api.got("tickets/", "fields=id,subject")["data"][0]


@pytest.mark.parametrize(("switch", "plain", "asked"), [("asked", False, True), ("never", False, False)])
def test_when_lists_have_updates_is_a_switch(clock: FakeClock, switch: str, plain: bool, asked: bool) -> None:
    api = Caller(Simulator(clock, list_updates=switch))
    api.simulator.create_ticket()
    assert ("updates" in api.got("tickets/")["data"][0]) is plain
    for parameter in ("show_updates=true", "include_updates=1"):
        assert ("updates" in api.got("tickets/", parameter)["data"][0]) is asked


def test_a_minified_list_has_only_numbers_and_fields_trim_the_others(api: Caller) -> None:
    assert api.got("tickets/", "minify_response=true")["data"] == [3, 4, 2, 1]
    assert api.got("tickets/", "fields=id,tags&sort=ticketa")["data"][0] == {"id": 1, "tags": "vip,Big deal"}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("staff", ["Ada King", "Lin Wu", "Omar Haddad", "Grace Park", "Foxhooks Bot"]),
        ("statuses", ["New", "In Progress", "On Hold", "Closed"]),
        ("priorities", ["Medium", "Critical", "High", "Low"]),
        ("categories", ["Default Category", "Billing", "Orders"]),
    ],
)
def test_reference_data_are_bare_lists(api: Caller, path: str, names: list[str]) -> None:
    assert [entry["name"] for entry in api.got(f"{path}/")] == names


@pytest.mark.parametrize("path", ["ticket_custom_fields", "user_custom_fields"])
def test_every_type_of_field_exists(api: Caller, path: str) -> None:
    fields = api.got(f"{path}/")
    assert {field["type"] for field in fields} == {"text", "number", "choice", "multiple_choice", "date"}
    assert {"id": 1, "text": fields[2]["choices"][0]["text"], "dependant_fields": []} in fields[2]["choices"]


def test_the_bot_is_staff_number_seven(api: Caller) -> None:
    bot = next(member for member in api.got("staff/") if member["id"] == 7)
    assert (bot["name"], bot["active"], "move_tickets" in bot["permissions"]) == ("Foxhooks Bot", True, True)
