"""`foxhooks api` lists the endpoints, calls them, and says what is wrong in words for a person."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from service.commands.api import FILES, SEARCHES, WALKS, read_arguments
from service.processes.simulator import running
from tests.support.commands import refused, run, wrong
from workers.happyfox import HappyFox
from workers.happyfox.endpoints import ENDPOINTS
from workers.simulator import Simulator


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey_url: str) -> Iterator[Simulator]:
    simulator = Simulator(lambda: 1_700_000_000.0)
    with running(simulator) as url:
        names = {"ACCOUNT": "acme", "URL": url, "API_KEY": "demo-key", "AUTH_CODE": "demo-code", "STAFF_ID": "7"}
        for name, value in names.items():
            monkeypatch.setenv(f"HAPPYFOX_{name}", value)
        monkeypatch.setenv("REDIS_URL", valkey_url)
        monkeypatch.chdir(tmp_path)
        yield simulator


def api(*arguments: str) -> Result:
    return run("api", *arguments)


def test_without_a_method_all_are_listed_and_no_settings_are_needed() -> None:
    result = api("--json")
    updates = json.loads(result.stdout)
    assert len(updates) == len(ENDPOINTS)
    assert updates[0]["method"].startswith("tickets(page=, size=, q=, status=")
    assert "remove_contacts_from_group(" in api().stdout


def test_a_call_prints_json(simulator: Simulator) -> None:
    number = simulator.create_ticket(subject="Grüße").id
    assert json.loads(api("ticket", str(number)).stdout)["subject"] == "Grüße"
    assert (
        json.loads(api("private_note", str(number), "text=Hi there", "priority=3").stdout)["priority"]["name"] == "High"
    )
    assert json.loads(api("delete_ticket", str(number)).stdout) == {"deleted_ticket": "#DC00000001"}


def test_a_list_prints_a_table_or_json(simulator: Simulator) -> None:
    for n in range(3):
        simulator.create_ticket(subject=f"No {n} \x1b[31mred")
    table = api("tickets", "status=_pending", "size=2").stdout
    assert "No 0" in table
    assert "In" not in table
    assert "\x1b" not in table
    assert "2 of 3" in table
    assert len(json.loads(api("tickets", "size=2", "--json").stdout)["data"]) == 2
    assert json.loads(api("all_ticket_numbers", "--json").stdout) == [1, 2, 3]
    assert "Ada King" in api("staff").stdout


def test_days_lists_and_files_are_read(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    number = simulator.create_ticket().id
    api("staff_update", str(number), "html=<p>x</p>", "files=a.txt", "cc=a@x.example")
    assert simulator.log[-1].files == ("a.txt",)
    assert json.loads(api("tabular_data", "1", "start=2023-11-01", "end=2023-11-30", "--json").stdout)["rows"]
    several = json.dumps([{"client": 1, "subject": "s", "text": "t", "category": 1}, {"category": 1}])
    assert [update["state"] for update in json.loads(api("create_tickets", several, "--json").stdout)] == [
        "done",
        "refused",
    ]


def test_text_is_sent_as_it_was_typed_whatever_it_looks_like(simulator: Simulator) -> None:
    number = str(simulator.create_ticket().id)
    for typed in ("123", "true", '"quoted"', "[1]", "1e3"):
        api("private_note", number, f"text={typed}")
        shown = json.loads(api("ticket", number).stdout)["updates"][-1]["message"]["text"]
        assert shown.strip() == typed
    assert json.loads(api("create_contact_group", "2026").stdout)["name"] == "2026"
    api("update_tags", number, "add=7")
    assert json.loads(api("ticket", number).stdout)["tags"] == "7"


def test_numbers_lists_and_null_are_read_where_they_are_wanted(simulator: Simulator) -> None:
    number = str(simulator.create_ticket(assignee=1).id)
    assert json.loads(api("staff_update", number, "assignee=null", "due_date=2030-01-02").stdout)["assigned_to"] is None
    api("staff_update", number, "due_date=null", 'fields={"t-cf-1": "7"}', "time_spent=5", "update_customer=false")
    shown = json.loads(api("ticket", number).stdout)
    assert (shown["due_date"], shown["time_spent"]) == (None, 5)
    api("update_tags", number, 'add=["a", "b"]')
    assert json.loads(api("ticket", number).stdout)["tags"] == "a,b"
    group = json.loads(api("create_contact_group", "Gold").stdout)["id"]
    assert [
        update["state"] for update in json.loads(api("add_contacts_to_group", str(group), "1", "--json").stdout)
    ] == ["done"]


@pytest.mark.parametrize("method", [*(each.name for each in ENDPOINTS), *WALKS])
def test_the_arguments_of_every_method_can_be_read(method: str) -> None:
    positional, named = read_arguments(getattr(HappyFox, method), ["1", "unknown=1"])
    assert (positional in ([1], ["1"], [[1]]), named) == (True, {"unknown": 1})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tickts",), "did you mean 'tickets'?"),
        (("zzz",), "lists them"),
        (("ticket",), "missing a required argument: 'n'; usage: ticket(n)"),
        (("staff_update", "1", "txt=x"), "did you mean 'text'"),
        (("contact_reply", "1", "user=5", "text=x"), "its name here is 'contact'"),
        (("create_ticket", "subjct=x"), "usage: create_ticket(name=, email=, phone=, client=, subject=, text=, html=,"),
        (("search", "stauts=New"), "did you mean 'status'"),
        (("sla_entries", "1", "start=yesterday", "end=2023-11-30"), "is not a day"),
    ],
)
def test_wrong_usage_says_what_is_expected(simulator: Simulator, arguments: tuple[str, ...], said: str) -> None:
    assert said in wrong("api", *arguments)
    assert list(simulator.log) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ticket", "99"), "no such object"),
        (("staff_update", "1", "status=99"), "status: Select a valid choice"),
        (("ticket", "#DC00000001"), "search(id='DC00000001')"),
        (("tickets", "status=New"), "hf.names.status('New')"),
        (("download", "1", "9"), "not on ticket 1"),
        (("inline_attachment", "nothing.png"), "nothing was sent"),
    ],
)
def test_an_error_of_happyfox_is_shown(simulator: Simulator, arguments: tuple[str, ...], said: str) -> None:
    simulator.create_ticket()
    assert said in refused("api", *arguments)


@pytest.mark.parametrize("method", [*(each.name for each in ENDPOINTS), *WALKS, *FILES, *SEARCHES])
def test_help_after_a_method_describes_it(method: str) -> None:
    assert api(method, "--help").stdout.startswith(f"{method}(")


def test_help_names_the_members_of_an_object() -> None:
    shown = " ".join(api("create_ticket", "--help").stdout.split())
    assert "POST /tickets/, KB 1039" in shown
    assert (
        "Members of ticket: name, email, phone, client, subject (required), text, html, category (required)," in shown
    )
    assert "Members of several: contact (required), access_tickets" not in shown
    assert "Usage: foxhooks api" in api("--help").stdout


def test_a_ticket_is_created_from_members_and_files(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    made = api(
        "create_ticket", "subject=12", "text=Hi", "client=1", "category=1", "tags=a", "files=a.txt", "assignee=2"
    )
    shown = json.loads(made.stdout)
    assert (shown["subject"], shown["tags"], shown["assigned_to"]["id"]) == ("12", "a", 2)
    assert simulator.log[-1].files == ("a.txt",)
    whole = json.dumps({"subject": "s", "text": "t", "client": 1, "category": 1})
    assert json.loads(api("create_ticket", whole).stdout)["subject"] == "s"


def test_an_attachment_is_saved_by_its_id(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    number = str(simulator.create_ticket().id)
    api("private_note", number, "text=x", "files=a.txt")
    assert "b.txt" in api("download", number, "1", "to=b.txt").stdout
    assert (tmp_path / "b.txt").read_text() == "hello"


def test_a_search_is_printed_for_use_in_a_list(simulator: Simulator) -> None:
    q = api("search", "refund", "tag=vip", "unresponded=true", "created_on=2023-11-14").stdout.strip()
    assert q == 'tag:"vip" unresponded:true created-on:"2023/11/14" refund'
    simulator.create_ticket(tags=["vip"], text="A refund, please")
    assert json.loads(api("tickets", f"q={q}", "--json").stdout)["page_info"]["last_index"] == 1
    assert api("search_contacts", "email=sam@bigcorp.example").stdout.strip() == "email:sam@bigcorp.example"
