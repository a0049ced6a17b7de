"""Tests of `llm_triage.py`, with a fake model."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import Service
from llm_triage import TICKETS, Triage, evaluate, judge, router, show

from workers import GiveUp, Retry
from workers.testing import Desk, Result, run, ticket

LISTS: dict[str, Any] = {
    "categories": ["Billing", "Orders", "Support"],
    "tags": ["refund", "bug", "delivery", "question"],
}
CHOSEN = Triage("http://model.test", "token", "small-1", **LISTS)


def said(**members: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": json.dumps(members)}}]}


def settings(service: Service, **more: Any) -> dict[str, Any]:
    return {"base_url": service.url, "token": "test-token", "model": "small-1", **LISTS, **more}


def ask(service: Service, **more: Any) -> Result:
    new = ticket(email="sam@bigcorp.example", subject="Refund", text="It is broken.")
    return run(router, new, "ticket-created", settings=settings(service, **more))


def test_the_verdict_becomes_tags_a_priority_and_a_note(service: Service) -> None:
    service.answers = [
        (200, said(category="billing", priority="High", tags=["refund"], language="en", summary="Wants a refund."))
    ]
    result = ask(service)
    assert result.tags_added == {"refund"}
    assert result.properties == {"priority": "High"}
    assert result.notes == ("Wants a refund.<br><br>Language: en. Category: Billing (proposed).",)
    assert result.replies == ()
    [(_, path, body)] = service.asked
    assert path == "/chat/completions"
    assert json.loads(body["messages"][1]["content"]) == {"subject": "Refund", "text": "It is broken."}


def test_whatever_is_not_in_the_lists_is_dropped(service: Service) -> None:
    service.answers = [(200, said(category="Root", priority="Now!", tags=["refund", "admin"], reply="Dear customer"))]
    result = ask(service)
    assert result.tags_added == {"refund"}
    assert result.properties == {}
    assert result.notes == ()


def test_a_ticket_that_gives_orders_is_only_data(service: Service) -> None:
    service.answers = [(200, said(tags=["bug"], summary="x" * 9_000))]
    result = ask(service)
    assert len(result.notes[0]) < 500
    assert "never" in service.asked[0][2]["messages"][0]["content"]
    assert result.replies == ()


@pytest.mark.parametrize(("status", "error"), [(503, Retry), (429, Retry), (401, GiveUp)])
def test_errors_of_the_model_are_distinguished(service: Service, status: int, error: type[Exception]) -> None:
    service.answers = [(status, {})]
    assert isinstance(ask(service).failed["llm-triage.triage"], error)


@pytest.mark.parametrize("content", ["Sure! Here you are:", "[]", "null"])
def test_an_answer_of_another_form_is_given_up(content: str) -> None:
    with pytest.raises(GiveUp, match="JSON object"):
        judge("x", "y", CHOSEN, lambda _: content)


def test_the_model_is_called_a_limited_number_of_times_a_day(desk: Desk, service: Service) -> None:
    service.answers = [(200, said(tags=["bug"]))]
    desk.use(router, settings={"llm-triage": settings(service, per_day=2)})
    numbers = [desk.simulator.create_ticket().id for _ in range(3)]
    desk.advance("5m")
    assert [desk.ticket(number).tags for number in numbers] == [{"bug"}, {"bug"}, frozenset()]
    desk.advance("1d")
    number = desk.simulator.create_ticket().id
    desk.advance("5m")
    assert desk.ticket(number).tags == {"bug"}


def keywords(messages: Sequence[dict[str, str]]) -> str:
    """Answer like a model that only knows a few words, so that the table has right and wrong."""
    text = messages[1]["content"].lower()
    words = {"refund": "refund|money|charged|geld zur", "bug": "error|crash|down|wrong password|slow|update"}
    words |= {"delivery": "parcel|deliver|order|lieferung|colis|track", "question": r"\?|how |which |where "}
    tags = [tag for tag, pattern in words.items() if re.search(pattern, text)]
    billing, orders = re.search("refund|charged|invoice|rechnung|geld|pay|discount", text), "delivery" in tags
    priority = "Urgent" if "!" in text else "Low" if tags == ["question"] else "Medium"
    category = "Billing" if billing else "Orders" if orders else "Support"
    return json.dumps({"category": category, "priority": priority, "tags": tags})


def test_the_evaluation_shows_what_is_right_and_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(TICKETS) == 30
    rated = evaluate(CHOSEN, keywords)
    show(rated)
    table = capsys.readouterr().out
    assert table.count("\n") == 32
    assert "right" in table
    assert "WRONG" in table
    assert 15 <= sum(category for _, category, _, _ in rated) < 30
