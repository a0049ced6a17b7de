"""Tests of the reports in `api.py`, against the simulator."""

from collections.abc import Iterator
from pathlib import Path

import api
import pytest

from service.processes.simulator import running
from workers.happyfox import HappyFox
from workers.simulator import Simulator

MARCH = 1_772_445_600.0  # 2 March 2026


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(lambda: MARCH)


@pytest.fixture
def hf(simulator: Simulator, tmp_path: Path) -> Iterator[HappyFox]:
    names = {"ACCOUNT": "acme", "API_KEY": "demo-key", "AUTH_CODE": "demo-code", "STAFF_ID": "7"}
    with running(simulator) as url:
        environ = {f"HAPPYFOX_{name}": value for name, value in {**names, "URL": url}.items()}
        with HappyFox.from_env(environ, tmp_path) as client:
            yield client


def test_overdue_tickets_are_listed(hf: HappyFox, simulator: Simulator) -> None:
    simulator.create_ticket(due_date="2026-03-01", assignee="Ada King")
    simulator.create_ticket(due_date="2026-03-09")
    assert api.overdue(hf) == ["#DC00000001 Ada King"]


def test_a_ticket_from_its_report_to_its_attachments(hf: HappyFox, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"smoke")
    number = api.report_printer(hf, tmp_path / "photo.png")
    ticket = hf.ticket(number)
    assert (ticket.priority.name, ticket.tags, ticket.fields["Product"]) == (
        "High",
        frozenset({"printer", "vip"}),
        "Printer",
    )
    assert api.answer(hf, number) == "In Progress"
    (tmp_path / "saved").mkdir()
    (saved,) = api.save_attachments(hf, number, tmp_path / "saved")
    assert saved.read_bytes() == b"smoke"


def test_contacts_are_imported_and_renamed(hf: HappyFox) -> None:
    refused = api.import_contacts(hf, [("Kim", "kim@x.example"), ("Nobody", "rubbish"), ("Lee", "lee@x.example")])
    assert refused == ["rubbish: Enter a valid email address."]
    assert len(hf.contact_group(2).contacts) == 2
    assert api.rename(hf, "kim@x.example", "Kim Park") == "Kim Park"


def test_assets_reports_and_articles(hf: HappyFox, simulator: Simulator) -> None:
    assert api.equipment(hf, 1) == "Dock, black"
    simulator.staff_updates(simulator.create_ticket().id, "Ada King", text="Hello")
    assert api.last_week(hf)["Ada King"] == 1
    assert api.articles(hf)["Printers"] == ["Paper jams"]
