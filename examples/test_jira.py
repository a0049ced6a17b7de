"""Tests of `jira.py`, with a fake Jira."""

from conftest import Service
from jira import router

from workers.testing import Desk

SETTINGS = {"user": "foxhooks@acme.example", "token": "test-token", "project": "OPS"}


def connected(desk: Desk, service: Service) -> int:
    """Connect a ticket with the issue OPS-7, and return its number."""
    service.answers = [(201, {"key": "OPS-7"})]
    desk.use(router, settings={"jira": {**SETTINGS, "url": service.url}})
    number = desk.simulator.create_ticket(subject="Printer on fire").id
    desk.simulator.staff_updates(number, add_tags=["jira"])
    desk.advance("1m")
    return number


def test_a_tag_creates_an_issue_once_wherever_the_worker_crashes(desk: Desk, service: Service) -> None:
    desk.crash = True
    service.answers = [(201, {"key": "OPS-7"}), (200, {"issues": [{"key": "OPS-7"}]})]
    desk.use(router, settings={"jira": {**SETTINGS, "url": service.url}})
    number = desk.simulator.create_ticket(subject="Printer on fire").id
    desk.simulator.staff_updates(number, add_tags=["jira"])
    desk.advance("5m")
    assert [path.partition("?")[0] for _, path, _ in service.asked] == ["/rest/api/2/issue", "/rest/api/2/search"]
    assert service.asked[0][2]["fields"]["summary"].startswith("Printer on fire (#")
    assert desk.ticket(number).tags == {"jira", "jira-OPS-7"}
    assert desk.notes(number) == [f"Issue OPS-7: {service.url}/browse/OPS-7"]


def test_a_note_becomes_a_comment(desk: Desk, service: Service) -> None:
    number = connected(desk, service)
    service.answers = [(201, {"id": "900"})]
    desk.simulator.staff_updates(number, "Ada King", text="@jira It smokes.", private=True)
    desk.simulator.staff_updates(number, "Ada King", text="Only for us.", private=True)
    desk.advance("1m")
    assert service.asked[1:] == [("POST", "/rest/api/2/issue/OPS-7/comment", {"body": "Ada King: It smokes."})]


def test_what_happens_in_jira_comes_back(desk: Desk, service: Service) -> None:
    number = connected(desk, service)
    desk.hook("jira", "jira", number, key="OPS-7", comment="Which room?", author="lee@acme.example", status="Open")
    desk.hook("jira", "jira", number, key="OPS-7", comment="Ada: It smokes.", author=SETTINGS["user"], status="Open")
    desk.hook("jira", "jira", number, key="OPS-7", status="Done")
    desk.advance("1m")
    contact = desk.ticket(number).contact.name
    assert desk.notes(number)[1:] == [
        "lee@acme.example in OPS-7:\n\nWhich room?",
        f"OPS-7 is done. Please tell {contact}.",
    ]
    assert "fixed" in desk.ticket(number).tags
    assert len(service.asked) == 1


def test_jira_that_is_down_is_asked_until_it_answers(desk: Desk, service: Service) -> None:
    service.answers = [(503, {}), (201, {"key": "OPS-7"})]
    desk.use(router, settings={"jira": {**SETTINGS, "url": service.url}})
    number = desk.simulator.create_ticket().id
    desk.simulator.staff_updates(number, add_tags=["jira"])
    desk.advance("5m")
    assert len(service.asked) == 2
    assert "jira-OPS-7" in desk.ticket(number).tags
