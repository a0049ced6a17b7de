"""The parts of a backtest: the fullest window, what each handler wanted, names that nobody stored."""

import msgspec
import pytest

from workers.engine.backtest import InferredDirectory, peak, planned_actions
from workers.engine.fold import HandlerActions
from workers.engine.plan import Effect, ExternalEffect, Handover, Record, Verdict
from workers.engine.replay import AGAIN
from workers.happyfox.directory import Directory
from workers.plugins.actions import Move, Note, Set, Subscribe, Tags

RECORD = Record(1, "demo", 3, "t1", 1_000, (), (), (), (), {}, (), False, {})


@pytest.mark.parametrize(
    ("times", "most"),
    [([], 0), ([0], 1), ([0, 59_999], 2), ([0, 60_000], 1), ([0, 1, 59_000, 60_000, 60_500, 130_000], 3)],
)
def test_the_peak_is_the_fullest_window_of_any_alignment(times: list[int], most: int) -> None:
    assert peak(times, 60.0) == most


def test_deeds_are_what_each_handler_wanted_whichever_call_carries_it() -> None:
    effects = [
        Effect(sort="tags", add=("a", "b"), remove=("c",), owners={"+a": "one.x", "+b": "two.y", "-c": "one.x"}),
        Effect(
            sort="note",
            handler="two.y",
            html="<p>Hello</p>",
            set={"status": 2},
            fields={"5": "Gold"},
            owners={"status": "one.x", "#5": "two.y"},
            names={"status": "Closed", "#5": "Plan"},
        ),
    ]
    external = {"one.x": {"chat": ExternalEffect("dry", "t1"), "before": ExternalEffect("done", "t0")}}
    verdicts = (
        Verdict("one.x", "decided"),
        Verdict("two.y", "decided"),
        Verdict("old.z", "decided", f"{AGAIN} note"),
        Verdict("old.z", "skipped", "no change of its kinds"),
    )
    handed = (Handover(9, "one.x", (Tags(add=("q",)),)),)
    again = Effect(sort="note", handler="old.z", html="again")
    plan = {"effects": (*effects, again), "external": external, "verdicts": verdicts, "handed": handed}
    done = msgspec.structs.replace(RECORD, **plan)
    found = [(action.handler, action.words, action.text) for action in planned_actions(RECORD, done, values=True)]
    assert sorted(found) == [
        ("one.x", "effect chat", ""),
        ("one.x", "status = Closed", ""),
        ("one.x", "tag +a", ""),
        ("one.x", "tag -c", ""),
        ("one.x", "tags on ticket 9", '[{"action":"tags","add":["q"],"remove":[]}]'),
        ("two.y", "field Plan = Gold", ""),
        ("two.y", "private note", "Hello"),
        ("two.y", "tag +b", ""),
    ]
    assert "field Plan" in {action.words for action in planned_actions(RECORD, done, values=False)}


def test_a_makeshift_directory_knows_what_it_was_shown_and_believes_the_rest() -> None:
    makeshift = InferredDirectory()
    makeshift.see_ticket({"status": {"id": 2, "name": "Closed"}, "custom_fields": [{"id": 5, "name": "Plan"}, 7]})
    makeshift.see_effect(
        Effect(sort="move", category=9, set={"priority": 3}, names={"category": "Billing", "priority": "High"})
    )
    asked = HandlerActions(
        "one.x",
        (
            Set(
                {"status": "closed", "priority": "HIGH", "assignee": "ada@x.example"},
                {"Q": 1},
            ),
            Move("Orders"),
            Subscribe(("Lin", 12)),
            Note("x", alert="Kim"),
        ),
    )
    kept = makeshift.lists([asked])
    names = Directory(**{name: msgspec.json.decode(each) for name, each in kept.items()})
    assert (names.status("Closed"), names.priority("high"), names.category("billing")) == (2, 3, 9)
    assert names.field("plan").id == 5
    assert names.name("staff", names.staff_member("ada@x.example")) == "ada@x.example"
    assert all(unknown < 0 for unknown in (names.category("Orders"), names.field("Q").id, names.staff_member("Lin")))

    makeshift.see_ticket({"category": {"id": 11, "name": "orders"}})
    names = Directory(**{name: msgspec.json.decode(each) for name, each in makeshift.lists([asked]).items()})
    assert names.category("Orders") == 11
