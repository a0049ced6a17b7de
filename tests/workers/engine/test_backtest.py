"""The parts of a backtest: the actions of each handler, and names without stored lists."""

import msgspec

from workers.engine.backtest import InferredDirectory, planned_actions
from workers.engine.effect import Effect
from workers.engine.fold import HandlerActions
from workers.engine.plan import ExternalEffect, Handover, Record, Verdict
from workers.engine.replay import AGAIN
from workers.happyfox.directory import Directory
from workers.plugins.actions import Move, Note, Set, Subscribe, Tags

RECORD = Record(
    format=1,
    account="demo",
    number=3,
    turn="t1",
    at=1_000,
    events=(),
    ticket={},
    changes=(),
    verdicts=(),
    effects=(),
    journal={},
    remarks=(),
    dry=False,
)


def test_planned_actions_belong_to_their_handler_whichever_call_carries_them() -> None:
    effects = [
        Effect(kind="tags", add=("a", "b"), remove=("c",), owners={"+a": "one.x", "+b": "two.y", "-c": "one.x"}),
        Effect(
            kind="note",
            handler="two.y",
            html="<p>Hello</p>",
            set={"status": 2},
            fields={"5": "Gold"},
            owners={"status": "one.x", "#5": "two.y"},
            names={"status": "Closed", "#5": "Plan"},
        ),
    ]
    external = {
        "one.x": {
            "chat": ExternalEffect(state="dry", turn="t1"),
            "before": ExternalEffect(state="done", turn="t0"),
        }
    }
    verdicts = (
        Verdict(handler="one.x", state="decided"),
        Verdict(handler="two.y", state="decided"),
        Verdict(handler="old.z", state="decided", reason=f"{AGAIN} note"),
        Verdict(handler="old.z", state="skipped", reason="not triggered by this event"),
    )
    handed = (Handover(9, "one.x", (Tags(add=("q",)),), since=0),)
    again = Effect(kind="note", handler="old.z", html="again")
    plan = {"effects": (*effects, again), "external": external, "verdicts": verdicts, "handovers": handed}
    done = msgspec.structs.replace(RECORD, **plan)
    found = [(action.handler, action.summary, action.text) for action in planned_actions(RECORD, done, values=True)]
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
    assert "field Plan" in {action.summary for action in planned_actions(RECORD, done, values=False)}


def test_an_inferred_directory_learns_from_tickets_and_accepts_the_rest() -> None:
    inferred = InferredDirectory()
    inferred.learn_from_ticket({"status": {"id": 2, "name": "Closed"}, "custom_fields": [{"id": 5, "name": "Plan"}, 7]})
    inferred.learn_from_effect(
        Effect(kind="move", category=9, set={"priority": 3}, names={"category": "Billing", "priority": "High"})
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
    kept = inferred.lists([asked])
    names = Directory(**{name: msgspec.json.decode(each) for name, each in kept.items()})
    assert (names.status("Closed"), names.priority("high"), names.category("billing")) == (2, 3, 9)
    assert names.field("plan").id == 5
    assert names.name("staff", names.staff_member("ada@x.example")) == "ada@x.example"
    assert all(unknown < 0 for unknown in (names.category("Orders"), names.field("Q").id, names.staff_member("Lin")))

    inferred.learn_from_ticket({"category": {"id": 11, "name": "orders"}})
    names = Directory(**{name: msgspec.json.decode(each) for name, each in inferred.lists([asked]).items()})
    assert names.category("Orders") == 11
